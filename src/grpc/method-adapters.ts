import type {
  GrpcCall,
  GrpcClientStreamMethod,
  GrpcServerStreamMethod,
  GrpcStream,
  GrpcStreamHandlers,
  GrpcUnaryMethod,
} from './method.ts';
import { GrpcError } from './status.ts';

/* The other kinds of methods as bidirectional streams, which they are on the wire. */

/** Where the rejections of a method go. */
type Fail = (error: unknown) => void;

/** One request, one response. */
export function unaryHandlers(
  method: GrpcUnaryMethod,
  { call, stream, fail }: { call: GrpcCall; stream: GrpcStream; fail: Fail },
): GrpcStreamHandlers {
  return singleRequest((request) => answer(method.handle(request, call), stream, fail));
}

/** Requests in, one response. */
export function clientStreamHandlers(
  method: GrpcClientStreamMethod,
  { call, stream, fail }: { call: GrpcCall; stream: GrpcStream; fail: Fail },
): GrpcStreamHandlers {
  const handlers = method.open(call, stream);
  return {
    onMessage: (message) => handlers.onMessage(message),
    onEnd: () => answer(handlers.respond(), stream, fail),
    onClosed: () => handlers.onClosed(),
    onStopping: () => handlers.onStopping(),
  };
}

/** One request in, responses out. */
export function serverStreamHandlers(
  method: GrpcServerStreamMethod,
  { call, stream }: { call: GrpcCall; stream: GrpcStream },
): GrpcStreamHandlers {
  let handlers: ReturnType<GrpcServerStreamMethod['open']> | null = null;
  let isStopping = false;
  return {
    ...singleRequest((request) => {
      handlers = method.open(request, call, stream);
      if (isStopping) handlers.onStopping();
    }),
    onDrain: () => handlers?.onDrain?.(),
    onClosed: () => handlers?.onClosed(),
    onStopping() {
      isStopping = true;
      handlers?.onStopping();
    },
  };
}

/** Takes exactly one request, and runs it when the client has ended its side. */
function singleRequest(run: (request: Uint8Array) => void): GrpcStreamHandlers {
  let request: Uint8Array | null = null;
  return {
    onMessage(message) {
      if (request !== null) throw new GrpcError('UNIMPLEMENTED', 'more than one request');
      request = message;
    },
    onEnd() {
      if (request === null) throw new GrpcError('UNIMPLEMENTED', 'no request');
      run(request);
    },
    onClosed() {},
    onStopping() {},
  };
}

function answer(promise: Promise<Uint8Array>, stream: GrpcStream, fail: Fail): void {
  promise
    .then((response) => {
      stream.send(response);
      stream.end(null);
    })
    .catch(fail);
}
