import http2 from 'node:http2';
import { API_LIMITS, KvError } from '../api/index.ts';
import type { Clock, Timer } from '../io/index.ts';
import type { Dial, Dialled } from './dial.ts';
import { type Endpoint, endpointText } from './endpoint.ts';
import { FrameError, FrameReader, frameOf } from './grpc-frames.ts';
import { CLERK_LIMITS } from './limits.ts';

/** Room above the agreed size: message framing of the server. */
const MESSAGE_BYTES_MAX = 2 * API_LIMITS.streamMessageBytesMax;
const UNIMPLEMENTED = '12';

/** What a call tells its owner; never from inside the constructor or a method. */
export interface GrpcHandlers {
  onMessage(message: Uint8Array): void;
  /** It is over, once: null after status OK. */
  onEnd(error: KvError | null): void;
}

/** The outside world of a call. */
export interface GrpcIo {
  readonly clock: Clock;
  readonly dial: Dial;
}

/**
 * One gRPC call on an HTTP/2 connection of its own, so that no other traffic queues in front of it.
 * Notices a dead connection by PING also while nothing is asked.
 */
export class GrpcCall {
  readonly #place: string;
  readonly #clock: Clock;
  readonly #handlers: GrpcHandlers;
  readonly #dialled: Dialled;
  readonly #session: http2.ClientHttp2Session;
  readonly #stream: http2.ClientHttp2Stream;
  readonly #frames = new FrameReader(MESSAGE_BYTES_MAX);
  #pingTimer: Timer;
  /** The other side speaks HTTP/2: its settings have come. */
  #isGreeted = false;
  #isAnswering = false;
  #isOver = false;

  constructor(endpoint: Endpoint, path: string, { clock, dial }: GrpcIo, handlers: GrpcHandlers) {
    this.#place = endpointText(endpoint);
    this.#clock = clock;
    this.#handlers = handlers;
    this.#dialled = dial(endpoint);
    this.#session = http2.connect(originOf(this.#place), {
      createConnection: () => this.#dialled.socket,
      settings: { enablePush: false, initialWindowSize: CLERK_LIMITS.receiveWindowBytes },
    });
    this.#session.on('connect', () => {
      this.#session.setLocalWindowSize(CLERK_LIMITS.receiveWindowBytes);
    });
    this.#session.on('remoteSettings', () => {
      this.#isGreeted = true;
    });
    this.#session.on('error', (error) => this.#lost(describe(error), error));
    this.#session.on('close', () => this.#lost('the connection was closed'));
    this.#stream = this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
    });
    this.#stream.on('response', (headers) => this.#onResponse(headers));
    this.#stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    this.#stream.on('trailers', (trailers) => this.#onStatus(trailers));
    this.#stream.on('error', (error) => this.#lost(describe(error), error));
    this.#stream.on('close', () => this.#lost('the stream was closed'));
    this.#pingTimer = this.#pingLater();
  }

  send(message: Uint8Array): void {
    if (!this.#isOver && this.#stream.writable) this.#stream.write(frameOf(message));
  }

  /** No `onMessage` until `resume`, but for what has come; the server can fill a window more. */
  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  /** Nothing more will be sent. */
  endSending(): void {
    this.#stream.end();
  }

  /** Ends the call and its connection at once; no handler is called any more. Twice is safe. */
  close(): void {
    this.#isOver = true;
    this.#pingTimer.cancel();
    this.#session.destroy();
    this.#dialled.socket.destroy();
  }

  #onResponse(headers: http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader): void {
    const status = headers[':status'];
    const type = headers['content-type'] ?? 'nothing';
    if (status !== 200 || !type.startsWith('application/grpc')) {
      this.#bad(`answered with HTTP status ${status} and ${type}, not with gRPC`);
      return;
    }
    this.#isAnswering = true;
    // A refusal may come in the first and only headers (Trailers-Only).
    if (headers['grpc-status'] !== undefined) this.#onStatus(headers);
  }

  #onData(chunk: Uint8Array): void {
    try {
      for (const message of this.#frames.push(chunk)) {
        if (this.#isOver) return;
        this.#handlers.onMessage(message);
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#bad(`sent ${error.message}`, error);
    }
  }

  #onStatus(headers: http2.IncomingHttpHeaders): void {
    const status = String(headers['grpc-status'] ?? 'missing');
    if (status === '0') {
      if (this.#frames.isInside) this.#bad('ended the stream inside a message');
      else this.#end(null);
      return;
    }
    const said = `gRPC status ${status}: ${percentDecoded(String(headers['grpc-message'] ?? ''))}`;
    if (status === UNIMPLEMENTED) this.#bad(`does not serve Quorate: ${said}`);
    else this.#lost(said);
  }

  #bad(said: string, cause?: Error): void {
    this.#end(new KvError('BAD_PEER', `${this.#place}: ${said}`, { cause }));
  }

  #lost(said: string, cause?: Error): void {
    const code = this.#isAnswering ? 'CONNECTION_LOST' : 'UNREACHABLE';
    const why = this.#isGreeted ? said : (this.#dialled.problem(cause ?? null) ?? said);
    this.#end(new KvError(code, `${this.#place}: ${why}`, { cause }));
  }

  #end(error: KvError | null): void {
    if (this.#isOver) return;
    this.close();
    this.#handlers.onEnd(error);
  }

  #pingLater(): Timer {
    return this.#clock.setTimer(CLERK_LIMITS.pingIntervalMs, () => {
      if (this.#session.connecting || this.#session.destroyed) {
        this.#pingTimer = this.#pingLater();
        return;
      }
      this.#pingTimer = this.#clock.setTimer(CLERK_LIMITS.pingTimeoutMs, () => {
        this.#lost(`no answer to a ping within ${CLERK_LIMITS.pingTimeoutMs} ms`);
      });
      this.#session.ping((error) => {
        if (this.#isOver || error !== null) return;
        this.#pingTimer.cancel();
        this.#pingTimer = this.#pingLater();
      });
    });
  }
}

function originOf(place: string): string {
  // A zone ("fe80::1%eth0") is this machine's business and no part of an authority (RFC 6874).
  const origin = place.replace(/%[^\]]*/, '');
  return origin.startsWith('https://') ? origin : `http://${origin}`;
}

function describe(error: Error & { readonly code?: unknown }): string {
  // Node leaves the message empty when it tried several addresses of one name.
  return error.message !== '' ? error.message : String(error.code ?? error.name);
}

/** gRPC percent-encodes what is not printable ASCII; what does not decode is shown as it came. */
function percentDecoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}
