import { type HeaderList, HpackEncoder } from '../hpack/index.ts';
import type { FloodGuard } from './flood-guard.ts';
import { Outbox } from './outbox.ts';
import {
  ERROR,
  type ErrorName,
  FLAG,
  FRAME,
  FRAME_BYTES_MAX,
  Http2Error,
  INITIAL_WINDOW_BYTES,
  WINDOW_BYTES_MAX,
} from './protocol.ts';
import type { PeerSettings } from './settings.ts';
import type { Wire } from './wire.ts';

/** The sending side of a stream, as far as flow control is concerned. */
export interface SendingStream {
  readonly id: number;
  /** Bytes of DATA that the client still takes; negative after it lowered its settings. */
  sendWindow: number;
  /** Bytes that wait for a window or for the wire. */
  readonly bufferedBytes: number;
  /** Keeps bytes for later; a small piece is copied. */
  buffer(bytes: Uint8Array): void;
  /** The next buffered bytes, 1 … `bytesMax`; null when there are none. */
  takeBuffered(bytesMax: number): Uint8Array | null;
  /** Nothing is buffered any more. */
  onBufferEmpty(): void;
}

export interface SenderLimits {
  readonly wireBytesHigh: number;
  readonly wireBytesMax: number;
}

/** Bytes of an error's text that GOAWAY carries. */
const GOAWAY_TEXT_MAX = 100;

/**
 * What leaves on one connection. All frames of one turn go to the wire in one piece; DATA waits in
 * its stream while a window is closed or the wire is full, and streams then take turns, a frame
 * each.
 */
