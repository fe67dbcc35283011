import type { Clock, Log, Timer } from '../../io/index.ts';
import { IntMap } from '../../lib/index.ts';
import { FloodGuard, type FloodLimits } from './flood-guard.ts';
import { type Frame, FrameReader, readU32, stripPadding } from './frame-reader.ts';
import { type HeaderBlock, HeaderBlocks, type HeaderLimits } from './header-blocks.ts';
import { Lifeline, type LifelineLimits } from './lifeline.ts';
import {
  ERROR,
  type ErrorName,
  FLAG,
  FRAME,
  Http2Error,
  INITIAL_WINDOW_BYTES,
  SETTING,
  STREAM_ID_MAX,
} from './protocol.ts';
import { checkTrailers } from './request-head.ts';
import { Sender, type SenderLimits } from './sender.ts';
import { applySettings, defaultSettings, encodeSettings, settingsEntries } from './settings.ts';
import { Http2Stream, type StreamHost } from './stream.ts';
import type { Wire } from './wire.ts';

export interface ConnectionLimits extends FloodLimits, HeaderLimits, LifelineLimits, SenderLimits {
  readonly streamsMax: number;
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly connectionHeldBytesMax: number;
  readonly streamBufferedBytesMax: number;
  readonly connectionBufferedBytesMax: number;
  readonly settingsEntriesMax: number;
  readonly lingerMs: number;
}

export interface ConnectionOptions {
  readonly wire: Wire;
  readonly limits: ConnectionLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** A request has begun: to be listened to at once. */
  readonly onRequest: (stream: Http2Stream) => void;
  /** The connection is gone; once. */
  readonly onClosed: () => void;
  /** Something else than a rule broken by the client: a bug of ours. */
  readonly onDefect: (error: Error) => void;
}

/** Payloads of our pings, by what their answer means. */
const KEEPALIVE_PING = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1);
const DRAIN_PING = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 2);
/** Streams that we reset and whose frames may still be on their way: that many are remembered. */
const RESET_IDS_KEPT = 256;

/**
 * The server's side of one HTTP/2 connection (RFC 9113).
 *
 *   open ──stop──▶ draining ──▶ closing ──▶ closed
 *     └──────── rule broken ───────▲
 *
 * `draining`: GOAWAY was sent, open streams go on. `closing`: everything was said; what the client
 * still sends is thrown away, so that our last words are not lost in a reset of TCP.
 */
export class Http2Connection implements StreamHost {
  readonly remote: string;
  readonly clock: Clock;
  readonly limits: ConnectionLimits;
  readonly sender: Sender;
  heldBytes = 0;
  readonly #options: ConnectionOptions;
  readonly #wire: Wire;
  readonly #reader = new FrameReader();
  readonly #blocks: HeaderBlocks;
  readonly #guard: FloodGuard;
  readonly #streams = new IntMap<Http2Stream>();
  #state: 'open' | 'draining' | 'closing' | 'closed' = 'open';
  /** `stop` was called. */
  #isStopping = false;
  /** While draining: the client knows it, and streams beyond #lastStreamId are not served. */
  #isRefusing = false;
  /** The first frame, which must be SETTINGS, has come. */
  #isGreeted = false;
  #settings = defaultSettings();
  #lastStreamId = 0;
  readonly #resetIds = new Set<number>();
  /** Bytes received for which the client was not given new window yet. */
  #uncreditedBytes = 0;
  readonly #lifeline: Lifeline;
  /** Runs once the connection has no more use; then it is cut. */
  #lingerTimer: Timer | null = null;

  constructor(options: ConnectionOptions) {
    const { wire, limits, clock } = options;
    this.#options = options;
    this.#wire = wire;
    this.remote = wire.remote;
    this.limits = limits;
    this.clock = clock;
    this.#guard = new FloodGuard(limits, clock);
    this.#blocks = new HeaderBlocks(limits);
    const onStuck = (): void => this.#cutStuck();
    this.sender = new Sender(wire, { limits, guard: this.#guard, onStuck });
    this.#lifeline = new Lifeline({
      limits,
      clock,
      sendPing: () => this.sender.ping(KEEPALIVE_PING, false),
      onIdle: () => this.#leaveIdle(),
      onDead: () => this.#wire.destroy(),
    });
    this.#greet();
    wire.start({
      onData: (bytes) => this.#receive(bytes),
      onDrain: () => this.sender.onDrain(),
      onClose: (error) => this.#closed(error),
    });
  }

