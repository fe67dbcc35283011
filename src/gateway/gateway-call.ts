import type { EtcdExchange } from '../etcd/index.ts';
import {
  type GrpcCall,
  GrpcError,
  type GrpcMethod,
  type GrpcStream,
  type GrpcStreamHandlers,
  parseTimeoutMs,
} from '../grpc/index.ts';
import type { Clock, Timer } from '../io/index.ts';
import type { HttpExchange, HttpHandlers } from './exchange.ts';
import { fromJson, toJson } from './json-codec.ts';
import { JsonSplitter } from './json-splitter.ts';
import type { GatewayLimits } from './limits.ts';
import { httpStatusOf, refusalBody, streamError, toldError } from './refusal.ts';

export interface GatewayCallParts {
  readonly exchange: HttpExchange;
  /** Of the method. */
  readonly path: string;
  readonly types: EtcdExchange;
  readonly method: GrpcMethod;
  readonly clock: Clock;
  readonly onDefect: (error: Error) => void;
  readonly limits: GatewayLimits;
}

/** Whose stream goes on when the body of the request is complete: etcd's does, too. */
const OPEN_ENDED: ReadonlySet<string> = new Set(['/etcdserverpb.Watch/Watch']);

/** What a method listens with, as far as there is a method listening. */
type Handlers = Partial<GrpcStreamHandlers>;

/**
 * One request, as the method sees it: a call and its stream. Its answer goes through
 *
 *   silent ──send──▶ streaming ──end──▶ ended
 *      └──── answer of a unary method, or a refusal ───▲
 */
export class GatewayCall implements GrpcCall, GrpcStream, HttpHandlers {
  /** By header `Grpc-Timeout`, in which the gateway of etcd looks for it too. */
  timeoutMs: number | null = null;
  readonly #parts: GatewayCallParts;
  readonly #splitter: JsonSplitter;
  #state: 'silent' | 'streaming' | 'ended' = 'silent';
  #headers: Readonly<Record<string, string>> = {};
  #handlers: Handlers = {};
  /** Requests that are here and were not taken yet. */
  readonly #waiting: string[] = [];
  #isPaused = false;
  /** The client has sent all. */
  #hasEnded = false;
  #isClosed = false;
  readonly #controller = new AbortController();
  #deadline: Timer | null = null;

  constructor(parts: GatewayCallParts) {
    this.#parts = parts;
    this.#splitter = new JsonSplitter(parts.limits.messageBytesMax);
  }

