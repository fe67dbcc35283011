import { assert, unreachable } from '../lib/index.ts';
import { campaignForTransfer } from './election.ts';
import type { AppendEntries, Heartbeat, InstallSnapshot, Message } from './message.ts';
import { handleReadIndex, handleReadIndexReply } from './read-index.ts';
import { becomeFollower, restartElectionTimer } from './roles.ts';
import { envelope, type FollowerRole, type State } from './state.ts';
import type { MemberId } from './types.ts';

/** What a follower does with a message of its own term. */
export function stepFollower(state: State, role: FollowerRole, message: Message): void {
  switch (message.type) {
    case 'appendEntries':
      hearLeader(state, role, message.from);
      return handleAppendEntries(state, message);
    case 'heartbeat':
      hearLeader(state, role, message.from);
      return handleHeartbeat(state, message);
    case 'installSnapshot':
      hearLeader(state, role, message.from);
      return handleInstallSnapshot(state, message);
    case 'timeoutNow':
      return campaignForTransfer(state);
    case 'readIndex':
      return handleReadIndex(state, null, message);
    case 'readIndexReply':
      return handleReadIndexReply(state, role, message);
    case 'requestVote':
    case 'preVote':
    case 'requestVoteReply':
    case 'preVoteReply':
    case 'appendEntriesReply':
    case 'heartbeatReply':
    case 'installSnapshotReply':
      return; // the first two: see step.ts; the others answer what an earlier role asked
    default:
      unreachable(message);
  }
}

function hearLeader(state: State, role: FollowerRole, leader: MemberId): void {
  if (role.leader === null) becomeFollower(state, { term: state.term, leader });
  else assert(role.leader === leader, 'two leaders in one term', { term: state.term, leader });
  restartElectionTimer(state);
}

/**
 * Raft Fig. 2, AppendEntries RPC. What is committed here equals the leader's log, so of a message
 * that begins earlier (it is late, or repeated) only the rest is looked at.
 */
function handleAppendEntries(state: State, message: AppendEntries): void {
  const { log } = state;
  const { from, prevLogIndex, prevLogTerm, entries, leaderCommit } = message;
  const committed = Math.max(0, log.commitIndex - prevLogIndex);
  if (committed === 0 && !log.matches({ index: prevLogIndex, term: prevLogTerm })) {
    const hintIndex = log.lastNotAfter({ index: prevLogIndex, term: prevLogTerm });
    const hintTerm = log.termAt(hintIndex);
    assert(hintTerm !== null, 'the leader lacks committed entries', { from, prevLogIndex });
    return rejectAppend(state, message, { hintIndex, hintTerm });
  }
  log.merge(entries.slice(committed));
  // What this log holds beyond the message may differ from the leader's: it counts for nothing.
  const matchIndex = Math.max(prevLogIndex + entries.length, log.commitIndex);
  log.commitTo(Math.min(leaderCommit, matchIndex));
  const reply = { ...envelope(state, from), accepted: true, matchIndex } as const;
  state.outbox.send({ type: 'appendEntriesReply', ...reply });
}

function rejectAppend(
  state: State,
  { from, prevLogIndex }: AppendEntries,
  hint: { readonly hintIndex: number; readonly hintTerm: number },
): void {
  const reply = { ...envelope(state, from), accepted: false, prevLogIndex, ...hint } as const;
  state.outbox.send({ type: 'appendEntriesReply', ...reply });
}

function handleHeartbeat(state: State, { from, commitIndex, readAttempt }: Heartbeat): void {
  state.log.commitTo(commitIndex);
  replyHeartbeat(state, from, readAttempt);
}

/** Raft §7, Fig. 13; the state itself came outside the core. */
function handleInstallSnapshot(state: State, { from, snapshot }: InstallSnapshot): void {
  const { log } = state;
  if (log.matches(snapshot)) log.commitTo(snapshot.index);
  else if (snapshot.index > log.commitIndex) log.restore(snapshot);
  replyInstallSnapshot(state, from);
}

function replyInstallSnapshot(state: State, to: MemberId): void {
  const matchIndex = state.log.commitIndex;
  state.outbox.send({ type: 'installSnapshotReply', ...envelope(state, to), matchIndex });
}

function replyHeartbeat(state: State, to: MemberId, readAttempt: number | null): void {
  state.outbox.send({ type: 'heartbeatReply', ...envelope(state, to), readAttempt });
}

/**
 * A leader of an earlier term is told the current one, so that it steps down: it may be one that
 * this member left behind by an unlucky campaign, and that everybody else still follows (etcd raft:
 * "a stuck node with a higher term").
 */
export function refuseStaleLeader(
  state: State,
  message: AppendEntries | Heartbeat | InstallSnapshot,
): void {
  switch (message.type) {
    case 'appendEntries':
      // Only the term matters to it; logs always match before their first entry.
      return rejectAppend(state, message, { hintIndex: 0, hintTerm: 0 });
    case 'heartbeat':
      return replyHeartbeat(state, message.from, null);
    case 'installSnapshot':
      return replyInstallSnapshot(state, message.from);
    default:
      unreachable(message);
  }
}
