/**
 * A lean gRPC server that knows no service: methods go in as functions on bytes, sockets go in
 * after somebody has accepted them. It stands on HTTP/2 of its own, because answering a call costs
 * node:http2 fifty microseconds and this one or two:
 *
 *   call.ts      one call: headers, deadline, messages, compression, status
 *   tally.ts     what became of the calls, for metrics
 *   http2/       frames, streams, flow control, GOAWAY (RFC 9113), and every bound on a client
 *   hpack/       header compression (RFC 7541)
 *
 * A malformed or hostile client costs its own connection and nothing else; docs/HTTP2.md says how.
 */

export { parseTimeoutMs } from './headers.ts';
export { type HeaderList, headerList } from './hpack/index.ts';
export type { Http2Stream, StreamHandlers, Wire } from './http2/index.ts';
export { GRPC_LIMITS, type GrpcLimits } from './limits.ts';
export type {
  GrpcBidiMethod,
  GrpcCall,
  GrpcClientStreamHandlers,
  GrpcClientStreamMethod,
  GrpcMethod,
  GrpcReply,
  GrpcServerStreamHandlers,
  GrpcServerStreamMethod,
  GrpcStream,
  GrpcStreamHandlers,
  GrpcUnaryMethod,
} from './method.ts';
export { replyWith, unaryMethod } from './method-adapters.ts';
export { createGrpcServer, type GrpcServer, type GrpcServerOptions } from './server.ts';
export { GRPC_STATUS, GrpcError, type GrpcStatus, type GrpcTrailers } from './status.ts';
export type { MethodTally } from './tally.ts';
