/**
 * A lean gRPC server that knows no service: methods go in as functions on bytes, sockets go in
 * after somebody has accepted them. A call is checked (headers, length, limits), cut into messages
 * and ended with a status; a malformed or hostile client costs its own connection and nothing
 * else. Today it stands on node:http2; only server.ts, connection.ts and call.ts know.
 */
export { GRPC_LIMITS, type GrpcLimits } from './limits.ts';
export type {
  GrpcBidiMethod,
  GrpcCall,
  GrpcMethod,
  GrpcStream,
  GrpcStreamHandlers,
  GrpcUnaryMethod,
} from './method.ts';
export { createGrpcServer, type GrpcServer, type GrpcServerOptions } from './server.ts';
export { GRPC_STATUS, GrpcError, type GrpcStatus } from './status.ts';
