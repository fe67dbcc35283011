import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Clock, Log, Timer } from '../io/index.ts';
import { isGrpcContentType, parseTimeoutMs, statusTrailers } from './headers.ts';
import type { GrpcLimits } from './limits.ts';
import { MessageReader, messagePrefix } from './message-reader.ts';
import type {
  GrpcCall,
  GrpcMethod,
  GrpcStream,
  GrpcStreamHandlers,
  GrpcUnaryMethod,
} from './method.ts';
import { GrpcError } from './status.ts';

/** What all calls of a server share. */
export interface CallContext {
  readonly methods: ReadonlyMap<string, GrpcMethod>;
  readonly limits: GrpcLimits;
  readonly clock: Clock;
  readonly log: Log;
  /** A method failed with something else than a GrpcError: a bug of ours. */
  readonly onDefect: (error: Error) => void;
}

const RESPONSE_HEADERS = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity',
} as const;

const NO_HANDLERS: GrpcStreamHandlers = {
  onMessage() {},
  onEnd() {},
  onClosed() {},
  onStopping() {},
};

/**
 * One call on one HTTP/2 stream. Its response goes through
 *
 *   silent ──send──▶ responding ──end──▶ ended
 *      └──────────end (trailers only)──────▲
 *
 * and whatever the client does (reset, garbage, silence) leads to `onClosed`, once.
 */
export class ServerCall implements GrpcCall, GrpcStream {
  readonly path: string;
  readonly remote: string;
  timeoutMs: number | null = null;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #context: CallContext;
  #response: 'silent' | 'responding' | 'ended' = 'silent';
  #corked = false;
  #handlers: GrpcStreamHandlers = NO_HANDLERS;
  /** Made when somebody asks for the signal. */
  #controller: AbortController | null = null;
  #deadline: Timer | null = null;
  #linger: Timer | null = null;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, context: CallContext) {
    this.path = headers[':path'] ?? '';
    this.remote = `${stream.session?.socket?.remoteAddress ?? 'unknown'}`;
    this.#stream = stream;
    this.#headers = headers;
    this.#context = context;
    // Resets and protocol errors arrive here and are followed by 'close', where they are handled.
    stream.on('error', (error) => context.log.debug(`grpc stream: ${error.message}`));
    stream.on('close', () => this.#closed());
  }

