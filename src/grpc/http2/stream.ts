import type { Clock, Timer } from '../../io/index.ts';
import type { HeaderList } from '../hpack/index.ts';
import { ByteQueue } from './byte-queue.ts';
import { type ErrorName, Http2Error } from './protocol.ts';
import type { RequestHead } from './request-head.ts';
import type { Sender, SendingStream } from './sender.ts';

/** What happens on a stream. Called from within the connection; none of them may throw. */
export interface StreamHandlers {
  /** Bytes of the body, a view of a larger buffer that nobody writes to any more. */
  onData(bytes: Uint8Array): void;
  /** The client sends no more. */
  onEnd(): void;
  /** Nothing written is buffered any more, after something was. */
  onDrain(): void;
  /** The stream is gone, for whatever reason; once, and nothing follows. */
  onClosed(): void;
  /** The connection is being closed: finish soon. */
  onStopping(): void;
}

/** What a stream needs of its connection. */
export interface StreamHost {
  readonly remote: string;
  readonly clock: Clock;
  readonly sender: Sender;
  readonly limits: {
    readonly streamWindowBytes: number;
    readonly streamBufferedBytesMax: number;
    readonly connectionBufferedBytesMax: number;
    readonly connectionHeldBytesMax: number;
    readonly lingerMs: number;
  };
  /** Bytes of requests held on the connection, all streams together. */
  heldBytes: number;
  /** A stream is over. `wasReset`: we reset it while the client may still be sending. */
  remove(stream: Http2Stream, wasReset: boolean): void;
}

const NO_HANDLERS: StreamHandlers = {
  onData() {},
  onEnd() {},
  onDrain() {},
  onClosed() {},
  onStopping() {},
};

/**
 * One request and its answer. Each side ends on its own; when both have, or one resets, the stream
 * is closed (RFC 9113, section 5.1; a server that pushes nothing needs no other states).
 */
export class Http2Stream implements SendingStream {
  readonly id: number;
  readonly head: RequestHead;
  sendWindow: number;
  readonly #host: StreamHost;
  #handlers: StreamHandlers = NO_HANDLERS;
  #isClosed = false;
  #remoteEnded = false;
  /** No further header or byte of ours will be taken. */
  #localEnded = false;

  /** Bytes that the client may still send. */
  #receiveWindow: number;
  /** Bytes received for which it was not given new window yet. */
  #uncreditedBytes = 0;
  #receivedBytes = 0;
  /** While paused: what came since; the end comes after it. */
  #isPaused = false;
  #isEndUnread = false;
  #unread: ByteQueue | null = null;
  #heldBytes = 0;

  /** Made when something has to wait, which is seldom. */
  #buffered: ByteQueue | null = null;
  /** To be sent when nothing is buffered any more. */
  #trailers: HeaderList | null = null;
  #linger: Timer | null = null;

  constructor(id: number, head: RequestHead, sendWindow: number, host: StreamHost) {
    this.id = id;
    this.head = head;
    this.sendWindow = sendWindow;
    this.#host = host;
    this.#receiveWindow = host.limits.streamWindowBytes;
  }