  /**
   * Lets open streams finish and then closes; new ones are refused as soon as the client can know
   * (section 6.8: first a GOAWAY that refuses nothing, the real one after a round trip).
   */
  stop(): void {
    if (this.#isStopping || this.#isDeaf) return;
    this.#isStopping = true;
    this.#state = 'draining';
    for (const stream of this.#streams.values()) stream.receiveStopping();
    if (this.#isDeaf) return;
    this.sender.goaway(STREAM_ID_MAX, 'NO_ERROR', '');
    this.sender.ping(DRAIN_PING, false);
  }

  /** Cuts the connection at once. */
  destroy(): void {
    this.#wire.destroy();
  }

  remove(stream: Http2Stream, wasReset: boolean): void {
    this.#streams.delete(stream.id);
    if (wasReset) this.#rememberReset(stream.id);
    if (this.#streams.size > 0) return;
    this.#lifeline.idle();
    this.#maybeFinish();
  }

  #greet(): void {
    const { limits } = this;
    const settings = encodeSettings([
      [SETTING.MAX_CONCURRENT_STREAMS, limits.streamsMax],
      [SETTING.INITIAL_WINDOW_SIZE, limits.streamWindowBytes],
      [SETTING.MAX_HEADER_LIST_SIZE, limits.headerBytesMax],
    ]);
    this.sender.settings(settings);
    const more = limits.connectionWindowBytes - INITIAL_WINDOW_BYTES;
    if (more > 0) this.sender.windowUpdate(0, more);
  }

  #receive(bytes: Uint8Array): void {
    if (this.#isDeaf) return;
    this.#reader.push(bytes);
    while (!this.#isDeaf) {
      try {
        const frame = this.#reader.next();
        if (frame === null) return;
        this.#handle(frame);
      } catch (error) {
        this.#recover(error);
      }
    }
  }

  /** Nothing that arrives matters any more. */
  get #isDeaf(): boolean {
    return this.#state === 'closing' || this.#state === 'closed';
  }

  /** Section 5.4. */
  #recover(error: unknown): void {
    if (!(error instanceof Http2Error)) {
      this.#fail(new Http2Error('INTERNAL_ERROR', 'internal error'));
      this.#options.onDefect(error instanceof Error ? error : new Error(String(error)));
      return;
    }
    if (error.streamId === null) {
      this.#fail(error);
      return;
    }
    this.#options.log.debug(`grpc stream: ${error.message}`, { remote: this.remote });
    this.#resetStream(error.streamId, error.code);
    try {
      this.#guard.count('resets');
    } catch (flood) {
      this.#recover(flood);
    }
  }

  #resetStream(streamId: number, code: ErrorName): void {
    const stream = this.#streams.get(streamId);
    if (stream !== undefined) {
      stream.reset(code);
      return;
    }
    this.sender.reset(streamId, code);
    this.#rememberReset(streamId);
  }