  /** Checks the request's headers and lets the method begin. */
  start(): void {
    const httpStatus = this.#refusedHttpStatus();
    if (httpStatus !== null) {
      this.#stream.respond({ ':status': httpStatus }, { endStream: true });
      this.#response = 'ended';
      this.#leave();
      return;
    }
    this.#guard(() => {
      const method = this.#context.methods.get(this.path);
      if (method === undefined) throw new GrpcError('UNIMPLEMENTED', 'unknown method');
      this.timeoutMs = parseTimeoutMs(this.metadata('grpc-timeout'));
      this.#startDeadline();
      this.#handlers = method.type === 'unary' ? this.#unary(method) : method.open(this, this);
    });
    this.#read();
  }

  metadata(name: string): string | null {
    const value = this.#headers[name];
    return typeof value === 'string' ? value : (value?.[0] ?? null);
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#stream.destroyed) this.#controller.abort();
    return this.#controller.signal;
  }

  get bufferedBytes(): number {
    return this.#stream.writableLength;
  }

  send(message: Uint8Array): void {
    const stream = this.#stream;
    if (this.#response === 'ended' || stream.destroyed) return;
    if (stream.writableLength + message.length > this.#context.limits.streamBufferedBytesMax) {
      // The status would queue up behind what is not being read; a reset does not.
      // gRPC reads this HTTP/2 code as RESOURCE_EXHAUSTED.
      this.#response = 'ended';
      this.#context.log.warn('slow reader cut off', { remote: this.remote, path: this.path });
      stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      return;
    }
    if (this.#response === 'silent') {
      this.#response = 'responding';
      stream.respond(RESPONSE_HEADERS, { waitForTrailers: true });
    }
    this.#cork();
    stream.write(messagePrefix(message.length));
    stream.write(message);
  }

  end(error: GrpcError | null): void {
    const stream = this.#stream;
    if (this.#response === 'ended') return;
    const trailers = statusTrailers(error);
    const silent = this.#response === 'silent';
    this.#response = 'ended';
    if (stream.destroyed) return;
    if (silent) {
      stream.respond({ ...RESPONSE_HEADERS, ...trailers }, { endStream: true });
    } else {
      stream.once('wantTrailers', () => {
        if (!stream.destroyed) stream.sendTrailers(trailers);
      });
      stream.end();
    }
    this.#leave();
  }

  /** The server is being closed. */
  stop(): void {
    this.#guard(() => this.#handlers.onStopping());
  }

  #refusedHttpStatus(): number | null {
    if (this.#headers[':method'] !== 'POST') return constants.HTTP_STATUS_METHOD_NOT_ALLOWED;
    if (isGrpcContentType(this.metadata('content-type'))) return null;
    return constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE;
  }

  #startDeadline(): void {
    if (this.timeoutMs === null) return;
    this.#deadline = this.#context.clock.setTimer(this.timeoutMs, () => {
      this.end(new GrpcError('DEADLINE_EXCEEDED', 'deadline exceeded'));
      this.#controller?.abort();
    });
  }

  #read(): void {
    const reader = new MessageReader(this.#context.limits.messageBytesMax);
    const onMessage = (message: Uint8Array): void => {
      if (this.#response !== 'ended') this.#handlers.onMessage(message);
    };
    this.#stream.on('data', (chunk: Uint8Array) => {
      if (this.#response !== 'ended') this.#guard(() => reader.push(chunk, onMessage));
    });
    this.#stream.on('end', () => {
      // Node says 'end' of a stream that was reset, too; that is no request to be served.
      const { aborted, closed, destroyed } = this.#stream;
      if (this.#response === 'ended' || aborted || closed || destroyed) return;
      this.#guard(() => {
        reader.end();
        this.#handlers.onEnd();
      });
    });
  }

  #unary(method: GrpcUnaryMethod): GrpcStreamHandlers {
    let request: Uint8Array | null = null;
    const run = async (only: Uint8Array): Promise<void> => {
      try {
        this.send(await method.handle(only, this));
        this.end(null);
      } catch (error) {
        this.#fail(error);
      }
    };
    return {
      ...NO_HANDLERS,
      onMessage(message) {
        if (request !== null) throw new GrpcError('UNIMPLEMENTED', 'more than one request');
        request = message;
      },
      onEnd() {
        if (request === null) throw new GrpcError('UNIMPLEMENTED', 'no request');
        void run(request);
      },
    };
  }

  /** Runs code of the method: no exception gets further than here. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (error instanceof GrpcError) {
      this.end(error);
      return;
    }
    // What went wrong inside is for our log, not for the client.
    this.end(new GrpcError('INTERNAL', 'internal error'));
    this.#context.onDefect(error instanceof Error ? error : new Error(String(error)));
  }

  /** Holds back writes until the end of this turn's callbacks: one write of all of them. */
  #cork(): void {
    if (this.#corked) return;
    this.#corked = true;
    this.#stream.cork();
    process.nextTick(() => {
      this.#corked = false;
      this.#stream.uncork();
    });
  }

  /** After the response: what the client still sends is thrown away, for a while. */
  #leave(): void {
    this.#stream.resume();
    this.#linger = this.#context.clock.setTimer(this.#context.limits.lingerMs, () => {
      if (this.#stream.writableLength === 0) this.#stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  #closed(): void {
    this.#response = 'ended';
    this.#deadline?.cancel();
    this.#linger?.cancel();
    this.#controller?.abort();
    const handlers = this.#handlers;
    this.#handlers = NO_HANDLERS;
    this.#guard(() => handlers.onClosed());
  }
}