export class Sender {
  readonly #wire: Wire;
  readonly #limits: SenderLimits;
  readonly #guard: FloodGuard;
  readonly #onStuck: () => void;
  readonly #outbox = new Outbox();
  readonly #encoder = new HpackEncoder();
  /** The connection's window for what we send. */
  #window = INITIAL_WINDOW_BYTES;
  /** Streams with buffered bytes whose own window is open, in turn. */
  readonly #waiting = new Set<SendingStream>();
  #bufferedBytes = 0;
  #flushing = false;
  readonly #flushSoon = (): void => {
    this.#flushing = false;
    this.flush();
  };

  /** @param onStuck the client makes us answer and does not read: the connection must go. */
  constructor(
    wire: Wire,
    options: { limits: SenderLimits; guard: FloodGuard; onStuck: () => void },
  ) {
    this.#wire = wire;
    this.#limits = options.limits;
    this.#guard = options.guard;
    this.#onStuck = options.onStuck;
  }

  /** Bytes that wait in all streams. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  settings(payload: Uint8Array): void {
    this.#frame(FRAME.SETTINGS, 0, 0, payload);
  }

  settingsAck(): void {
    this.#frame(FRAME.SETTINGS, FLAG.ACK, 0, new Uint8Array(0));
  }

  /** @param payload 8 bytes. */
  ping(payload: Uint8Array, isAck: boolean): void {
    this.#frame(FRAME.PING, isAck ? FLAG.ACK : 0, 0, payload);
  }

  /** @param text ASCII, for whoever looks into it. */
  goaway(lastStreamId: number, code: ErrorName, text: string): void {
    const shown = text.slice(0, GOAWAY_TEXT_MAX);
    const payload = new Uint8Array(8 + shown.length);
    const view = new DataView(payload.buffer);
    view.setUint32(0, lastStreamId);
    view.setUint32(4, ERROR[code]);
    for (let i = 0; i < shown.length; i++) payload[8 + i] = shown.charCodeAt(i);
    this.#frame(FRAME.GOAWAY, 0, 0, payload);
  }

  reset(streamId: number, code: ErrorName): void {
    this.#outbox.frame32(FRAME.RST_STREAM, streamId, ERROR[code]);
    this.#schedule();
  }

  /** Lets the client send more: on a stream, or (0) on the connection. */
  windowUpdate(streamId: number, bytes: number): void {
    this.#outbox.frame32(FRAME.WINDOW_UPDATE, streamId, bytes);
    this.#schedule();
  }

  headers(streamId: number, list: HeaderList, isEnd: boolean): void {
    this.#outbox.headers(streamId, this.#encoder.encode(list), isEnd);
    this.#schedule();
  }

  /**
   * Sends the two pieces in order, now or when windows allow. `prefix` is short and copied, `body`
   * must not change any more.
   */
  data(stream: SendingStream, prefix: Uint8Array, body: Uint8Array): void {
    const bytes = prefix.length + body.length;
    const isFree = stream.bufferedBytes === 0 && bytes <= stream.sendWindow;
    if (isFree && bytes <= this.#window && bytes <= this.#wireRoom()) {
      this.#outbox.data(stream.id, prefix);
      this.#outbox.data(stream.id, body);
      this.#sent(stream, bytes);
      return;
    }
    stream.buffer(prefix);
    stream.buffer(body);
    this.#bufferedBytes += bytes;
    this.#waiting.add(stream);
    this.#pump();
  }

  /** A stream is over: what it had buffered goes nowhere. */
  forget(stream: SendingStream): void {
    this.#bufferedBytes -= stream.bufferedBytes;
    this.#waiting.delete(stream);
  }

  /** The client takes more on the connection. @throws Http2Error when that is too much. */
  addWindow(bytes: number): void {
    if (this.#window + bytes > WINDOW_BYTES_MAX) {
      throw new Http2Error('FLOW_CONTROL_ERROR', 'connection window beyond 2^31-1');
    }
    this.#window += bytes;
    this.#pump();
  }

  /** The client takes more on a stream. @throws Http2Error of the stream when that is too much. */
  addStreamWindow(stream: SendingStream, bytes: number): void {
    if (stream.sendWindow + bytes > WINDOW_BYTES_MAX) {
      throw new Http2Error('FLOW_CONTROL_ERROR', 'stream window beyond 2^31-1', stream.id);
    }
    stream.sendWindow += bytes;
    if (stream.bufferedBytes === 0) return;
    this.#waiting.add(stream);
    this.#pump();
  }

  /**
   * The client's settings changed: every open stream's window moves along (section 6.9.2).
   * @throws Http2Error of the connection when one grows beyond its bound.
   */
  changeSettings(
    settings: PeerSettings,
    { was, streams }: { was: PeerSettings; streams: Iterable<SendingStream> },
  ): void {
    this.#encoder.setTableBytesMax(settings.headerTableBytes);
    const change = settings.initialWindowBytes - was.initialWindowBytes;
    if (change === 0) return;
    for (const stream of streams) {
      stream.sendWindow += change;
      if (stream.sendWindow > WINDOW_BYTES_MAX) {
        throw new Http2Error('FLOW_CONTROL_ERROR', 'stream window beyond 2^31-1');
      }
      if (stream.bufferedBytes > 0) this.#waiting.add(stream);
    }
    this.#pump();
  }

  /** The wire took what was in it. */
  onDrain(): void {
    this.#pump();
  }

  /** Writes what waits to the wire. */
  flush(): void {
    if (this.#outbox.length === 0) return;
    if (this.#wire.bufferedBytes + this.#outbox.length > this.#limits.wireBytesMax) {
      this.#outbox.take();
      this.#onStuck();
      return;
    }
    if (this.#wire.write(this.#outbox.take())) this.#pump();
  }

  /** Bytes that may be put before the wire counts as full. */
  #wireRoom(): number {
    return this.#limits.wireBytesHigh - this.#outbox.length - this.#wire.bufferedBytes;
  }

  /** Sends buffered bytes as far as windows and wire allow. */
  #pump(): void {
    // A Set visits what is added again while it is walked: streams take turns.
    for (const stream of this.#waiting) {
      const room = Math.min(this.#window, this.#wireRoom());
      if (room <= 0) return;
      this.#waiting.delete(stream);
      if (stream.sendWindow <= 0) continue;
      const bytes = stream.takeBuffered(Math.min(room, stream.sendWindow, FRAME_BYTES_MAX));
      if (bytes === null) continue;
      this.#bufferedBytes -= bytes.length;
      this.#outbox.data(stream.id, bytes);
      this.#sent(stream, bytes.length);
      if (stream.bufferedBytes > 0) this.#waiting.add(stream);
      else stream.onBufferEmpty();
    }
  }

  /** Counts what was put into the outbox. */
  #sent(stream: SendingStream, bytes: number): void {
    stream.sendWindow -= bytes;
    this.#window -= bytes;
    this.#guard.dataSent(Math.ceil(bytes / FRAME_BYTES_MAX));
    this.#schedule();
  }

  #frame(type: number, flags: number, streamId: number, payload: Uint8Array): void {
    this.#outbox.frame(type, flags, streamId, payload);
    this.#schedule();
  }

  /** After the callbacks of the present event, promises included: one write for all of them. */
  #schedule(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(this.#flushSoon);
  }
}
