import type { GrpcError } from './status.ts';

/** What a method may know about the call it serves. */
export interface GrpcCall {
  /** `/package.Service/Method`. */
  readonly path: string;
  /** The other side's address, for log lines. */
  readonly remote: string;
  /** How long the client will wait, milliseconds from the start; null when it did not say. */
  readonly timeoutMs: number | null;
  /** A request header (metadata) by its lower-case name; null when absent. */
  metadata(name: string): string | null;
  /** Aborted when the call is over: the client left, or the deadline passed. */
  readonly signal: AbortSignal;
}

/** The server's side of a bidirectional stream. */
export interface GrpcStream {
  /**
   * Sends one message; the array must not change afterwards. All sends of one turn leave together.
   * After the end of the stream it does nothing. A reader so slow that streamBufferedBytesMax is
   * reached loses its stream (RESOURCE_EXHAUSTED).
   */
  send(message: Uint8Array): void;
  /** Ends the stream: null with OK, else with the error's status. The second time does nothing. */
  end(error: GrpcError | null): void;
  /** Bytes given to `send` that have not left yet. */
  readonly bufferedBytes: number;
}

/**
 * What happens on a bidirectional stream; an exception ends it: a GrpcError with its status, any
 * other with INTERNAL.
 */
export interface GrpcStreamHandlers {
  /** One request message; may be a view of a larger buffer: copy what is kept. */
  onMessage(message: Uint8Array): void;
  /** The client sends no more; it still reads. */
  onEnd(): void;
  /** The stream is gone, for whatever reason; once, and nothing follows. */
  onClosed(): void;
  /** The server is being closed: finish soon and end the stream; it is cut after closeMs. */
  onStopping(): void;
}

/** One request, one response. */
export interface GrpcUnaryMethod {
  readonly type: 'unary';
  /** Rejects with a GrpcError for every status but OK. */
  handle(request: Uint8Array, call: GrpcCall): Promise<Uint8Array>;
}

/** Messages in both directions. */
export interface GrpcBidiMethod {
  readonly type: 'bidi';
  open(call: GrpcCall, stream: GrpcStream): GrpcStreamHandlers;
}

export type GrpcMethod = GrpcUnaryMethod | GrpcBidiMethod;
