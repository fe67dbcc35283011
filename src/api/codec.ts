/*
 * The encoding of quorate.v1 (`proto/quorate/v1/quorate.proto`), hand-written: one pair of
 * functions for each message, canonical output, bounds-checked input. Pure; why it is our own and
 * what it costs: docs/decisions/0001-own-protobuf-codec.md.
 */
export {
  decodeAnswer,
  encodeAnswer,
  encodeCloseSessionResult,
  encodeOpenSessionResult,
  encodeResolveResult,
} from './codec/answer.ts';
export {
  decodeCloseSession,
  decodeCommand,
  decodeOpenSession,
  encodeCommand,
} from './codec/command.ts';
export {
  decodeExecuteReply,
  decodeExecuteRequests,
  type ExecuteReply,
  type ExecuteRequest,
  encodeExecuteReplies,
  encodeExecuteRequests,
  encodeHello,
  type Hello,
  type IdentifiedAnswer,
  REPLY_OVERHEAD_BYTES_MAX,
} from './codec/execute.ts';
export { decodeResolve } from './codec/query.ts';
export {
  decodeSnapshotChunk,
  decodeSnapshotRequest,
  encodeSnapshotChunk,
  encodeSnapshotRequest,
  type SnapshotChunk,
  type SnapshotRequest,
} from './codec/snapshot.ts';
export { decodeStatus, encodeStatus } from './codec/status.ts';
