import { EMPTY_BYTES } from '../lib/index.ts';
import { GrpcError } from './status.ts';

/*
 * gRPC messages inside the DATA of a stream (gRPC over HTTP/2, "Length-Prefixed-Message"):
 *
 *   message := compressed:u8 length:u32 (big-endian) data
 *
 * DATA frames cut this byte stream wherever they like.
 */

const PREFIX_BYTES = 5;
/** First room for a message of which only a part has come; doubled as more comes. */
const ASSEMBLY_BYTES_MIN = 1024;

/** Counts what a reader holds of a message that is not whole; see Http2Stream. */
export interface HeldBytes {
  /** False: so much must not be held. */
  hold(bytes: number): boolean;
  release(bytes: number): void;
}

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  readonly #messageBytesMax: number;
  readonly #held: HeldBytes;
  #chunk: Uint8Array = EMPTY_BYTES;
  #at = 0;
  /** The present message's prefix, as far as it has come. */
  #prefixBytes = 0;
  #compressedFlag = 0;
  #length = 0;
  /** The beginning of the present message, when its rest is in a later chunk. */
  #assembly: Uint8Array = EMPTY_BYTES;
  #assembledBytes = 0;
  #isCompressed = false;

  constructor(messageBytesMax: number, held: HeldBytes) {
    this.#messageBytesMax = messageBytesMax;
    this.#held = held;
  }

  /** The message that `next` returned last is compressed. */
  get isCompressed(): boolean {
    return this.#isCompressed;
  }

  /** Gives the next bytes, which must not be changed any more; only after `next` returned null. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next complete message: a view of the chunk when it lies in there whole, a copy otherwise;
   * null when more bytes are needed. What is kept of a message is at most twice what has come.
   * @throws GrpcError RESOURCE_EXHAUSTED on a message longer than the limit, as soon as its prefix
   * is there, INTERNAL on a malformed prefix; the reader is of no use afterwards.
   */
  next(): Uint8Array | null {
    if (this.#prefixBytes < PREFIX_BYTES && !this.#readPrefix()) return null;
    const available = this.#chunk.length - this.#at;
    const missing = this.#length - this.#assembledBytes;
    if (available < missing) {
      this.#assemble(available);
      return null;
    }
    let message: Uint8Array;
    if (this.#assembledBytes === 0) {
      // Never a Buffer, whose `slice` does not copy.
      const { buffer, byteOffset } = this.#chunk;
      message = new Uint8Array(buffer, byteOffset + this.#at, missing);
      this.#at += missing;
    } else {
      this.#assemble(missing);
      message = this.#assembly.subarray(0, this.#length);
      this.#held.release(this.#assembly.length);
      this.#assembly = EMPTY_BYTES;
      this.#assembledBytes = 0;
    }
    this.#prefixBytes = 0;
    this.#isCompressed = this.#compressedFlag === 1;
    return message;
  }

  /** @throws GrpcError INTERNAL when the stream ended inside a message. */
  end(): void {
    if (this.#prefixBytes > 0) throw new GrpcError('INTERNAL', 'stream ends inside a message');
  }

  #readPrefix(): boolean {
    if (this.#prefixBytes === 0) this.#length = 0;
    while (this.#prefixBytes < PREFIX_BYTES) {
      const byte = this.#chunk[this.#at];
      if (byte === undefined) return false;
      if (this.#prefixBytes === 0) this.#compressedFlag = byte;
      else this.#length = this.#length * 256 + byte;
      this.#at++;
      this.#prefixBytes++;
    }
    if (this.#compressedFlag > 1) throw new GrpcError('INTERNAL', 'malformed message prefix');
    if (this.#length > this.#messageBytesMax) {
      const text = `message of ${this.#length} bytes exceeds the limit of ${this.#messageBytesMax}`;
      throw new GrpcError('RESOURCE_EXHAUSTED', text);
    }
    return true;
  }

  /** Moves bytes of the chunk to the message that is put together. */
  #assemble(bytes: number): void {
    const wanted = this.#assembledBytes + bytes;
    if (wanted > this.#assembly.length) this.#grow(wanted);
    const piece = this.#chunk.subarray(this.#at, this.#at + bytes);
    this.#assembly.set(piece, this.#assembledBytes);
    this.#assembledBytes = wanted;
    this.#at += bytes;
  }

  #grow(wanted: number): void {
    const roomy = Math.max(wanted, this.#assembly.length * 2, ASSEMBLY_BYTES_MIN);
    const larger = new Uint8Array(Math.min(this.#length, roomy));
    if (!this.#held.hold(larger.length - this.#assembly.length)) {
      throw new GrpcError('RESOURCE_EXHAUSTED', 'too many unfinished messages on this connection');
    }
    larger.set(this.#assembly.subarray(0, this.#assembledBytes));
    this.#assembly = larger;
  }
}

/** The prefix that goes before a message of this length. */
export function messagePrefix(length: number): Uint8Array {
  const prefix = new Uint8Array(PREFIX_BYTES);
  writePrefix(prefix, length);
  return prefix;
}

/** The same, into five bytes that are there already. */
export function writePrefix(prefix: Uint8Array, length: number): void {
  prefix[0] = 0;
  prefix[1] = length >>> 24;
  prefix[2] = length >>> 16;
  prefix[3] = length >>> 8;
  prefix[4] = length;
}
