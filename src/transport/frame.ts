import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter, DecodeError, EMPTY_BYTES } from '../lib/index.ts';
import {
  BULK_KIND_MIN,
  bulkMessageBytes,
  decodeBulkMessage,
  encodeBulkMessage,
  encodeChunkHead,
} from './bulk-codec.ts';
import { decodeHandshake, encodeHandshake, type HandshakeFrame, HELLO_KIND } from './handshake.ts';
import { decodeMessage, encodeMessage, messageBytes } from './message-codec.ts';
import type { BulkMessage, PeerMessage, SnapshotChunk } from './types.ts';

/*
 * byte 0         4              8             12
 * ├──────────────┼──────────────┼──────────────┼─────────────────────┐
 * │ length : u32 │ payload CRC  │ header CRC   │ payload (length B)  │
 * └──────────────┴──────────────┴──────────────┴─────────────────────┘
 * The header CRC covers bytes 0 … 7, so a damaged length is found before it is believed.
 */
export const HEADER_BYTES = 12;

const KEEP_ALIVE_KIND = 0;

/** From here on a batch gets a buffer of its own instead of a copy out of the shared one. */
const OWN_BUFFER_BYTES_MIN = 64 * 1024;

/** What a payload says. */
export type Frame =
  | { readonly kind: 'keepAlive' }
  | { readonly kind: 'message'; readonly message: PeerMessage }
  | HandshakeFrame;

/** @throws DecodeError for bytes that are no frame of this protocol. */
export function decodeFrame(payload: Uint8Array): Frame {
  const reader = new ByteReader(payload);
  const kind = payload[0];
  // Later versions may append to a handshake frame, so its end is not checked.
  if (kind !== undefined && kind >= HELLO_KIND) return decodeHandshake(reader);
  if (kind === KEEP_ALIVE_KIND) {
    reader.u8();
    reader.end();
    return { kind: 'keepAlive' };
  }
  const bulk = kind !== undefined && kind >= BULK_KIND_MIN;
  const message = bulk ? decodeBulkMessage(reader) : decodeMessage(reader);
  reader.end();
  return { kind: 'message', message };
}

const BULK_TYPES: ReadonlySet<PeerMessage['type']> = new Set<BulkMessage['type']>([
  'snapshotChunk',
  'snapshotChunkReply',
  'stateHash',
  'forward',
  'forwardReply',
]);

/** Passes by Raft’s core. */
export function isBulk(message: PeerMessage): message is BulkMessage {
  return BULK_TYPES.has(message.type);
}

/** Upper bound of the bytes that the message's frame takes. */
export function messageFrameBytes(message: PeerMessage): number {
  return HEADER_BYTES + (isBulk(message) ? bulkMessageBytes(message) : messageBytes(message));
}

/** Encodes frames through one reused buffer. What it returns belongs to the caller. */
export class FrameWriter {
  readonly #shared = new ByteWriter(OWN_BUFFER_BYTES_MIN);

