import { assert } from '../lib/index.ts';
import { campaign, countOwnVote, noteVoteHandedOut, tickElection } from './election.ts';
import { settle, tickLeader } from './leader.ts';
import { RaftLog } from './log.ts';
import { proposeConfChange } from './membership.ts';
import type { Message } from './message.ts';
import type { RaftOptions } from './options.ts';
import { Outbox } from './outbox.ts';
import { askRead, expireReads, startReadRound, wantsReadRound } from './read-index.ts';
import { ReadQueue } from './read-queue.ts';
import type { Ready, SoftState } from './ready.ts';
import { type ProposeResult, proposeCommand, sendAppends, wantsAppends } from './replication.ts';
import { becomeFollower, drawTimeoutTicks, hastenElection } from './roles.ts';
import { leaderOf, type State, type Writable } from './state.ts';
import { step } from './step.ts';
import { startTransfer } from './transfer.ts';
import type { ConfChange, ConfState, HardState, MemberId, Role } from './types.ts';

/** Distance of two incarnations' read rounds: a late answer must not meet a namesake. */
const READ_ROUNDS_PER_INCARNATION = 2 ** 20;

/** One member's consensus core: verbs in, `Ready` out. See index.ts for the story. */
export class Raft {
  readonly id: MemberId;
  readonly #state: Writable<State>;
  /** What the last Ready said. */
  #softState: SoftState = { role: 'follower', leader: null };
  #hardState: HardState;

