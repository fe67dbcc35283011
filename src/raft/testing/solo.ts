import { assert, EMPTY_BYTES } from '../../lib/index.ts';
import {
  type AppendEntries,
  type AppendEntriesAccepted,
  type AppendEntriesRejected,
  type ConfChange,
  type ConfState,
  type Entry,
  type Heartbeat,
  type HeartbeatReply,
  type InstallSnapshot,
  type MemberChange,
  type MemberId,
  type Message,
  type PreVote,
  type PreVoteReply,
  RAFT_LIMITS,
  type Raft,
  type RaftLimits,
  type ReadIndex,
  type ReadState,
  type Ready,
  type RequestVote,
  type RequestVoteReply,
  type SnapshotMeta,
  type TimeoutNow,
} from '../index.ts';
import { Member, type MemberState } from './member.ts';

/** What the core under test recovers from; everything has a default. */
export interface SoloOptions {
  /** Default 1. */
  readonly id?: MemberId;
  /** Default 1, 2, 3. */
  readonly voters?: readonly MemberId[];
  readonly learners?: readonly MemberId[];
  /** Terms of the log's entries, from the snapshot's next index on. */
  readonly terms?: readonly number[];
  /** Default: the last of `terms`. */
  readonly term?: number;
  readonly vote?: MemberId | null;
  readonly commitIndex?: number;
  readonly snapshot?: SnapshotMeta | null;
  readonly limits?: Partial<RaftLimits>;
  /** Default 0: the shortest election timeout. */
  readonly random?: { uint32(): number };
  readonly heartbeatTicks?: number;
  readonly rejoinFloorTerm?: number | null;
}

/** Ticks before a lone core of `Solo` campaigns, at least; less than twice as many at most. */
export const ELECTION_TICKS = 10;

/** One core against messages that the test makes up; its peers do not exist. */
export class Solo {
  readonly member: Member;
  /** What it applied in this life. */
  readonly applied: Entry[] = [];
  readonly reads: ReadState[] = [];
  readonly readies: Ready[] = [];
  #sent: Message[] = [];

  constructor(options: SoloOptions = {}) {
    const { terms = [], snapshot = null, random = { uint32: () => 0 } } = options;
    this.member = new Member({
      id: options.id ?? 1n,
      confState: conf(options.voters ?? [1n, 2n, 3n], options.learners),
      random,
      rejoinFloorTerm: options.rejoinFloorTerm ?? null,
      electionTimeoutTicks: ELECTION_TICKS,
      heartbeatTicks: options.heartbeatTicks ?? 1,
      limits: { ...RAFT_LIMITS, ...options.limits },
      observe: (_member, observation) => {
        if (observation.type === 'sent') this.#sent.push(observation.message);
        if (observation.type === 'applied') this.applied.push(observation.entry);
        if (observation.type === 'read') this.reads.push(observation.state);
        if (observation.type === 'ready') this.readies.push(observation.ready);
      },
    });
    const { disk } = this.member;
    if (snapshot !== null) disk.log.restore(snapshot);
    disk.log.append(entries(terms, disk.log.lastIndex + 1));
    const term = options.term ?? terms.at(-1) ?? snapshot?.term ?? 0;
    const commitIndex = options.commitIndex ?? snapshot?.index ?? 0;
    const vote = options.vote ?? null;
    disk.written = term === 0 ? null : { term, vote, commitIndex };
    disk.sync();
    this.member.start();
    this.#sent = [];
  }

  get raft(): Raft {
    return this.member.raft;
  }

  get state(): MemberState {
    return this.member.state;
  }

  /** Terms of the whole log in memory. */
  get terms(): number[] {
    return this.member.log.entries.map((entry) => entry.term);
  }

  /** Calls into the core; returns what it sent because of that, in order. */
  run(action: (raft: Raft) => unknown): Message[] {
    this.member.run(action);
    return this.taken();
  }

  receive(...messages: readonly Message[]): Message[] {
    return this.run((raft) => {
      for (const message of messages) raft.step(message);
    });
  }

  tick(count = 1): Message[] {
    return this.run((raft) => {
      for (let i = 0; i < count; i++) raft.tick();
    });
  }

  propose(text = 'x'): Message[] {
    return this.run((raft) => raft.propose(new TextEncoder().encode(text)));
  }

  changeConf(change: ConfChange): Message[] {
    return this.run((raft) => raft.proposeConfChange(change));
  }

  /** A slow disk finishes its first `count` Readies (default: all). */
  sync(count?: number): Message[] {
    this.member.sync(count);
    return this.taken();
  }

  /** What was sent since this was last asked. */
  taken(): Message[] {
    const sent = this.#sent;
    this.#sent = [];
    return sent;
  }

  /** Campaigns and grants every pre-vote, so that it is a candidate; returns its RequestVotes. */
  becomeCandidate(): Message[] {
    const asked = this.run((raft) => raft.campaign());
    return this.#grantAll(asked);
  }

