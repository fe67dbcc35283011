import type { ConfState, Entry, HardState, MemberId, SnapshotMeta } from './types.ts';

/** What a core starts from: a new member's first configuration, or what its log recovered. */
export interface RaftOptions {
  readonly id: MemberId;
  /** Configuration at index 0; without meaning once there is a snapshot, which brings its own. */
  readonly confState: ConfState;
  /** Recovered hard state; null on the first start. */
  readonly hardState: HardState | null;
  /** The snapshot the state machine starts from; null for none. */
  readonly snapshot: SnapshotMeta | null;
  /** Recovered entries that follow the snapshot, without a gap; all durable. */
  readonly entries: readonly Entry[];
  /**
   * Highest index the state machine holds; ≥ snapshot index, ≤ last entry. It may exceed
   * hardState.commitIndex, which is written lazily: what was applied was committed.
   */
  readonly applied: number;
  /**
   * Set for a member that may have lost what it promised in terms up to this one (a damaged or
   * wiped disk). Its hard state's term must be higher. It neither votes nor campaigns until its log
   * ends in a later term: then a leader that won without it has brought back what it had
   * acknowledged (docs/decisions/0007). Default null.
   */
  readonly rejoinFloorTerm?: number | null;
  /** Uniform integers 0 … 2^32 − 1: for election timeouts and the first read round's id. */
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
  /** Uncommitted entry bytes of the leader's own term; beyond it proposals are refused. */
  readonly uncommittedBytesMax: number;
  /** Entry bytes handed out in one Ready's committedEntries (always at least one entry). */
  readonly applyBytesMax: number;
  /** Reads that wait for their index; beyond it they are answered with null at once. */
  readonly pendingReadsMax: number;
}

/** Defaults; a replica may lower them. */
export const RAFT_LIMITS: RaftLimits = {
  appendBytesMax: 1024 * 1024,
  inflightAppendsMax: 256,
  inflightBytesMax: 32 * 1024 * 1024,
  uncommittedBytesMax: 256 * 1024 * 1024,
  applyBytesMax: 16 * 1024 * 1024,
  pendingReadsMax: 64 * 1024,
};
