import { EMPTY_BYTES, equalBytes } from '../../lib/index.ts';
import { type HeaderField, HpackDecoder, HpackError } from '../hpack/index.ts';
import { type Frame, stripPadding } from './frame-reader.ts';
import { FLAG, HEADER_TABLE_BYTES, Http2Error } from './protocol.ts';
import { parseRequestHead, type RequestHead } from './request-head.ts';

export interface HeaderLimits {
  readonly headerBytesMax: number;
  readonly headerPairsMax: number;
  readonly headerBlockBytesMax: number;
  readonly continuationsMax: number;
}

/** A complete header block; valid until the next frame. */
export interface HeaderBlock {
  readonly streamId: number;
  readonly endStream: boolean;
  readonly bytes: Uint8Array;
}

const PRIORITY_BYTES = 5;

/** Puts the header blocks of one connection together and decodes them, in order. */
export class HeaderBlocks {
  readonly #limits: HeaderLimits;
  readonly #decoder: HpackDecoder;
  /** The block whose END_HEADERS has not come: only its CONTINUATION may follow. */
  #open: { streamId: number; endStream: boolean; continuations: number } | null = null;
  #parts = EMPTY_BYTES;
  /**
   * The last request's block and what it meant. Clients repeat themselves: while the table
   * stands, the same bytes are the same request.
   */
  #memo: { block: Uint8Array; changes: number; head: RequestHead } | null = null;

  constructor(limits: HeaderLimits) {
    this.#limits = limits;
    this.#decoder = new HpackDecoder({
      tableBytesMax: HEADER_TABLE_BYTES,
      listBytesMax: limits.headerBytesMax,
      pairsMax: limits.headerPairsMax,
    });
  }

  /** A block has begun and is not complete: no other frame may come now (section 4.3). */
  get isOpen(): boolean {
    return this.#open !== null;
  }

  /**
   * Takes a HEADERS frame; null when CONTINUATION must follow.
   * @throws Http2Error of the connection when it is malformed.
   */
  begin(frame: Frame): HeaderBlock | null {
    const { streamId, flags } = frame;
    stripPadding(frame);
    if ((flags & FLAG.PRIORITY) !== 0) {
      if (frame.to - frame.from < PRIORITY_BYTES) {
        throw new Http2Error('FRAME_SIZE_ERROR', 'HEADERS too short for its priority');
      }
      frame.from += PRIORITY_BYTES;
    }
    const endStream = (flags & FLAG.END_STREAM) !== 0;
    const bytes = frame.bytes.subarray(frame.from, frame.to);
    if (bytes.length > this.#limits.headerBlockBytesMax) throw tooLong();
    if ((flags & FLAG.END_HEADERS) !== 0) return { streamId, endStream, bytes };
    this.#open = { streamId, endStream, continuations: 0 };
    this.#parts = bytes.slice();
    return null;
  }

  /**
   * Takes a CONTINUATION frame; null when another must follow.
   * @throws Http2Error PROTOCOL_ERROR when none was due, ENHANCE_YOUR_CALM when it is too much.
   */
  continue(frame: Frame): HeaderBlock | null {
    const open = this.#open;
    if (open === null || open.streamId !== frame.streamId) {
      throw new Http2Error('PROTOCOL_ERROR', 'CONTINUATION of nothing');
    }
    const length = this.#parts.length + frame.to - frame.from;
    open.continuations++;
    const { continuationsMax, headerBlockBytesMax } = this.#limits;
    if (open.continuations > continuationsMax || length > headerBlockBytesMax) throw tooLong();
    const bytes = new Uint8Array(length);
    bytes.set(this.#parts);
    bytes.set(frame.bytes.subarray(frame.from, frame.to), this.#parts.length);
    this.#parts = bytes;
    if ((frame.flags & FLAG.END_HEADERS) === 0) return null;
    this.#open = null;
    this.#parts = EMPTY_BYTES;
    return { streamId: open.streamId, endStream: open.endStream, bytes };
  }

  /**
   * The request in a block; null when its headers exceed a limit.
   * @throws Http2Error COMPRESSION_ERROR of the connection, or PROTOCOL_ERROR of the stream.
   */
  request({ streamId, bytes }: HeaderBlock): RequestHead | null {
    const memo = this.#memo;
    if (memo?.changes === this.#decoder.tableChanges && equalBytes(memo.block, bytes)) {
      return memo.head;
    }
    const changesBefore = this.#decoder.tableChanges;
    const fields = this.fields(bytes);
    if (fields === null) return null;
    const head = parseRequestHead(streamId, fields);
    const changes = this.#decoder.tableChanges;
    if (changes === changesBefore) this.#memo = { block: bytes.slice(), changes, head };
    return head;
  }

  /**
   * The fields in a block that is not a request's; null when they exceed a limit.
   * @throws Http2Error COMPRESSION_ERROR of the connection.
   */
  fields(bytes: Uint8Array): HeaderField[] | null {
    try {
      return this.#decoder.decode(bytes);
    } catch (error) {
      if (error instanceof HpackError) throw new Http2Error('COMPRESSION_ERROR', error.message);
      throw error;
    }
  }
}

/** What is not decoded leaves the table out of step: it costs the connection. */
function tooLong(): Http2Error {
  return new Http2Error('ENHANCE_YOUR_CALM', 'header block too long');
}
