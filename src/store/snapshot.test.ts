import { describe, expect, test } from 'vitest';
import { concatBytes, Prng } from '../lib/index.ts';
import {
  type Engine,
  lmdbEngines,
  memoryEngines,
  restoreSnapshot,
  SnapshotParser,
  StoreError,
  writeSnapshot,
} from './index.ts';
import { commit, put, rowsOf, tempDirectory } from './testing/index.ts';
import type { Change } from './types.ts';

const META = Uint8Array.of(1, 2, 3);

async function engineWith(changes: Iterable<Change>): Promise<Engine> {
  const engine = await memoryEngines().open('/s', { create: true });
  await commit(engine, changes);
  return engine;
}

function chunksOf(engine: Engine, chunkBytesMax: number): Uint8Array[] {
  const stream = writeSnapshot(engine.view(), { meta: META, chunkBytesMax });
  const chunks: Uint8Array[] = [];
  for (let next = stream.next(); next !== null; next = stream.next()) chunks.push(next);
  expect(stream.bytesWritten).toBe(concatBytes(chunks).length);
  stream.close();
  return chunks;
}

/** Restores; the chunks are overwritten behind the restore's back, as their owner may do. */
async function restore(engine: Engine, chunks: readonly Uint8Array[]): Promise<Uint8Array | null> {
  const target = restoreSnapshot(engine);
  for (const chunk of chunks) {
    const own = chunk.slice();
    await called((done) => {
      target.write(own, done);
      own.fill(0xee);
    });
  }
  await called((done) => target.finish(done));
  return target.meta;
}

function called(call: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error === null ? resolve() : reject(error)));
  });
}

function parse(bytes: Uint8Array): SnapshotParser {
  const parser = new SnapshotParser();
  parser.push(bytes);
  parser.end();
  return parser;
}

function manyRows(count: number): Change[] {
  const prng = new Prng(5);
  return Array.from({ length: count }, (_, i) => ({
    table: ['keys', 'history', 'answers'][i % 3] ?? '',
    key: Uint8Array.from([i >> 16, i >> 8, i, ...new Uint8Array(prng.below(20))]),
    value: new Uint8Array(prng.chance(0.001) ? 200_000 : prng.below(200)).fill(i),
  }));
}

const SMALL = [put('a', '', ''), put('a', 'k', 'value'), put('b', 'key', 'v')];

