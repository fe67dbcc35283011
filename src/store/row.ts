import { crc32 } from 'node:zlib';
import { assert, copyBytes, EMPTY_BYTES } from '../lib/index.ts';
import { KEY_BYTES_MAX } from './limits.ts';
import type { RawChange, RawSpan } from './raw-store.ts';
import type { RangeSpan } from './types.ts';

/*
 * A row as it is stored. The checksum covers all before it, so a row under another row's key, or in
 * another table, is as wrong as one with a flipped bit.
 *
 *   raw key    table (1 byte) | key
 *   raw value  value | CRC-32 of (raw key | value), little-endian
 *
 * What it finds: a damaged value, when it is read. A row that is lost as a whole, or an old one in
 * its place, has no wrong checksum; that takes the hash over all rows (docs/STATE.md).
 */

/** Behind the value of every stored row. */
export const CHECKSUM_BYTES = 4;
const SLAB_BYTES = 256 * 1024;

/** The raw key of a row; a key beyond the limit becomes one that no row has, in the same order. */
export function rawKey(table: number, key: Uint8Array): Uint8Array {
  const length = Math.min(key.length, KEY_BYTES_MAX);
  const cut = key.length > KEY_BYTES_MAX;
  const raw = new Uint8Array(1 + length + (cut ? 1 : 0));
  raw[0] = table;
  raw.set(cut ? key.subarray(0, length) : key, 1);
  return raw;
}

/** The span in one table; nothing that is stored has a longer key than `rawKey` lets through. */
export function rawSpan(table: number, { from, to, reverse }: RangeSpan): RawSpan {
  return {
    from: rawKey(table, from),
    to: to === null ? Uint8Array.of(table + 1) : rawKey(table, to),
    reverse: reverse === true,
  };
}

/** The value of a stored row as a view, or null when the checksum is wrong. */
export function checkedValue(key: Uint8Array, stored: Uint8Array): Uint8Array | null {
  const length = stored.length - CHECKSUM_BYTES;
  if (length < 0) return null;
  const value = stored.subarray(0, length);
  const expected =
    ((stored[length] as number) |
      ((stored[length + 1] as number) << 8) |
      ((stored[length + 2] as number) << 16) |
      ((stored[length + 3] as number) << 24)) >>>
    0;
  return crc32(value, crc32(key)) === expected ? value : null;
}

/**
 * Packs the rows of a commit into a few large buffers: LMDB is handed addresses, and asking for
 * one costs more than copying a row.
 */
export class RowPacker {
  #slab: Uint8Array = EMPTY_BYTES;
  #used = 0;

  pack(table: number, key: Uint8Array, value: Uint8Array | null): RawChange {
    assert(key.length <= KEY_BYTES_MAX, 'key is too long', { bytes: key.length, KEY_BYTES_MAX });
    const keyEnd = 1 + key.length;
    if (value === null) return { key: rawKey(table, key), value: null };
    const end = keyEnd + value.length;
    const row = this.#take(end + CHECKSUM_BYTES);
    row[0] = table;
    copyBytes(row, 1, key);
    copyBytes(row, keyEnd, value);
    const checksum = crc32(row.subarray(0, end));
    row[end] = checksum;
    row[end + 1] = checksum >>> 8;
    row[end + 2] = checksum >>> 16;
    row[end + 3] = checksum >>> 24;
    return { key: row.subarray(0, keyEnd), value: row.subarray(keyEnd) };
  }

  #take(length: number): Uint8Array {
    if (length > this.#slab.length - this.#used) {
      if (length > SLAB_BYTES / 4) return new Uint8Array(length);
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    return this.#slab.subarray(start, this.#used);
  }
}
