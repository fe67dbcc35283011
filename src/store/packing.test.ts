import { describe, expect, test } from 'vitest';
import { bytesKey, compareBytes, Prng } from '../lib/index.ts';
import {
  type Engine,
  type Engines,
  lmdbEngines,
  type MemoryEngines,
  memoryEngines,
  type Packing,
  type Row,
} from './index.ts';
import { commit, tempDirectory } from './testing/index.ts';
import type { Change } from './types.ts';

/** Groups of four numbers. */
const PACKING: Packing = { prefixBytes: 3, freeBits: 2 };
const packed = new Map([['p', PACKING]]);
const everything = { from: new Uint8Array(0), to: null } as const;

/** The key of the number: three bytes that count, and one that tells rows of one number apart. */
function keyOf(number: number, part = 0): Uint8Array {
  return Uint8Array.of(number >> 16, number >> 8, number, part);
}

function change(key: Uint8Array, bytes: number | null, fill = 1): Change {
  return { table: 'p', key, value: bytes === null ? null : new Uint8Array(bytes).fill(fill) };
}

/** What the memory engine has in the file: beside the catalog, a number of rows. */
async function storedRows(engines: MemoryEngines, write: (engine: Engine) => Promise<void>) {
  let rows = 0;
  engines.intercept = (commit) => {
    rows += commit.rows;
    return null;
  };
  const engine = await engines.open('e', { create: true, packed });
  await commit(engine, [change(keyOf(0), 1)]);
  rows = 0;
  await write(engine);
  return { engine, rows };
}

describe('a packed table', () => {
  test('takes a row of the file for all small rows of a group', async () => {
    const engines = memoryEngines();
    const { engine, rows } = await storedRows(engines, (engine) =>
      commit(
        engine,
        [4, 5, 6, 7, 8].map((number) => change(keyOf(number), 100)),
      ),
    );
    expect(rows).toBe(2);
    expect(engine.count('p', everything)).toBe(6);
    await engine.close();
  });

  test('has large rows, and those that do not fit into the block, beside it', async () => {
    const engines = memoryEngines();
    const { engine, rows } = await storedRows(engines, (engine) =>
      commit(engine, [
        ...[0, 1, 2, 3, 4].map((part) => change(keyOf(4, part), 900)),
        change(keyOf(5), 2_000),
      ]),
    );
    expect(rows).toBe(3);
    const lengths = [...engine.range('p', everything)].map(({ value }) => value.length);
    expect(lengths).toEqual([1, 900, 900, 900, 900, 900, 2_000]);
    await engine.close();
  });

  test('keeps a row once, when it grows out of the block and when it fits again', async () => {
    const engine = await memoryEngines().open('e', { create: true, packed });
    for (const bytes of [10, 3_000, 20, null, 30]) {
      await commit(engine, [change(keyOf(5), bytes)]);
      const found = [...engine.range('p', everything)].map(({ value }) => value.length);
      expect(found).toEqual(bytes === null ? [] : [bytes]);
      expect(engine.get('p', keyOf(5))?.length ?? null).toBe(bytes);
    }
    await engine.close();
  });

  test('is what its file says it is, not what is asked for later', async () => {
    const engines = memoryEngines();
    const plain = await engines.open('e', { create: true });
    await commit(plain, [change(keyOf(4), 1), change(keyOf(5), 1)]);
    await plain.close();
    const again = await engines.open('e', { packed });
    await commit(again, [change(keyOf(6), 1)]);
    expect(again.count('p', everything)).toBe(3);
    await again.close();
    const other = await engines.open('f', { create: true, packed });
    await commit(other, [change(keyOf(4), 1), change(keyOf(5), 1)]);
    await other.close();
    const reopened = await engines.open('f');
    expect(reopened.count('p', everything)).toBe(2);
    await reopened.close();
  });

  test('reports damage in a block for each of its rows', async () => {
    const engines = memoryEngines();
    const engine = await engines.open('e', { create: true, packed });
    await commit(engine, [change(keyOf(4), 10), change(keyOf(5), 10), change(keyOf(8), 10)]);
    engines.damage('e', 'p', keyOf(5));
    expect(() => engine.get('p', keyOf(4))).toThrow(/checksum/);
    expect(engine.get('p', keyOf(8))?.length).toBe(10);
    expect(() => engines.peek('e')).toThrow(/checksum/);
    const failed = commit(engine, [change(keyOf(6), 10)]);
    await expect(failed).rejects.toMatchObject({ code: 'CORRUPT' });
    await engine.close();
  });
});