  /** The client's address, for log lines. */
  get remote(): string {
    return this.#host.remote;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The client has ended its side; more from it is an error. */
  get remoteEnded(): boolean {
    return this.#remoteEnded;
  }

  /** Bytes written that wait for the client's windows, or for the wire. */
  get bufferedBytes(): number {
    return this.#buffered?.length ?? 0;
  }

  /* The application's side. */

  /** Says who listens; once, before anything is received. */
  listen(handlers: StreamHandlers): void {
    this.#handlers = handlers;
  }

  /** Sends the response's headers. */
  respond(list: HeaderList): void {
    if (!this.#localEnded) this.#host.sender.headers(this.id, list, false);
  }

  /**
   * Sends `prefix` (copied if it must wait) and `body` (not to be changed any more). False, and
   * nothing sent, when the limits of what may wait would be exceeded.
   */
  write(prefix: Uint8Array, body: Uint8Array): boolean {
    if (this.#localEnded) return true;
    const { sender, limits } = this.#host;
    const bytes = prefix.length + body.length;
    if (this.bufferedBytes + bytes > limits.streamBufferedBytesMax) return false;
    if (sender.bufferedBytes + bytes > limits.connectionBufferedBytesMax) return false;
    sender.data(this, prefix, body);
    return true;
  }

  /** Sends the last headers (trailers, or the only ones) behind all that was written. */
  end(list: HeaderList): void {
    if (this.#localEnded) return;
    this.#localEnded = true;
    if (this.bufferedBytes === 0) this.#sendEnd(list);
    else this.#trailers = list;
  }

  /** Ends both sides at once; what is buffered is lost. */
  reset(code: ErrorName): void {
    if (this.#isClosed) return;
    this.#host.sender.reset(this.id, code);
    this.#close(!this.#remoteEnded);
  }

  /** No `onData` and `onEnd` until `resume`; the client may fill its window, not more. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    while (!this.#isPaused && !this.#isClosed) {
      const bytes = this.#unread?.take(this.#host.limits.streamWindowBytes) ?? null;
      if (bytes === null) break;
      this.release(bytes.length);
      this.#credit(bytes.length);
      this.#handlers.onData(bytes);
    }
    if (this.#isPaused || this.#isClosed || !this.#isEndUnread) return;
    this.#isEndUnread = false;
    this.#handlers.onEnd();
  }

  /** Counts bytes of a request that is kept until it is whole; false: they are too many. */
  hold(bytes: number): boolean {
    if (this.#host.heldBytes + bytes > this.#host.limits.connectionHeldBytesMax) return false;
    this.#host.heldBytes += bytes;
    this.#heldBytes += bytes;
    return true;
  }

  /** What was held is used or thrown away; all that is left goes with the stream. */
  release(bytes: number): void {
    const released = Math.min(bytes, this.#heldBytes);
    this.#host.heldBytes -= released;
    this.#heldBytes -= released;
  }

  /* The connection's side. */

  /**
   * Takes the payload of a DATA frame; `frameBytes` counts its padding, too.
   * @throws Http2Error of the stream when a rule was broken.
   */
  receive(bytes: Uint8Array, frameBytes: number, isEnd: boolean): void {
    this.#receiveWindow -= frameBytes;
    if (this.#receiveWindow < 0) {
      throw new Http2Error('FLOW_CONTROL_ERROR', 'more DATA than the window allows', this.id);
    }
    this.#receivedBytes += bytes.length;
    const { contentLength } = this.head;
    if (contentLength !== null && this.#receivedBytes > contentLength) {
      throw new Http2Error('PROTOCOL_ERROR', 'more DATA than content-length says', this.id);
    }
    if (isEnd) this.#checkLength();
    if (this.#isPaused && bytes.length > 0) {
      if (!this.hold(bytes.length)) {
        throw new Http2Error('ENHANCE_YOUR_CALM', 'too much unread', this.id);
      }
      this.#unread ??= new ByteQueue();
      this.#unread.push(bytes.slice());
      this.#credit(frameBytes - bytes.length);
    } else {
      if (!isEnd) this.#credit(frameBytes);
      if (bytes.length > 0) this.#handlers.onData(bytes);
    }
    if (isEnd) this.receiveEnd();
  }

  /** The client's side has ended. @throws Http2Error of the stream when it was too short. */
  receiveEnd(): void {
    if (this.#isClosed) return;
    this.#checkLength();
    this.#remoteEnded = true;
    if (this.#localEnded && this.#trailers === null) this.#close(false);
    else if (this.#isPaused) this.#isEndUnread = true;
    else this.#handlers.onEnd();
  }

  /** The client has reset the stream, or the connection is gone. */
  receiveReset(): void {
    this.#close(false);
  }

  receiveStopping(): void {
    this.#handlers.onStopping();
  }

  buffer(bytes: Uint8Array): void {
    this.#buffered ??= new ByteQueue();
    this.#buffered.push(bytes);
  }

  takeBuffered(bytesMax: number): Uint8Array | null {
    return this.#buffered?.take(bytesMax) ?? null;
  }

  onBufferEmpty(): void {
    if (this.#trailers === null) {
      this.#handlers.onDrain();
      return;
    }
    const list = this.#trailers;
    this.#trailers = null;
    this.#sendEnd(list);
  }

  #checkLength(): void {
    const { contentLength } = this.head;
    if (contentLength !== null && this.#receivedBytes !== contentLength) {
      throw new Http2Error('PROTOCOL_ERROR', 'less DATA than content-length says', this.id);
    }
  }

  /** Gives the client new window once half of it is used up. */
  #credit(bytes: number): void {
    this.#uncreditedBytes += bytes;
    if (this.#remoteEnded || this.#isClosed) return;
    if (this.#uncreditedBytes * 2 < this.#host.limits.streamWindowBytes) return;
    this.#host.sender.windowUpdate(this.id, this.#uncreditedBytes);
    this.#receiveWindow += this.#uncreditedBytes;
    this.#uncreditedBytes = 0;
  }

  #sendEnd(list: HeaderList): void {
    this.#host.sender.headers(this.id, list, true);
    if (this.#remoteEnded) {
      this.#close(false);
      return;
    }
    // What the client still sends is thrown away, for a while (section 8.1).
    this.#handlers.onClosed();
    this.#handlers = NO_HANDLERS;
    this.#isPaused = false;
    this.#dropUnread();
    const { clock, limits } = this.#host;
    this.#linger = clock.setTimer(limits.lingerMs, () => this.reset('NO_ERROR'));
  }

  #close(wasReset: boolean): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#localEnded = true;
    this.#linger?.cancel();
    this.#host.sender.forget(this);
    this.#buffered = null;
    this.#dropUnread();
    const handlers = this.#handlers;
    this.#handlers = NO_HANDLERS;
    this.#host.remove(this, wasReset);
    handlers.onClosed();
  }

  #dropUnread(): void {
    this.#unread = null;
    this.release(this.#heldBytes);
  }
}
