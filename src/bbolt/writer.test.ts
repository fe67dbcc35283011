import { describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import { BoltReader, type BoltRow, bytesSource } from './index.ts';
import { databaseOf, pageUse, randomRows, tablesIn, tablesOf } from './testing/tables.ts';

const SEED = Number(process.env['QUORATE_TEST_SEED'] ?? 1);

/** Rows whose keys are numbers of so many bytes. */
function numbered(rows: number, keyBytes: number, valueBytes = 0): BoltRow[] {
  return Array.from({ length: rows }, (_, i) => {
    const key = Buffer.alloc(keyBytes);
    key.writeUInt32BE(i);
    return { key, value: Buffer.alloc(valueBytes, i) };
  });
}

describe('a database that was written', () => {
  test('is read as it was, whatever its rows are', async () => {
    for (let seed = SEED; seed < SEED + 12; seed++) {
      const prng = new Prng(seed);
      const sizes = { rows: prng.below(700), keyBytes: 3_000, valueBytes: 20_000 };
      const buckets = { a: randomRows(prng, sizes), empty: [], b: randomRows(prng, sizes) };
      const file = await databaseOf(buckets, 1 + prng.below(100));
      const tables = tablesIn(new BoltReader(bytesSource(file)));
      expect(tables, `seed ${seed}: QUORATE_TEST_SEED=${seed}`).toEqual(tablesOf(buckets));
    }
  });

  test('uses each of its pages once, and has two pages below each branch', async () => {
    // Every number of rows around those at which a level gets another page or another level.
    const widths = [
      { keyBytes: 17, counts: [0, 1, 2, 123, 124, 125, 15_128, 15_129, 15_250, 15_251] },
      { keyBytes: 2_020, counts: Array.from({ length: 40 }, (_, i) => i) },
      { keyBytes: 9_000, counts: Array.from({ length: 40 }, (_, i) => i) },
    ];
    for (const { keyBytes, counts } of widths) {
      for (const count of counts) {
        const rows = numbered(count, keyBytes);
        const file = await databaseOf({ rows });
        const { uses, branchRowsMin } = pageUse(file);
        const wrong = uses.findIndex((times) => times !== 1);
        expect(wrong, `a page of ${count} rows with keys of ${keyBytes} bytes`).toBe(-1);
        expect(branchRowsMin, `${count} rows of ${keyBytes}`).toBeGreaterThanOrEqual(2);
        const [bucket] = new BoltReader(bytesSource(file)).buckets();
        expect([...(bucket?.rows() ?? [])]).toHaveLength(count);
      }
    }
  });

  test('has many buckets, and values far longer than a page', async () => {
    const names = Array.from({ length: 300 }, (_, i) => `bucket ${String(i).padStart(5, '0')}`);
    const buckets = Object.fromEntries(names.map((name, i) => [name, numbered(i % 3, 5, 70_000)]));
    const file = await databaseOf(buckets);
    expect(tablesIn(new BoltReader(bytesSource(file)))).toEqual(tablesOf(buckets));
    expect(pageUse(file).uses.every((times) => times === 1)).toBe(true);
  });

  test('must be given its rows and buckets in order', async () => {
    const [first, second] = numbered(2, 8);
    if (first === undefined || second === undefined) throw new Error('no rows');
    await expect(databaseOf({ rows: [second, first] })).rejects.toThrow('keys must ascend');
    await expect(databaseOf({ rows: [first, first] })).rejects.toThrow('keys must ascend');
    const empty = { key: new Uint8Array(0), value: new Uint8Array(0) };
    await expect(databaseOf({ rows: [empty] })).rejects.toThrow('key out of bounds');
  });
});
