import { mkdir, open, readFile, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { open as openLmdb } from 'lmdb';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lmdbEngines } from './index.ts';
import { completeLockFile, makeDataFile } from './lmdb-files.ts';
import { rowsOf, tempDirectory } from './testing/index.ts';

const OPTIONS = { noSubdir: true, overlappingSync: false } as const;

let directory: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ path: directory, remove } = await tempDirectory());
});
afterEach(() => remove());

test('a new data file is what LMDB itself would have made, byte for byte', async () => {
  await mkdir(join(directory, 'theirs'));
  const [ours, theirs] = [join(directory, 'ours'), join(directory, 'theirs', 'a.lmdb')];
  await makeDataFile(ours);
  await openLmdb(theirs, { ...OPTIONS, pageSize: 4096 }).close();
  expect(await readFile(ours)).toEqual(await readFile(theirs));
});

test('LMDB writes to neither file when it opens them', async () => {
  const path = join(directory, 'a.lmdb');
  await makeDataFile(path);
  await completeLockFile(`${path}-lock`);
  const before = await readFile(path);
  const { size } = await stat(`${path}-lock`);
  const lmdb = openLmdb(path, OPTIONS);
  expect(await readFile(path)).toEqual(before);
  expect((await stat(`${path}-lock`)).size).toBe(size);
  await lmdb.close();
});

test('a lock file that is missing or cut short is completed when a state is opened', async () => {
  const path = join(directory, 'a.lmdb');
  const lock = `${path}-lock`;
  await (await lmdbEngines().open(path, { create: true })).close();
  const { size } = await stat(lock);
  for (const length of [0, 100, 8_272]) {
    await truncate(lock, length);
    const engine = await lmdbEngines().open(path);
    expect(rowsOf(engine)).toEqual([]);
    expect((await stat(lock)).size).toBe(size);
    await engine.close();
  }
});

test('a data file is never made over another', async () => {
  const path = join(directory, 'a.lmdb');
  await (await open(path, 'wx')).close();
  await expect(makeDataFile(path)).rejects.toMatchObject({ code: 'EEXIST' });
});