  /** Frames one behind the other; `bytesMax` is an upper bound of their size. */
  messages(messages: readonly PeerMessage[], bytesMax: number): Uint8Array {
    if (bytesMax > OWN_BUFFER_BYTES_MIN) {
      const writer = new ByteWriter(bytesMax);
      for (const message of messages) appendMessageFrame(writer, message);
      return writer.view();
    }
    this.#shared.clear();
    for (const message of messages) appendMessageFrame(this.#shared, message);
    return this.#shared.finish();
  }

  /** A chunk's frame up to its data, which follow as they are: nobody need copy them. */
  chunkHead(chunk: SnapshotChunk): Uint8Array {
    this.#shared.clear();
    const start = beginFrame(this.#shared);
    encodeChunkHead(this.#shared, chunk);
    endFrame(this.#shared, start, chunk.data);
    return this.#shared.finish();
  }

  handshake(frame: HandshakeFrame): Uint8Array {
    this.#shared.clear();
    const start = beginFrame(this.#shared);
    encodeHandshake(this.#shared, frame);
    endFrame(this.#shared, start);
    return this.#shared.finish();
  }
}

/** The one keep-alive frame, always the same bytes; never written to. */
export const KEEP_ALIVE_FRAME: Uint8Array = keepAliveFrame();

function keepAliveFrame(): Uint8Array {
  const writer = new ByteWriter();
  const start = beginFrame(writer);
  writer.u8(KEEP_ALIVE_KIND);
  endFrame(writer, start);
  return writer.finish();
}

function appendMessageFrame(writer: ByteWriter, message: PeerMessage): void {
  const start = beginFrame(writer);
  if (isBulk(message)) encodeBulkMessage(writer, message);
  else encodeMessage(writer, message);
  endFrame(writer, start);
}

/** Leaves room for the header; returns where it starts. */
function beginFrame(writer: ByteWriter): number {
  const start = writer.length;
  writer.u32(0);
  writer.u32(0);
  writer.u32(0);
  return start;
}

/** `rest`: bytes of the payload that are not in the writer. */
function endFrame(writer: ByteWriter, start: number, rest: Uint8Array = EMPTY_BYTES): void {
  const frame = writer.view().subarray(start);
  const checksum = crc32(frame.subarray(HEADER_BYTES));
  writer.setU32(start, frame.length - HEADER_BYTES + rest.length);
  // Of no bytes that are nowhere, as an empty array may be, zlib says 0, whatever came before.
  writer.setU32(start + 4, rest.length === 0 ? checksum : crc32(rest, checksum));
  writer.setU32(start + 8, crc32(frame.subarray(0, 8)));
}

/** A buffer for a join has at most this much room behind the frame that is being joined. */
const SPARE_ROOM_BYTES_MAX = 256 * 1024;

/**
 * A joined buffer up to this size is kept for the next join: that of a chunk of a snapshot is, or
 * each chunk would be joined in buffers of its own, three times its size together.
 */
const KEPT_BUFFER_BYTES_MAX = 2 * SPARE_ROOM_BYTES_MAX;

/**
 * Cuts a byte stream into payloads. Chunks that hold whole frames are read in place; a frame that
 * spans chunks is joined in one buffer that doubles as bytes arrive, so that every byte is copied a
 * bounded number of times and memory stays below twice what was received.
 */
export class FrameReader {
  /** Largest payload accepted; may be changed between frames. */
  payloadBytesMax: number;

  /** Bytes not yet handed out: `#bytes` from `#start` to `#end`. */
  #bytes: Uint8Array = EMPTY_BYTES;
  #start = 0;
  #end = 0;
  /** Ours to append to; null until a frame spanned two chunks. */
  #joined: Uint8Array | null = null;
  /** Payload length of the frame whose header was verified; null between frames. */
  #length: number | null = null;
  /** Its checksum. */
  #crc = 0;

  constructor(payloadBytesMax: number) {
    this.payloadBytesMax = payloadBytesMax;
  }

  /** Takes bytes that arrived. They must not change until `next` has returned null. */
  push(chunk: Uint8Array): void {
    const rest = this.#end - this.#start;
    if (rest === 0) {
      this.#bytes = chunk;
      this.#start = 0;
      this.#end = chunk.length;
      return;
    }
    const joined = this.#room(rest, chunk.length);
    joined.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  /**
   * The next whole payload, or null until more bytes arrive. It is a view that the next `push` may
   * overwrite.
   * @throws DecodeError for a frame that breaks the format; the stream is then lost.
   */
  next(): Uint8Array | null {
    this.#length ??= this.#readHeader();
    const length = this.#length;
    if (length === null || this.#end - this.#start < length) return this.#wait();
    const payload = this.#bytes.subarray(this.#start, this.#start + length);
    if (crc32(payload) !== this.#crc) throw new DecodeError('payload checksum', this.#start);
    this.#start += length;
    this.#length = null;
    return payload;
  }

  /** The payload length from a verified header; null while the header is not whole. */
  #readHeader(): number | null {
    if (this.#end - this.#start < HEADER_BYTES) return null;
    const header = this.#bytes.subarray(this.#start, this.#start + HEADER_BYTES);
    const reader = new ByteReader(header);
    const length = reader.u32();
    const crc = reader.u32();
    if (reader.u32() !== crc32(header.subarray(0, 8))) throw new DecodeError('header checksum', 0);
    if (length === 0) throw new DecodeError('empty frame', 0);
    if (length > this.payloadBytesMax) {
      throw new DecodeError(`frame of ${length} bytes, at most ${this.payloadBytesMax}`, 0);
    }
    this.#crc = crc;
    this.#start += HEADER_BYTES;
    return length;
  }

  /** Nothing more to hand out: lets go of what was read. */
  #wait(): null {
    if (this.#start < this.#end) return null;
    this.#bytes = EMPTY_BYTES;
    this.#start = 0;
    this.#end = 0;
    if (this.#joined !== null && this.#joined.length > KEPT_BUFFER_BYTES_MAX) this.#joined = null;
    return null;
  }

  /** A buffer of ours that holds the rest and has `more` bytes of room behind it. */
  #room(rest: number, more: number): Uint8Array {
    const joined = this.#joined;
    if (joined !== null && this.#bytes === joined && this.#end + more <= joined.length) {
      return joined;
    }
    const unread = this.#bytes.subarray(this.#start, this.#end);
    const held = rest + more;
    const fits = joined !== null && held <= joined.length / 2;
    // Doubling, but never far beyond the frame that is being joined.
    const wanted = Math.min(held * 2, (this.#length ?? 0) + SPARE_ROOM_BYTES_MAX);
    const target = fits ? joined : new Uint8Array(Math.max(held, wanted));
    target.set(unread);
    this.#joined = target;
    this.#bytes = target;
    this.#start = 0;
    this.#end = rest;
    return target;
  }
}