  #handle(frame: Frame): void {
    if (!this.#isGreeted) {
      if (frame.type !== FRAME.SETTINGS || (frame.flags & FLAG.ACK) !== 0) {
        throw new Http2Error('PROTOCOL_ERROR', 'the first frame is not SETTINGS');
      }
      this.#isGreeted = true;
    }
    if (this.#blocks.isOpen && frame.type !== FRAME.CONTINUATION) {
      throw new Http2Error('PROTOCOL_ERROR', 'a frame inside a header block');
    }
    switch (frame.type) {
      case FRAME.DATA:
        return this.#handleData(frame);
      case FRAME.HEADERS:
        return this.#handleHeaders(frame);
      case FRAME.CONTINUATION:
        return this.#handleBlock(this.#blocks.continue(frame));
      case FRAME.WINDOW_UPDATE:
        return this.#handleWindowUpdate(frame);
      case FRAME.RST_STREAM:
        return this.#handleReset(frame);
      case FRAME.SETTINGS:
        return this.#handleSettings(frame);
      case FRAME.PING:
        return this.#handlePing(frame);
      case FRAME.GOAWAY:
        return this.#handleGoaway(frame);
      case FRAME.PRIORITY:
        return this.#handlePriority(frame);
      case FRAME.PUSH_PROMISE:
        throw new Http2Error('PROTOCOL_ERROR', 'PUSH_PROMISE from a client');
      default:
        return this.#guard.count('ignored');
    }
  }

  #handleData(frame: Frame): void {
    const { streamId } = frame;
    const stream = this.#streams.get(streamId);
    if (stream === undefined) this.#expectUsed(streamId);
    const frameBytes = frame.to - frame.from;
    this.#credit(frameBytes);
    stripPadding(frame);
    const isEnd = (frame.flags & FLAG.END_STREAM) !== 0;
    if (frame.from < frame.to) this.#guard.dataReceived();
    else if (!isEnd) this.#guard.count('emptyData');
    if (stream === undefined || stream.remoteEnded) {
      if (this.#resetIds.has(streamId)) return;
      throw new Http2Error('STREAM_CLOSED', 'DATA behind the end', streamId);
    }
    stream.receive(frame.bytes.subarray(frame.from, frame.to), frameBytes, isEnd);
  }

  /**
   * Gives new window on the connection for bytes that came, before it is half used up: so it is
   * never exceeded. What bounds the bytes we keep are the streams' windows and `heldBytes`.
   */
  #credit(bytes: number): void {
    this.#uncreditedBytes += bytes;
    const windowBytes = Math.max(this.limits.connectionWindowBytes, INITIAL_WINDOW_BYTES);
    if (this.#uncreditedBytes * 2 < windowBytes) return;
    this.sender.windowUpdate(0, this.#uncreditedBytes);
    this.#uncreditedBytes = 0;
  }

  #handleHeaders(frame: Frame): void {
    if (frame.streamId % 2 === 0) {
      throw new Http2Error('PROTOCOL_ERROR', 'HEADERS on a stream that no client may open');
    }
    const block = this.#blocks.begin(frame);
    if (block !== null) this.#handleBlock(block);
  }

  /** A block on an open stream carries trailers, on a new one a request. */
  #handleBlock(block: HeaderBlock | null): void {
    if (block === null) return;
    const { streamId } = block;
    const stream = this.#streams.get(streamId);
    if (stream === undefined && streamId > this.#lastStreamId) {
      this.#handleRequest(block);
      return;
    }
    // Whatever becomes of it: each block moves the table.
    const fields = this.#blocks.fields(block.bytes);
    if (this.#resetIds.has(streamId)) return;
    if (stream === undefined) throw new Http2Error('STREAM_CLOSED', 'HEADERS on a closed stream');
    if (stream.remoteEnded) {
      throw new Http2Error('STREAM_CLOSED', 'HEADERS behind the end', streamId);
    }
    if (!block.endStream) {
      throw new Http2Error('PROTOCOL_ERROR', 'trailers do not end the stream', streamId);
    }
    if (fields === null) throw new Http2Error('ENHANCE_YOUR_CALM', 'too many trailers', streamId);
    checkTrailers(streamId, fields);
    stream.receiveEnd();
  }

  #handleRequest(block: HeaderBlock): void {
    const { streamId } = block;
    this.#lastStreamId = this.#isRefusing ? this.#lastStreamId : streamId;
    const isFull = this.#isRefusing || this.#streams.size >= this.limits.streamsMax;
    if (isFull) {
      this.#blocks.fields(block.bytes);
      throw new Http2Error('REFUSED_STREAM', 'too many streams', streamId);
    }
    const head = this.#blocks.request(block);
    if (head === null) throw new Http2Error('ENHANCE_YOUR_CALM', 'too many headers', streamId);
    const stream = new Http2Stream(streamId, head, this.#settings.initialWindowBytes, this);
    this.#streams.set(streamId, stream);
    this.#lifeline.busy();
    this.#options.onRequest(stream);
    if (this.#isStopping) stream.receiveStopping();
    if (block.endStream) stream.receiveEnd();
  }

  #handleWindowUpdate(frame: Frame): void {
    const { streamId } = frame;
    expectLength(frame, 4);
    this.#guard.count('windowUpdates');
    const bytes = readU32(frame.bytes, frame.from) & STREAM_ID_MAX;
    if (streamId === 0) {
      if (bytes === 0) throw new Http2Error('PROTOCOL_ERROR', 'empty WINDOW_UPDATE');
      this.sender.addWindow(bytes);
      return;
    }
    this.#expectUsed(streamId);
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    if (bytes === 0) throw new Http2Error('PROTOCOL_ERROR', 'empty WINDOW_UPDATE', streamId);
    this.sender.addStreamWindow(stream, bytes);
  }

  #handleReset(frame: Frame): void {
    expectLength(frame, 4);
    this.#expectUsed(frame.streamId);
    this.#streams.get(frame.streamId)?.receiveReset();
    this.#guard.count('resets');
  }

  #handleSettings(frame: Frame): void {
    expectConnection(frame);
    this.#guard.count('settings');
    if ((frame.flags & FLAG.ACK) !== 0) {
      expectLength(frame, 0);
      return;
    }
    if (settingsEntries(frame) > this.limits.settingsEntriesMax) {
      throw new Http2Error('ENHANCE_YOUR_CALM', 'too many settings');
    }
    const was = { ...this.#settings };
    applySettings(frame, this.#settings);
    this.sender.settingsAck();
    this.sender.changeSettings(this.#settings, { was, streams: this.#streams.values() });
  }

  #handlePing(frame: Frame): void {
    expectConnection(frame);
    expectLength(frame, 8);
    const payload = frame.bytes.slice(frame.from, frame.to);
    if ((frame.flags & FLAG.ACK) === 0) {
      this.#guard.count('pings');
      this.sender.ping(payload, true);
      return;
    }
    if (payload[7] === KEEPALIVE_PING[7]) this.#lifeline.answered();
    else if (payload[7] === DRAIN_PING[7] && this.#state === 'draining') this.#refuse();
    else this.#guard.count('ignored');
  }

  /** The client will begin no more calls here; what is open goes on. */
  #handleGoaway(frame: Frame): void {
    expectConnection(frame);
    if (frame.to - frame.from < 8) throw new Http2Error('FRAME_SIZE_ERROR', 'short GOAWAY');
    const code = readU32(frame.bytes, frame.from + 4);
    if (code !== ERROR.NO_ERROR) {
      this.#options.log.debug('grpc client gives up', { remote: this.remote, code });
    }
    this.#guard.count('ignored');
    if (this.#state === 'open') this.#state = 'draining';
    this.#isRefusing = true;
    this.#maybeFinish();
  }

  /** Deprecated (section 5.3.2): checked and forgotten. */
  #handlePriority(frame: Frame): void {
    if (frame.streamId === 0) throw new Http2Error('PROTOCOL_ERROR', 'PRIORITY of no stream');
    expectLength(frame, 5);
    this.#guard.count('ignored');
  }

  /** @throws Http2Error when the client names a stream that it never opened. */
  #expectUsed(streamId: number): void {
    if (streamId % 2 === 1 && streamId <= this.#lastStreamId) return;
    if (this.#isRefusing && this.#resetIds.has(streamId)) return;
    throw new Http2Error('PROTOCOL_ERROR', 'a frame on a stream that is not open');
  }

  /** The client has seen our first GOAWAY: now comes the one that counts. */
  #refuse(): void {
    if (this.#isRefusing) return;
    this.#isRefusing = true;
    this.sender.goaway(this.#lastStreamId, 'NO_ERROR', '');
    this.#maybeFinish();
  }

  #maybeFinish(): void {
    if (this.#state === 'draining' && this.#isRefusing && this.#streams.size === 0) this.#finish();
  }

  /** The client broke a rule that costs the connection. */
  #fail(error: Http2Error): void {
    if (this.#isDeaf) return;
    const { log } = this.#options;
    if (error.code === 'ENHANCE_YOUR_CALM') {
      log.warn(`connection cut off: ${error.message}`, { remote: this.remote });
    } else {
      log.debug(`grpc connection: ${error.message}`, { remote: this.remote });
    }
    this.sender.goaway(this.#lastStreamId, error.code, error.message);
    this.#finish();
  }

  #cutStuck(): void {
    this.#options.log.warn('connection cut off: it does not read', { remote: this.remote });
    this.#wire.destroy();
  }

  /** Everything was said: sends the end, and waits a while for the client's. */
  #finish(): void {
    this.#state = 'closing';
    this.sender.flush();
    this.#wire.end();
    this.#dropStreams();
    this.#lifeline.cancel();
    this.#lingerTimer?.cancel();
    this.#lingerTimer = this.clock.setTimer(this.limits.lingerMs, () => this.#wire.destroy());
  }

  #closed(error: Error | null): void {
    if (this.#state === 'closed') return;
    if (error !== null) this.#options.log.debug(`grpc connection: ${error.message}`);
    this.#state = 'closed';
    this.#dropStreams();
    this.#lifeline.cancel();
    this.#lingerTimer?.cancel();
    this.#options.onClosed();
  }

  #dropStreams(): void {
    for (const stream of this.#streams.values()) stream.receiveReset();
  }

  #rememberReset(streamId: number): void {
    this.#resetIds.add(streamId);
    if (this.#resetIds.size <= RESET_IDS_KEPT) return;
    for (const oldest of this.#resetIds) {
      this.#resetIds.delete(oldest);
      return;
    }
  }

  /** Who does not even answer the ping of `stop` is not waited for. */
  #leaveIdle(): void {
    this.stop();
    this.#lingerTimer ??= this.clock.setTimer(this.limits.lingerMs, () => {
      if (this.#streams.size === 0) this.#wire.destroy();
    });
  }
}

/** @throws Http2Error FRAME_SIZE_ERROR of the connection. */
function expectLength(frame: Frame, bytes: number): void {
  if (frame.to - frame.from === bytes) return;
  throw new Http2Error('FRAME_SIZE_ERROR', `frame of ${frame.to - frame.from} bytes`);
}

/** @throws Http2Error PROTOCOL_ERROR when the frame names a stream. */
function expectConnection(frame: Frame): void {
  if (frame.streamId !== 0) throw new Http2Error('PROTOCOL_ERROR', 'not for a stream');
}
