import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: one file at a time per core; real processes of one file must not starve another.
    maxWorkers: 2,
    reporters: process.env['CI'] === 'true' ? ['default'] : ['default'],
  },
});
