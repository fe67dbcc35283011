import { assert } from '../lib/index.ts';
import { isVoter } from './conf.ts';
import type { HeartbeatReply, ReadIndex, ReadIndexReply } from './message.ts';
import { quorumValue } from './quorum.ts';
import type { ReadQueue, ReadRequest } from './read-queue.ts';
import {
  envelope,
  type FollowerRole,
  type LeaderRole,
  type State,
  type Writable,
} from './state.ts';

/*
 * Linearizable reads without a log entry (Raft §8, thesis §6.4). A read may be served from state
 * that contains everything committed when it was asked; the leader knows that index once
 * - it has committed an entry of its own term (before, its commit index may lag), and
 * - a quorum has answered a heartbeat sent after the read arrived (nobody led a later term then).
 *
 * All reads between two Readies share one round. A round has a fresh id, carried by heartbeats
 * until it is confirmed; an answer to it also confirms the rounds before. Followers forward a round
 * as a whole. Every request is answered exactly once: with the index, or with null when leadership
 * ends, changes, can't be confirmed within an election timeout, or too many reads wait.
 */

/** Asks on behalf of this member's own clients. */
export function askRead(state: State, requestId: number): void {
  const request = { from: state.id, requestId, askedTick: state.tick };
  const { role } = state;
  const mayAsk = role.name === 'leader' || (role.name === 'follower' && role.leader !== null);
  if (mayAsk) enqueueRead(state, role.reads, request);
  else answerRead(state, request, null);
}

/** A follower asks; `role` is null when this member does not lead the follower's term. */
export function handleReadIndex(state: State, role: LeaderRole | null, message: ReadIndex): void {
  const { from, requestId } = message;
  const request = { from, requestId, askedTick: state.tick };
  if (role === null) answerRead(state, request, null);
  else enqueueRead(state, role.reads, request);
}

function enqueueRead(state: State, reads: ReadQueue, request: ReadRequest): void {
  if (reads.size >= state.settings.limits.pendingReadsMax) answerRead(state, request, null);
  else reads.add(request);
}

/** True when the next Ready would start a round. */
export function wantsReadRound(state: State): boolean {
  const { role } = state;
  if (role.name === 'leader') return role.reads.hasWaiting && hasCommittedInTerm(state);
  return role.name === 'follower' && role.reads.hasWaiting;
}

/** Puts all waiting reads into one round and asks for its confirmation. */
export function startReadRound(state: Writable<State>): void {
  if (!wantsReadRound(state)) return;
  const { role } = state;
  const { commitIndex } = state.log;
  state.readRound++;
  const id = state.readRound;
  if (role.name === 'leader') {
    role.reads.startRound({ id, commitIndex });
    for (const [peer, { matchIndex }] of role.peers) {
      if (!isVoter(state.log.conf, peer)) continue;
      state.outbox.send({
        type: 'heartbeat',
        ...envelope(state, peer),
        commitIndex: Math.min(matchIndex, commitIndex),
        readAttempt: id,
      });
    }
    finishReads(state, role);
  } else if (role.name === 'follower' && role.leader !== null) {
    role.reads.startRound({ id, commitIndex });
    state.outbox.send({ type: 'readIndex', ...envelope(state, role.leader), requestId: id });
  }
}

/** True once the leader knows every index committed before its term. Raft §8. */
export function hasCommittedInTerm({ log, term }: State): boolean {
  return log.matches({ index: log.commitIndex, term });
}

/** A peer confirms that this member still led when the round's heartbeat was sent. */
export function handleReadConfirmation(
  state: State,
  role: LeaderRole,
  { from, readAttempt }: HeartbeatReply,
): void {
  if (readAttempt === null) return;
  assert(readAttempt <= state.readRound, 'a read attempt of the future', { from, readAttempt });
  role.peers.get(from)?.confirmRead(readAttempt);
  finishReads(state, role);
}

/** Answers every round that a quorum has confirmed. */
function finishReads(state: State, role: LeaderRole): void {
  const { latestRound } = role.reads;
  if (latestRound === null) return;
  const confirmed = quorumValue(state.log.conf, (voter) =>
    voter === state.id ? latestRound : (role.peers.get(voter)?.readAttempt ?? 0),
  );
  if (confirmed === null) return;
  for (const { commitIndex, requests } of role.reads.takeRoundsUpTo(confirmed)) {
    for (const request of requests) answerRead(state, request, commitIndex);
  }
}

/** The leader answers a forwarded round; a late answer finds nothing to do. */
export function handleReadIndexReply(
  state: State,
  role: FollowerRole,
  { requestId, readIndex }: ReadIndexReply,
): void {
  const round = role.reads.takeRound(requestId);
  if (round === null) return;
  assert(readIndex === null || readIndex >= round.commitIndex, 'read point lies in the past', {
    readIndex,
    commitIndex: round.commitIndex,
  });
  for (const request of round.requests) answerRead(state, request, readIndex);
}

/** Nobody waits longer than an election timeout: question or answer may be lost. */
export function expireReads(state: State, reads: ReadQueue): void {
  failReads(state, reads.takeOlderThan(state.tick - state.settings.electionTimeoutTicks));
}

/** Tells everybody who waits that there is no read point. */
export function failReads(state: State, requests: readonly ReadRequest[]): void {
  for (const request of requests) answerRead(state, request, null);
}

function answerRead(
  state: State,
  { from, requestId }: ReadRequest,
  readIndex: number | null,
): void {
  if (from === state.id) state.outbox.answerRead({ requestId, readIndex });
  else {
    state.outbox.send({ type: 'readIndexReply', ...envelope(state, from), requestId, readIndex });
  }
}
