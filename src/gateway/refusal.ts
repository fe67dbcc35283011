import { GRPC_STATUS, GrpcError } from '../grpc/index.ts';
import { JsonError } from './json-codec.ts';

/** HTTP status of a gRPC status, as etcd 3.4's gateway maps them (412 is 400 in later ones). */
const HTTP_STATUS: ReadonlyMap<number, number> = new Map([
  [GRPC_STATUS.OK, 200],
  [GRPC_STATUS.CANCELLED, 408],
  [GRPC_STATUS.UNKNOWN, 500],
  [GRPC_STATUS.INVALID_ARGUMENT, 400],
  [GRPC_STATUS.DEADLINE_EXCEEDED, 504],
  [GRPC_STATUS.NOT_FOUND, 404],
  [GRPC_STATUS.ALREADY_EXISTS, 409],
  [GRPC_STATUS.PERMISSION_DENIED, 403],
  [GRPC_STATUS.UNAUTHENTICATED, 401],
  [GRPC_STATUS.RESOURCE_EXHAUSTED, 429],
  [GRPC_STATUS.FAILED_PRECONDITION, 412],
  [GRPC_STATUS.ABORTED, 409],
  [GRPC_STATUS.OUT_OF_RANGE, 400],
  [GRPC_STATUS.UNIMPLEMENTED, 501],
  [GRPC_STATUS.INTERNAL, 500],
  [GRPC_STATUS.UNAVAILABLE, 503],
  [GRPC_STATUS.DATA_LOSS, 500],
]);

export function httpStatusOf({ code }: GrpcError): number {
  return HTTP_STATUS.get(code) ?? 500;
}

/** The error as the body of an answer. */
export function refusalBody({ message, code }: GrpcError): object {
  return { error: message, message, code };
}

/** The error as the last message of a stream that has begun. */
export function streamError(error: GrpcError): object {
  const status = httpStatusOf(error);
  const { code, message } = error;
  return { error: { grpc_code: code, http_code: status, message, http_status: TEXTS[status] } };
}

const TEXTS: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  408: 'Request Timeout',
  409: 'Conflict',
  412: 'Precondition Failed',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

/** What the client is told; null: a bug, and nothing of it is for the client. */
export function toldError(error: unknown): GrpcError | null {
  if (error instanceof GrpcError) return error;
  if (error instanceof JsonError) return new GrpcError('INVALID_ARGUMENT', error.message);
  return null;
}
