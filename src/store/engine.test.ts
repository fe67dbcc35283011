import { lmdbEngines, memoryEngines } from './index.ts';
import { tempDirectory, testEngine } from './testing/index.ts';

testEngine('memory', async () => ({
  engines: memoryEngines(),
  directory: '/state',
  leave: async () => {},
}));

testEngine('LMDB', async () => {
  const { path, remove } = await tempDirectory();
  return { engines: lmdbEngines(), directory: path, leave: remove };
});
