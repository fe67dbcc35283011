import { describe, expect, test } from 'vitest';
import { memoryDisk, silentLog, systemDisk } from '../io/index.ts';
import { Prng } from '../lib/index.ts';
import {
  type Engines,
  lmdbEngines,
  type MemoryEngines,
  memoryEngines,
  openStateHome,
  type StateHome,
} from './index.ts';
import { commit, put, rowsOf, tempDirectory } from './testing/index.ts';

type MemoryDisk = ReturnType<typeof memoryDisk>;

const DIRECTORY = '/data/state';
const CURRENT = `${DIRECTORY}/CURRENT`;

/** What outlives a process. */
interface Machine {
  readonly disk: MemoryDisk;
  readonly engines: MemoryEngines;
}

function open({ disk, engines }: Machine, calls: Engines = engines): Promise<StateHome> {
  return openStateHome({ disk, engines: calls, directory: DIRECTORY, log: silentLog });
}

function machine(): Machine {
  return { disk: memoryDisk(), engines: memoryEngines() };
}

/** The state in force. */
function contents(home: StateHome): string {
  const view = home.current.view();
  const rows = [...view.rows()].map(({ table }) => table);
  view.close();
  return rows.join();
}

async function adoptState(home: StateHome, name: string): Promise<void> {
  const fresh = await home.create();
  await commit(fresh.engine, [put(name, 'k', 'v')]);
  expect(await fresh.adopt()).toBe(home.current);
}

/** Runs until call number `at` of disk or engines, which never returns; true if it got through. */
async function runUntil(
  { disk, engines }: Machine,
  at: number,
  body: (calls: Engines) => Promise<void>,
): Promise<boolean> {
  let calls = 0;
  const isOver = (): boolean => ++calls >= at;
  disk.intercept = () => (isOver() ? 'stall' : 'run');
  const stalling = <T>(call: () => Promise<T>): Promise<T> =>
    isOver() ? new Promise<T>(() => {}) : call();
  const done = body({
    open: (path, options) => stalling(() => engines.open(path, options)),
    remove: (path) => stalling(() => engines.remove(path)),
    list: (directory) => stalling(() => engines.list(directory)),
    receive: (path, bytes, options) => stalling(() => engines.receive(path, bytes, options)),
  }).then(() => true);
  return Promise.race([done, quiet(() => calls)]);
}

