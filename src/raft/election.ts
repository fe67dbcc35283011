import { isVoter, membersOf } from './conf.ts';
import { startLeading } from './leader.ts';
import type { PreVote, PreVoteReply, RequestVote, RequestVoteReply } from './message.ts';
import { voteResult } from './quorum.ts';
import {
  becomeCandidate,
  becomeFollower,
  becomeLeader,
  becomePreCandidate,
  voteFor,
} from './roles.ts';
import {
  type CandidateRole,
  envelope,
  leaderOf,
  type PreCandidateRole,
  type State,
} from './state.ts';
import type { MemberId } from './types.ts';

/** Everybody but the leader: campaigns when nothing was heard for the drawn timeout. Raft §5.2. */
export function tickElection(state: State): void {
  if (state.tick - state.timerTick >= state.timeoutTicks) campaign(state);
}

/** Starts a campaign, with PreVote, unless this member may not lead. */
export function campaign(state: State): void {
  if (state.role.name === 'leader' || !mayCampaign(state)) return;
  becomePreCandidate(state);
  for (const voter of otherVoters(state)) {
    state.outbox.send({
      type: 'preVote',
      ...envelope(state, voter),
      term: state.term + 1,
      ...lastLog(state),
    });
  }
  countPreVote(state, state.id, true);
}

/** The leader asks this member to take over: no PreVote, for everybody still hears that leader. */
export function campaignForTransfer(state: State): void {
  if (mayCampaign(state)) startCampaign(state, true);
}

function startCampaign(state: State, leadershipTransfer: boolean): void {
  becomeCandidate(state);
  for (const voter of otherVoters(state)) {
    const request = { ...envelope(state, voter), ...lastLog(state), leadershipTransfer };
    state.outbox.send({ type: 'requestVote', ...request });
  }
}

/**
 * Only voters campaign, and not while their state machine waits for a snapshot. Who lost its vote
 * by a change that is not known to be committed counts as one: it may hold the only log that can
 * win, and then it leads until the change is committed (thesis §4.2.2). It never counts its own
 * vote.
 */
function mayCampaign(state: State): boolean {
  const { id, log } = state;
  if (log.snapshotPending || isRejoining(state)) return false;
  return isVoter(log.conf, id) || isVoter(log.committedConf, id);
}

/** True while this log may lack what it once promised; see `rejoinFloorTerm`. */
function isRejoining({ log, settings: { rejoinFloorTerm } }: State): boolean {
  return rejoinFloorTerm !== null && log.lastTerm <= rejoinFloorTerm;
}

/**
 * The poll did not need this member's knowledge of the configuration: learners and removed members
 * answer too, because theirs may be old; the candidate counts only its voters. Changes nothing
 * here.
 */
export function handlePreVote(state: State, message: PreVote): void {
  const granted = mayVoteFor(state, message) && !hearsLeader(state);
  state.outbox.send({
    type: 'preVoteReply',
    ...envelope(state, message.from),
    term: granted ? message.term : state.term,
    granted,
  });
}

/** Votes for a candidate of the current term, or refuses. Raft §5.2, §5.4.1. */
export function handleRequestVote(state: State, message: RequestVote): void {
  const granted = mayVoteFor(state, message);
  if (granted) voteFor(state, message.from);
  state.outbox.send({ type: 'requestVoteReply', ...envelope(state, message.from), granted });
}

/** True when term, earlier vote and log allow a vote. */
function mayVoteFor(state: State, message: PreVote | RequestVote): boolean {
  const { lastLogIndex: index, lastLogTerm: term } = message;
  if (isRejoining(state) || !isTermOpen(state, message)) return false;
  return state.log.isUpToDate({ index, term });
}

function isTermOpen(state: State, { from, term }: PreVote | RequestVote): boolean {
  if (term !== state.term) return term > state.term;
  return state.vote === from || (state.vote === null && leaderOf(state) === null);
}

/**
 * True while a leader is known to be alive: it leads, or it was heard within the minimum election
 * timeout. Then nobody needs another one, so votes are refused (Raft §6 end, thesis §4.2.3). A
 * leader that lost its quorum steps down by itself.
 */
export function hearsLeader(state: State): boolean {
  if (state.role.name === 'leader') return true;
  const { electionTimeoutTicks } = state.settings;
  return leaderOf(state) !== null && state.tick - state.timerTick < electionTimeoutTicks;
}

/** A grant names the term asked for: one for an earlier campaign in another term does not count. */
export function handlePreVoteReply(state: State, message: PreVoteReply): void {
  if (message.granted && message.term !== state.term + 1) return;
  countPreVote(state, message.from, message.granted);
}

function countPreVote(state: State, voter: MemberId, granted: boolean): void {
  const { role } = state;
  if (role.name !== 'preCandidate') return;
  switch (poll(state, role, voter, granted)) {
    case 'won':
      return startCampaign(state, false);
    case 'lost':
      return becomeFollower(state, { term: state.term, leader: null });
  }
}

export function handleRequestVoteReply(state: State, message: RequestVoteReply): void {
  countVote(state, message.from, message.granted);
}

function countVote(state: State, voter: MemberId, granted: boolean): void {
  const { role } = state;
  if (role.name !== 'candidate') return;
  switch (poll(state, role, voter, granted)) {
    case 'won':
      // Leading a term that the disk does not know could happen again after a crash.
      if (role.votes.has(state.id)) startLeading(state, becomeLeader(state));
      return;
    case 'lost':
      return becomeFollower(state, { term: state.term, leader: null });
  }
}

/** Keeps a voter's first answer (repeated messages count once) and says how the poll stands. */
function poll(
  { log }: State,
  { votes }: PreCandidateRole | CandidateRole,
  voter: MemberId,
  granted: boolean,
) {
  if (!votes.has(voter)) votes.set(voter, granted);
  return voteResult(log.conf, (each) => votes.get(each));
}

/** A Ready was taken: if it carries the candidate's own vote, this is where it becomes durable. */
export function noteVoteHandedOut({ role }: State, sequence: number): void {
  if (role.name === 'candidate') role.voteSequence ??= sequence;
}

/** A candidate counts itself once its vote is on disk: it promises as much as any other vote. */
export function countOwnVote(state: State, durableSequence: number): void {
  const { role } = state;
  if (role.name !== 'candidate' || role.voteSequence === null) return;
  if (role.voteSequence <= durableSequence) countVote(state, state.id, true);
}

function otherVoters({ id, log: { conf } }: State): MemberId[] {
  return membersOf(conf).filter((member) => member !== id && isVoter(conf, member));
}

function lastLog({ log }: State): { lastLogIndex: number; lastLogTerm: number } {
  return { lastLogIndex: log.lastIndex, lastLogTerm: log.lastTerm };
}