describe('a snapshot', () => {
  test.each([1, 7, 4096, 1 << 20])('in chunks of %i bytes restores the same rows', async (size) => {
    const source = await engineWith(manyRows(size < 10 ? 20 : 6_000));
    const chunks = chunksOf(source, size);
    expect(chunks.slice(0, -1).every((chunk) => chunk.length === size)).toBe(true);
    const target = await memoryEngines().open('/t', { create: true });
    expect(await restore(target, chunks)).toEqual(META);
    expect(rowsOf(target)).toEqual(rowsOf(source));
  });

  test('of an empty engine, and of an empty meta, is a snapshot', async () => {
    const engine = await engineWith([]);
    const stream = writeSnapshot(engine.view(), { meta: new Uint8Array(0), chunkBytesMax: 999 });
    const parser = parse(stream.next() ?? META);
    expect(parser.meta).toEqual(new Uint8Array(0));
    expect(parser.end()).toEqual({ rows: 0, bytes: stream.bytesWritten });
  });

  test('is the same bytes for the same rows, whatever their history', async () => {
    const direct = await engineWith(SMALL);
    const detour = await engineWith([...SMALL].reverse().map((row) => ({ ...row, value: META })));
    await commit(detour, [put('0', 'gone', '')]);
    await commit(detour, [...SMALL, { ...put('0', 'gone', ''), value: null }]);
    expect(chunksOf(detour, 999)).toEqual(chunksOf(direct, 999));
  });

  test('shows the view it was made from while commits go on', async () => {
    const engine = await engineWith(SMALL);
    const stream = writeSnapshot(engine.view(), { meta: META, chunkBytesMax: 16 });
    const chunks = [stream.next() ?? META];
    await commit(engine, [{ ...put('a', 'k', ''), value: null }, put('c', 'new', '')]);
    for (let next = stream.next(); next !== null; next = stream.next()) chunks.push(next);
    expect(concatBytes(chunks)).toEqual(concatBytes(chunksOf(await engineWith(SMALL), 999)));
  });

  test('has the bytes that docs/SNAPSHOT.md shows', async () => {
    const bytes = concatBytes(chunksOf(await engineWith([put('t', 'k', 'v')]), 999));
    expect(Buffer.from(bytes).toString('hex')).toBe(
      [
        ...['51554f52534e4150', '01000000', '03000000', '010203', 'e6ca74e4'],
        ...['01', '06000000', '0174', '016b', '0176', '2d2d5a3c'],
        ...['02', '0100000000000000', '5700000000000000'],
        '2f323c3a96c04b723ba4a0597015afa5557c73e748052b66cc6668d8584306b7',
      ].join(''),
    );
  });

  test('with any one bit flipped is refused', async () => {
    const bytes = concatBytes(chunksOf(await engineWith(SMALL), 999));
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const damaged = bytes.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => parse(damaged), `bit ${bit}`).toThrow(StoreError);
    }
  });

  test('cut short anywhere, or with a byte too many, is refused', async () => {
    const bytes = concatBytes(chunksOf(await engineWith(SMALL), 999));
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length);
      expect(() => parse(cut), `${length} bytes`).toThrow(/ends too early at byte/);
    }
    expect(() => parse(concatBytes([bytes, META]))).toThrow('bytes behind its end');
  });

  test('with a whole block lost, doubled or moved is refused', async () => {
    const [a, b] = [await engineWith([put('a', 'k', '1')]), await engineWith([put('b', 'k', '1')])];
    const [bytesA, bytesB] = [concatBytes(chunksOf(a, 999)), concatBytes(chunksOf(b, 999))];
    const header = 16 + META.length + 4;
    const trailer = bytesA.length - 49;
    const parts = [bytesA.subarray(0, header), bytesA.subarray(header, trailer)] as const;
    const end = bytesA.subarray(trailer);
    const other = bytesB.subarray(header, trailer);
    for (const wrong of [
      [parts[0], end],
      [parts[0], parts[1], parts[1], end],
      [parts[0], other, parts[1], end],
      [parts[0], other, end],
    ]) {
      expect(() => parse(concatBytes(wrong))).toThrow(StoreError);
    }
  });

  test('a damaged row ends the stream instead of going into it', async () => {
    const disk = memoryEngines();
    const engine = await disk.open('/s', { create: true });
    await commit(engine, SMALL);
    disk.damage('/s', 'b', Uint8Array.from([0x6b, 0x65, 0x79]));
    expect(() => chunksOf(engine, 999)).toThrow(expect.objectContaining({ code: 'CORRUPT' }));
  });

  test('of a later format says so instead of "damaged"', async () => {
    const bytes = concatBytes(chunksOf(await engineWith(SMALL), 999));
    bytes[8] = 2;
    expect(() => parse(bytes)).toThrow(expect.objectContaining({ code: 'VERSION' }));
  });
});

describe('a restore', () => {
  test('that failed stays failed, and never calls back before the call returned', async () => {
    const target = restoreSnapshot(await engineWith([]));
    let returned = false;
    const first = called((done) => {
      target.write(META, (error) => done(returned ? error : new Error('too early')));
      returned = true;
    });
    await expect(first).rejects.toMatchObject({ code: 'CORRUPT' });
    await expect(called((done) => target.finish(done))).rejects.toMatchObject({ code: 'CORRUPT' });
  });

  test('ends with the error of a commit', async () => {
    const chunks = chunksOf(await engineWith(manyRows(6_000)), 1 << 20);
    const disk = memoryEngines();
    const engine = await disk.open('/t', { create: true });
    disk.intercept = () => new StoreError('FULL', 'no space');
    await expect(restore(engine, chunks)).rejects.toMatchObject({ code: 'FULL' });
  });

  test('into LMDB gives the same rows in less space', async () => {
    const directory = await tempDirectory();
    const engines = lmdbEngines();
    const source = await engines.open(`${directory.path}/1.lmdb`, { create: true });
    const target = await engines.open(`${directory.path}/2.lmdb`, { create: true });
    try {
      const rows = manyRows(8_000).filter(({ value }) => (value?.length ?? 0) < 1_000);
      for (let i = 0; i < rows.length; i += 1_000) await commit(source, rows.slice(i, i + 1_000));
      await restore(target, chunksOf(source, 100_000));
      expect(rowsOf(target)).toEqual(rowsOf(source));
      expect(target.usage().usedBytes).toBeLessThan(0.7 * source.usage().usedBytes);
      await commit(target, [put('a first table', 'k', 'v'), put('keys', '', 'v')]);
      expect(target.get('keys', new Uint8Array(0))).toEqual(Uint8Array.of(0x76));
      expect(rowsOf(target).length).toBe(rows.length + 2);
    } finally {
      await source.close();
      await target.close();
      await directory.remove();
    }
  });
});
