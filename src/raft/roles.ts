import { assert } from '../lib/index.ts';
import { failReads } from './read-index.ts';
import { ReadQueue } from './read-queue.ts';
import type { LeaderRole, RoleState, State, Writable } from './state.ts';
import type { MemberId } from './types.ts';

/*
 * The only writers of term, vote, role and election timer.
 *
 *               timeout                 pre-vote won              election won
 *   follower ────────────▶ preCandidate ────────────▶ candidate ────────────▶ leader
 *      ▲   ╲                    ▲  │                     │  │                    │
 *      │    ╲ timeoutNow        │  │                     │  │                    │
 *      │     ╲───────────────────────────────────────▶───│  │                    │
 *      │                        ╰──────── timeout ───────╯  │                    │
 *      ╰──────── higher term, a leader, poll lost ──────────┴── quorum unheard ──╯
 */

/** Follows `leader` (null while unknown) in `term`, which is new or the current one. */
export function becomeFollower(
  state: Writable<State>,
  { term, leader }: { term: number; leader: MemberId | null },
): void {
  assert(term >= state.term, 'term went back', { term, was: state.term });
  if (state.role.name === 'leader') {
    assert(leader === null || term > state.term, 'two leaders in one term', { term, leader });
    restartElectionTimer(state);
    redrawTimeout(state);
  }
  if (term > state.term) enterTerm(state, term, null);
  switchTo(state, { name: 'follower', leader, reads: new ReadQueue() });
}

/** Asks before campaigning; term and vote stay as they are. */
export function becomePreCandidate(state: Writable<State>): void {
  assert(state.role.name !== 'leader', 'a leader campaigns');
  restartElectionTimer(state);
  redrawTimeout(state);
  switchTo(state, { name: 'preCandidate', votes: new Map() });
}

/** Enters the next term and votes for itself. */
export function becomeCandidate(state: Writable<State>): void {
  assert(state.role.name !== 'leader', 'a leader campaigns');
  restartElectionTimer(state);
  redrawTimeout(state);
  enterTerm(state, state.term + 1, state.id);
  switchTo(state, { name: 'candidate', votes: new Map(), voteSequence: null });
}

/** Leads the term it won. */
export function becomeLeader(state: Writable<State>): LeaderRole {
  assert(state.role.name === 'candidate', 'leadership without a campaign', {
    role: state.role.name,
  });
  const role: LeaderRole = {
    name: 'leader',
    peers: new Map(),
    peersLeaveTick: null,
    transfer: null,
    termStartIndex: state.log.lastIndex + 1,
    uncommittedBytes: 0,
    heartbeatTick: state.tick,
    reads: new ReadQueue(),
  };
  switchTo(state, role);
  return role;
}

/** Votes for a candidate of the current term; a vote never changes within a term. Raft §5.2. */
export function voteFor(state: Writable<State>, candidate: MemberId): void {
  assert(state.vote === null || state.vote === candidate, 'second vote in a term', {
    term: state.term,
    vote: state.vote,
    candidate,
  });
  state.vote = candidate;
  restartElectionTimer(state);
}

/** The leader was heard, a vote given, a campaign begun: the next one is a timeout away. */
export function restartElectionTimer(state: Writable<State>): void {
  state.timerTick = state.tick;
}

/** The leader seems dead: forgets it; a campaign is due within half an election timeout. */
export function hastenElection(state: Writable<State>): void {
  const { random, electionTimeoutTicks } = state.settings;
  const waitTicks = 1 + Math.floor((random.uint32() / 2 ** 32) * (electionTimeoutTicks / 2));
  becomeFollower(state, { term: state.term, leader: null });
  state.timerTick = Math.min(state.timerTick, state.tick - state.timeoutTicks + waitTicks);
}

function redrawTimeout(state: Writable<State>): void {
  state.timeoutTicks = drawTimeoutTicks(state.settings);
}

/** Uniform in [T, 2T): split votes resolve because the members' timeouts differ. Raft §5.2. */
export function drawTimeoutTicks({
  random,
  electionTimeoutTicks,
}: {
  readonly random: { uint32(): number };
  readonly electionTimeoutTicks: number;
}): number {
  return electionTimeoutTicks + Math.floor((random.uint32() / 2 ** 32) * electionTimeoutTicks);
}

function enterTerm(state: Writable<State>, term: number, vote: MemberId | null): void {
  state.term = term;
  state.vote = vote;
  state.outbox.dropPromises();
}

/** Whoever was promised a read by the old role is told that it can't be confirmed. */
function switchTo(state: Writable<State>, role: RoleState): void {
  const old = state.role;
  state.role = role;
  if (old.name === 'leader' || old.name === 'follower') failReads(state, old.reads.takeAll());
}
