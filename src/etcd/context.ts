import {
  type Answer,
  type ClusterMember,
  encodeCommand,
  type KvService,
  type Operation,
  type Query,
  type StateFeed,
} from '../api/index.ts';
import {
  GRPC_STATUS,
  type GrpcCall,
  GrpcError,
  type GrpcMethod,
  type GrpcReply,
  type GrpcUnaryMethod,
  replyWith,
} from '../grpc/index.ts';
import type { Clock, Random } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import type { Draft, MessageType } from './codec.ts';
import type { OpenState } from './database-hash.ts';
import { etcdError, expectAnswer } from './errors.ts';
import type { EtcdLimits } from './limits.ts';
import type { ResponseHeader } from './messages/common.ts';
import { closeSession, openSession, SESSION_METADATA } from './session-open.ts';
import type { OpenDatabase } from './snapshot-file.ts';
import type { StateRows } from './state-rows.ts';

/** The member behind the services, as far as clients of etcd look at it. */
export interface EtcdMember {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  /** Raft's, now. */
  readonly term: number;
  readonly hasLeader: boolean;
  /** Takes commands at any member: one that does not lead passes them on. */
  readonly service: KvService;
  readonly feed: StateFeed;
  /** Of the state as it is in this turn; null once the member is closed. */
  rows(): StateRows | null;
  members(): readonly ClusterMember[];
  readonly openDatabase: OpenDatabase;
  /** The state as it is now, for who reads it in several turns; null once the member is closed. */
  openState(): Promise<OpenState | null>;
  /** Bytes of the state: in use, and of its file. */
  usage(): { readonly usedBytes: number; readonly fileBytes: number };
  /** The quota is reached: only what frees space is taken. */
  isOutOfSpace(): boolean;
  /** Members that have another state at the same index; they stop by themselves. */
  disagreeing(): readonly bigint[];
  /** Starts handing leadership over; false when that cannot be from here or to there. */
  transferLeadership(to: bigint): boolean;
}

/** What every service stands on. */
export interface EtcdContext {
  readonly member: EtcdMember;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: EtcdLimits;
}

/** The methods of one service, by name. */
export type Methods = Readonly<Record<string, GrpcMethod>>;

/** The head of an answer to a request that was served at `revision`. */
export function headerOf({ member }: EtcdContext, revision: number): ResponseHeader {
  const { clusterId, memberId, term } = member;
  return { cluster_id: clusterId, member_id: memberId, revision, raft_term: term };
}

/** The head of an answer about the cluster and not the store: it has no revision. */
export function clusterHeaderOf(context: EtcdContext): ResponseHeader {
  return headerOf(context, 0);
}

/** A method with one request and one response. */
export function unary<Request, Response>(
  context: EtcdContext,
  types: { readonly request: MessageType<Request>; readonly response: MessageType<Response> },
  handle: (request: Request, call: GrpcCall) => Promise<Draft<Response>>,
): GrpcUnaryMethod {
  const encode = (response: Draft<Response>): Uint8Array => types.response.encode(response);
  return encodedUnary(context, types.request, (request, call, reply) =>
    replyWith(handle(request, call).then(encode), reply),
  );
}

/**
 * The same for a handler that encodes its response. It runs for every call: no promise is made
 * here, as each of them costs several hundred bytes.
 */
export function encodedUnary<Request>(
  context: EtcdContext,
  type: MessageType<Request>,
  handle: (request: Request, call: GrpcCall, reply: GrpcReply) => void,
): GrpcUnaryMethod {
  return {
    type: 'unary',
    handle(bytes, call, reply) {
      demandLeader(context, call);
      const before = sessionsAskedFor(context, call);
      if (before === null) return handle(decoded(type, bytes), call, reply);
      before
        .then(() => handle(decoded(type, bytes), call, reply))
        .catch((error: unknown) => reply.fail(error));
    },
  };
}

/** Ends and opens the sessions that a call names beside its request; null when it names none. */
function sessionsAskedFor(context: EtcdContext, call: GrpcCall): Promise<void> | null {
  const ended = call.metadata(SESSION_METADATA.close);
  const opened = call.metadata(SESSION_METADATA.open);
  if (ended === null) return opened === null ? null : openSession(context, call, opened);
  const closed = closeSession(context, call, ended);
  return opened === null ? closed : closed.then(() => openSession(context, call, opened));
}

/**
 * The request; bytes are views of the message.
 * @throws GrpcError for bytes that are none.
 */
export function decoded<T>(type: MessageType<T>, bytes: Uint8Array): T {
  try {
    return type.decode(bytes);
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    const text = `grpc: failed to unmarshal the received message: ${cause.message}`;
    throw new GrpcError('INTERNAL', text, { cause });
  }
}

/** A client may ask for a member that knows a leader: metadata `hasleader: true`. */
export function wantsLeader(call: Pick<GrpcCall, 'metadata'>): boolean {
  return call.metadata('hasleader') === 'true';
}

export const NO_LEADER: GrpcError = etcdError('UNAVAILABLE', 'no leader');

/** @throws GrpcError when the client asked for a leader and none is known. */
export function demandLeader({ member }: EtcdContext, call: GrpcCall): void {
  if (wantsLeader(call) && !member.hasLeader) throw NO_LEADER;
}

/** The answer to an operation or a query of this type. */
export type AnswerTo<T extends Answer['type']> = Answer & { readonly type: T };

/** Executes an operation; rejects with a GrpcError when it is refused. */
export function execute<T extends Operation['type']>(
  context: EtcdContext,
  operation: Operation & { readonly type: T },
): Promise<AnswerTo<T>> {
  return new Promise((resolve, reject) => executeFor<T>(context, operation, resolve, reject));
}

/** The same by functions: `done` may throw what `refused` is to be told. */
export function executeFor<T extends Operation['type']>(
  { member }: EtcdContext,
  operation: Operation & { readonly type: T },
  done: (answer: AnswerTo<T>) => void,
  refused: (error: unknown) => void,
): void {
  const { type } = operation;
  const command = encodeCommand({ type: 'operation', session: null, operation });
  member.service.execute(command, (answer) => {
    try {
      done(expectAnswer<T>(answer, type));
    } catch (error) {
      refused(error);
    }
  });
}

/** Answers a query; rejects with a GrpcError when it is refused. */
export function ask<T extends Query['query']['type']>(
  { member }: EtcdContext,
  query: Query['query'] & { readonly type: T },
  { serializable = false }: { readonly serializable?: boolean } = {},
): Promise<AnswerTo<T>> {
  return new Promise((resolve, reject) => {
    member.service.read({ serializable, query }, (answer) => {
      try {
        resolve(expectAnswer<T>(answer, query.type));
      } catch (refusal) {
        reject(refusal);
      }
    });
  });
}

/** True when the error is that of this status. */
export function isStatus(error: unknown, status: keyof typeof GRPC_STATUS): error is GrpcError {
  return error instanceof GrpcError && error.code === GRPC_STATUS[status];
}
