import { assert } from './assert.ts';
import { copyBytes } from './bytes.ts';
import { DecodeError } from './reader.ts';
import { utf8Bytes, utf8String } from './utf8.ts';

/*
 * The protobuf wire format (https://protobuf.dev/programming-guides/encoding), as far as proto3
 * messages need it: a message is a row of fields, a field is a tag and a value.
 *
 *   tag   := varint(field number << 3 | wire type)
 *   value := varint (type 0) | 8 bytes, little-endian (type 1) | length and bytes (type 2)
 *            | 4 bytes (type 5, skipped only)        Groups (types 3 and 4) are refused.
 *
 * The writer's output is canonical: minimal varints, no field that holds its default. Methods
 * with `Always` also write defaults: for members of a oneof and for elements of a list.
 */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/** A buffer that grew beyond this is given back after the message. */
const RETAINED_BYTES_MAX = 256 * 1024;
/** Up to here numbers are shifted; beyond it they are divided, which costs more. */
const UINT31_MAX = 0x7fff_ffff;
/** Longest varint of a uint64. */
const VARINT_BYTES_MAX = 10;
/** Messages up to here are cut from one allocation, as Node's Buffers are: 400 ns for each less. */
const SHARED_BYTES_MAX = 1024;
const SLAB_BYTES = 8192;

/**
 * Writes one protobuf message after another: behind each other into a slab, from which those up
 * to SHARED_BYTES_MAX are cut where they stand; larger ones are copied out.
 */
export class ProtoWriter {
  #slab = new Uint8Array(SLAB_BYTES);
  /** Where the next message begins in the slab. */
  #slabAt = 0;
  /** For messages that have no room in a slab; null until there was one. */
  #large: Uint8Array<ArrayBuffer> | null = null;
  /** The one of the two that is being written, */
  #bytes = this.#slab;
  #view = new DataView(this.#bytes.buffer);
  /** where the message begins in it, and where it ends so far. */
  #start = 0;
  #length = 0;

  /** An integer in 0 … 2^53 − 1 (uint32, uint64, enum); 0 is left out. */
  uint(field: number, value: number): void {
    if (value !== 0) this.uintAlways(field, value);
  }

