import type {
  GrpcCall,
  GrpcClientStreamMethod,
  GrpcReply,
  GrpcServerStreamMethod,
  GrpcStream,
  GrpcStreamHandlers,
  GrpcUnaryMethod,
} from './method.ts';
import { GrpcError } from './status.ts';

/* The other kinds of methods as bidirectional streams, which they are on the wire. */

/** A call with its stream, as all of these need it. */
interface Exchange extends GrpcCall, GrpcStream, GrpcReply {}

/**
 * A method whose response is a promise: it rejects with a GrpcError, or `handle` throws one, for
 * every status but OK.
 */
export function unaryMethod(
  handle: (request: Uint8Array, call: GrpcCall) => Promise<Uint8Array>,
): GrpcUnaryMethod {
  return {
    type: 'unary',
    handle: (request, call, reply) => replyWith(handle(request, call), reply),
  };
}

/** Replies with what the promise comes to. */
export function replyWith(response: Promise<Uint8Array>, reply: GrpcReply): void {
  response.then(
    (bytes) => reply.answer(bytes),
    (error: unknown) => reply.fail(error),
  );
}

/** One request, one response. A class without closures: there is one for every such call. */
export class UnaryHandlers implements GrpcStreamHandlers {
  readonly #method: GrpcUnaryMethod;
  readonly #exchange: Exchange;
  #request: Uint8Array | null = null;

  constructor(method: GrpcUnaryMethod, exchange: Exchange) {
    this.#method = method;
    this.#exchange = exchange;
  }

  onMessage(message: Uint8Array): void {
    this.#request = onlyRequest(this.#request, message);
  }

  onEnd(): void {
    const request = demandRequest(this.#request);
    this.#request = null;
    this.#method.handle(request, this.#exchange, this.#exchange);
  }

  onClosed(): void {}

  onStopping(): void {}
}

/** Requests in, one response. */
export function clientStreamHandlers(
  method: GrpcClientStreamMethod,
  exchange: Exchange,
): GrpcStreamHandlers {
  const handlers = method.open(exchange, exchange);
  return {
    onMessage: (message) => handlers.onMessage(message),
    onEnd: () => replyWith(handlers.respond(), exchange),
    onClosed: () => handlers.onClosed(),
    onStopping: () => handlers.onStopping(),
  };
}

/** One request in, responses out; it begins when the client has ended its side. */
export function serverStreamHandlers(
  method: GrpcServerStreamMethod,
  exchange: Exchange,
): GrpcStreamHandlers {
  let request: Uint8Array | null = null;
  let handlers: ReturnType<GrpcServerStreamMethod['open']> | null = null;
  let isStopping = false;
  return {
    onMessage(message) {
      request = onlyRequest(request, message);
    },
    onEnd() {
      handlers = method.open(demandRequest(request), exchange, exchange);
      if (isStopping) handlers.onStopping();
    },
    onDrain: () => handlers?.onDrain?.(),
    onClosed: () => handlers?.onClosed(),
    onStopping() {
      isStopping = true;
      handlers?.onStopping();
    },
  };
}

/** @throws GrpcError when there was one before. */
function onlyRequest(earlier: Uint8Array | null, message: Uint8Array): Uint8Array {
  if (earlier !== null) throw new GrpcError('UNIMPLEMENTED', 'more than one request');
  return message;
}

/** @throws GrpcError when the client ended its side without one. */
function demandRequest(request: Uint8Array | null): Uint8Array {
  if (request === null) throw new GrpcError('UNIMPLEMENTED', 'no request');
  return request;
}
