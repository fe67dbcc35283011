import { assert, unreachable } from '../lib/index.ts';
import {
  bestSuccessor,
  dismissPeers,
  isRetired,
  maybeLeaveJoint,
  updatePeers,
} from './membership.ts';
import type { Message } from './message.ts';
import type { Progress } from './progress.ts';
import { quorumValue } from './quorum.ts';
import { expireReads, handleReadConfirmation, handleReadIndex } from './read-index.ts';
import {
  advanceCommit,
  appendAsLeader,
  handleAppendEntriesReply,
  handleHeartbeatReply,
  noteMatch,
} from './replication.ts';
import { becomeFollower } from './roles.ts';
import { envelope, type LeaderRole, type State } from './state.ts';
import { maybeTimeoutNow, sendTimeoutNow, tickTransfer } from './transfer.ts';

/** A new leader's first act: an empty entry, to commit what earlier terms left. Raft §8. */
export function startLeading(state: State, role: LeaderRole): void {
  updatePeers(state, role, null);
  appendAsLeader(state, role, { kind: 'empty' });
}

/** What a leader does with a message of its own term. */
export function stepLeader(state: State, role: LeaderRole, message: Message): void {
  switch (message.type) {
    case 'appendEntriesReply':
    case 'heartbeatReply':
    case 'installSnapshotReply': {
      const peer = role.peers.get(message.from);
      if (peer === undefined) return; // not a member any more, or not yet
      peer.heard(state.tick);
      stepPeerReply(state, role, peer, message);
      maybeTimeoutNow(state, role, message.from);
      return settle(state, role);
    }
    case 'readIndex':
      return handleReadIndex(state, role, message);
    case 'appendEntries':
    case 'heartbeat':
    case 'installSnapshot':
      return assert(false, 'two leaders in one term', { term: state.term, from: message.from });
    case 'requestVote':
    case 'preVote':
    case 'requestVoteReply':
    case 'preVoteReply':
    case 'readIndexReply':
    case 'timeoutNow':
      return; // the first two: see step.ts; the others answer what an earlier role asked
    default:
      unreachable(message);
  }
}

function stepPeerReply(
  state: State,
  role: LeaderRole,
  peer: Progress,
  message: Extract<Message, { type: `${'appendEntries' | 'heartbeat' | 'installSnapshot'}Reply` }>,
): void {
  switch (message.type) {
    case 'appendEntriesReply':
      return handleAppendEntriesReply(state, peer, message);
    case 'heartbeatReply':
      handleHeartbeatReply(state, peer);
      return handleReadConfirmation(state, role, message);
    case 'installSnapshotReply':
      return noteMatch(state, peer, message.matchIndex);
    default:
      unreachable(message);
  }
}

/** Draws the consequences after every change of progress, durability or configuration. */
export function settle(state: State, role: LeaderRole): void {
  advanceCommit(state, role);
  maybeLeaveJoint(state, role);
  if (isRetired(state)) retire(state, role);
}

/** A leader without a vote hands over when its removal is committed. Raft §6, thesis §4.2.2. */
function retire(state: State, role: LeaderRole): void {
  const successor = bestSuccessor(state, role);
  if (successor !== null) sendTimeoutNow(state, successor);
  becomeFollower(state, { term: state.term, leader: null });
}

export function tickLeader(state: State, role: LeaderRole): void {
  if (lostQuorum(state, role)) {
    return becomeFollower(state, { term: state.term, leader: null });
  }
  tickTransfer(state, role);
  expireReads(state, role.reads);
  dismissPeers(state, role);
  if (state.tick - role.heartbeatTick >= state.settings.heartbeatTicks) sendHeartbeats(state, role);
  settle(state, role);
}

/** CheckQuorum: true when no quorum answered within an election timeout. Thesis §6.2. */
function lostQuorum({ id, log, tick, settings }: State, role: LeaderRole): boolean {
  const heardTick = quorumValue(log.conf, (voter) =>
    voter === id ? tick : (role.peers.get(voter)?.heardTick ?? 0),
  );
  return heardTick !== null && tick - heardTick >= settings.electionTimeoutTicks;
}

/** Carries the latest read round again: the heartbeat that began it may be lost. */
function sendHeartbeats(state: State, role: LeaderRole): void {
  role.heartbeatTick = state.tick;
  for (const [to, { matchIndex }] of role.peers) {
    state.outbox.send({
      type: 'heartbeat',
      ...envelope(state, to),
      commitIndex: Math.min(matchIndex, state.log.commitIndex),
      readAttempt: role.reads.latestRound,
    });
  }
}
