import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { murmur128, RowSetHash } from './row-hash.ts';

describe('murmur128', () => {
  test('gives the published digests of MurmurHash3_x86_128', () => {
    const record = text('I will not buy this record, it is scratched.');
    expect(murmur128(record, 0)).toBe('a0a9683b25ac5e40d9af2895890dddf5');
    const tobacconist = text("I will not buy this tobacconist's, it is scratched.");
    expect(murmur128(tobacconist, 0)).toBe('9b5b7ba2ef3f7866889adeaf00f3f98e');
    expect(murmur128(text('0'), 0)).toBe('0ab2409ea5eb34f8a5eb34f8a5eb34f8');
  });

  test('distinguishes lengths of zero bytes, block and tail alike', () => {
    const digests = new Set<string>();
    for (let length = 0; length <= 40; length++) digests.add(murmur128(new Uint8Array(length), 1));
    expect(digests.size).toBe(41);
  });
});

describe('RowSetHash', () => {
  const row = fc.tuple(
    fc.integer({ min: 1, max: 4 }),
    fc.uint8Array({ maxLength: 9 }),
    fc.uint8Array({ maxLength: 40 }),
  );

  test('does not depend on the order in which rows came', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 20 }), (rows) => {
        const forward = new RowSetHash();
        const backward = new RowSetHash();
        for (const each of rows) forward.add(...each);
        for (const each of [...rows].reverse()) backward.add(...each);
        expect(forward.toString()).toBe(backward.toString());
      }),
    );
  });

  test('is back where it was when a row is taken away again', () => {
    fc.assert(
      fc.property(row, row, (stays, goes) => {
        const hash = new RowSetHash();
        hash.add(...stays);
        const before = hash.toString();
        hash.add(...goes);
        expect(hash.toString()).not.toBe(before);
        hash.remove(...goes);
        expect(hash.toString()).toBe(before);
      }),
    );
  });

  test('a row that is replaced is one taken away and another added', () => {
    const both = fc.tuple(row, fc.uint8Array({ maxLength: 40 }));
    fc.assert(
      fc.property(both, ([[table, key, was], value]) => {
        const replaced = new RowSetHash();
        replaced.add(table, key, was);
        replaced.replace(table, key, { was, value });
        const added = new RowSetHash();
        added.add(table, key, value);
        expect(replaced.toString()).toBe(added.toString());
      }),
    );
  });

  test('no row of zeros counts for nothing, or as much as one of another table', () => {
    const seen = new Set([new RowSetHash().toString()]);
    for (let table = 1; table <= 30; table++) {
      expect(Math.imul(table, 0x9e3779b1) >>> 0).toBeGreaterThan(2 ** 25);
      for (let length = 0; length <= 40; length++) {
        const hash = new RowSetHash();
        hash.add(table, new Uint8Array(length), new Uint8Array());
        seen.add(hash.toString());
      }
    }
    expect(seen.size).toBe(1 + 30 * 41);
  });

  test('a byte cannot move between table, key and value unnoticed', () => {
    const digests = [
      [1, 'ab', 'c'],
      [1, 'a', 'bc'],
      [1, 'abc', ''],
      [1, '', 'abc'],
      [2, 'ab', 'c'],
    ] as const;
    const seen = digests.map(([table, key, value]) => {
      const hash = new RowSetHash();
      hash.add(table, text(key), text(value));
      return hash.toString();
    });
    expect(new Set(seen).size).toBe(digests.length);
  });

  test('a saved sum goes on where it was', () => {
    const hash = new RowSetHash();
    hash.add(1, text('k'), text('v'));
    const copy = new RowSetHash();
    copy.restore(hash.save());
    expect(copy.toString()).toBe(hash.toString());
    copy.remove(1, text('k'), text('v'));
    expect(copy.toString()).toBe(new RowSetHash().toString());
  });
});

function text(string: string): Uint8Array {
  return Uint8Array.from(string, (character) => character.charCodeAt(0));
}
