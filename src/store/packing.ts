import { ByteWriter, compareBytes, copyBytes } from '../lib/index.ts';
import type { RangeSpan, StoreEntry } from './types.ts';

/*
 * Small rows that come one behind the other, several to a value. Of what a flush costs, most goes
 * by the value: packing it, handing it to LMDB, searching its place; bytes cost next to nothing. So
 * a table whose keys ascend, such as a history, is kept in blocks.
 *
 *   group          all keys with the same first bytes, but for the low bits of the last of these
 *   key of a block those first bytes, low bits zero: no row's own key is so short
 *   block          (length of suffix : u8 | length of value : u16 | suffix | value)*, ascending
 *   suffix         a row's key from the last of those first bytes on
 *
 * A row is in its group's block or beside it under its own key: when it is large, or the block is
 * full. So a look-up takes one search where the row is in the block, and two where it is not, and a
 * block comes right before the rows beside it.
 */

/** How a table's rows are grouped. Every key is longer than `prefixBytes`. */
export interface Packing {
  /** Leading bytes that the keys of a group share, 1 … 255 … */
  readonly prefixBytes: number;
  /** … but for so many low bits of the last of them, 0 … 8. */
  readonly freeBits: number;
}

/** With the checksum behind it, and LMDB's head before it, this is one page of the file. */
const BLOCK_BYTES_MAX = 4_064;
/** Suffix and value of a row that may be in a block. */
const PACKED_ROW_BYTES_MAX = 1_000;
const SUFFIX_BYTES_MAX = 255;
const ROW_HEAD_BYTES = 3;

/** What is stored in a table, under keys of blocks or of rows. */
export interface Stored {
  get(key: Uint8Array): Uint8Array | null;
  /** The highest key; null when the table is empty. */
  last(): Uint8Array | null;
}

/** Key of the block that a row is in, if it is in one. */
export function groupOf({ prefixBytes, freeBits }: Packing, key: Uint8Array): Uint8Array {
  const group = key.slice(0, prefixBytes);
  group[prefixBytes - 1] = lastOfGroup(key[prefixBytes - 1] as number, freeBits);
  return group;
}

/** From here on a range must be read to find all rows from `from` on. */
export function groupStart(packing: Packing, from: Uint8Array): Uint8Array {
  return from.length < packing.prefixBytes ? from : groupOf(packing, from);
}

/** The row's value as a view of the block; null when it is not in there. */
export function rowInBlock(
  { prefixBytes }: Packing,
  block: Uint8Array,
  key: Uint8Array,
): Uint8Array | null {
  const skipped = prefixBytes - 1;
  const suffixBytes = key.length - skipped;
  for (let at = 0; at < block.length; ) {
    const start = at + ROW_HEAD_BYTES;
    const suffixEnd = start + (block[at] as number);
    const end = suffixEnd + valueLength(block, at);
    if (suffixEnd - start === suffixBytes) {
      let i = 0;
      while (i < suffixBytes && block[start + i] === key[skipped + i]) i++;
      if (i === suffixBytes) return block.subarray(suffixEnd, end);
    }
    at = end;
  }
  return null;
}

/** The rows of a span, in order, from what is stored from `groupStart` on, in the same order. */
export function unpacked(
  packing: Packing,
  stored: Iterable<StoreEntry>,
  span: RangeSpan,
): Iterable<StoreEntry> {
  return span.reverse === true
    ? descending(packing, stored, span)
    : ascending(packing, stored, span);
}

function* ascending(
  packing: Packing,
  stored: Iterable<StoreEntry>,
  span: RangeSpan,
): Generator<StoreEntry, void, undefined> {
  let rows: readonly StoreEntry[] = [];
  let next = 0;
  for (const entry of stored) {
    const isBlock = entry.key.length === packing.prefixBytes;
    for (let row = rows[next]; row !== undefined; row = rows[++next]) {
      if (!isBlock && compareBytes(row.key, entry.key) > 0) break;
      yield row;
    }
    if (isBlock) {
      rows = rowsOf(packing, entry).filter(({ key }) => isWithin(key, span));
      next = 0;
    } else if (isWithin(entry.key, span)) yield entry;
  }
  for (let row = rows[next]; row !== undefined; row = rows[++next]) yield row;
}

/** Rows beside a block come before it here: they wait for it. */
function* descending(
  packing: Packing,
  stored: Iterable<StoreEntry>,
  span: RangeSpan,
): Generator<StoreEntry, void, undefined> {
  let beside: StoreEntry[] = [];
  for (const entry of stored) {
    const [other] = beside;
    if (other !== undefined && !isSameGroup(packing, other.key, entry.key)) {
      yield* beside;
      beside = [];
    }
    if (entry.key.length === packing.prefixBytes) {
      const rows = rowsOf(packing, entry).filter(({ key }) => isWithin(key, span));
      yield* [...rows, ...beside].sort((a, b) => compareBytes(b.key, a.key));
      beside = [];
    } else if (isWithin(entry.key, span)) beside.push(entry);
  }
  yield* beside;
}

