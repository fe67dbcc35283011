import { defineConfig } from 'vitest/config';

/** `npm run test:etcd`: needs `etcd`, `etcdctl` and `go` in the PATH, so it is no part of `npm test`. */
// biome-ignore lint/style/noDefaultExport: vitest reads it
export default defineConfig({
  test: {
    // Compiles src once: some tests start the compiled command.
    globalSetup: ['test/global-setup.ts'],
    include: ['test/etcd/{bbolt,differential,etcdctl,gateway,go,queues}.ts'],
    // One after the other: `etcdctl check perf` measures.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
