import type { Clock, Log, Timer } from '../io/index.ts';
import {
  isGrpcContentType,
  metadataBytes,
  parseTimeoutMs,
  REFUSALS,
  responseHeaders,
  trailers,
  trailersOnly,
} from './headers.ts';
import type { Http2Stream, StreamHandlers } from './http2/index.ts';
import type { Inflater } from './inflater.ts';
import type { GrpcLimits } from './limits.ts';
import { MessageReader, writePrefix } from './message-reader.ts';
import type { GrpcCall, GrpcMethod, GrpcReply, GrpcStream, GrpcStreamHandlers } from './method.ts';
import { clientStreamHandlers, serverStreamHandlers, UnaryHandlers } from './method-adapters.ts';
import { GRPC_STATUS, GrpcError } from './status.ts';
import type { CallCounter, CountedMethod } from './tally.ts';

/** What all calls of a server share. */
export interface CallContext {
  readonly methods: ReadonlyMap<string, CountedMethod>;
  readonly limits: GrpcLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly inflater: Inflater;
  /** A method failed with something else than a GrpcError: a bug of ours. */
  readonly onDefect: (error: Error) => void;
}

const NO_HANDLERS: GrpcStreamHandlers = {
  onMessage() {},
  onEnd() {},
  onClosed() {},
  onStopping() {},
};

/** Filled for each message and copied at once. */
const PREFIX = new Uint8Array(5);

/**
 * One call on one HTTP/2 stream. Its response goes through
 *
 *   silent ──send──▶ responding ──end──▶ ended
 *      └──────────end (trailers only)──────▲
 *
 * and whatever the client does (reset, garbage, silence) leads to `onClosed`, once.
 */
export class ServerCall implements GrpcCall, GrpcStream, GrpcReply, StreamHandlers {
  timeoutMs: number | null = null;
  readonly #stream: Http2Stream;
  readonly #context: CallContext;
  readonly #reader: MessageReader;
  #response: 'silent' | 'responding' | 'ended' = 'silent';
  /** What the method adds to the response's headers. */
  #headers: Readonly<Record<string, string>> | null = null;
  #handlers: GrpcStreamHandlers = NO_HANDLERS;
  /** Of the method; null until it was found. */
  #counter: CallCounter | null = null;
  /** The application wants no messages now. */
  #isPaused = false;
  /** A compressed message is being inflated: those behind it wait. */
  #isInflating = false;
  #isClosed = false;
  /** Made when somebody asks for the signal. */
  #controller: AbortController | null = null;
  #deadline: Timer | null = null;

  constructor(stream: Http2Stream, context: CallContext) {
    this.#stream = stream;
    this.#context = context;
    this.#reader = new MessageReader(context.limits.messageBytesMax, stream);
  }

  get path(): string {
    return this.#stream.head.path;
  }

  get remote(): string {
    return this.#stream.remote;
  }

  /** Checks the request's headers and lets the method begin. */
  start(): void {
    const { head } = this.#stream;
    if (head.method !== 'POST') return this.#refuse(REFUSALS.methodNotAllowed);
    if (!isGrpcContentType(this.metadata('content-type'))) {
      return this.#refuse(REFUSALS.unsupportedMediaType);
    }
    try {
      const counted = this.#context.methods.get(head.path);
      if (counted === undefined) throw new GrpcError('UNIMPLEMENTED', 'unknown method');
      this.timeoutMs = parseTimeoutMs(this.metadata('grpc-timeout'));
      this.#startDeadline();
      this.#counter = counted.counter;
      this.#counter.started++;
      this.#handlers = this.#open(counted.method);
    } catch (error) {
      this.fail(error);
    }
  }

