import { open, readdir, readlink, stat } from 'node:fs/promises';
import { describe, expect, test, vi } from 'vitest';
import { memoryDisk, silentLog } from '../io/index.ts';
import { concatBytes, Prng } from '../lib/index.ts';
import {
  type Engine,
  type EngineImage,
  type FreshState,
  lmdbEngines,
  memoryEngines,
  openStateHome,
  restoreImage,
  type StateHome,
  writeImage,
} from './index.ts';
import { commit, put, rowsOf, tempDirectory } from './testing/index.ts';
import type { Change } from './types.ts';

const META = Uint8Array.of(1, 2, 3);
const CHUNK_BYTES = 10_000;
const SEED = 7;

interface Scene {
  readonly engine: Engine;
  readonly home: StateHome;
  readonly directory: string;
}

/** An engine on LMDB, and a home beside it whose next state an image can become. */
async function within(body: (scene: Scene) => Promise<void>): Promise<void> {
  const { path: directory, remove } = await tempDirectory();
  const engines = lmdbEngines();
  // What is beside the files of states may be in memory.
  const home = await openStateHome({ disk: memoryDisk(), engines, directory, log: silentLog });
  const engine = await engines.open(`${directory}/from.lmdb`, { create: true });
  try {
    await body({ engine, home, directory });
  } finally {
    await home.close();
    await engine.close();
    await remove();
  }
}

function imageOf(engine: Engine): EngineImage {
  const image = engine.image();
  if (image === null) throw new Error('there is no image');
  return image;
}

/** All chunks; `between` is run after each of them. */
async function chunksOf(
  image: EngineImage,
  between = async (_chunk: Uint8Array, _recycle: () => void) => {},
): Promise<Uint8Array[]> {
  let wake = (): void => {};
  const stream = writeImage(image, { meta: META, chunkBytesMax: CHUNK_BYTES, wake: () => wake() });
  const chunks: Uint8Array[] = [];
  try {
    for (;;) {
      const woken = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const next = stream.next();
      if (next === null) return chunks;
      if (next === 'later') await woken;
      else {
        chunks.push(next);
        await between(next, () => stream.recycle(next));
      }
    }
  } finally {
    stream.close();
  }
}

async function restore(fresh: FreshState, chunks: readonly Uint8Array[]): Promise<void> {
  const target = restoreImage(fresh);
  for (const chunk of chunks) await called((done) => target.write(chunk, done));
  await called((done) => target.finish(done));
  expect(target.meta).toEqual(META);
}

