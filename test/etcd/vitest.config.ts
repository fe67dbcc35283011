import { defineConfig } from 'vitest/config';

/** `npm run test:etcd`: needs an `etcd` in the PATH, so it is no part of `npm test`. */
// biome-ignore lint/style/noDefaultExport: vitest reads it
export default defineConfig({
  test: {
    include: ['test/etcd/{bbolt,differential,etcdctl,gateway,queues}.ts'],
    // One after the other: `etcdctl check perf` measures.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
