import { EMPTY_BYTES } from '../lib/index.ts';
import { applyConfChange, isJoint, isMember, isVoter, membersOf } from './conf.ts';
import { Progress } from './progress.ts';
import { hasCommittedInTerm } from './read-index.ts';
import { appendAsLeader, type ProposeResult } from './replication.ts';
import type { LeaderRole, State } from './state.ts';
import type { ConfChange, ConfState, MemberId } from './types.ts';

/*
 * Configuration changes as the leader sees them. A change is in force as soon as it is in the log
 * (Raft §6), so one more may follow only when the last is committed, and the first of a term only
 * after an entry of that term (the bug in single-server changes found in 2015:
 * https://groups.google.com/g/raft-dev/c/t4xj6dJTP6E).
 */

/** Appends a change if the configuration in force allows it. */
export function proposeConfChange(
  state: State,
  role: LeaderRole,
  change: ConfChange,
): ProposeResult {
  if (role.transfer !== null) return { accepted: false, reason: 'transferring' };
  if (isChangePending(state)) return { accepted: false, reason: 'confChangePending' };
  if ('problem' in applyConfChange(state.log.conf, change)) {
    return { accepted: false, reason: 'confChangeInvalid' };
  }
  return { accepted: true, ...appendChange(state, role, change) };
}

function isChangePending(state: State): boolean {
  return state.log.confIndex > state.log.commitIndex || !hasCommittedInTerm(state);
}

function appendChange(state: State, role: LeaderRole, change: ConfChange) {
  const before = state.log.conf;
  const { index, term } = appendAsLeader(state, role, { kind: 'confChange', change });
  updatePeers(state, role, before);
  return { index, term };
}

/** Leaves a joint configuration that is committed and wants to be left by itself. */
export function maybeLeaveJoint(state: State, role: LeaderRole): void {
  const { conf } = state.log;
  if (!isJoint(conf) || !conf.autoLeave) return;
  if (role.transfer !== null || isChangePending(state)) return;
  appendChange(state, role, { type: 'leaveJoint', context: EMPTY_BYTES });
}

/**
 * True when the leader has committed the change that takes its vote away. Until then it manages the
 * configuration without counting itself. Raft §6.
 */
export function isRetired({ id, log }: State): boolean {
  return !isVoter(log.conf, id) && log.confIndex <= log.commitIndex;
}

/** The voter that has most of the log, so can take over at once; null when none has anything. */
export function bestSuccessor({ log }: State, role: LeaderRole): MemberId | null {
  let best: MemberId | null = null;
  let bestIndex = 0;
  for (const [id, { matchIndex }] of role.peers) {
    if (!log.conf.voters.includes(id) || matchIndex <= bestIndex) continue;
    best = id;
    bestIndex = matchIndex;
  }
  return best;
}

/**
 * Brings the peers in line with the configuration in force; `before` is the one it replaces, null
 * at the start of the term. Who was removed stays a peer for a while (`dismissPeers`); who comes
 * back after a removal starts anew, for its disk may be another.
 */
export function updatePeers(state: State, role: LeaderRole, before: ConfState | null): void {
  const { id: self, log, settings, tick } = state;
  const peers = new Map<MemberId, Progress>();
  const leaving = [...role.peers.keys()].filter((id) => !isMember(log.conf, id));
  const ids = [...membersOf(log.conf), ...leaving].sort((a, b) => (a < b ? -1 : 1));
  for (const id of ids) {
    if (id === self) continue;
    const known = before !== null && (isMember(before, id) || leaving.includes(id));
    const nextIndex = log.lastIndex + 1;
    const kept = known ? role.peers.get(id) : undefined;
    peers.set(id, kept ?? new Progress({ nextIndex, tick, limits: settings.limits }));
  }
  role.peers = peers;
  role.peersLeaveTick = null;
}

/**
 * A removed member gets the log for one more election timeout after its removal is committed. So it
 * learns what happened and can retire, instead of asking for votes for ever. It counts for nothing.
 */
export function dismissPeers(state: State, role: LeaderRole): void {
  const { log, tick, settings } = state;
  const leaves = (id: MemberId) => !isMember(log.conf, id);
  if (log.confIndex > log.commitIndex || ![...role.peers.keys()].some(leaves)) return;
  role.peersLeaveTick ??= tick + settings.electionTimeoutTicks;
  if (tick < role.peersLeaveTick) return;
  role.peers = new Map([...role.peers].filter(([id]) => !leaves(id)));
  role.peersLeaveTick = null;
}
