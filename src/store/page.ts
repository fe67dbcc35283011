import { assert, copyBytes } from '../lib/index.ts';

/** Entries of one page at most. */
export const PAGE_ENTRIES_MAX = 64;
/** Bytes of one page before it is split; a single entry may be larger. */
export const PAGE_BYTES_MAX = 8 * 1024;

const CAPACITY_BYTES_MIN = 256;

/**
 * A sorted run of entries packed into one buffer: a leaf of the tree.
 *
 * ```text
 * bytes   | key 0 | value 0 | key 1 | value 1 | …  unused |
 *         ^       ^         ^       ^         ^
 * bounds  [0]     [1]       [2]     [3]       [4] = used bytes
 * marks   [0]               [1]
 * ```
 *
 * Three typed arrays for 64 entries instead of two for each: a small `Uint8Array` costs about 200
 * bytes of heap, and the collector would have to walk all of them.
 */
export class Page {
  #bytes: Uint8Array;
  readonly #bounds = new Uint32Array(2 * (PAGE_ENTRIES_MAX + 1) + 1);
  readonly #marks = new Uint8Array(PAGE_ENTRIES_MAX + 1);
  #size = 0;

  constructor(capacityBytes = CAPACITY_BYTES_MIN) {
    this.#bytes = new Uint8Array(capacityBytes);
  }

  /** Entries in the page, 0 … PAGE_ENTRIES_MAX + 1; the last one only until the split. */
  get size(): number {
    return this.#size;
  }

  get usedBytes(): number {
    return this.#bound(2 * this.#size);
  }

  /** Must be split before the next insertion. */
  get overfull(): boolean {
    return this.#size > PAGE_ENTRIES_MAX || (this.#size > 1 && this.usedBytes > PAGE_BYTES_MAX);
  }