  /** @throws InvariantViolation when what was recovered contradicts itself. */
  constructor(options: RaftOptions) {
    const { id, random, electionTimeoutTicks, heartbeatTicks, limits, hardState } = options;
    const { rejoinFloorTerm = null } = options;
    assert(id > 0n, 'a member id is positive', { id });
    const oftenEnough = heartbeatTicks >= 1 && heartbeatTicks < electionTimeoutTicks;
    assert(oftenEnough, 'heartbeats are too rare', { heartbeatTicks, electionTimeoutTicks });
    this.id = id;
    this.#state = {
      id,
      settings: { random, electionTimeoutTicks, heartbeatTicks, limits, rejoinFloorTerm },
      log: openLog(options),
      outbox: new Outbox(),
      term: hardState?.term ?? 0,
      vote: hardState?.vote ?? null,
      role: { name: 'follower', leader: null, reads: new ReadQueue() },
      tick: 0,
      timerTick: 0,
      timeoutTicks: drawTimeoutTicks({ random, electionTimeoutTicks }),
      readRound: random.uint32() * READ_ROUNDS_PER_INCARNATION,
    };
    const { term, log } = this.#state;
    assert(log.lastTerm <= term, 'the log is ahead of the term', { lastTerm: log.lastTerm, term });
    assert(rejoinFloorTerm === null || term > rejoinFloorTerm, 'back in a term that was lost');
    this.#hardState = this.#currentHardState();
  }

  get term(): number {
    return this.#state.term;
  }

  get role(): Role {
    return this.#state.role.name;
  }

  /** The leader of the current term as far as known; itself when it leads. */
  get leader(): MemberId | null {
    return leaderOf(this.#state);
  }

  /** Highest index known committed; never decreases. */
  get commitIndex(): number {
    return this.#state.log.commitIndex;
  }

  get lastIndex(): number {
    return this.#state.log.lastIndex;
  }

  /** Index of the first entry that is not compacted; lastIndex + 1 when all are. */
  get firstIndex(): number {
    return this.#state.log.firstIndex;
  }

  /** Size of the entries in memory, in bytes. */
  get logBytes(): number {
    return this.#state.log.bytes;
  }

  /** The configuration in force: that of the last change in the log, committed or not. */
  get confState(): ConfState {
    return this.#state.log.conf;
  }

  /** Highest index known durable here. */
  get durableIndex(): number {
    return this.#state.log.durableIndex;
  }

  /** Handles a peer's message. Never throws on a legal one, however late or often it comes. */
  step(message: Message): void {
    step(this.#state, message);
  }

  /** One unit of time has passed. */
  tick(): void {
    const state = this.#state;
    state.tick++;
    if (state.role.name === 'leader') return tickLeader(state, state.role);
    if (state.role.name === 'follower') expireReads(state, state.role.reads);
    tickElection(state);
  }

  /** Appends a command to the leader's log, for the next Ready. `data` must not change after. */
  propose(data: Uint8Array): ProposeResult {
    const { role } = this.#state;
    if (role.name !== 'leader') return { accepted: false, reason: 'notLeader' };
    return proposeCommand(this.#state, role, data);
  }

  /** Appends a configuration change, in force at once; one at a time. */
  proposeConfChange(change: ConfChange): ProposeResult {
    const { role } = this.#state;
    if (role.name !== 'leader') return { accepted: false, reason: 'notLeader' };
    return proposeConfChange(this.#state, role, change);
  }

  /** Asks for a linearizable read point; a ReadState with this id follows, exactly once. */
  readIndex(requestId: number): void {
    askRead(this.#state, requestId);
  }

  /** Hands leadership to a voter; false when impossible (not leader, unknown, learner, itself). */
  transferLeadership(to: MemberId): boolean {
    const { role } = this.#state;
    return role.name === 'leader' && startTransfer(this.#state, role, to);
  }

  /** Campaigns now if it may (operator's wish, tests). */
  campaign(): void {
    campaign(this.#state);
  }

  /** Stops leading: for who can't do the work (a stalled disk). Others will campaign. */
  stepDown(): void {
    const state = this.#state;
    if (state.role.name === 'leader') becomeFollower(state, { term: state.term, leader: null });
  }

  /** True when `ready()` would bring something. Cheap: look as often as you like. */
  hasReady(): boolean {
    const { log, outbox, role } = this.#state;
    return (
      !outbox.isEmpty ||
      log.hasUnwritten ||
      log.hasApplicable ||
      this.#hardStateNews() !== null ||
      this.#softStateNews() !== null ||
      wantsReadRound(this.#state) ||
      (role.name === 'leader' && wantsAppends(this.#state, role))
    );
  }

  /** Everything to do that no earlier Ready carried; see `Ready` for the order. */
  ready(): Ready {
    const state = this.#state;
    const { log, role, settings } = state;
    startReadRound(state);
    if (role.name === 'leader') sendAppends(state, role);
    const { sequence, snapshot, entries } = log.takeUnwritten();
    noteVoteHandedOut(state, sequence);
    const softState = this.#softStateNews();
    const hardState = this.#hardStateNews();
    const promised = hardState !== null && !equalPromises(hardState, this.#hardState);
    this.#softState = softState ?? this.#softState;
    this.#hardState = hardState ?? this.#hardState;
    return {
      sequence,
      softState,
      hardState,
      mustSync: promised || entries.length > 0 || snapshot !== null,
      entries,
      snapshot,
      committedEntries: log.takeApplicable(settings.limits.applyBytesMax),
      ...state.outbox.take(),
    };
  }

  /** All Readies up to and including this one are durable. */
  appended({ sequence }: Ready): void {
    const state = this.#state;
    state.log.confirmWritten(sequence);
    countOwnVote(state, sequence);
    if (state.role.name === 'leader') settle(state, state.role);
  }

  /** The state machine has applied everything up to `index`. */
  applied(index: number): void {
    this.#state.log.appliedTo(index);
  }

  /** The lowest index behind which at most `bytesMax` of entries are left. */
  tailAfter(bytesMax: number): number {
    return this.#state.log.tailAfter(bytesMax);
  }

  /** Lowest matchIndex of the peers that answer and get the log; null: nobody, or not leader. */
  get neededIndex(): number | null {
    const { role, tick, settings } = this.#state;
    if (role.name !== 'leader') return null;
    const fed = [...role.peers.values()].filter(
      (peer) => peer.state !== 'snapshot' && tick - peer.heardTick < settings.electionTimeoutTicks,
    );
    return fed.length === 0 ? null : Math.min(...fed.map((peer) => peer.matchIndex));
  }

  /** The configuration in force for the log that ends at `index`, which is not compacted. */
  confAt(index: number): ConfState {
    return this.#state.log.confAt(index);
  }

  /** Forgets entries up to an applied index, which the state machine now holds durably. */
  compact(index: number): void {
    this.#state.log.compact(index);
  }

  /**
   * The connection to this peer broke: go back to probing it, once it is heard. If it leads, do not
   * wait for its silence: campaign soon. PreVote keeps a false alarm harmless.
   */
  reportUnreachable(memberId: MemberId): void {
    if (this.role === 'follower' && this.leader === memberId) hastenElection(this.#state);
    const peer = this.#peer(memberId);
    if (peer?.state === 'replicate') peer.becomeProbe({ owesAppend: false });
  }

  /** How a snapshot's way to this peer ended; until then (or the peer's reply) nothing is sent. */
  reportSnapshot(memberId: MemberId, delivered: boolean): void {
    this.#peer(memberId)?.endSnapshot({ delivered });
  }

  #peer(memberId: MemberId) {
    const { role } = this.#state;
    return role.name === 'leader' ? role.peers.get(memberId) : undefined;
  }

  #currentHardState(): HardState {
    const { term, vote, log } = this.#state;
    return { term, vote, commitIndex: log.commitIndex };
  }

  #hardStateNews(): HardState | null {
    const { term, vote, log } = this.#state;
    const last = this.#hardState;
    const same = last.term === term && last.vote === vote && last.commitIndex === log.commitIndex;
    return same ? null : this.#currentHardState();
  }

  #softStateNews(): SoftState | null {
    const { role, leader } = this;
    return this.#softState.role === role && this.#softState.leader === leader
      ? null
      : { role, leader };
  }
}

/** What must be on disk before anybody may rely on it; a commit index may lag behind. */
function equalPromises(a: HardState, b: HardState): boolean {
  return a.term === b.term && a.vote === b.vote;
}

function openLog({ snapshot, confState, entries, hardState, applied }: RaftOptions): RaftLog {
  return new RaftLog({
    snapshot: snapshot ?? { index: 0, term: 0, confState },
    entries,
    commitIndex: hardState?.commitIndex ?? 0,
    applied,
  });
}
