import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { bytesKey, Prng } from '../lib/index.ts';
import {
  type DurableStore,
  durableStore,
  type Engine,
  lmdbEngines,
  memoryEngines,
  type OrderedStore,
  StoreError,
} from './index.ts';
import { fragileStore, rowsOf, tempDirectory, testOrderedStore } from './testing/index.ts';

const everything = { from: new Uint8Array(0), to: null };

/** A store in which flushes begin, and commits happen, at random changes; `seed` decides where. */
function flushingStore(engine: Engine, runCommits: () => void, seed: number): OrderedStore {
  const store = durableStore(engine);
  const prng = new Prng(seed);
  let isFlushing = false;
  let turns = 0;
  function turn(): void {
    turns++;
    if (isFlushing && prng.chance(0.1)) runCommits();
    // Often at first, then more and more rarely: twenty times in 40,000 changes.
    if (!isFlushing && prng.chance(3 / (50 + turns))) {
      isFlushing = true;
      store.flush((error) => {
        expect(error, `seed ${seed}`).toBeNull();
        isFlushing = false;
      });
    }
  }
  return {
    get: (table, key) => store.get(table, key),
    range: (table, span) => store.range(table, span),
    count: (table, span) => store.count(table, span),
    put(table, key, value) {
      store.put(table, key, value);
      turn();
    },
    remove(table, key) {
      store.remove(table, key);
      turn();
    },
    close: () => store.close(),
  };
}

/** Commits that wait until `run` is called. */
function heldCommits(): { defer: (run: () => void) => void; run: () => void } {
  let waiting: (() => void)[] = [];
  return {
    defer: (run) => void waiting.push(run),
    run() {
      const now = waiting;
      waiting = [];
      for (const commit of now) commit();
    },
  };
}

async function memoryEngine(defer: (run: () => void) => void): Promise<Engine> {
  const disk = memoryEngines();
  await (await disk.open('/s', { create: true })).close();
  return disk.with({ defer }).open('/s');
}

let seed = 0;

async function nextStore(): Promise<OrderedStore> {
  const commits = heldCommits();
  return flushingStore(await memoryEngine(commits.defer), commits.run, ++seed);
}

testOrderedStore('durableStore on memory, flushing at any change', nextStore);
testOrderedStore('the same behind fragile views', async () => fragileStore(await nextStore()));

describe('on LMDB', () => {
  const directories: { remove(): Promise<void> }[] = [];
  const engines: Engine[] = [];
  afterEach(async () => {
    for (const engine of engines.splice(0)) await engine.close();
    for (const directory of directories.splice(0)) await directory.remove();
  });

  async function lmdbEngine(): Promise<Engine> {
    const directory = await tempDirectory();
    directories.push(directory);
    const engine = await lmdbEngines().open(`${directory.path}/a.lmdb`, { create: true });
    engines.push(engine);
    return engine;
  }

  // Within one event turn no commit ends: the flush that begins somewhere stays under way.
  testOrderedStore(
    'durableStore on LMDB, a flush under way',
    async () => flushingStore(await lmdbEngine(), () => {}, ++seed),
    15,
  );

  test('over many flushes every row, range and count is right at any time', async () => {
    await expectRightOn(await lmdbEngine(), 7);
  });
});

