import { concatBytes } from '../lib/index.ts';
import { GrpcError } from './status.ts';

/*
 * gRPC messages inside the DATA of a stream (gRPC over HTTP/2, "Length-Prefixed-Message"):
 *
 *   message := compressed:u8 length:u32 (big-endian) data
 *
 * DATA frames cut this byte stream wherever they like.
 */

const PREFIX_BYTES = 5;

/** Cuts a stream of bytes into messages. */
export class MessageReader {
  readonly #messageBytesMax: number;
  /** Bytes of the message that has begun, its prefix included; not yet joined. */
  #parts: Uint8Array[] = [];
  #partsBytes = 0;
  /** Bytes of that message with prefix; null while the prefix itself is incomplete. */
  #wantedBytes: number | null = null;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /**
   * Takes the next bytes and hands over every message that they complete: a view of `chunk` when
   * it lies in there whole, a copy otherwise. What it holds back never exceeds what has arrived.
   * @throws GrpcError RESOURCE_EXHAUSTED on a longer message, UNIMPLEMENTED on a compressed one;
   * the reader is of no use afterwards.
   */
  push(chunk: Uint8Array, onMessage: (message: Uint8Array) => void): void {
    let rest = chunk;
    while (rest.length > 0) {
      const taken = this.#missingBytes(rest);
      if (taken > rest.length) return this.#keep(rest);
      const piece = rest.subarray(0, taken);
      rest = rest.subarray(taken);
      const whole = this.#parts.length === 0 ? piece : concatBytes([...this.#parts, piece]);
      this.#forget();
      onMessage(plainBody(whole));
    }
  }

  /** @throws GrpcError INTERNAL when the stream ended inside a message. */
  end(): void {
    if (this.#partsBytes > 0) throw new GrpcError('INTERNAL', 'stream ends inside a message');
  }

  /** Bytes the message that has begun still needs; more than there are if that is not known. */
  #missingBytes(rest: Uint8Array): number {
    if (this.#wantedBytes === null) {
      if (this.#partsBytes + rest.length < PREFIX_BYTES) return rest.length + 1;
      this.#wantedBytes = PREFIX_BYTES + this.#readPrefix(rest);
    }
    return this.#wantedBytes - this.#partsBytes;
  }

  #readPrefix(rest: Uint8Array): number {
    const prefix = new Uint8Array(PREFIX_BYTES);
    let at = 0;
    for (const part of [...this.#parts, rest.subarray(0, PREFIX_BYTES - this.#partsBytes)]) {
      prefix.set(part, at);
      at += part.length;
    }
    const length = new DataView(prefix.buffer).getUint32(1);
    if (prefix[0] !== 0) {
      throw new GrpcError('UNIMPLEMENTED', 'compressed messages are not supported');
    }
    if (length > this.#messageBytesMax) {
      const text = `message of ${length} bytes exceeds the limit of ${this.#messageBytesMax}`;
      throw new GrpcError('RESOURCE_EXHAUSTED', text);
    }
    return length;
  }

  #keep(rest: Uint8Array): void {
    this.#parts.push(rest);
    this.#partsBytes += rest.length;
  }

  #forget(): void {
    this.#parts = [];
    this.#partsBytes = 0;
    this.#wantedBytes = null;
  }
}

/** What follows the prefix, never as a Buffer: the `slice` of a Buffer does not copy. */
function plainBody(message: Uint8Array): Uint8Array {
  const { buffer, byteOffset, length } = message;
  return new Uint8Array(buffer, byteOffset + PREFIX_BYTES, length - PREFIX_BYTES);
}

/** The prefix that goes before a message of this length. */
export function messagePrefix(length: number): Uint8Array {
  const prefix = new Uint8Array(PREFIX_BYTES);
  new DataView(prefix.buffer).setUint32(1, length);
  return prefix;
}
