import type { RaftLog } from './log.ts';
import type { RaftOptions } from './options.ts';
import type { Outbox } from './outbox.ts';
import type { Progress } from './progress.ts';
import type { ReadQueue } from './read-queue.ts';
import type { MemberId } from './types.ts';

/** Follows a leader, or waits for one. */
export interface FollowerRole {
  readonly name: 'follower';
  /** The leader of the term; null while unknown. Set at most once a term. */
  readonly leader: MemberId | null;
  /** Reads forwarded to the leader. */
  readonly reads: ReadQueue;
}

/** Asks whether a campaign would succeed, without a new term. Thesis §9.6. */
export interface PreCandidateRole {
  readonly name: 'preCandidate';
  /** Answers by voter, this member's own among them. */
  readonly votes: Map<MemberId, boolean>;
}

/** Campaigns in its term. Raft §5.2. */
export interface CandidateRole {
  readonly name: 'candidate';
  /** Answers by voter; this member's own only once it is durable. */
  readonly votes: Map<MemberId, boolean>;
  /** The Ready that carries this member's own vote; null before it was taken. */
  voteSequence: number | null;
}

/** Hands leadership to somebody. Thesis §3.10. */
export interface Transfer {
  readonly to: MemberId;
  readonly startedTick: number;
}

/** Leads its term. What it knows lasts as long as the leadership. */
export interface LeaderRole {
  readonly name: 'leader';
  /** Everybody else who gets the log, ascending by id (written by membership.ts). */
  peers: ReadonlyMap<MemberId, Progress>;
  /** Removed members get the log until this tick, to learn of it; null when none waits. */
  peersLeaveTick: number | null;
  /** Proposals are refused while set (written by transfer.ts). */
  transfer: Transfer | null;
  /** Index of the term's first entry: what is committed before it was not proposed here. */
  readonly termStartIndex: number;
  /** Bytes of this term's entries that are not committed yet (written by replication.ts). */
  uncommittedBytes: number;
  /** Tick of the last heartbeats to everybody (written by leader.ts). */
  heartbeatTick: number;
  /** Reads to be confirmed, of this member and of others. */
  readonly reads: ReadQueue;
}

/** What the member is in its term, with just what that role needs. */
export type RoleState = FollowerRole | PreCandidateRole | CandidateRole | LeaderRole;

/** The part of the options that stays of use after the start. */
export type Settings = Pick<
  RaftOptions,
  'random' | 'electionTimeoutTicks' | 'heartbeatTicks' | 'limits'
> & { readonly rejoinFloorTerm: number | null };

/**
 * What one member knows. The fields are read-only for everybody but their one writer, which
 * declares `Writable<State>`: roles.ts for term, vote, role and timer, read-index.ts for the round,
 * raft.ts for the tick.
 */
export interface State {
  readonly id: MemberId;
  readonly settings: Settings;
  readonly log: RaftLog;
  readonly outbox: Outbox;
  /** Latest term this member has seen; never decreases. */
  readonly term: number;
  /** Whom it voted for in `term`; null for nobody. Within a term it is set once. */
  readonly vote: MemberId | null;
  readonly role: RoleState;
  /** Ticks since this incarnation started: its only clock. */
  readonly tick: number;
  /** Tick since which nothing has put an election off. */
  readonly timerTick: number;
  /** An election is due so many ticks after `timerTick`; in [T, 2T), redrawn for each campaign. */
  readonly timeoutTicks: number;
  /** Id of the last read round. Ascending from a random start: incarnations must not meet. */
  readonly readRound: number;
}

/** The writer's view. */
export type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** The leader of the current term as far as known. */
export function leaderOf(state: State): MemberId | null {
  switch (state.role.name) {
    case 'follower':
      return state.role.leader;
    case 'leader':
      return state.id;
    default:
      return null;
  }
}

/** The start of every message in this member's own term. */
export function envelope(
  state: State,
  to: MemberId,
): { from: MemberId; to: MemberId; term: number } {
  return { from: state.id, to, term: state.term };
}