describe('a durable store', () => {
  test('after a crash is what it was when the last finished flush began', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action(), { minLength: 1, maxLength: 60 }), async (actions) => {
        const disk = memoryEngines();
        await (await disk.open('/s', { create: true })).close();
        let run = await startedOn(disk);
        for (const next of actions) {
          if (next.type === 'put') run.store.put(next.table, next.key, next.value);
          else if (next.type === 'remove') run.store.remove(next.table, next.key);
          else if (next.type === 'flush') run.startFlush();
          else if (next.type === 'commit') run.commits.run();
          else {
            const { durable } = run;
            run = await startedOn(disk);
            expect(contents(run.store)).toEqual(durable);
          }
          expect(contents(run.store)).toEqual(run.model(next));
        }
      }),
      { numRuns: 300 },
    );
  });

  test('a flush that finds no space loses nothing; the next one makes all durable', async () => {
    const disk = memoryEngines();
    const engine = await disk.open('/s', { create: true });
    const store = durableStore(engine);
    put(store, 'a', 'before');
    put(store, 'b', 'before');
    disk.intercept = () => new StoreError('FULL', 'no space');
    const failed = flush(store);
    put(store, 'b', 'while');
    store.remove('t', text('c'));
    await expect(failed).rejects.toMatchObject({ code: 'FULL' });
    put(store, 'd', 'after');
    expect(contents(store)).toEqual(['a=before', 'b=while', 'd=after']);
    expect(store.count('t', everything)).toBe(3);
    expect(rowsOf(engine)).toEqual([]);
    disk.intercept = () => null;
    await flush(store);
    expect(rowsOf(engine)).toEqual(['t/a=before', 't/b=while', 't/d=after']);
    expect(store.unflushedBytes).toBe(0);
  });

  test('after any other error nothing is committed any more', async () => {
    const disk = memoryEngines();
    const store = durableStore(await disk.open('/s', { create: true }));
    put(store, 'a', '1');
    disk.intercept = () => new StoreError('IO', 'sync failed');
    await expect(flush(store)).rejects.toMatchObject({ code: 'IO' });
    disk.intercept = () => null;
    await expect(flush(store)).rejects.toMatchObject({ code: 'IO' });
    expect(disk.peek('/s')).toEqual([]);
    expect(contents(store)).toEqual(['a=1']);
  });

  test('unflushedBytes counts what is not yet durable, in both layers', async () => {
    const commits = heldCommits();
    const store = durableStore(await memoryEngine(commits.defer));
    put(store, 'ab', 'cde');
    expect(store.unflushedBytes).toBe(64 + 5);
    const flushed = flush(store);
    put(store, 'f', '');
    expect(store.unflushedBytes).toBe(64 + 5 + 64 + 1);
    commits.run();
    await flushed;
    expect(store.unflushedBytes).toBe(64 + 1);
  });

  test('a view shows what was flushed, whatever follows', async () => {
    const store = durableStore(await memoryEngines().open('/s', { create: true }));
    put(store, 'a', '1');
    await flush(store);
    put(store, 'b', '2');
    const view = store.view();
    await flush(store);
    expect([...view.rows()].map(({ key }) => bytesKey(key))).toEqual(['a']);
    view.close();
  });

  test('a damaged row throws when it is read, and no other does', async () => {
    const disk = memoryEngines();
    const store = durableStore(await disk.open('/s', { create: true }));
    put(store, 'a', '1');
    put(store, 'b', '2');
    await flush(store);
    disk.damage('/s', 't', text('a'));
    expect(bytesKey(store.get('t', text('b')) ?? text(''))).toBe('2');
    const corrupt = expect.objectContaining({ code: 'CORRUPT', file: '/s' });
    expect(() => store.get('t', text('a'))).toThrow(corrupt);
    expect(() => contents(store)).toThrow(corrupt);
    expect(() => disk.peek('/s')).toThrow(corrupt);
    put(store, 'a', '3');
    expect(bytesKey(store.get('t', text('a')) ?? text(''))).toBe('3');
  });

  test('closed, it refuses to be used; a flush under way still ends', async () => {
    const commits = heldCommits();
    const store = durableStore(await memoryEngine(commits.defer));
    put(store, 'a', '1');
    const flushed = flush(store);
    store.close();
    store.close();
    expect(() => store.get('t', text('a'))).toThrow('store is closed');
    expect(() => put(store, 'a', '1')).toThrow('store is closed');
    commits.run();
    await flushed;
  });
});