  uintAlways(field: number, value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'uint out of range', { field, value });
    this.#reserve(2 * VARINT_BYTES_MAX);
    this.#varint((field << 3) | VARINT);
    this.#varint(value);
  }

  /** The low 64 bits as a varint (uint64, and int64 in two's complement); 0 is left out. */
  uint64(field: number, value: bigint): void {
    if (value !== 0n) this.uint64Always(field, value);
  }

  uint64Always(field: number, value: bigint): void {
    this.#reserve(2 * VARINT_BYTES_MAX);
    this.#varint((field << 3) | VARINT);
    // Taken apart by way of memory: every step of arithmetic with a bigint makes another one.
    this.#view.setBigUint64(this.#length, value, true);
    let low = this.#view.getUint32(this.#length, true);
    let high = this.#view.getUint32(this.#length + 4, true);
    while (high > 0 || low >= 0x80) {
      this.#bytes[this.#length++] = (low & 0x7f) | 0x80;
      low = ((high << 25) | (low >>> 7)) >>> 0;
      high >>>= 7;
    }
    this.#bytes[this.#length++] = low;
  }

  /** A boolean; false is left out. */
  bool(field: number, value: boolean): void {
    if (value) this.uintAlways(field, 1);
  }

  /** 64 opaque bits; 0 is left out. */
  fixed64(field: number, value: bigint): void {
    if (value !== 0n) this.fixed64Always(field, value);
  }

  fixed64Always(field: number, value: bigint): void {
    this.#reserve(VARINT_BYTES_MAX + 8);
    this.#varint((field << 3) | FIXED64);
    this.#view.setBigUint64(this.#length, value, true);
    this.#length += 8;
  }

  /** Bytes; empty ones are left out. */
  bytes(field: number, value: Uint8Array): void {
    if (value.length !== 0) this.bytesAlways(field, value);
  }

  bytesAlways(field: number, value: Uint8Array): void {
    const length = value.length;
    this.#reserve(2 * VARINT_BYTES_MAX + length);
    this.#varint((field << 3) | LENGTH);
    this.#varint(length);
    copyBytes(this.#bytes, this.#length, value);
    this.#length += length;
  }

  /** Text as UTF-8; the empty string is left out. */
  string(field: number, value: string): void {
    if (value !== '') this.bytesAlways(field, utf8Bytes(value));
  }

  stringAlways(field: number, value: string): void {
    this.bytesAlways(field, utf8Bytes(value));
  }

  /** Begins a message inside the message. Give what it returns to `end` once its fields stand. */
  begin(field: number): number {
    this.#reserve(VARINT_BYTES_MAX + 1);
    this.#varint((field << 3) | LENGTH);
    return ++this.#length - this.#start;
  }

  /** Ends the message that `begin` began: its length goes before it, where a byte was kept. */
  end(begun: number): void {
    let start = this.#start + begun;
    const length = this.#length - start;
    if (length < 0x80) {
      this.#bytes[start - 1] = length;
      return;
    }
    const shift = varintBytes(length) - 1;
    this.#reserve(shift);
    start = this.#start + begun;
    this.#bytes.copyWithin(start + shift, start, this.#length);
    this.#length = start - 1;
    this.#varint(length);
    this.#length += length;
  }

  /**
   * What was written; nobody writes to it any more, and the writer is empty again. Messages up to
   * SHARED_BYTES_MAX share a slab: who keeps one holds on to SLAB_BYTES.
   */
  finish(): Uint8Array {
    const length = this.#length - this.#start;
    if (this.#bytes === this.#slab && length <= SHARED_BYTES_MAX) {
      this.#slabAt = this.#length;
      this.#start = this.#length;
      return new Uint8Array(this.#slab.buffer, this.#slabAt - length, length);
    }
    const out = this.#bytes.slice(this.#start, this.#length);
    this.clear();
    return out;
  }

  /** Forgets what was written. */
  clear(): void {
    if (this.#large !== null && this.#large.length > RETAINED_BYTES_MAX) this.#large = null;
    if (this.#bytes !== this.#slab) this.#writeTo(this.#slab);
    this.#start = this.#slabAt;
    this.#length = this.#slabAt;
  }

  /** The caller has reserved the room. */
  #varint(value: number): void {
    let rest = value;
    for (; rest > UINT31_MAX; rest = Math.floor(rest / 0x80)) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80;
    }
    for (; rest >= 0x80; rest >>= 7) this.#bytes[this.#length++] = (rest & 0x7f) | 0x80;
    this.#bytes[this.#length++] = rest;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes > this.#bytes.length) this.#move(bytes);
  }

  /** Goes on in a new slab, or in a larger buffer, with room for so many bytes more. */
  #move(bytes: number): void {
    const written = this.#bytes.subarray(this.#start, this.#length);
    const needed = written.length + bytes;
    if (needed <= SLAB_BYTES) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#slabAt = 0;
      this.#writeTo(this.#slab);
    } else {
      if (this.#large === null || this.#large.length < needed) {
        this.#large = new Uint8Array(Math.max(needed, 2 * written.length));
      }
      this.#writeTo(this.#large);
    }
    this.#bytes.set(written);
    this.#start = 0;
    this.#length = written.length;
  }

  #writeTo(bytes: Uint8Array<ArrayBuffer>): void {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }
}

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++;
  return bytes;
}

/**
 * Reads one protobuf message. Every read is bounds-checked, and nothing is allocated by a length
 * that the input claims: bytes are views. Bad input throws `DecodeError`, and nothing else.
 *
 *   while (reader.next()) {
 *     switch (reader.field) {
 *       case 1:
 *         key = reader.bytes();
 *         break;
 *       default:
 *         reader.skip();
 *     }
 *   }
 *
 * A known field with a wire type other than its own is refused; of a field that stands twice the
 * last one counts.
 */
export class ProtoReader {
  readonly #bytes: Uint8Array;
  readonly #depthMax: number;
  #at = 0;
  /** Where the message being read ends. */
  #end: number;
  #depth = 0;
  #field = 0;
  #wire = 0;

  /** @param depthMax how many messages may stand inside one another, the outermost not counted. */
  constructor(bytes: Uint8Array, depthMax: number) {
    this.#bytes = bytes;
    this.#end = bytes.length;
    this.#depthMax = depthMax;
  }