/** False as soon as no call was made for a few turns: everything waits for the one that stalls. */
async function quiet(calls: () => number): Promise<false> {
  for (let still = 0, seen = -1; still < 3; still++) {
    if (calls() !== seen) still = 0;
    seen = calls();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return false;
}

/** The machine after a crash: which unsynced changes of the disk survive is the cut's choice. */
function afterCrash({ disk, engines }: Machine, cut: string): Machine {
  const prng = new Prng(cut.length);
  const keep = { none: () => false, all: () => true, some: () => prng.chance(0.5) }[cut];
  return { disk: keep === undefined ? disk.afterKill() : disk.afterPowerCut(keep), engines };
}

const CUTS = ['kill', 'none', 'all', 'some', 'some else', 'some others'];

describe('a crash at any step', () => {
  test.each(CUTS)('of the first start leaves an empty state (%s)', async (cut) => {
    let isThrough = false;
    for (let at = 1; !isThrough; at++) {
      const start = machine();
      isThrough = await runUntil(start, at, async (calls) => void (await open(start, calls)));
      const home = await open(afterCrash(start, cut));
      expect(contents(home), `crash at ${at}`).toBe('');
      await adoptState(home, 'next');
    }
  });

  test.each(CUTS)('of a switch leaves the old state or the new one (%s)', async (cut) => {
    const seen = new Set<string>();
    let isThrough = false;
    for (let at = 1; !isThrough; at++) {
      const start = machine();
      const first = await open(start);
      await adoptState(first, 'old');
      await first.close();
      isThrough = await runUntil(start, at, async (calls) => {
        const home = await open(start, calls);
        await home.create();
        await adoptState(home, 'new');
      });
      const crashed = afterCrash(start, cut);
      const found = await crashInRecovery(crashed, cut);
      seen.add(found);
      if (isThrough) expect(found).toBe('new');
    }
    expect([...seen].sort()).toEqual(['new', 'old']);
  });

  /** Crashes at every step of the next start as well; what is found must not change any more. */
  async function crashInRecovery(start: Machine, cut: string): Promise<string> {
    let state: string | null = null;
    let now = start;
    let isThrough = false;
    for (let at = 1; !isThrough; at++) {
      isThrough = await runUntil(now, at, async (calls) => {
        const home = await open(now, calls);
        state ??= contents(home);
        await home.close();
      });
      now = afterCrash(now, cut);
    }
    const home = await open(now);
    expect(contents(home)).toBe(state);
    expect((await now.engines.list(DIRECTORY)).length).toBe(1);
    await home.close();
    return contentsAgain(now);
  }

  async function contentsAgain(now: Machine): Promise<string> {
    const home = await open(now);
    const found = contents(home);
    await adoptState(home, 'after');
    expect(contents(home)).toBe('after');
    await home.close();
    return found;
  }
});

describe('a state home', () => {
  test('keeps what was flushed, through closing and opening', async () => {
    const start = machine();
    const home = await open(start);
    home.current.put('t', Uint8Array.of(1), Uint8Array.of(2));
    await new Promise((resolve) => home.current.flush(resolve));
    home.current.put('u', Uint8Array.of(1), Uint8Array.of(2));
    await Promise.all([home.close(), home.close()]);
    const again = await open(start);
    expect(contents(again)).toBe('t');
  });

  test('ends the old store and its views when another state is adopted', async () => {
    const home = await open(machine());
    const old = home.current;
    const view = old.view();
    await adoptState(home, 'new');
    expect(() => old.get('t', Uint8Array.of(1))).toThrow('store is closed');
    expect(() => [...view.rows()]).toThrow('closed');
    expect(contents(home)).toBe('new');
  });

  test('removes a state that is discarded, or not adopted before the next', async () => {
    const start = machine();
    const home = await open(start);
    const first = await home.create();
    await home.create();
    const third = await home.create();
    expect((await start.engines.list(DIRECTORY)).length).toBe(2);
    await third.discard();
    await third.discard();
    await first.discard();
    expect((await start.engines.list(DIRECTORY)).length).toBe(1);
    await expect(first.adopt()).rejects.toThrow('adopted or discarded');
  });

  test('refuses a directory that is in use', async () => {
    const start = machine();
    const home = await open(start);
    await expect(open(start)).rejects.toMatchObject({ code: 'LOCKED' });
    await home.close();
    await (await open(start)).close();
  });

  test('refuses a CURRENT with any bit flipped, and one cut short', async () => {
    const start = machine();
    await (await open(start)).close();
    const good = start.disk.peek(CURRENT);
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = good.slice();
      bad[bit >> 3] = (bad[bit >> 3] as number) ^ (1 << (bit & 7));
      start.disk.poke(CURRENT, bad);
      await expect(open(start), `bit ${bit}`).rejects.toMatchObject({ code: 'CORRUPT' });
    }
    for (let length = 0; length < good.length; length++) {
      start.disk.poke(CURRENT, good.slice(0, length));
      await expect(open(start)).rejects.toMatchObject({ code: 'CORRUPT', file: CURRENT });
    }
    start.disk.poke(CURRENT, good);
    await (await open(start)).close();
  });

  test('refuses to start empty when CURRENT is gone, or the state that it names', async () => {
    const start = machine();
    const home = await open(start);
    home.current.put('t', Uint8Array.of(1), Uint8Array.of(2));
    await new Promise((resolve) => home.current.flush(resolve));
    await home.close();
    const current = start.disk.peek(CURRENT);
    start.disk.poke(CURRENT, null);
    await expect(open(start)).rejects.toThrow('CURRENT is missing');
    start.disk.poke(CURRENT, current);
    const [path = ''] = await start.engines.list(DIRECTORY);
    await start.engines.remove(path);
    await expect(open(start)).rejects.toMatchObject({ code: 'CORRUPT', file: path });
  });

  test('on a real disk with LMDB: flush, adopt, open again', async () => {
    const { path, remove } = await tempDirectory();
    const options = {
      disk: systemDisk,
      engines: lmdbEngines(),
      directory: `${path}/state`,
      log: silentLog,
    };
    try {
      const home = await openStateHome(options);
      await adoptState(home, 'new');
      await home.close();
      const again = await openStateHome(options);
      expect(contents(again)).toBe('new');
      const fresh = await again.create();
      await commit(fresh.engine, [put('never adopted', 'k', 'v')]);
      expect(rowsOf(fresh.engine)).toEqual(['never adopted/k=v']);
      await again.close();
      const last = await openStateHome(options);
      expect(contents(last)).toBe('new');
      expect((await options.engines.list(options.directory)).length).toBe(1);
      await last.close();
    } finally {
      await remove();
    }
  });
});
