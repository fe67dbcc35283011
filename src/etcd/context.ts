import {
  type Answer,
  type ClusterMember,
  encodeCommand,
  type KvService,
  type Operation,
  type Query,
  type Reply,
  type StateFeed,
} from '../api/index.ts';
import {
  GRPC_STATUS,
  type GrpcCall,
  GrpcError,
  type GrpcMethod,
  type GrpcUnaryMethod,
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
  return {
    type: 'unary',
    async handle(bytes, call) {
      demandLeader(context, call);
      const ended = call.metadata(SESSION_METADATA.close);
      if (ended !== null) await closeSession(context, call, ended);
      const session = call.metadata(SESSION_METADATA.open);
      if (session !== null) await openSession(context, call, session);
      return types.response.encode(await handle(decoded(types.request, bytes), call));
    },
  };
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

/** Executes an operation; rejects with a GrpcError when it is refused. */
export function execute<T extends Operation['type']>(
  { member }: EtcdContext,
  operation: Operation & { readonly type: T },
): Promise<Answer & { readonly type: T }> {
  const command = encodeCommand({ type: 'operation', session: null, operation });
  return answered(operation.type, (reply) => member.service.execute(command, reply));
}

/** Answers a query; rejects with a GrpcError when it is refused. */
export function ask<T extends Query['query']['type']>(
  { member }: EtcdContext,
  query: Query['query'] & { readonly type: T },
  { serializable = false }: { readonly serializable?: boolean } = {},
): Promise<Answer & { readonly type: T }> {
  return answered(query.type, (reply) => member.service.read({ serializable, query }, reply));
}

/** One promise for what `begin` is answered: these are made for every call. */
function answered<T extends Answer['type']>(
  type: T,
  begin: (reply: Reply) => void,
): Promise<Answer & { readonly type: T }> {
  return new Promise((resolve, reject) => {
    begin((answer) => {
      try {
        resolve(expectAnswer(answer, type));
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
