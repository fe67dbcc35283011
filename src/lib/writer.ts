import { assert } from './assert.ts';
import { copyBytes } from './bytes.ts';

const CAPACITY_MIN_BYTES = 64;
/** Up to here numbers are shifted; beyond it they are divided, which costs more. */
const UINT31_MAX = 0x7fff_ffff;

/**
 * Writes our own binary formats (log, peer frames) into one growing buffer.
 * Fixed-width integers are little-endian; lengths and counts are LEB128 varints.
 */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacityBytes = CAPACITY_MIN_BYTES) {
    this.#bytes = new Uint8Array(Math.max(capacityBytes, CAPACITY_MIN_BYTES));
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
  }

  /** 64 opaque bits: an id given by others. */
  u64(value: bigint): void {
    this.#reserve(8);
    this.#view.setBigUint64(this.#length, value, true);
    this.#length += 8;
  }

  /** A count, index, term or length: an integer in 0 … 2^53 − 1. */
  varint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'varint out of range', { value });
    this.#reserve(8);
    let rest = value;
    for (; rest > UINT31_MAX; rest = Math.floor(rest / 0x80)) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
    }
    for (; rest >= 0x80; rest >>= 7) this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#length++] = rest;
  }

  bool(value: boolean): void {
    this.u8(value ? 1 : 0);
  }

  /** Bytes without a length: the reader must know it. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    copyBytes(this.#bytes, this.#length, bytes);
    this.#length += bytes.length;
  }

  /** Bytes behind their varint length. */
  bytes(bytes: Uint8Array): void {
    this.varint(bytes.length);
    this.raw(bytes);
  }

  /** Overwrites four bytes written earlier: for a length or checksum known only at the end. */
  setU32(offset: number, value: number): void {
    assert(offset + 4 <= this.#length, 'setU32 beyond the end', { offset, length: this.#length });
    this.#view.setUint32(offset, value, true);
  }

  /** What was written, as a view of the writer's own buffer: valid until the next write. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** What was written, as a copy that the caller owns. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Forgets what was written and keeps the buffer. */
  clear(): void {
    this.#length = 0;
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.view());
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}