/** Random changes, compared before a flush, while it is under way, and when it has ended. */
async function expectRightOn(engine: Engine, seed: number): Promise<void> {
  const store = durableStore(engine);
  const model = new Map<string, string>();
  const prng = new Prng(seed);
  let flushed: Promise<void> | null = null;
  for (let turn = 0; turn < 40; turn++) {
    for (let i = 0; i < 300; i++) {
      const key = `k${prng.below(900)}`;
      if (prng.chance(0.4)) {
        store.remove('t', text(key));
        model.delete(key);
      } else {
        const value = 'v'.repeat(prng.below(50));
        put(store, key, value);
        model.set(key, value);
      }
    }
    if (turn % 3 === 0) flushed = flush(store);
    if (turn % 3 === 2) await flushed;
    const keys = [...model.keys()].sort();
    const from = text(keys[prng.below(keys.length)] ?? '');
    const expected = keys.filter((key) => key >= bytesKey(from));
    expect(store.count('t', { from, to: null }), `seed ${seed}`).toBe(expected.length);
    expect(keysOf(store, { from, to: null })).toEqual(expected);
    expect(keysOf(store, { from, to: null, reverse: true })).toEqual(expected.reverse());
    expect(contents(store)).toEqual(keys.map((key) => `${key}=${model.get(key)}`));
  }
  await flushed;
  await flush(store);
  expect(rowsOf(engine)).toEqual([...model.keys()].sort().map((k) => `t/${k}=${model.get(k)}`));
}

/** One process's time with the store: what it has done, and what a crash may leave of it. */
async function startedOn(disk: ReturnType<typeof memoryEngines>) {
  const commits = heldCommits();
  const store = durableStore(await disk.with({ defer: commits.defer }).open('/s'));
  const now = new Map(contents(store).map((row) => row.split('=') as [string, string]));
  const asRows = (): string[] => [...now].map(([key, value]) => `${key}=${value}`).sort();
  let durable = asRows();
  let isFlushing = false;
  return {
    store,
    commits,
    /** What a crash leaves. */
    get durable() {
      return durable;
    },
    startFlush() {
      if (isFlushing) return;
      const flushed = asRows();
      isFlushing = true;
      store.flush((error) => {
        expect(error).toBeNull();
        isFlushing = false;
        durable = flushed;
      });
    },
    model(next: Action): string[] {
      if (next.type === 'put') now.set(bytesKey(next.key), bytesKey(next.value));
      if (next.type === 'remove') now.delete(bytesKey(next.key));
      return asRows();
    },
  };
}

type Action =
  | { type: 'put'; table: 't'; key: Uint8Array; value: Uint8Array }
  | { type: 'remove'; table: 't'; key: Uint8Array }
  | { type: 'flush' }
  | { type: 'commit' }
  | { type: 'crash' };

function action(): fc.Arbitrary<Action> {
  const key = fc.constantFrom('a', 'b', 'c', 'd').map(text);
  const value = fc.constantFrom('', '1', '2', '3').map(text);
  const table = fc.constant('t' as const);
  const only = <T extends string>(type: T) => fc.record({ type: fc.constant(type) });
  return fc.oneof(
    { weight: 5, arbitrary: fc.record({ type: fc.constant('put' as const), table, key, value }) },
    { weight: 3, arbitrary: fc.record({ type: fc.constant('remove' as const), table, key }) },
    { weight: 2, arbitrary: only('flush') },
    { weight: 2, arbitrary: only('commit') },
    { weight: 1, arbitrary: only('crash') },
  );
}

function flush(store: DurableStore): Promise<void> {
  return new Promise((resolve, reject) => {
    store.flush((error) => (error === null ? resolve() : reject(error)));
  });
}

function put(store: OrderedStore, key: string, value: string): void {
  store.put('t', text(key), text(value));
}

function contents(store: OrderedStore): string[] {
  return [...store.range('t', everything)].map(
    ({ key, value }) => `${bytesKey(key)}=${bytesKey(value)}`,
  );
}

function keysOf(store: OrderedStore, span: Parameters<OrderedStore['range']>[1]): string[] {
  return [...store.range('t', span)].map(({ key }) => bytesKey(key));
}

function text(string: string): Uint8Array {
  return Uint8Array.from(string, (character) => character.charCodeAt(0));
}
