import { type GrpcCall, GrpcError, type GrpcUnaryMethod } from '../grpc/index.ts';
import type { Draft, MessageType } from './codec.ts';
import { type EtcdContext, unary } from './context.ts';

/**
 * A method of locks or elections. etcd serves them through a client of its own, and what that is
 * refused with is passed on by its text: the status is UNKNOWN, whatever it was.
 */
export function queueMethod<Request, Response>(
  context: EtcdContext,
  types: { readonly request: MessageType<Request>; readonly response: MessageType<Response> },
  handle: (request: Request, call: GrpcCall) => Promise<Draft<Response>>,
): GrpcUnaryMethod {
  return unary(context, types, async (request, call) => {
    try {
      return await handle(request, call);
    } catch (cause) {
      if (!(cause instanceof GrpcError)) throw cause;
      throw new GrpcError('UNKNOWN', cause.message, { trailers: cause.trailers, cause });
    }
  });
}
