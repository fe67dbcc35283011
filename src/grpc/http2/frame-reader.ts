import {
  FLAG,
  FRAME_BYTES_MAX,
  FRAME_HEAD_BYTES,
  Http2Error,
  PREFACE,
  STREAM_ID_MAX,
} from './protocol.ts';

/**
 * One frame: its payload is bytes[from, to). There is one Frame for a connection, filled anew for
 * each frame; `bytes` itself is never written again, so views of it may be kept.
 */
export interface Frame {
  type: number;
  flags: number;
  streamId: number;
  bytes: Uint8Array;
  from: number;
  to: number;
}

/** Cuts what a client sends into frames: the preface, then frame after frame (section 4.1). */
export class FrameReader {
  readonly #frame: Frame = {
    type: 0,
    flags: 0,
    streamId: 0,
    bytes: new Uint8Array(0),
    from: 0,
    to: 0,
  };
  /** What is being read; frames up to #at were handed out. */
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  /** The beginning of a frame whose rest has not come; it grows as bytes come, not before. */
  #partial: Uint8Array = new Uint8Array(0);
  #partialBytes = 0;
  #prefaceSeen = 0;

  /** Gives the next bytes; only after `next` has returned null, and not to be changed any more. */
  push(chunk: Uint8Array): void {
    this.#chunk = chunk;
    this.#at = 0;
  }

  /**
   * The next complete frame, valid until the next call; null: more bytes are needed.
   * @throws Http2Error PROTOCOL_ERROR on another preface, FRAME_SIZE_ERROR on a frame longer than
   * FRAME_BYTES_MAX, as soon as its head is there. The reader is of no use afterwards.
   */
  next(): Frame | null {
    if (this.#prefaceSeen < PREFACE.length && !this.#skipPreface()) return null;
    if (this.#partialBytes > 0) return this.#completePartial();
    const available = this.#chunk.length - this.#at;
    if (available < FRAME_HEAD_BYTES) return this.#hold(FRAME_HEAD_BYTES);
    const frameBytes = FRAME_HEAD_BYTES + payloadBytes(this.#chunk, this.#at);
    if (available < frameBytes) return this.#hold(frameBytes);
    const from = this.#at;
    this.#at += frameBytes;
    return this.#fill(this.#chunk, from, this.#at);
  }

  #skipPreface(): boolean {
    while (this.#prefaceSeen < PREFACE.length) {
      if (this.#at === this.#chunk.length) return false;
      if (this.#chunk[this.#at] !== PREFACE[this.#prefaceSeen]) {
        throw new Http2Error('PROTOCOL_ERROR', 'not the preface of HTTP/2');
      }
      this.#at++;
      this.#prefaceSeen++;
    }
    return true;
  }

  #completePartial(): Frame | null {
    if (this.#partialBytes < FRAME_HEAD_BYTES && !this.#take(FRAME_HEAD_BYTES)) return null;
    const frameBytes = FRAME_HEAD_BYTES + payloadBytes(this.#partial, 0);
    if (!this.#take(frameBytes)) return null;
    const bytes = this.#partial;
    this.#partial = new Uint8Array(0);
    this.#partialBytes = 0;
    return this.#fill(bytes, 0, frameBytes);
  }

  /** Begins a partial frame with the rest of the chunk. */
  #hold(wantedBytes: number): null {
    this.#take(wantedBytes);
    return null;
  }

  /** Moves bytes to the partial frame until it has `wantedBytes`; false when there are fewer. */
  #take(wantedBytes: number): boolean {
    const available = this.#chunk.length - this.#at;
    const taken = Math.min(available, wantedBytes - this.#partialBytes);
    this.#reserve(this.#partialBytes + taken, wantedBytes);
    this.#partial.set(this.#chunk.subarray(this.#at, this.#at + taken), this.#partialBytes);
    this.#partialBytes += taken;
    this.#at += taken;
    return this.#partialBytes === wantedBytes;
  }

  /** Room for `bytes`, at most doubled: who announces much and sends little costs little. */
  #reserve(bytes: number, bytesMax: number): void {
    if (bytes <= this.#partial.length) return;
    const larger = new Uint8Array(Math.max(bytes, Math.min(bytesMax, this.#partial.length * 2)));
    larger.set(this.#partial.subarray(0, this.#partialBytes));
    this.#partial = larger;
  }

  #fill(bytes: Uint8Array, at: number, to: number): Frame {
    const frame = this.#frame;
    frame.type = bytes[at + 3] as number;
    frame.flags = bytes[at + 4] as number;
    frame.streamId = readU32(bytes, at + 5) & STREAM_ID_MAX;
    frame.bytes = bytes;
    frame.from = at + FRAME_HEAD_BYTES;
    frame.to = to;
    return frame;
  }
}

/**
 * Takes the padding off a DATA or HEADERS frame (section 6.1).
 * @throws Http2Error of the connection when there is more padding than frame.
 */
export function stripPadding(frame: Frame): void {
  if ((frame.flags & FLAG.PADDED) === 0) return;
  if (frame.from === frame.to) throw new Http2Error('FRAME_SIZE_ERROR', 'no room for padding');
  const padding = frame.bytes[frame.from] as number;
  frame.from++;
  if (padding > frame.to - frame.from) throw new Http2Error('PROTOCOL_ERROR', 'too much padding');
  frame.to -= padding;
}

/** An unsigned 32-bit number, big-endian. */
export function readU32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return high * 0x10000 + low;
}

function payloadBytes(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const length = (high << 8) | (bytes[at + 2] as number);
  if (length > FRAME_BYTES_MAX) {
    throw new Http2Error('FRAME_SIZE_ERROR', `frame of ${length} bytes`);
  }
  return length;
}
