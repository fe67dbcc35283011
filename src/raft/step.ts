import { assert, unreachable } from '../lib/index.ts';
import {
  campaignForTransfer,
  handlePreVote,
  handlePreVoteReply,
  handleRequestVote,
  handleRequestVoteReply,
  hearsLeader,
} from './election.ts';
import { refuseStaleLeader, stepFollower } from './follower.ts';
import { stepLeader } from './leader.ts';
import type { Message } from './message.ts';
import { handleReadIndex } from './read-index.ts';
import { becomeFollower } from './roles.ts';
import type { CandidateRole, PreCandidateRole, State } from './state.ts';
import type { MemberId } from './types.ts';

/**
 * Handles one message: first its term, then the votes, which every role treats alike, then the rest
 * by role. Legal messages never throw, however late, repeated or reordered.
 */
export function step(state: State, message: Message): void {
  assert(message.to === state.id && message.from !== state.id, 'a message for somebody else', {
    from: message.from,
    to: message.to,
  });
  if (!settleTerm(state, message)) return;
  if (message.type === 'preVote') return handlePreVote(state, message);
  if (message.type === 'requestVote') return handleRequestVote(state, message);
  const { role } = state;
  switch (role.name) {
    case 'follower':
      return stepFollower(state, role, message);
    case 'preCandidate':
    case 'candidate':
      return stepCandidate(state, role, message);
    case 'leader':
      return stepLeader(state, role, message);
    default:
      unreachable(role);
  }
}

/**
 * Brings both terms together (Raft §5.1): a higher term is adopted, a message of a lower one is not
 * handled further (false). A PreVote and its grant speak of a term that nobody has entered yet.
 */
function settleTerm(state: State, message: Message): boolean {
  if (message.type === 'preVote' || (message.type === 'preVoteReply' && message.granted))
    return true;
  if (message.term < state.term) {
    answerOlderTerm(state, message);
    return false;
  }
  if (message.term === state.term) return true;
  if (message.type === 'requestVote' && !message.leadershipTransfer && hearsLeader(state)) {
    return false; // who can't hear the leader must not depose it: Raft §6, thesis §4.2.3
  }
  becomeFollower(state, { term: message.term, leader: leaderNamedBy(message) });
  return true;
}

/** The leader of the message's term, if the message gives it away. */
function leaderNamedBy(message: Message): MemberId | null {
  switch (message.type) {
    case 'appendEntries':
    case 'heartbeat':
    case 'installSnapshot':
    case 'timeoutNow':
      return message.from;
    default:
      return null;
  }
}

/** Who asks from an earlier term learns the current one; answers of earlier terms mean nothing. */
function answerOlderTerm(state: State, message: Message): void {
  switch (message.type) {
    case 'requestVote':
      return handleRequestVote(state, message);
    case 'appendEntries':
    case 'heartbeat':
    case 'installSnapshot':
      return refuseStaleLeader(state, message);
    case 'readIndex':
      return handleReadIndex(state, null, message);
    default:
      return;
  }
}

/** What a candidate, pre- or not, does with a message of its own term. */
function stepCandidate(
  state: State,
  role: PreCandidateRole | CandidateRole,
  message: Message,
): void {
  switch (message.type) {
    case 'appendEntries':
    case 'heartbeat':
    case 'installSnapshot':
      // Somebody else won: Raft §5.2.
      becomeFollower(state, { term: state.term, leader: message.from });
      return step(state, message);
    case 'preVoteReply':
      return role.name === 'preCandidate' ? handlePreVoteReply(state, message) : undefined;
    case 'requestVoteReply':
      return role.name === 'candidate' ? handleRequestVoteReply(state, message) : undefined;
    case 'timeoutNow':
      return role.name === 'preCandidate' ? campaignForTransfer(state) : undefined;
    case 'readIndex':
      return handleReadIndex(state, null, message);
    case 'requestVote':
    case 'preVote':
    case 'appendEntriesReply':
    case 'heartbeatReply':
    case 'installSnapshotReply':
    case 'readIndexReply':
      return; // the first two: see `step`; the others answer what an earlier role asked
    default:
      unreachable(message);
  }
}
