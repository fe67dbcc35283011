import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  resolve: {
    alias: [
      {
        find: /^fast-check$/,
        replacement: fileURLToPath(new URL('test/fast-check.ts', import.meta.url)),
      },
    ],
  },
  test: {
    // Compiles src once: whole-process tests start the compiled command.
    globalSetup: ['test/global-setup.ts'],
    include: ['src/**/*.test.ts', 'test/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Two cores: one file at a time per core; real processes of one file must not starve another.
    maxWorkers: 2,
  },
});
