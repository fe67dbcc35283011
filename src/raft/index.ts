/**
 * The consensus core: Raft as a pure machine. Messages, ticks and proposals go in by verbs; one
 * `Ready` value comes out and says what to persist, send and apply, and in which order. No I/O, no
 * clock, no promise, no randomness of its own: the same calls yield the same Readies.
 *
 *   raft.ts         the verbs, and how a Ready is put together; state.ts: what a member knows
 *   step.ts         a message: its term first, then the votes, then by role
 *   election.ts     timeouts, PreVote, votes        roles.ts      who writes term, vote and role
 *   leader.ts       what a leader does              follower.ts   what a follower does
 *   replication.ts  proposals, appends, commit      progress.ts   what a leader knows of a peer
 *   membership.ts   changes as the leader sees them conf.ts       configurations as values
 *   read-index.ts   linearizable reads              transfer.ts   handing leadership over
 *   log.ts          entries and how far they came   writes.ts     what waits for the disk
 *   quorum.ts       majorities, joint or not        outbox.ts     what may leave when
 */
export {
  decodeConfState,
  decodeEntry,
  decodeHardState,
  encodeConfState,
  encodeEntry,
  encodeHardState,
  entryBytes,
} from './codec.ts';
export type * from './message.ts';
export { RAFT_LIMITS, type RaftLimits, type RaftOptions } from './options.ts';
export { Raft } from './raft.ts';
export type * from './ready.ts';
export type { ProposeRefusal, ProposeResult } from './replication.ts';
export type * from './types.ts';
