import type { ChangesPage, ChangesRequest } from './changes.ts';
import type { LeaderHint, Query } from './command.ts';

/** Receives an encoded `Answer` (see codec), exactly once. */
export type Reply = (answer: Uint8Array) => void;

/**
 * Says that nobody waits for the answer any more: it comes at once, a refusal, and costs nothing.
 * Too late is safe, and so is twice.
 */
export type Withdraw = () => void;

/** What a member serves to its doors (quorate.v1, etcd, HTTP): everything goes through here. */
export interface KvService {
  /**
   * Replicates and executes an encoded `Command`; its bytes are final and enter the log as they
   * are.
   * Refusals are answers too (type `error`).
   */
  execute(command: Uint8Array, reply: Reply): void;
  /**
   * Answers a query: linearizable unless it says otherwise. One for changes that says so may wait
   * for them, and is answered with a refusal when the member stops; for one that waits, a way is
   * returned to end that when its asker is gone.
   */
  read(query: Query, reply: Reply): Withdraw | undefined;
  status(): MemberStatus;
}

/** The state of one member, for who follows it: what is applied here, perhaps later elsewhere. */
export interface StateFeed {
  /** Revision of the newest change. */
  readonly revision: number;
  /** The oldest revision that can be read; 0 while nothing was compacted. */
  readonly compactRevision: number;
  /** Rows below the compact revision wait for their removal. */
  readonly compacting: boolean;
  /**
   * A page of the history; keys and values are views that live until the end of this turn.
   * @throws KvError COMPACTED.
   */
  changes(request: ChangesRequest): ChangesPage;
  /**
   * Calls `listener` whenever something was applied, also when it changed nothing; what is returned
   * ends that.
   */
  onApplied(listener: () => void): () => void;
}

/** A member of the cluster as this one knows it. */
export interface ClusterMember {
  readonly memberId: bigint;
  /** Empty while it has not been met. */
  readonly name: string;
  readonly peerUrls: readonly string[];
  /** None while it has not been met. */
  readonly clientUrls: readonly string[];
  readonly isLearner: boolean;
}

/** A member as it sees itself. */
export interface MemberStatus {
  readonly clusterId: bigint;
  readonly memberId: bigint;
  readonly name: string;
  readonly version: string;
  readonly role: 'follower' | 'preCandidate' | 'candidate' | 'leader';
  /** null while none is known. */
  readonly leader: LeaderHint | null;
  readonly term: number;
  readonly commitIndex: number;
  readonly appliedIndex: number;
  /** Revision of the newest change. */
  readonly revision: number;
  /** Hash over the whole replicated state at `appliedIndex`, hexadecimal: equal on all members. */
  readonly stateHash: string;
  /** Live sessions. */
  readonly sessions: number;
  /** Bytes of the log on disk. */
  readonly logBytes: number;
}
