/** A member's identity: 64 opaque bits, given by the cluster's configuration, never 0. */
export type MemberId = bigint;

/** What a member is doing in its term. Raft §5.1; `preCandidate` is PreVote, thesis §9.6. */
export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader';

/** Commands of the state machine: bytes that Raft does not look into. */
export interface CommandEntry {
  readonly kind: 'command';
  /** Position in the log; the first entry ever has 1. */
  readonly index: number;
  /** Term of the leader that created the entry. */
  readonly term: number;
  readonly data: Uint8Array;
}

/** A new leader's first entry: commits what earlier terms left behind. Raft §5.4.2, §8. */
export interface EmptyEntry {
  readonly kind: 'empty';
  readonly index: number;
  readonly term: number;
}

/** A change of the cluster's configuration; in force as soon as it is in the log. Raft §6. */
export interface ConfChangeEntry {
  readonly kind: 'confChange';
  readonly index: number;
  readonly term: number;
  readonly change: ConfChange;
}

/** One position of the replicated log. */
export type Entry = CommandEntry | EmptyEntry | ConfChangeEntry;

/** One step of a configuration change. */
export interface MemberChange {
  readonly action: 'addVoter' | 'addLearner' | 'remove';
  readonly memberId: MemberId;
}

/**
 * A configuration change.
 * - `simple`: at most one voter differs; takes effect in one step (thesis §4.1).
 * - `enterJoint`: any difference; the joint configuration follows, and the leader leaves it by
 *   itself once it is committed if `autoLeave`, otherwise when `leaveJoint` is proposed (Raft §6).
 * - `leaveJoint`: from the joint configuration to the new one.
 */
export type ConfChange =
  | { readonly type: 'simple'; readonly change: MemberChange; readonly context: Uint8Array }
  | {
      readonly type: 'enterJoint';
      readonly changes: readonly MemberChange[];
      readonly autoLeave: boolean;
      readonly context: Uint8Array;
    }
  | { readonly type: 'leaveJoint'; readonly context: Uint8Array };

/** Who votes and who listens. All lists are sorted ascending and free of duplicates. */
export interface ConfState {
  /** Voters; in a joint configuration those of the new one. */
  readonly voters: readonly MemberId[];
  /** Voters of the old configuration while joint; empty otherwise. */
  readonly outgoingVoters: readonly MemberId[];
  /** Members that get the log and do not vote. */
  readonly learners: readonly MemberId[];
  /** Outgoing voters that become learners when the joint configuration is left. */
  readonly learnersNext: readonly MemberId[];
  /** While joint: the leader leaves by itself. */
  readonly autoLeave: boolean;
}

/** What must survive a restart besides the entries. Raft, Fig. 2 "Persistent state". */
export interface HardState {
  /** Latest term this member has seen; never decreases. */
  readonly term: number;
  /** Whom it voted for in `term`; null for nobody. */
  readonly vote: MemberId | null;
  /** Highest index known committed; may lag behind, never decreases. */
  readonly commitIndex: number;
}

/** What a snapshot stands for; the state itself travels outside the core. Raft §7. */
export interface SnapshotMeta {
  /** Last index the snapshot contains. */
  readonly index: number;
  /** Term of that entry. */
  readonly term: number;
  /** Configuration in force at `index`. */
  readonly confState: ConfState;
}