  /** Steps to the next field of this message; false at its end. */
  next(): boolean {
    if (this.#at === this.#end) return false;
    const tag = this.#varint();
    if (tag < 8 || tag > 0xffff_ffff) throw this.error(`bad tag ${tag}`);
    this.#field = tag >>> 3;
    this.#wire = tag & 7;
    return true;
  }

  /** Number of the field that `next` found. */
  get field(): number {
    return this.#field;
  }

  /** An integer in 0 … 2^53 − 1. */
  uint(): number {
    this.#expect(VARINT);
    return this.#varint();
  }

  /** All 64 bits of a varint: uint64, and int64 in two's complement. */
  uint64(): bigint {
    this.#expect(VARINT);
    return this.#varint64();
  }

  /** What this field adds to a list of integers: one, or several in the packed form. */
  uint64s(): bigint[] {
    if (this.#wire === VARINT) return [this.#varint64()];
    const length = this.#length();
    this.#demand(length);
    const end = this.#at + length;
    const values: bigint[] = [];
    while (this.#at < end) values.push(this.#varint64());
    if (this.#at !== end) throw this.error('packed list ends within an integer');
    return values;
  }

  bool(): boolean {
    const value = this.uint();
    if (value > 1) throw this.error(`boolean is ${value}`);
    return value === 1;
  }

  fixed64(): bigint {
    this.#expect(FIXED64);
    const start = this.#advance(8);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + start, 8).getBigUint64(
      0,
      true,
    );
  }

  /**
   * Bytes as a view of the input: whoever keeps them longer than the input copies them. Never a
   * Buffer, whatever the input is: the `slice` of a Buffer does not copy.
   */
  bytes(): Uint8Array {
    const length = this.#length();
    const start = this.#advance(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  /** Text; refuses what is not UTF-8. */
  string(): string {
    const text = utf8String(this.bytes());
    if (text === null) throw this.error('not UTF-8');
    return text;
  }

  /** A message inside this message: `read` reads its fields until `next` says false. */
  message<T>(read: (reader: ProtoReader) => T): T {
    const length = this.#length();
    if (++this.#depth > this.#depthMax) throw this.error('messages nested too deep');
    const outerEnd = this.#end;
    this.#demand(length);
    this.#end = this.#at + length;
    const value = read(this);
    this.#end = outerEnd;
    this.#depth--;
    return value;
  }

  /** Passes over a field that this version does not know. */
  skip(): void {
    switch (this.#wire) {
      case VARINT:
        this.#skipVarint();
        return;
      case FIXED64:
        this.#advance(8);
        return;
      case LENGTH:
        this.#advance(this.#varint());
        return;
      case FIXED32:
        this.#advance(4);
        return;
      default:
        throw this.error(`wire type ${this.#wire}`);
    }
  }

  /** An error that names where reading stands, for what only the caller can judge. */
  error(message: string): DecodeError {
    return new DecodeError(message, this.#at);
  }

  #length(): number {
    this.#expect(LENGTH);
    return this.#varint();
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) throw this.error(`field ${this.#field} has wire type ${this.#wire}`);
  }

  /** Accepts longer forms than the shortest, as every protobuf reader must, up to ten bytes. */
  #varint(): number {
    const first = this.#bytes[this.#at] as number;
    if (first < 0x80 && this.#at < this.#end) {
      this.#at++;
      return first;
    }
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.#bytes[this.#advance(1)] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw this.error('varint beyond 2^53 - 1');
  }

  /** Bits beyond the 64th are cut off, as every protobuf reader does it. */
  #varint64(): bigint {
    let low = 0;
    let lowBits = 0;
    for (; lowBits < 49; lowBits += 7) {
      const byte = this.#bytes[this.#advance(1)] as number;
      low += (byte & 0x7f) * 2 ** lowBits;
      if (byte < 0x80) return BigInt(low);
    }
    let value = BigInt(low);
    for (let shift = lowBits; shift < 7 * VARINT_BYTES_MAX; shift += 7) {
      const byte = this.#bytes[this.#advance(1)] as number;
      value |= BigInt(byte & 0x7f) << BigInt(shift);
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw this.error('varint longer than 10 bytes');
  }

  /** A varint whose value nobody wants may have all 64 bits. */
  #skipVarint(): void {
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      if ((this.#bytes[this.#advance(1)] as number) < 0x80) return;
    }
    throw this.error('varint longer than 10 bytes');
  }

  #advance(length: number): number {
    this.#demand(length);
    const start = this.#at;
    this.#at = start + length;
    return start;
  }

  #demand(length: number): void {
    if (length > this.#end - this.#at) throw this.error(`message ends, ${length} bytes wanted`);
  }
}
