import type { Entry, MemberId, SnapshotMeta } from './types.ts';

interface Envelope {
  readonly from: MemberId;
  readonly to: MemberId;
  /** The sender's term, save for `preVote`, where it is the term it would campaign in. */
  readonly term: number;
}

/** Asks for a vote in `term`. Raft §5.2, §5.4.1. */
export interface RequestVote extends Envelope {
  readonly type: 'requestVote';
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
  /** Sent because of TimeoutNow: granted even while a leader is heard. Thesis §4.2.3. */
  readonly leadershipTransfer: boolean;
}

export interface RequestVoteReply extends Envelope {
  readonly type: 'requestVoteReply';
  readonly granted: boolean;
}

/** Asks whether a vote in `term` would be granted; changes nothing at the receiver. Thesis §9.6. */
export interface PreVote extends Envelope {
  readonly type: 'preVote';
  readonly lastLogIndex: number;
  readonly lastLogTerm: number;
}

/** `term`: the asked term when granted, else the refuser's own: who is behind catches up. */
export interface PreVoteReply extends Envelope {
  readonly type: 'preVoteReply';
  readonly granted: boolean;
}

/** Replicates entries that follow (prevLogIndex, prevLogTerm); empty as a probe. Raft §5.3. */
export interface AppendEntries extends Envelope {
  readonly type: 'appendEntries';
  readonly prevLogIndex: number;
  readonly prevLogTerm: number;
  readonly entries: readonly Entry[];
  readonly leaderCommit: number;
}

/** The log matched: it is durable and equal to the leader's up to `matchIndex`. */
export interface AppendEntriesAccepted extends Envelope {
  readonly type: 'appendEntriesReply';
  readonly accepted: true;
  readonly matchIndex: number;
}

/**
 * The log did not match at `prevLogIndex`. `hintIndex` and `hintTerm` name the highest entry of the
 * follower that may still match (index ≤ prevLogIndex, term ≤ prevLogTerm): one round a term. Raft
 * §5.3, end.
 */
export interface AppendEntriesRejected extends Envelope {
  readonly type: 'appendEntriesReply';
  readonly accepted: false;
  readonly prevLogIndex: number;
  readonly hintIndex: number;
  readonly hintTerm: number;
}

export type AppendEntriesReply = AppendEntriesAccepted | AppendEntriesRejected;

/** Keeps followers quiet, carries the commit index, and confirms leadership for reads. */
export interface Heartbeat extends Envelope {
  readonly type: 'heartbeat';
  /** At most the receiver's matchIndex. */
  readonly commitIndex: number;
  /** The read attempt to confirm, fresh for each attempt; null when no read waits. Raft §8. */
  readonly readAttempt: number | null;
}

export interface HeartbeatReply extends Envelope {
  readonly type: 'heartbeatReply';
  readonly readAttempt: number | null;
}

/** The follower's next entry is no longer in the log: it needs the snapshot. Raft §7. */
export interface InstallSnapshot extends Envelope {
  readonly type: 'installSnapshot';
  readonly snapshot: SnapshotMeta;
}

/** The follower has everything up to `matchIndex` durably. */
export interface InstallSnapshotReply extends Envelope {
  readonly type: 'installSnapshotReply';
  readonly matchIndex: number;
}

/** The receiver should campaign at once. Thesis §3.10. */
export interface TimeoutNow extends Envelope {
  readonly type: 'timeoutNow';
}

/** A follower asks the leader for a read index on behalf of its clients. Thesis §6.4. */
export interface ReadIndex extends Envelope {
  readonly type: 'readIndex';
  readonly requestId: number;
}

/** `readIndex` is null when it can't be confirmed: no leader, or not in time. */
export interface ReadIndexReply extends Envelope {
  readonly type: 'readIndexReply';
  readonly requestId: number;
  readonly readIndex: number | null;
}

/** Everything that members say to each other. */
export type Message =
  | RequestVote
  | RequestVoteReply
  | PreVote
  | PreVoteReply
  | AppendEntries
  | AppendEntriesReply
  | Heartbeat
  | HeartbeatReply
  | InstallSnapshot
  | InstallSnapshotReply
  | TimeoutNow
  | ReadIndex
  | ReadIndexReply;
