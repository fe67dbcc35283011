import type { ConfState, Entry, HardState, MemberId, SnapshotMeta } from './types.ts';

/** What a core starts from: a new member's first configuration, or what its log recovered. */
export interface RaftOptions {
  readonly id: MemberId;
  /** Configuration at `snapshot.index` (or at index 0 without a snapshot). */
  readonly confState: ConfState;
  /** Recovered hard state; null on the first start. */
  readonly hardState: HardState | null;
  /** The snapshot the state machine starts from; null for none. */
  readonly snapshot: SnapshotMeta | null;
  /** Recovered entries that follow the snapshot, without a gap; all durable. */
  readonly entries: readonly Entry[];
  /** Highest index the state machine has applied; ≥ snapshot index, ≤ hardState.commitIndex. */
  readonly applied: number;
  /** Uniform integers 0 … 2^32 − 1: for election timeouts, and for nothing else. */
  readonly random: { uint32(): number };
  /** Ticks without a leader before a campaign; drawn from [this, 2 × this). */
  readonly electionTimeoutTicks: number;
  /** Ticks between a leader's heartbeats; < electionTimeoutTicks. */
  readonly heartbeatTicks: number;
  readonly limits: RaftLimits;
}

/** Bounds of the core. */
export interface RaftLimits {
  /** Entry bytes in one AppendEntries (always at least one entry). */
  readonly appendBytesMax: number;
  /** AppendEntries on their way to one follower. */
  readonly inflightAppendsMax: number;
  /** Entry bytes on their way to one follower. */
  readonly inflightBytesMax: number;
  /** Entry bytes of the leader's own term that are not yet committed; beyond it proposals are refused. */
  readonly uncommittedBytesMax: number;
  /** Entry bytes handed out in one Ready's committedEntries (always at least one entry). */
  readonly applyBytesMax: number;
}

/** Defaults; a replica may lower them. */
export const RAFT_LIMITS: RaftLimits = {
  appendBytesMax: 1024 * 1024,
  inflightAppendsMax: 256,
  inflightBytesMax: 32 * 1024 * 1024,
  uncommittedBytesMax: 256 * 1024 * 1024,
  applyBytesMax: 16 * 1024 * 1024,
};