  /**
   * Position of the key, or ~position where it would stand. What the key has in common with both
   * bounds of the search it has in common with everything between: those bytes are skipped.
   */
  find(key: Uint8Array): number {
    const bytes = this.#bytes;
    const bounds = this.#bounds;
    let low = 0;
    let high = this.#size;
    let lowCommon = 0;
    let highCommon = 0;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const start = bounds[2 * middle] as number;
      const length = (bounds[2 * middle + 1] as number) - start;
      const shorter = Math.min(length, key.length);
      let i = Math.min(lowCommon, highCommon);
      while (i < shorter && bytes[start + i] === key[i]) i++;
      const order =
        i < shorter ? (bytes[start + i] as number) - (key[i] as number) : length - key.length;
      if (order === 0) return middle;
      if (order < 0) {
        low = middle + 1;
        lowCommon = i;
      } else {
        high = middle;
        highCommon = i;
      }
    }
    return ~low;
  }

  /** Position of the first entry whose key is at or above `key`. */
  lowerBound(key: Uint8Array): number {
    const at = this.find(key);
    return at < 0 ? ~at : at;
  }

  key(at: number): Uint8Array {
    return this.#bytes.subarray(this.#bound(2 * at), this.#bound(2 * at + 1));
  }

  value(at: number): Uint8Array {
    return this.#bytes.subarray(this.#bound(2 * at + 1), this.#bound(2 * at + 2));
  }

  /** A byte that belongs to the entry, of whatever meaning. */
  mark(at: number): number {
    return this.#marks[at] as number;
  }

  setMark(at: number, mark: number): void {
    this.#marks[at] = mark;
  }

  /** True when one more entry leaves the page as it should be. */
  hasRoom(entryBytes: number): boolean {
    if (this.#size === 0) return true;
    return this.#size < PAGE_ENTRIES_MAX && this.usedBytes + entryBytes <= PAGE_BYTES_MAX;
  }

  /** True when the page has keys and all are below `key`. */
  isBelow(key: Uint8Array): boolean {
    if (this.#size === 0) return false;
    const bytes = this.#bytes;
    const start = this.#bound(2 * this.#size - 2);
    const length = this.#bound(2 * this.#size - 1) - start;
    const shorter = Math.min(length, key.length);
    let i = 0;
    while (i < shorter && bytes[start + i] === key[i]) i++;
    return i < shorter ? (bytes[start + i] as number) < (key[i] as number) : length < key.length;
  }

  insert(at: number, key: Uint8Array, value: Uint8Array, mark = 0): void {
    assert(this.#size <= PAGE_ENTRIES_MAX, 'page is full', { size: this.#size });
    const start = this.#bound(2 * at);
    const added = key.length + value.length;
    this.#resize(start, start, added);
    const bounds = this.#bounds;
    for (let i = 2 * this.#size; i >= 2 * at; i--) bounds[i + 2] = (bounds[i] as number) + added;
    bounds[2 * at + 1] = start + key.length;
    copyBytes(this.#bytes, start, key);
    copyBytes(this.#bytes, start + key.length, value);
    if (at < this.#size) this.#marks.copyWithin(at + 1, at, this.#size);
    this.#marks[at] = mark;
    this.#size++;
  }

  replace(at: number, value: Uint8Array, mark = 0): void {
    const start = this.#bound(2 * at + 1);
    const end = this.#bound(2 * at + 2);
    const added = value.length - (end - start);
    if (added !== 0) {
      this.#resize(start, end, value.length);
      const bounds = this.#bounds;
      for (let i = 2 * at + 2; i <= 2 * this.#size; i++) bounds[i] = (bounds[i] as number) + added;
    }
    copyBytes(this.#bytes, start, value);
    this.#marks[at] = mark;
  }

  remove(at: number): void {
    const start = this.#bound(2 * at);
    const end = this.#bound(2 * at + 2);
    this.#resize(start, end, 0);
    const bounds = this.#bounds;
    for (let i = 2 * at; i <= 2 * (this.#size - 1); i++) {
      bounds[i] = (bounds[i + 2] as number) - (end - start);
    }
    this.#marks.copyWithin(at, at + 1, this.#size);
    this.#size--;
  }

  /** Moves the entries from `at` on into a new page. */
  split(at: number): Page {
    const right = new Page();
    right.#copyFrom(this, at, this.#size);
    const used = this.usedBytes;
    const kept = this.#bound(2 * at);
    this.#resize(kept, used, 0);
    this.#size = at;
    return right;
  }

  /** Gives back what is unused: for a page that will hardly grow again. */
  trim(): void {
    const used = this.usedBytes;
    if (used < this.#bytes.length - (used >> 3)) this.#bytes = this.#bytes.slice(0, used);
  }

  /** Takes over the entries of the page to the right of this one. */
  absorb(right: Page): void {
    assert(this.#size + right.#size <= PAGE_ENTRIES_MAX, 'pages do not fit together');
    this.#copyFrom(right, 0, right.#size);
  }

  #copyFrom(source: Page, from: number, to: number): void {
    const start = source.#bound(2 * from);
    const end = source.#bound(2 * to);
    const used = this.usedBytes;
    const first = 2 * this.#size;
    this.#resize(used, used, end - start);
    this.#bytes.set(source.#bytes.subarray(start, end), used);
    for (let i = 1; i <= 2 * (to - from); i++) {
      this.#bounds[first + i] = source.#bound(2 * from + i) - start + used;
    }
    this.#marks.set(source.#marks.subarray(from, to), this.#size);
    this.#size += to - from;
  }

  /**
   * Gives the bytes `from` … `to` a new length and moves what follows; the bounds are the caller's.
   */
  #resize(from: number, to: number, length: number): void {
    const used = this.usedBytes;
    const needed = used + length - (to - from);
    const capacity = this.#bytes.length;
    const isRoomy = needed < used && needed < capacity >> 2 && capacity > CAPACITY_BYTES_MIN;
    if (needed <= capacity && !isRoomy) {
      if (to < used) this.#bytes.copyWithin(from + length, to, used);
      return;
    }
    const resized = new Uint8Array(capacityFor(needed));
    resized.set(this.#bytes.subarray(0, from));
    resized.set(this.#bytes.subarray(to, used), from + length);
    this.#bytes = resized;
  }

  #bound(i: number): number {
    return this.#bounds[i] as number;
  }
}

/** Doubled while the page is of ordinary size; a quarter of air above that. */
function capacityFor(bytes: number): number {
  let capacity = CAPACITY_BYTES_MIN;
  while (capacity < bytes && capacity < PAGE_BYTES_MAX) capacity *= 2;
  return capacity >= bytes ? capacity : bytes + (bytes >> 2);
}