  /** Has it elected by all voters; returns the first AppendEntries of its term. */
  becomeLeader(): Message[] {
    const sent = this.#grantAll(this.becomeCandidate());
    assert(this.raft.role === 'leader', 'not elected', { role: this.raft.role });
    return sent;
  }

  /** Has it elected, and its first entry (and so its whole log) stored by all voters. */
  becomeSettledLeader(): void {
    this.ackAll(this.becomeLeader());
  }

  /** Answers every AppendEntries as a peer would that has all before it; and what follows. */
  ackAll(sent: readonly Message[]): void {
    let left = sent;
    for (let round = 0; round < 100 && left.length > 0; round++) {
      const acks = left.flatMap((message) => {
        if (message.type !== 'appendEntries') return [];
        const { to, term, prevLogIndex } = message;
        return [accepted({ from: to, term, matchIndex: prevLogIndex + message.entries.length })];
      });
      left = acks.length > 0 ? this.receive(...acks) : [];
    }
  }

  #grantAll(sent: readonly Message[]): Message[] {
    const replies = sent.flatMap((message): Message[] => {
      const { to: from, from: to, term } = message;
      if (message.type === 'preVote') return [preVoteReply({ from, to, term })];
      if (message.type === 'requestVote') return [requestVoteReply({ from, to, term })];
      return [];
    });
    return replies.length > 0 ? this.receive(...replies) : [];
  }
}

/** Command entries with the given terms. */
export function entries(terms: readonly number[], from = 1): Entry[] {
  return terms.map((term, i) => {
    const text = `${from + i}@${term}`;
    return { kind: 'command', index: from + i, term, data: new TextEncoder().encode(text) };
  });
}

/** A plain configuration. */
export function conf(voters: readonly MemberId[], learners: readonly MemberId[] = []): ConfState {
  return { voters, outgoingVoters: [], learners, learnersNext: [], autoLeave: false };
}

/** `simple(+4)`: one step. */
export function simple(action: MemberChange['action'], memberId: MemberId): ConfChange {
  return { type: 'simple', change: { action, memberId }, context: EMPTY_BYTES };
}

/** Only messages of one type, with that type. */
export function only<T extends Message['type']>(
  messages: readonly Message[],
  type: T,
): Extract<Message, { type: T }>[] {
  return messages.filter(
    (message): message is Extract<Message, { type: T }> => message.type === type,
  );
}

// ── messages to core 1, from peer 2 unless told otherwise ───────────────────────────────────────

type Made<M extends Message> = Partial<Omit<M, 'type'>>;

const ROUTE = { from: 2n, to: 1n, term: 1 };

export function requestVote(fields: Made<RequestVote> = {}): RequestVote {
  const log = { lastLogIndex: 0, lastLogTerm: 0, leadershipTransfer: false };
  return { type: 'requestVote', ...ROUTE, ...log, ...fields };
}

export function requestVoteReply(fields: Made<RequestVoteReply> = {}): RequestVoteReply {
  return { type: 'requestVoteReply', ...ROUTE, granted: true, ...fields };
}

export function preVote(fields: Made<PreVote> = {}): PreVote {
  return { type: 'preVote', ...ROUTE, lastLogIndex: 0, lastLogTerm: 0, ...fields };
}

export function preVoteReply(fields: Made<PreVoteReply> = {}): PreVoteReply {
  return { type: 'preVoteReply', ...ROUTE, granted: true, ...fields };
}

export function appendEntries(fields: Made<AppendEntries> = {}): AppendEntries {
  const log = { prevLogIndex: 0, prevLogTerm: 0, entries: [], leaderCommit: 0 };
  return { type: 'appendEntries', ...ROUTE, ...log, ...fields };
}

export function accepted(fields: Made<AppendEntriesAccepted> = {}): AppendEntriesAccepted {
  return { type: 'appendEntriesReply', ...ROUTE, accepted: true, matchIndex: 0, ...fields };
}

export function rejected(fields: Made<AppendEntriesRejected> = {}): AppendEntriesRejected {
  const hint = { prevLogIndex: 0, hintIndex: 0, hintTerm: 0 };
  return { type: 'appendEntriesReply', ...ROUTE, accepted: false, ...hint, ...fields };
}

export function heartbeat(fields: Made<Heartbeat> = {}): Heartbeat {
  return { type: 'heartbeat', ...ROUTE, commitIndex: 0, readAttempt: null, ...fields };
}

export function heartbeatReply(fields: Made<HeartbeatReply> = {}): HeartbeatReply {
  return { type: 'heartbeatReply', ...ROUTE, readAttempt: null, ...fields };
}

export function installSnapshot(
  snapshot: SnapshotMeta,
  fields: Made<InstallSnapshot> = {},
): InstallSnapshot {
  return { type: 'installSnapshot', ...ROUTE, snapshot, ...fields };
}

export function timeoutNow(fields: Made<TimeoutNow> = {}): TimeoutNow {
  return { type: 'timeoutNow', ...ROUTE, ...fields };
}

export function readIndex(fields: Made<ReadIndex> = {}): ReadIndex {
  return { type: 'readIndex', ...ROUTE, requestId: 1, ...fields };
}