  metadata(name: string): string | null {
    for (const field of this.#stream.head.fields) if (field.name === name) return field.value;
    return null;
  }

  metadataAll(name: string): readonly string[] {
    const { fields } = this.#stream.head;
    return fields.filter((field) => field.name === name).map((field) => field.value);
  }

  metadataBytes(name: string): readonly Uint8Array[] {
    return this.metadataAll(name).flatMap(metadataBytes);
  }

  setHeader(name: string, value: string): void {
    this.#headers = { ...this.#headers, [name]: value };
  }

  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isClosed) this.#controller.abort();
    return this.#controller.signal;
  }

  get bufferedBytes(): number {
    return this.#stream.bufferedBytes;
  }

  send(message: Uint8Array): void {
    if (this.#response === 'ended' || this.#isClosed) return;
    if (this.#response === 'silent') {
      this.#response = 'responding';
      this.#stream.respond(responseHeaders(this.#headers));
    }
    writePrefix(PREFIX, message.length);
    if (this.#stream.write(PREFIX, message)) {
      if (this.#counter === null) return;
      this.#counter.sent++;
      this.#counter.sentBytes += message.length;
      return;
    }
    // The status would queue up behind what is not being read; a reset does not.
    // gRPC reads this HTTP/2 code as RESOURCE_EXHAUSTED.
    this.#conclude(GRPC_STATUS.RESOURCE_EXHAUSTED);
    this.#context.log.warn('slow reader cut off', { remote: this.remote, path: this.path });
    this.#stream.reset('ENHANCE_YOUR_CALM');
  }

  end(error: GrpcError | null): void {
    if (this.#response === 'ended') return;
    const isSilent = this.#response === 'silent';
    this.#conclude(error?.code ?? GRPC_STATUS.OK);
    this.#stream.end(isSilent ? trailersOnly(error, this.#headers) : trailers(error));
  }

  answer(response: Uint8Array): void {
    try {
      this.send(response);
      this.end(null);
    } catch (error) {
      this.fail(error);
    }
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#continue();
  }

  onData(bytes: Uint8Array): void {
    if (this.#response === 'ended') return;
    this.#reader.push(bytes);
    this.#readMessages();
  }

  onEnd(): void {
    if (this.#response === 'ended') return;
    try {
      this.#reader.end();
      this.#handlers.onEnd();
    } catch (error) {
      this.fail(error);
    }
  }

  onDrain(): void {
    this.#guard(() => this.#handlers.onDrain?.());
  }

  onStopping(): void {
    this.#guard(() => this.#handlers.onStopping());
  }

  onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#response !== 'ended') this.#conclude(GRPC_STATUS.CANCELLED);
    this.#controller?.abort();
    // Whoever has a single answer to give keeps nothing that would have to go.
    if (this.#handlers instanceof UnaryHandlers) return;
    // Not from within a call of the method's own, such as `end`.
    process.nextTick(() => {
      const handlers = this.#handlers;
      this.#handlers = NO_HANDLERS;
      this.#guard(() => handlers.onClosed());
    });
  }

  #refuse(list: (typeof REFUSALS)[keyof typeof REFUSALS]): void {
    this.#response = 'ended';
    this.#stream.end(list);
  }

  /** The response is over, with this status. */
  #conclude(code: number): void {
    this.#response = 'ended';
    this.#deadline?.cancel();
    this.#counter?.end(code);
  }

  #startDeadline(): void {
    if (this.timeoutMs === null) return;
    this.#deadline = this.#context.clock.setTimer(this.timeoutMs, () => {
      this.end(new GrpcError('DEADLINE_EXCEEDED', 'deadline exceeded'));
      this.#controller?.abort();
    });
  }

  #open(method: GrpcMethod): GrpcStreamHandlers {
    switch (method.type) {
      case 'unary':
        return new UnaryHandlers(method, this);
      case 'clientStream':
        return clientStreamHandlers(method, this);
      case 'serverStream':
        return serverStreamHandlers(method, this);
      case 'bidi':
        return method.open(this, this);
    }
  }

  #readMessages(): void {
    try {
      while (!this.#isPaused && !this.#isInflating && this.#response !== 'ended') {
        const message = this.#reader.next();
        if (message === null) return;
        if (this.#reader.isCompressed) this.#inflate(message);
        else this.#deliver(message);
      }
    } catch (error) {
      this.fail(error);
    }
  }

  /** Hands a message to the method. */
  #deliver(message: Uint8Array): void {
    if (this.#counter !== null) {
      this.#counter.received++;
      this.#counter.receivedBytes += message.length;
    }
    this.#handlers.onMessage(message);
  }

  #inflate(message: Uint8Array): void {
    if (this.metadata('grpc-encoding') !== 'gzip') {
      const isNamed = !['identity', null].includes(this.metadata('grpc-encoding'));
      if (isNamed) throw new GrpcError('UNIMPLEMENTED', 'messages may be compressed by gzip only');
      throw new GrpcError('INTERNAL', 'compressed message without grpc-encoding');
    }
    if (!this.#stream.hold(message.length)) {
      throw new GrpcError('RESOURCE_EXHAUSTED', 'too many unfinished messages on this connection');
    }
    this.#isInflating = true;
    this.#stream.pause();
    this.#context.inflater.inflate(message, (result) => {
      this.#stream.release(message.length);
      this.#isInflating = false;
      if (this.#response === 'ended') return;
      if (result instanceof GrpcError) this.end(result);
      else this.#guard(() => this.#deliver(result));
      this.#continue();
    });
  }

  /** Goes on with what has waited: first messages that are here, then what the stream holds. */
  #continue(): void {
    this.#readMessages();
    if (!this.#isPaused && !this.#isInflating) this.#stream.resume();
  }

  /** Runs code of the method: no exception gets further than here. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Ends the call with what was thrown. */
  fail(error: unknown): void {
    if (error instanceof GrpcError) {
      this.end(error);
      return;
    }
    // What went wrong inside is for our log, not for the client.
    this.end(new GrpcError('INTERNAL', 'internal error'));
    this.#context.onDefect(error instanceof Error ? error : new Error(String(error)));
  }
}
