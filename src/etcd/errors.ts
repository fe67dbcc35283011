import {
  type Answer,
  decodeAnswer,
  ERRORS,
  type ErrorCode,
  type ErrorResult,
} from '../api/index.ts';
import { GrpcError, type GrpcStatus } from '../grpc/index.ts';

/*
 * Refusals in etcd's words. Its clients know an error by its text, so texts are part of the
 * contract; what etcd has no words for says what is wrong behind the same prefix. Beside the status
 * there are two trailers that etcd does not have: which of our codes it was, whether the request
 * happened.
 */

/** An error as etcd spells it. */
export function etcdError(
  status: GrpcStatus,
  message: string,
  trailers: Readonly<Record<string, string>> = {},
): GrpcError {
  return new GrpcError(status, `etcdserver: ${message}`, { trailers });
}

/** The codes that have one text in etcd, whatever ours is. */
const TEXTS: Partial<Record<ErrorCode, readonly [GrpcStatus, string]>> = {
  NOT_LEADER: ['UNAVAILABLE', 'no leader'],
  READ_UNCONFIRMED: ['UNAVAILABLE', 'no leader'],
  LEADERSHIP_LOST: ['UNAVAILABLE', 'leader changed'],
  REQUEST_TIMEOUT: ['UNAVAILABLE', 'request timed out'],
  STOPPING: ['UNAVAILABLE', 'server stopped'],
  OVERLOADED: ['RESOURCE_EXHAUSTED', 'too many requests'],
  NO_SPACE: ['RESOURCE_EXHAUSTED', 'mvcc: database space exceeded'],
  COMPACTED: ['OUT_OF_RANGE', 'mvcc: required revision has been compacted'],
  FUTURE_REVISION: ['OUT_OF_RANGE', 'mvcc: required revision is a future revision'],
  LEASE_NOT_FOUND: ['NOT_FOUND', 'requested lease not found'],
  LEASE_EXISTS: ['FAILED_PRECONDITION', 'lease already exists'],
  LEASE_TTL_TOO_LARGE: ['OUT_OF_RANGE', 'too large lease TTL'],
  CORRUPT: ['DATA_LOSS', 'corrupt cluster'],
};

/** The status that a refusal of the store turns into. */
export function errorOf({ code, message }: Pick<ErrorResult, 'code' | 'message'>): GrpcError {
  const { outcome, grpcStatus } = ERRORS[code];
  const trailers = { 'quorate-code': code, 'quorate-outcome': outcome };
  const text = TEXTS[code];
  if (text !== undefined) return etcdError(...text, trailers);
  return new GrpcError(grpcStatus, `etcdserver: ${message}`, { trailers });
}

/**
 * The answer of that type.
 * @throws GrpcError when it is a refusal.
 */
export function expectAnswer<T extends Answer['type']>(
  bytes: Uint8Array,
  type: T,
): Answer & { readonly type: T } {
  const answer = decodeAnswer(bytes);
  if (answer.type === 'error') throw errorOf(answer);
  if (answer.type !== type) throw new Error(`the store answered ${answer.type} to ${type}`);
  return answer as Answer & { readonly type: T };
}
