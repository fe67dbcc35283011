import type { GrpcError } from './status.ts';

/** What a method may know about the call it serves. */
export interface GrpcCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The other side's address, for log lines. */
  readonly remote: string;
  /** How long the client will wait, milliseconds from the start; null when it did not say. */
  readonly timeoutMs: number | null;
  /** The first request header (metadata) of this lower-case name; null when absent. */
  metadata(name: string): string | null;
  /** All of them, in order. */
  metadataAll(name: string): readonly string[];
  /**
   * The values of a binary header, whose name ends in `-bin`, in order.
   * @throws GrpcError INVALID_ARGUMENT when one is not base64.
   */
  metadataBytes(name: string): readonly Uint8Array[];
  /**
   * Adds a header to the response: in front of its first message, or beside an error. The name in
   * lower case, the value printable ASCII.
   */
  setHeader(name: string, value: string): void;
  /** Aborted when the call is over: the client left, or the deadline passed. */
  readonly signal: AbortSignal;
}

/** The server's side of a stream. */
export interface GrpcStream {
  /**
   * Sends one message; the array must not change afterwards. All sends of one turn leave together.
   * After the end of the stream it does nothing. A reader so slow that streamBufferedBytesMax is
   * reached loses its stream (RESOURCE_EXHAUSTED).
   */
  send(message: Uint8Array): void;
  /** Ends the stream: null with OK, else with the error's status. The second time does nothing. */
  end(error: GrpcError | null): void;
  /** Bytes given to `send` that wait for the client to read; see `onDrain`. */
  readonly bufferedBytes: number;
  /** No `onMessage` and `onEnd` until `resume`; the client can send one more window. */
  pause(): void;
  resume(): void;
}

/**
 * What happens on a stream; an exception ends it: a GrpcError with its status, any other with
 * INTERNAL.
 */
export interface GrpcStreamHandlers {
  /** One request message; may be a view of a larger buffer: copy what is kept. */
  onMessage(message: Uint8Array): void;
  /** The client sends no more; it still reads. */
  onEnd(): void;
  /** `bufferedBytes` has come down to 0: a good time to send more. */
  onDrain?(): void;
  /** The stream is gone, for whatever reason; once, never from within a call of ours, and last. */
  onClosed(): void;
  /** The server is being closed: finish soon and end the stream; it is cut after closeMs. */
  onStopping(): void;
}

/** Where the one response of a call goes; after the first of either, nothing happens any more. */
export interface GrpcReply {
  answer(response: Uint8Array): void;
  /** A GrpcError is the call's status; any other ends it with INTERNAL. */
  fail(error: unknown): void;
}

/**
 * One request, one response. It comes by `reply` and not by a promise, since a promise and what
 * waits for it cost a busy method more than its work; `unaryMethod` makes one of an async function.
 */
export interface GrpcUnaryMethod {
  readonly type: 'unary';
  /** What it throws is as what is given to `reply.fail`. */
  handle(request: Uint8Array, call: GrpcCall, reply: GrpcReply): void;
}

/** Requests in, one response when they have ended. */
export interface GrpcClientStreamMethod {
  readonly type: 'clientStream';
  open(call: GrpcCall, stream: Pick<GrpcStream, 'pause' | 'resume'>): GrpcClientStreamHandlers;
}

export interface GrpcClientStreamHandlers
  extends Pick<GrpcStreamHandlers, 'onMessage' | 'onClosed' | 'onStopping'> {
  /** The requests have ended. Rejects with a GrpcError for every status but OK. */
  respond(): Promise<Uint8Array>;
}

/** One request in, responses until the stream is ended. */
export interface GrpcServerStreamMethod {
  readonly type: 'serverStream';
  open(request: Uint8Array, call: GrpcCall, stream: GrpcStream): GrpcServerStreamHandlers;
}

export type GrpcServerStreamHandlers = Pick<
  GrpcStreamHandlers,
  'onDrain' | 'onClosed' | 'onStopping'
>;

/** Messages in both directions. */
export interface GrpcBidiMethod {
  readonly type: 'bidi';
  open(call: GrpcCall, stream: GrpcStream): GrpcStreamHandlers;
}

export type GrpcMethod =
  | GrpcUnaryMethod
  | GrpcClientStreamMethod
  | GrpcServerStreamMethod
  | GrpcBidiMethod;