/** A change as it is stored: of a block or of a row beside one. `value` null: removed. */
type Emit = (key: Uint8Array, value: Uint8Array | null) => void;

interface RowChange {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Makes changes of rows, in ascending order, into changes of what is stored. */
export class Packer {
  readonly #packing: Packing;
  readonly #stored: Stored;
  readonly #emit: Emit;
  /** No key that is stored is higher; undefined until somebody asks. */
  #last: Uint8Array | null | undefined;
  /** Of one group, ascending. */
  #changes: RowChange[] = [];
  readonly #block = new ByteWriter(BLOCK_BYTES_MAX);
  #beside: RowChange[] = [];

  constructor(packing: Packing, stored: Stored, emit: Emit) {
    this.#packing = packing;
    this.#stored = stored;
    this.#emit = emit;
  }

  /** What is passed must not change before `finish`. */
  change(key: Uint8Array, value: Uint8Array | null): void {
    const [first] = this.#changes;
    if (first !== undefined && !isSameGroup(this.#packing, first.key, key)) this.finish();
    this.#changes.push({ key, value });
  }

  /** Emits what has not been emitted yet. */
  finish(): void {
    const [first] = this.#changes;
    if (first === undefined) return;
    const group = groupOf(this.#packing, first.key);
    this.#last ??= this.#stored.last();
    const isNew = this.#last === null || compareBytes(group, this.#last) > 0;
    const old = isNew ? null : this.#stored.get(group);
    this.#block.clear();
    this.#merge(old === null ? [] : rowsOf(this.#packing, { key: group, value: old }), isNew);
    if (this.#block.length > 0) this.#emit(group, this.#block.view());
    else if (old !== null) this.#emit(group, null);
    for (const { key, value } of this.#beside) this.#emit(key, value);
    this.#changes = [];
    this.#beside = [];
  }

  /** The group as it will be: what is in its block so far, and what changes. */
  #merge(rows: readonly StoreEntry[], isNew: boolean): void {
    let next = 0;
    for (const { key, value } of this.#changes) {
      let row = rows[next];
      while (row !== undefined && compareBytes(row.key, key) < 0) {
        if (!this.#pack(row)) this.#beside.push(row);
        row = rows[++next];
      }
      const wasPacked = row !== undefined && compareBytes(row.key, key) === 0;
      if (wasPacked) next++;
      const isPacked = value !== null && this.#pack({ key, value });
      if (value !== null && !isPacked) this.#beside.push({ key, value });
      else if (!isNew && !wasPacked && this.#stored.get(key) !== null) {
        this.#beside.push({ key, value: null });
      }
    }
    for (const row of rows.slice(next)) if (!this.#pack(row)) this.#beside.push(row);
  }

  /** Puts the row behind the others of the block; false when it has to be beside it. */
  #pack({ key, value }: StoreEntry): boolean {
    const skipped = this.#packing.prefixBytes - 1;
    const suffixBytes = key.length - skipped;
    const bytes = ROW_HEAD_BYTES + suffixBytes + value.length;
    if (bytes > PACKED_ROW_BYTES_MAX || suffixBytes > SUFFIX_BYTES_MAX) return false;
    if (this.#block.length + bytes > BLOCK_BYTES_MAX) return false;
    this.#block.u8(suffixBytes);
    this.#block.u8(value.length & 0xff);
    this.#block.u8(value.length >> 8);
    this.#block.raw(key.subarray(skipped));
    this.#block.raw(value);
    return true;
  }
}

/** The rows of a block: keys of their own, values as views. */
function rowsOf({ prefixBytes }: Packing, { key: group, value: block }: StoreEntry): StoreEntry[] {
  const skipped = prefixBytes - 1;
  const rows: StoreEntry[] = [];
  for (let at = 0; at < block.length; ) {
    const suffixAt = at + ROW_HEAD_BYTES;
    const valueAt = suffixAt + (block[at] as number);
    const end = valueAt + valueLength(block, at);
    const key = new Uint8Array(skipped + valueAt - suffixAt);
    copyBytes(key, 0, group.subarray(0, skipped));
    copyBytes(key, skipped, block.subarray(suffixAt, valueAt));
    rows.push({ key, value: block.subarray(valueAt, end) });
    at = end;
  }
  return rows;
}

function valueLength(block: Uint8Array, at: number): number {
  return (block[at + 1] as number) | ((block[at + 2] as number) << 8);
}

function isSameGroup({ prefixBytes, freeBits }: Packing, a: Uint8Array, b: Uint8Array): boolean {
  const last = prefixBytes - 1;
  for (let i = 0; i < last; i++) if (a[i] !== b[i]) return false;
  return lastOfGroup(a[last] as number, freeBits) === lastOfGroup(b[last] as number, freeBits);
}

function lastOfGroup(byte: number, freeBits: number): number {
  return (byte >> freeBits) << freeBits;
}

function isWithin(key: Uint8Array, { from, to }: RangeSpan): boolean {
  return compareBytes(key, from) >= 0 && (to === null || compareBytes(key, to) < 0);
}
