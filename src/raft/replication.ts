import { assert } from '../lib/index.ts';
import { entryBytes } from './codec.ts';
import { isMember } from './conf.ts';
import type { AppendEntriesReply } from './message.ts';
import type { Progress } from './progress.ts';
import { quorumValue } from './quorum.ts';
import { envelope, type LeaderRole, type State } from './state.ts';
import type { ConfChange, Entry, MemberId } from './types.ts';

/** A proposal's fate: at a place in the log (not yet committed), or refused (not applied). */
export type ProposeResult =
  | { readonly accepted: true; readonly index: number; readonly term: number }
  | { readonly accepted: false; readonly reason: ProposeRefusal };

export type ProposeRefusal =
  | 'notLeader'
  /** Leadership is being handed over. */
  | 'transferring'
  /** Too many bytes wait for their commit. */
  | 'overloaded'
  /** The last change, or the leader's first entry, is not committed yet. */
  | 'confChangePending'
  /** The configuration in force does not allow it. */
  | 'confChangeInvalid';

/** What the leader puts into an entry. */
type EntryBody =
  | { readonly kind: 'command'; readonly data: Uint8Array }
  | { readonly kind: 'empty' }
  | { readonly kind: 'confChange'; readonly change: ConfChange };

/** Appends a command, unless the leader must not take more. */
export function proposeCommand(state: State, role: LeaderRole, data: Uint8Array): ProposeResult {
  if (role.transfer !== null) return { accepted: false, reason: 'transferring' };
  const { uncommittedBytesMax } = state.settings.limits;
  if (role.uncommittedBytes > 0 && role.uncommittedBytes + data.length > uncommittedBytesMax) {
    return { accepted: false, reason: 'overloaded' };
  }
  const { index, term } = appendAsLeader(state, role, { kind: 'command', data });
  return { accepted: true, index, term };
}

/** A leader only ever adds to the end of its log. Raft §5.3, Leader Append-Only. */
export function appendAsLeader(state: State, role: LeaderRole, body: EntryBody): Entry {
  const entry: Entry = { index: state.log.lastIndex + 1, term: state.term, ...body };
  state.log.append(entry);
  role.uncommittedBytes += entryBytes(entry);
  return entry;
}

/** True when the next Ready would carry an AppendEntries. */
export function wantsAppends({ log }: State, role: LeaderRole): boolean {
  for (const peer of role.peers.values()) if (peer.wantsAppend(log)) return true;
  return false;
}

/**
 * Sends every peer what it may get now. Called once a Ready, so that all that was proposed and
 * committed since the last one travels together.
 */
export function sendAppends(state: State, role: LeaderRole): void {
  for (const [id, peer] of role.peers) {
    while (peer.wantsAppend(state.log)) sendAppend(state, id, peer);
  }
}

function sendAppend(state: State, to: MemberId, peer: Progress): void {
  const { log, settings, outbox } = state;
  const prevLogIndex = peer.nextIndex - 1;
  const prevLogTerm = log.termAt(prevLogIndex);
  if (prevLogTerm === null) return sendSnapshot(state, to, peer);
  const { lastIndex, commitIndex } = log;
  const { entries, bytes } = log.slice({
    from: peer.nextIndex,
    to: peer.windowFull ? prevLogIndex : lastIndex,
    bytesMax: settings.limits.appendBytesMax,
  });
  const leaderCommit = commitIndex;
  const body = { prevLogIndex, prevLogTerm, entries, leaderCommit };
  outbox.send({ type: 'appendEntries', ...envelope(state, to), ...body });
  peer.sentAppend({ lastIndex: prevLogIndex + entries.length, bytes, commitIndex });
}

/** The entry it needs next is compacted. A removed member gets no snapshot any more. */
function sendSnapshot(state: State, to: MemberId, peer: Progress): void {
  const { snapshot, conf } = state.log;
  peer.becomeSnapshot(snapshot.index);
  if (!isMember(conf, to)) return;
  state.outbox.send({ type: 'installSnapshot', ...envelope(state, to), snapshot });
}

/** Raft Fig. 2, Rules for Leaders. Late, repeated and reordered answers move nothing back. */
export function handleAppendEntriesReply(
  state: State,
  peer: Progress,
  message: AppendEntriesReply,
): void {
  if (message.accepted) return noteMatch(state, peer, message.matchIndex);
  // Skip what has a later term here than the follower's hint: a round a term, not a round an entry.
  const { prevLogIndex, hintIndex, hintTerm } = message;
  const retryIndex = state.log.lastNotAfter({ index: hintIndex, term: hintTerm });
  peer.rejected({ prevLogIndex, retryIndex });
}

/** A follower has everything up to `matchIndex`. */
export function noteMatch({ log }: State, peer: Progress, matchIndex: number): void {
  assert(matchIndex <= log.lastIndex, 'a follower has more than its leader', {
    matchIndex,
    lastIndex: log.lastIndex,
  });
  peer.accepted(matchIndex, log.firstIndex);
}

/** It lives: whatever it has not acknowledged by now may have been lost. */
export function handleHeartbeatReply({ log }: State, peer: Progress): void {
  if (peer.state === 'probe' || peer.matchIndex < log.lastIndex) peer.oweAppend();
}

/**
 * Commits what a quorum has durably, if it is of the current term; older entries follow along (Raft
 * §5.4.2, Fig. 8). The leader counts itself only up to what its own disk holds, and not at all when
 * it is no voter.
 */
export function advanceCommit(state: State, role: LeaderRole): void {
  const { log, term } = state;
  const before = log.commitIndex;
  const index = quorumValue(log.conf, (voter) =>
    voter === state.id ? log.durableIndex : (role.peers.get(voter)?.matchIndex ?? 0),
  );
  if (index === null || index <= before || !log.matches({ index, term })) return;
  log.commitTo(index);
  role.uncommittedBytes -= log.bytesBetween(Math.max(before, role.termStartIndex - 1), index);
}
