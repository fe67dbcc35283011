import { assert } from '../lib/index.ts';

/** Four 32-bit lanes. */
export const ROW_SET_HASH_BYTES = 16;

/** 2^32 divided by the golden ratio: the seeds of the first thirty tables are above 2^25. */
const SEED_STEP = 0x9e3779b1;

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** What becomes of a row: its value so far, and the new one. */
export interface RowChange {
  readonly was: Uint8Array;
  readonly value: Uint8Array;
}

/**
 * A hash of a set of rows that is kept up to date by adding and taking away single rows: the sum,
 * lane by lane modulo 2^32, of a 128-bit hash of each (table, key, value). Equal sets have equal
 * sums in whatever order they came about; different sets have different ones but for chance.
 * It finds divergence between members, it does not withstand somebody who wants a collision
 * (Bellare, Micciancio: "A New Paradigm for Collision-Free Hashing", 1997, on AdHash).
 */
export class RowSetHash {
  readonly #sum = new Int32Array(4);
  readonly #key = new Int32Array(4);
  readonly #row = new Int32Array(4);

  /** `table`: its number, ≥ 1. */
  add(table: number, key: Uint8Array, value: Uint8Array): void {
    this.#hashKey(table, key);
    this.#addRow(value);
  }

  remove(table: number, key: Uint8Array, value: Uint8Array): void {
    this.#hashKey(table, key);
    this.#removeRow(value);
  }

  /** A row's value changes from `was`. */
  replace(table: number, key: Uint8Array, { was, value }: RowChange): void {
    this.#hashKey(table, key);
    this.#removeRow(was);
    this.#addRow(value);
  }

  /** 32 hexadecimal digits. */
  toString(): string {
    return hexOfLanes(this.#sum);
  }

  /** The sum as 16 bytes, little-endian lanes. */
  save(): Uint8Array {
    const bytes = new Uint8Array(ROW_SET_HASH_BYTES);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 4; i++) view.setInt32(4 * i, this.#sum[i] as number, true);
    return bytes;
  }

  restore(bytes: Uint8Array): void {
    assert(bytes.length === ROW_SET_HASH_BYTES, 'hash of another length', { length: bytes.length });
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (let i = 0; i < 4; i++) this.#sum[i] = view.getInt32(4 * i, true);
  }

  /**
   * `table` ≥ 1. The key's hash seeds the value's, so that no byte can move from one to the other.
   * Zeros hash to 0 if the seed is their number: seeds are larger than any row is long.
   */
  #hashKey(table: number, key: Uint8Array): void {
    const seed = Math.imul(table, SEED_STEP);
    // Loops, as `fill` and `set` of so few lanes cost more than they do.
    for (let i = 0; i < 4; i++) this.#key[i] = seed;
    absorb(this.#key, key);
  }

  #hashValue(value: Uint8Array): void {
    for (let i = 0; i < 4; i++) this.#row[i] = this.#key[i] as number;
    absorb(this.#row, value);
  }

  #addRow(value: Uint8Array): void {
    this.#hashValue(value);
    for (let i = 0; i < 4; i++) this.#sum[i] = (this.#sum[i] as number) + (this.#row[i] as number);
  }

  #removeRow(value: Uint8Array): void {
    this.#hashValue(value);
    for (let i = 0; i < 4; i++) this.#sum[i] = (this.#sum[i] as number) - (this.#row[i] as number);
  }
}

/** A saved sum as `RowSetHash.toString` writes it. */
export function hashText(saved: Uint8Array): string {
  const hash = new RowSetHash();
  hash.restore(saved);
  return hash.toString();
}

/** MurmurHash3_x86_128 (Austin Appleby, public domain) as 32 hexadecimal digits. */
export function murmur128(bytes: Uint8Array, seed: number): string {
  const lanes = new Int32Array(4).fill(seed);
  absorb(lanes, bytes);
  return hexOfLanes(lanes);
}

/** MurmurHash3_x86_128 with a seed for each lane; the lanes are replaced by the hash. */
function absorb(lanes: Int32Array, bytes: Uint8Array): void {
  let h1 = lanes[0] as number;
  let h2 = lanes[1] as number;
  let h3 = lanes[2] as number;
  let h4 = lanes[3] as number;
  const length = bytes.length;
  const blocksEnd = length - (length % 16);
  for (let i = 0; i < blocksEnd; i += 16) {
    h1 = rotate(h1 ^ mix1(word(bytes, i)), 19);
    h1 = (Math.imul((h1 + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 = rotate(h2 ^ mix2(word(bytes, i + 4)), 17);
    h2 = (Math.imul((h2 + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 = rotate(h3 ^ mix3(word(bytes, i + 8)), 15);
    h3 = (Math.imul((h3 + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 = rotate(h4 ^ mix4(word(bytes, i + 12)), 13);
    h4 = (Math.imul((h4 + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  h1 ^= mix1(tailWord(bytes, blocksEnd));
  h2 ^= mix2(tailWord(bytes, blocksEnd + 4));
  h3 ^= mix3(tailWord(bytes, blocksEnd + 8));
  h4 ^= mix4(tailWord(bytes, blocksEnd + 12));

  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = finish(h1);
  h2 = finish(h2);
  h3 = finish(h3);
  h4 = finish(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  lanes[0] = h1;
  lanes[1] = h2 + h1;
  lanes[2] = h3 + h1;
  lanes[3] = h4 + h1;
}

function mix1(k: number): number {
  return Math.imul(rotate(Math.imul(k, C1), 15), C2);
}

function mix2(k: number): number {
  return Math.imul(rotate(Math.imul(k, C2), 16), C3);
}

function mix3(k: number): number {
  return Math.imul(rotate(Math.imul(k, C3), 17), C4);
}

function mix4(k: number): number {
  return Math.imul(rotate(Math.imul(k, C4), 18), C1);
}

function rotate(x: number, bits: number): number {
  return (x << bits) | (x >>> (32 - bits));
}

function finish(x: number): number {
  let h = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** Four bytes, little-endian. */
function word(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

/** As `word`, with zeros for what lies beyond the end. */
function tailWord(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = Math.min(at + 4, bytes.length) - 1; i >= at; i--) {
    value = (value << 8) | (bytes[i] as number);
  }
  return value;
}

function hexOfLanes(lanes: Int32Array): string {
  let out = '';
  for (const lane of lanes) out += (lane >>> 0).toString(16).padStart(8, '0');
  return out;
}
