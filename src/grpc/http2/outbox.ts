import { copyBytes } from '../../lib/index.ts';
import { FLAG, FRAME, FRAME_BYTES_MAX, FRAME_HEAD_BYTES } from './protocol.ts';

/** Bytes of a pooled buffer: what a busy connection writes in one turn. */
const BUFFER_BYTES = 64 * 1024;
/** Buffers kept for later; connections that write in the same turn need one each. */
const BUFFERS_KEPT_MAX = 32;

/** Buffers between two turns: thousands of idle connections hold none. */
const pool: Uint8Array[] = [];
const NONE = new Uint8Array(0);

/** Frames of one connection that have not left yet, in one piece. */
export class Outbox {
  #bytes: Uint8Array = NONE;
  #length = 0;
  /** Where the last frame begins if it is DATA that may still grow, and whose; −1: none. */
  #openDataAt = -1;
  #openDataStream = 0;

  /** Bytes waiting. */
  get length(): number {
    return this.#length;
  }

  /** Adds a frame with this payload. */
  frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#head(type, flags, streamId, payload.length);
    this.#append(payload);
  }

  /** Adds a frame whose payload is one 32-bit number: RST_STREAM, WINDOW_UPDATE. */
  frame32(type: number, streamId: number, value: number): void {
    this.#head(type, 0, streamId, 4);
    const bytes = this.#bytes;
    bytes[this.#length++] = value >>> 24;
    bytes[this.#length++] = value >>> 16;
    bytes[this.#length++] = value >>> 8;
    bytes[this.#length++] = value;
  }

  /** Adds HEADERS with this block, and CONTINUATION as far as needed. */
  headers(streamId: number, block: Uint8Array, isEnd: boolean): void {
    let flags: number = isEnd ? FLAG.END_STREAM : 0;
    let type: number = FRAME.HEADERS;
    let at = 0;
    for (; block.length - at > FRAME_BYTES_MAX; at += FRAME_BYTES_MAX) {
      this.frame(type, flags, streamId, block.subarray(at, at + FRAME_BYTES_MAX));
      type = FRAME.CONTINUATION;
      flags = 0;
    }
    const last = at === 0 ? block : block.subarray(at);
    this.frame(type, flags | FLAG.END_HEADERS, streamId, last);
  }

  /**
   * Adds DATA: to the last frame if that is DATA of the same stream and has room, so that many
   * small messages share a frame. The caller has looked at the windows.
   */
  data(streamId: number, payload: Uint8Array): void {
    let from = 0;
    if (this.#openDataAt >= 0 && this.#openDataStream === streamId) {
      const open = this.#length - this.#openDataAt - FRAME_HEAD_BYTES;
      from = Math.min(payload.length, FRAME_BYTES_MAX - open);
      this.#appendPart(payload, 0, from);
      this.#writeLength(this.#openDataAt, open + from);
    }
    while (from < payload.length) {
      const to = Math.min(payload.length, from + FRAME_BYTES_MAX);
      const at = this.#length;
      this.#head(FRAME.DATA, 0, streamId, to - from);
      this.#appendPart(payload, from, to);
      this.#openDataAt = at;
      this.#openDataStream = streamId;
      from = to;
    }
  }

  /** All that waits, as bytes of its own; the outbox is empty then. */
  take(): Uint8Array {
    const bytes = this.#bytes;
    const length = this.#length;
    this.#bytes = NONE;
    this.#length = 0;
    this.#openDataAt = -1;
    // Much goes as it is, little is copied and its buffer used again.
    if (length > BUFFER_BYTES / 2) return bytes.subarray(0, length);
    const copy = Buffer.allocUnsafe(length);
    copy.set(bytes.subarray(0, length));
    if (bytes.length === BUFFER_BYTES && pool.length < BUFFERS_KEPT_MAX) pool.push(bytes);
    return copy;
  }

  #head(type: number, flags: number, streamId: number, payloadBytes: number): void {
    this.#reserve(FRAME_HEAD_BYTES + payloadBytes);
    this.#openDataAt = -1;
    const at = this.#length;
    const bytes = this.#bytes;
    this.#writeLength(at, payloadBytes);
    bytes[at + 3] = type;
    bytes[at + 4] = flags;
    bytes[at + 5] = streamId >>> 24;
    bytes[at + 6] = streamId >>> 16;
    bytes[at + 7] = streamId >>> 8;
    bytes[at + 8] = streamId;
    this.#length = at + FRAME_HEAD_BYTES;
  }

  #writeLength(at: number, payloadBytes: number): void {
    this.#bytes[at] = payloadBytes >>> 16;
    this.#bytes[at + 1] = payloadBytes >>> 8;
    this.#bytes[at + 2] = payloadBytes;
  }

  /** Most payloads go whole, and a view of them would cost as much as the copying. */
  #appendPart(payload: Uint8Array, from: number, to: number): void {
    this.#append(to - from === payload.length ? payload : payload.subarray(from, to));
  }

  #append(payload: Uint8Array): void {
    this.#reserve(payload.length);
    copyBytes(this.#bytes, this.#length, payload);
    this.#length += payload.length;
  }

  #reserve(more: number): void {
    const wanted = this.#length + more;
    if (wanted <= this.#bytes.length) return;
    if (wanted <= BUFFER_BYTES) {
      this.#bytes = pool.pop() ?? new Uint8Array(BUFFER_BYTES);
      return;
    }
    const larger = new Uint8Array(Math.max(wanted, this.#bytes.length * 2));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }
}
