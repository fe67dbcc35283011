import { concatBytes } from '../lib/index.ts';

/*
 * gRPC's Length-Prefixed-Message (gRPC over HTTP2, "PROTOCOL-HTTP2.md"):
 *
 *   +------------+---------------------+-----------------+
 *   | compressed | length              | message         |
 *   | u8: 0      | u32, big-endian     | length bytes    |
 *   +------------+---------------------+-----------------+
 */
const HEADER_BYTES = 5;

/** What arrived is not gRPC as it was agreed on. */
export class FrameError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'FrameError';
  }
}

/** One message with its header. */
export function frameOf(message: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEADER_BYTES + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, HEADER_BYTES);
  return frame;
}

/** Cuts a stream of bytes into messages; every byte is copied at most once. */
export class FrameReader {
  readonly #messageBytesMax: number;
  #chunks: Uint8Array[] = [];
  #have = 0;
  /** Bytes from the start of the next frame that must be here before anything can be done. */
  #need = HEADER_BYTES;

  constructor(messageBytesMax: number) {
    this.#messageBytesMax = messageBytesMax;
  }

  /** Bytes of an unfinished frame are here. */
  get isInside(): boolean {
    return this.#have > 0;
  }

  /**
   * Takes the next bytes; returns the messages that they complete, as views.
   * @throws FrameError on a compressed or too long message.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    this.#chunks.push(chunk);
    this.#have += chunk.length;
    const messages: Uint8Array[] = [];
    while (this.#have >= this.#need) {
      const bytes =
        this.#chunks.length === 1 ? (this.#chunks[0] as Uint8Array) : concatBytes(this.#chunks);
      this.#need = HEADER_BYTES + this.#lengthOf(bytes);
      if (bytes.length < this.#need) {
        this.#chunks = [bytes];
        break;
      }
      messages.push(bytes.subarray(HEADER_BYTES, this.#need));
      const rest = bytes.subarray(this.#need);
      this.#chunks = rest.length === 0 ? [] : [rest];
      this.#have = rest.length;
      this.#need = HEADER_BYTES;
    }
    return messages;
  }

  #lengthOf(bytes: Uint8Array): number {
    if (bytes[0] !== 0) throw new FrameError('a compressed message, which was not agreed on');
    const length = new DataView(bytes.buffer, bytes.byteOffset).getUint32(1);
    if (length > this.#messageBytesMax) {
      throw new FrameError(
        `a message of ${length} bytes, at most ${this.#messageBytesMax} are allowed`,
      );
    }
    return length;
  }
}
