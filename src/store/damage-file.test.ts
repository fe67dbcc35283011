import { expect, test } from 'vitest';
import { memoryDisk, silentLog } from '../io/index.ts';
import {
  type MemoryEngines,
  memoryEngines,
  openStateHome,
  resetState,
  type StateHome,
  StoreError,
} from './index.ts';
import { commit, put } from './testing/index.ts';

const DIRECTORY = '/data/state';
const NOTE = `${DIRECTORY}/DAMAGED`;
const KEY = Uint8Array.of(0x6b);

interface Machine {
  readonly disk: ReturnType<typeof memoryDisk>;
  readonly engines: MemoryEngines;
}

function open({ disk, engines }: Machine): Promise<StateHome> {
  return openStateHome({ disk, engines, directory: DIRECTORY, log: silentLog });
}

function machine(): Machine {
  return { disk: memoryDisk(), engines: memoryEngines() };
}

/** A home whose row `k` is damaged on the disk, and was not read since. */
async function damaged(start: Machine): Promise<StateHome> {
  const home = await open(start);
  home.current.put('t', KEY, KEY);
  home.current.put('u', KEY, KEY);
  await new Promise((resolve) => home.current.flush(resolve));
  const [path = ''] = await start.engines.list(DIRECTORY);
  start.engines.damage(path, 't', KEY);
  return home;
}

test('damage that a running member meets is refused by the next start, unread', async () => {
  const start = machine();
  const home = await damaged(start);
  expect(() => home.current.get('t', KEY)).toThrow('checksum of the row 6b');
  expect(() => home.current.get('t', KEY)).toThrow('checksum of the row 6b');
  await home.close();
  for (let again = 0; again < 2; again++) {
    const refused = open(start);
    await expect(refused).rejects.toMatchObject({ code: 'CORRUPT' });
    await expect(refused).rejects.toThrow(/damage was met in it before .*checksum of the row 6b/);
  }
});

test('damage that nobody has met is not known: the walk over all rows finds it', async () => {
  const start = machine();
  await (await damaged(start)).close();
  const home = await open(start);
  const view = home.current.view();
  expect(() => [...view.rows()]).toThrow('checksum of the row 6b');
  await home.close();
  await expect(open(start)).rejects.toMatchObject({ code: 'CORRUPT' });
});

test('what somebody else found counts as well', async () => {
  const start = machine();
  const home = await open(start);
  home.reportDamage(new StoreError('CORRUPT', 'rows are missing'));
  await home.close();
  await expect(open(start)).rejects.toThrow('damage was met in it before (rows are missing)');
});

test('a state that is removed, and one that took its place, are not the damaged one', async () => {
  const start = machine();
  const home = await damaged(start);
  expect(() => home.current.get('t', KEY)).toThrow('checksum');
  const fresh = await home.create();
  await commit(fresh.engine, [put('new', 'k', 'v')]);
  await fresh.adopt();
  await home.close();
  const after = await open(start);
  expect(await start.disk.list(DIRECTORY)).not.toContain('DAMAGED');
  after.reportDamage(new StoreError('CORRUPT', 'this one too'));
  await after.close();
  await expect(open(start)).rejects.toThrow('this one too');
  await resetState({ ...start, directory: DIRECTORY });
  await (await open(start)).close();
});

test('a note that a crash has torn is removed: the damage will be met again', async () => {
  const start = machine();
  await (await open(start)).close();
  start.disk.poke(NOTE, Uint8Array.of(0, 0, 0));
  await (await open(start)).close();
  expect(await start.disk.list(DIRECTORY)).not.toContain('DAMAGED');
});