  /** Starts the clock, and lets a method begin that takes requests as they come. */
  start(): void {
    const { method, exchange, clock } = this.#parts;
    this.#guard(() => {
      this.timeoutMs = parseTimeoutMs(exchange.header('grpc-timeout'));
      if (this.timeoutMs !== null) {
        this.#deadline = clock.setTimer(this.timeoutMs, () => this.#expire());
      }
      if (method.type === 'bidi') this.#handlers = method.open(this, this);
    });
  }

  #expire(): void {
    this.end(new GrpcError('DEADLINE_EXCEEDED', 'context deadline exceeded'));
    this.#controller.abort();
  }

  // ── the call, as the method sees it ──────────────────────────────────────────────────────────

  get path(): string {
    return this.#parts.path;
  }

  get remote(): string {
    return this.#parts.exchange.remote;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** grpc-gateway has a prefix for what is to become metadata; without it is understood as well. */
  metadata(name: string): string | null {
    const { exchange } = this.#parts;
    return exchange.header(`grpc-metadata-${name}`) ?? exchange.header(name);
  }

  metadataAll(name: string): readonly string[] {
    const value = this.metadata(name);
    return value === null ? [] : [value];
  }

  metadataBytes(name: string): readonly Uint8Array[] {
    return this.metadataAll(name).map((text) => new Uint8Array(Buffer.from(text, 'base64')));
  }

  setHeader(name: string, value: string): void {
    this.#headers = { ...this.#headers, [name]: value };
  }

  // ── its stream ───────────────────────────────────────────────────────────────────────────────

  get bufferedBytes(): number {
    return this.#parts.exchange.bufferedBytes;
  }

  send(message: Uint8Array): void {
    if (this.#state === 'ended') return;
    const { exchange, types, limits } = this.#parts;
    if (this.#state === 'silent') {
      this.#state = 'streaming';
      exchange.respond(200, this.#responseHeaders());
    }
    const result = toJson(types.response, types.response.decode(message));
    exchange.write(jsonLine({ result }));
    if (exchange.bufferedBytes <= limits.unreadBytesMax) return;
    this.#state = 'ended';
    exchange.destroy();
  }

  answer(response: Uint8Array): void {
    const { response: type } = this.#parts.types;
    this.#guard(() => this.#respond(200, toJson(type, type.decode(response))));
  }

  end(error: GrpcError | null): void {
    if (this.#state === 'ended') return;
    const { exchange } = this.#parts;
    if (this.#state === 'silent' && error !== null) return this.#refuse(error);
    if (this.#state === 'silent') exchange.respond(200, this.#responseHeaders());
    else if (error !== null) exchange.write(jsonLine(streamError(error)));
    this.#state = 'ended';
    exchange.end();
  }

  pause(): void {
    this.#isPaused = true;
    this.#parts.exchange.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#guard(() => this.#deliver());
    if (!this.#isPaused) this.#parts.exchange.resume();
  }

  // ── the exchange ─────────────────────────────────────────────────────────────────────────────

  onData(bytes: Uint8Array): void {
    if (this.#state === 'ended') return;
    this.#guard(() => {
      this.#waiting.push(...this.#splitter.push(bytes));
      this.#deliver();
    });
  }

  onEnd(): void {
    if (this.#state === 'ended') return;
    this.#guard(() => {
      const rest = this.#splitter.rest();
      if (rest !== '') this.#waiting.push(rest);
      this.#hasEnded = true;
      this.#deliver();
    });
  }

  onDrain(): void {
    this.#guard(() => this.#handlers.onDrain?.());
  }

  onStopping(): void {
    this.#guard(() => this.#handlers.onStopping?.());
  }

  onClosed(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#state = 'ended';
    this.#deadline?.cancel();
    this.#controller.abort();
    this.#guard(() => this.#handlers.onClosed?.());
  }

  #deliver(): void {
    const { method, path } = this.#parts;
    if (method.type !== 'bidi') {
      if (this.#hasEnded) this.#call(method);
      return;
    }
    while (!this.#isPaused && this.#state !== 'ended') {
      const text = this.#waiting.shift();
      if (text === undefined) break;
      this.#handlers.onMessage?.(this.#encoded(text));
    }
    if (!this.#hasEnded || this.#waiting.length > 0 || OPEN_ENDED.has(path)) return;
    this.#hasEnded = false;
    this.#handlers.onEnd?.();
  }

  /** A method with one request: no body is a request without fields. */
  #call(method: Exclude<GrpcMethod, { type: 'bidi' }>): void {
    const request = this.#encoded(this.#waiting[0] ?? '{}');
    switch (method.type) {
      case 'unary':
        method.handle(request, this, this);
        return;
      case 'serverStream':
        this.#handlers = method.open(request, this, this);
        return;
      case 'clientStream':
        throw new GrpcError('UNIMPLEMENTED', 'this method takes a stream of requests');
    }
  }

  #encoded(text: string): Uint8Array {
    const { request } = this.#parts.types;
    return request.encode(fromJson(request, text) as never);
  }

  #refuse(error: GrpcError): void {
    for (const [name, value] of Object.entries(error.trailers)) {
      if (typeof value === 'string') this.setHeader(name, value);
    }
    this.#respond(httpStatusOf(error), refusalBody(error));
  }

  #respond(status: number, body: object): void {
    if (this.#state !== 'silent') return;
    this.#state = 'ended';
    const { exchange } = this.#parts;
    const bytes = Buffer.from(JSON.stringify(body));
    exchange.respond(status, {
      ...this.#responseHeaders(),
      'content-length': String(bytes.length),
    });
    exchange.write(bytes);
    exchange.end();
  }

  #responseHeaders(): Readonly<Record<string, string>> {
    return {
      'content-type': 'application/json',
      'x-content-type-options': 'nosniff',
      ...this.#headers,
    };
  }

  /** Runs code of the method, or on bytes of the client: no exception gets further than here. */
  #guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.fail(error);
    }
  }

  fail(error: unknown): void {
    const told = toldError(error);
    this.end(told ?? new GrpcError('INTERNAL', 'internal error'));
    if (told !== null) return;
    this.#parts.onDefect(error instanceof Error ? error : new Error(String(error)));
  }
}

function jsonLine(value: object): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`);
}