describe.each([
  ['memory', 60],
  ['LMDB', 4],
])('rows that come, change and go are read as from a map (%s):', (name, runs) => {
  test.each(Array.from({ length: runs }, (_, i) => i + 1))('seed %i', async (seed) => {
    const { path: directory, remove } = await tempDirectory();
    const engines: Engines = name === 'LMDB' ? lmdbEngines() : memoryEngines();
    try {
      await compared(engines, `${directory}/a.lmdb`, seed);
    } finally {
      await remove();
    }
  });
});

async function compared(engines: Engines, path: string, seed: number): Promise<void> {
  const prng = new Prng(seed);
  const model = new Map<string, Row>();
  let engine = await engines.open(path, { create: true, packed });
  let highest = 0;
  for (let step = 0; step < 12; step++) {
    const changes = someChanges(prng, highest);
    for (const { table, key, value } of changes) {
      if (value === null) model.delete(bytesKey(key));
      else model.set(bytesKey(key), { table, key, value });
    }
    highest += 6;
    await commit(engine, changes);
    if (prng.chance(0.2)) {
      await engine.close();
      engine = await engines.open(path, { packed });
    }
    const rows = [...model.values()].sort((a, b) => compareBytes(a.key, b.key));
    expect([...engine.range('p', everything)].map(shown)).toEqual(rows.map(shown));
    for (let look = 0; look < 5; look++) compareSpan(engine, rows, prng);
    for (let number = 0; number < highest + 8; number += 1 + prng.below(3)) {
      const key = keyOf(number, prng.below(3));
      const value = engine.get('p', key);
      expect(value === null ? null : shown({ key, value })).toBe(
        model.has(bytesKey(key)) ? shown(model.get(bytesKey(key)) as Row) : null,
      );
    }
  }
  await engine.close();
}

/** Mostly new ones behind the others, some of old ones, ascending. */
function someChanges(prng: Prng, highest: number): Change[] {
  const changes = new Map<string, Change>();
  for (let i = 0; i < 12; i++) {
    const isNew = prng.chance(0.6);
    const number = isNew ? highest + prng.below(8) : prng.below(highest + 1);
    const key = keyOf(number, prng.below(3));
    const bytes = prng.chance(0.3) ? null : prng.chance(0.8) ? prng.below(900) : 2_500;
    changes.set(bytesKey(key), change(key, bytes, i));
  }
  return [...changes.values()].sort((a, b) => compareBytes(a.key, b.key));
}

function compareSpan(engine: Engine, rows: readonly Row[], prng: Prng): void {
  const bound = (): Uint8Array => {
    const key = keyOf(prng.below(80), prng.below(3));
    return prng.chance(0.3) ? key.subarray(0, prng.below(5)) : key;
  };
  const from = bound();
  const to = prng.chance(0.2) ? null : bound();
  const within = rows.filter(
    ({ key }) => compareBytes(key, from) >= 0 && (to === null || compareBytes(key, to) < 0),
  );
  const span = `${[...from]} … ${to === null ? '' : [...to]}`;
  const shownOf = (reverse: boolean) => [...engine.range('p', { from, to, reverse })].map(shown);
  expect(shownOf(false), span).toEqual(within.map(shown));
  expect(shownOf(true), span).toEqual(within.map(shown).reverse());
  expect(engine.count('p', { from, to }), span).toBe(within.length);
}

/** The row in short: its value is one byte, repeated. */
function shown({ key, value }: Pick<Row, 'key' | 'value'>): string {
  const isUniform = value.every((byte) => byte === value[0]);
  return `${[...key]}: ${value.length} × ${isUniform ? (value[0] ?? '') : 'several'}`;
}