function called(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Puts and removals of keys drawn at random. */
function randomChanges(prng: Prng, count: number): Change[] {
  const changes = new Map<string, Change>();
  for (let i = 0; i < count; i++) {
    const key = `k${prng.below(4_000)}`;
    const value = prng.below(4) === 0 ? null : 'v'.repeat(prng.below(300));
    const change = put('t', key, value ?? '');
    changes.set(key, value === null ? { ...change, value: null } : change);
  }
  return [...changes.values()];
}

describe('an image', () => {
  test('is the state at its moment, however many commits follow while it is read', () =>
    within(async ({ engine, home }) => {
      const prng = new Prng(SEED);
      await commit(engine, randomChanges(prng, 4_000));
      const expected = rowsOf(engine);
      let commits = 0;
      const chunks = await chunksOf(imageOf(engine), async () => {
        if (commits++ < 12) await commit(engine, randomChanges(prng, 500));
      });
      expect(commits).toBeGreaterThan(12);
      const fresh = await home.create();
      await restore(fresh, chunks);
      expect(rowsOf(fresh.engine), `seed ${SEED}`).toEqual(expected);
      expect(rowsOf(engine)).not.toEqual(expected);
    }));

  test('becomes a state that is written to, adopted and opened again like any other', () =>
    within(async ({ engine, home }) => {
      const prng = new Prng(SEED);
      for (let i = 0; i < 8; i++) await commit(engine, randomChanges(prng, 500));
      const fresh = await home.create();
      await restore(fresh, await chunksOf(imageOf(engine)));
      for (let i = 0; i < 8; i++) {
        const changes = randomChanges(prng, 500);
        await commit(engine, changes);
        await commit(fresh.engine, changes);
      }
      expect(rowsOf(fresh.engine), `seed ${SEED}`).toEqual(rowsOf(engine));
      await fresh.adopt();
      const again = await home.create();
      const image = home.current.image();
      if (image === null) throw new Error('no image of what was an image');
      await restore(again, await chunksOf(image));
      expect(rowsOf(again.engine)).toEqual(rowsOf(engine));
    }));

  test('makes chunks in the memory of those that were taken back, with the same bytes', () =>
    within(async ({ engine }) => {
      await commit(engine, [put('t', 'a', 'v'.repeat(200_000))]);
      const whole = concatBytes(await chunksOf(imageOf(engine)));
      const parts: Uint8Array[] = [];
      const buffers = new Set<ArrayBufferLike>();
      await chunksOf(imageOf(engine), async (chunk, recycle) => {
        parts.push(chunk.slice());
        buffers.add(chunk.buffer);
        recycle();
      });
      expect(concatBytes(parts)).toEqual(whole);
      expect(parts.length).toBeGreaterThan(20);
      expect(buffers.size).toBeLessThan(10);
    }));

  test('is not there during a commit, nor of a state in memory', () =>
    within(async ({ engine }) => {
      const committed = commit(engine, [put('t', 'a', '1')]);
      expect(engine.image()).toBeNull();
      await committed;
      imageOf(engine).close();
      const memory = await memoryEngines().open('m', { create: true });
      expect(memory.image()).toBeNull();
      await memory.close();
    }));

  test('of a file that is mostly free would be larger than its rows: there is none', () =>
    within(async ({ engine }) => {
      const rows = Array.from({ length: 40 }, (_, i) => put('t', `${i}`, 'v'.repeat(500_000)));
      await commit(engine, rows);
      await commit(
        engine,
        rows.map((row) => ({ ...row, value: null })),
      );
      expect(engine.image()).toBeNull();
    }));

  test('ends with its view: what is read afterwards is an error', () =>
    within(async ({ engine }) => {
      const image = imageOf(engine);
      const late = image.read(0, new Uint8Array(4096));
      image.close();
      image.close();
      await expect(late).rejects.toMatchObject({ code: 'CLOSED' });
      await expect(image.read(0, new Uint8Array(1))).rejects.toMatchObject({ code: 'CLOSED' });
    }));

  test.runIf(process.platform === 'linux')('lets go of its file when its engine is closed', () =>
    within(async ({ engine }) => {
      const image = imageOf(engine);
      await image.read(0, new Uint8Array(4096));
      expect(await openFilesAt(image.path)).toBeGreaterThan(0);
      await engine.close();
      await vi.waitFor(async () => expect(await openFilesAt(image.path)).toBe(0));
    }),
  );
});

/** Descriptors of this process for a file: proc(5). */
async function openFilesAt(path: string): Promise<number> {
  const descriptors = await readdir('/proc/self/fd');
  // One that was closed since it was listed has no target.
  const targets = await Promise.allSettled(
    descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`)),
  );
  return targets.filter((each) => each.status === 'fulfilled' && each.value === path).length;
}

describe('a damaged image', () => {
  const spoilt: readonly [string, (chunks: Uint8Array[]) => Uint8Array[], string][] = [
    ['with a flipped bit in a page', (chunks) => flipped(chunks, 3, 77), 'SHA-256'],
    ['with a flipped bit in its head', (chunks) => flipped(chunks, 0, 17), 'checksum'],
    ['with a flipped bit in its SHA-256', (chunks) => flipped(chunks, -1, 0), 'SHA-256'],
    ['without one of its pieces', (chunks) => chunks.toSpliced(4, 1), 'it ends too early'],
    ['without its end', (chunks) => chunks.slice(0, -1), 'it ends too early'],
    ['with more behind its end', (chunks) => [...chunks, META], 'bytes behind its end'],
    ['that is empty', () => [], 'it ends too early'],
  ];

  test.each(spoilt)('%s is refused', (_name, spoil, message) =>
    within(async ({ engine, home }) => {
      await commit(engine, randomChanges(new Prng(SEED), 2_000));
      const chunks = spoil(await chunksOf(imageOf(engine)));
      const fresh = await home.create();
      await expect(restore(fresh, chunks)).rejects.toThrow(message);
      await fresh.discard();
    }),
  );

  test('is taken in pieces of any size', () =>
    within(async ({ engine, home }) => {
      await commit(engine, [put('t', 'a', '1')]);
      const bytes = concatBytes(await chunksOf(imageOf(engine)));
      const fresh = await home.create();
      const pieces = Array.from(bytes, (_, i) => bytes.subarray(i * 7, i * 7 + 7));
      await restore(
        fresh,
        pieces.filter((piece) => piece.length > 0),
      );
      expect(rowsOf(fresh.engine)).toEqual(['t/a=1']);
    }));

  test('for engines that take none is refused, and rows are still taken', async () => {
    const engines = memoryEngines();
    const options = { disk: memoryDisk(), engines, directory: 'd', log: silentLog };
    const home = await openStateHome(options);
    const fresh = await home.create();
    await expect(fresh.receive(8192)).rejects.toMatchObject({ code: 'VERSION' });
    await fresh.discard();
    await home.close();
  });

  test('that is given up half way leaves nothing behind', () =>
    within(async ({ engine, home, directory }) => {
      await commit(engine, randomChanges(new Prng(SEED), 2_000));
      const chunks = await chunksOf(imageOf(engine));
      const fresh = await home.create();
      const target = restoreImage(fresh);
      for (const chunk of chunks.slice(0, 5)) await called((done) => target.write(chunk, done));
      expect((await stat(fresh.path)).size).toBeGreaterThan(0);
      await fresh.discard();
      await expect(stat(fresh.path)).rejects.toMatchObject({ code: 'ENOENT' });
      await (await open(`${directory}/from.lmdb`, 'r')).close();
    }));
});

function flipped(chunks: Uint8Array[], at: number, byte: number): Uint8Array[] {
  const chunk = chunks.at(at);
  if (chunk === undefined) throw new Error('no such chunk');
  chunk[byte] = (chunk[byte] ?? 0) ^ 1;
  return chunks;
}
