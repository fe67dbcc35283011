/**
 * The client library. A `Clerk` talks to a cluster over one stream to its leader and promises that
 * every command is executed exactly once, in the order of the calls.
 *
 *   Clerk        text and bytes in, plain results out            clerk.ts request.ts result.ts
 *   ClerkCore    deadlines, signals, closing                     core.ts call.ts
 *   ClientSession, Reads   what to ask, and what answers mean    session.ts window.ts reads.ts
 *   Link         the one connection: whom to ask, when to move   link.ts roster.ts
 *   Watch        a place in the history                          watch.ts
 *   Leases, Lease   by id; held and kept alive                   lease.ts
 *   Lock, Leadership   a queue of keys on leases, as etcd's      lock.ts election.ts candidacy.ts
 *   fetchSnapshot   a member's whole state as a stream           snapshot.ts
 *   ClerkChannel an Execute stream: gRPC, or a virtual network   channel.ts grpc-channel.ts
 *
 * A command takes the session's next seq when it is first sent, and is sent again under that seq,
 * in order, until its end is known. A caller may stop waiting before that (deadline, signal); the
 * error then says whether the command can have run, and a `skip` takes its place, so that it
 * either has run or never will, and the commands behind it go on.
 */
export {
  type ErrorCode,
  KvError,
  type LeaderHint,
  type MemberStatus,
  type Outcome,
} from '../api/index.ts';
export type { ChannelFactory, ChannelHandlers, ClerkChannel, PendingStatus } from './channel.ts';
export {
  Clerk,
  createClerk,
  type Format,
  type PrevOptions,
  type ReadOptions,
  type WriteOptions,
} from './clerk.ts';
export type { CallOptions, ClerkIo } from './core.ts';
export type { ClerkTls } from './dial.ts';
export type { ElectOptions, Leadership, ObserveOptions } from './election.ts';
export { type Endpoint, endpointText, parseEndpoint } from './endpoint.ts';
export { grpcChannels } from './grpc-channel.ts';
export type {
  GrantOptions,
  GrantOutcome,
  Lease,
  LeaseStatus,
  Leases,
  RevokeOutcome,
} from './lease.ts';
export type { Lock, LockOptions } from './lock.ts';
export type { OpenedSession } from './opening.ts';
export type { ClerkOptions } from './options.ts';
export type { Condition, OnLease, RangeOptions, Span, Step, TxnRequest } from './request.ts';
export type {
  AppendOutcome,
  CommandOutcome,
  CompactOutcome,
  DeleteOutcome,
  Entry,
  PutOutcome,
  RangeOutcome,
  Resolution,
  StepOutcome,
  TxnOutcome,
} from './result.ts';
export { type FetchSnapshotOptions, fetchSnapshot, type SnapshotChunk } from './snapshot.ts';
export type { As, Bytes, Out } from './text.ts';
export type { Watch, WatchBatch, WatchEvent, WatchOptions } from './watch.ts';
