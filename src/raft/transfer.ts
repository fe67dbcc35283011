import { envelope, type LeaderRole, type State } from './state.ts';
import type { MemberId } from './types.ts';

/*
 * Leadership transfer, thesis §3.10: refuse proposals, bring the target up to date, tell it to
 * campaign at once. Whatever goes wrong, after an election timeout the leader takes proposals
 * again.
 */

/** Starts a transfer; false when the target is not another voter of the configuration to come. */
export function startTransfer(state: State, role: LeaderRole, to: MemberId): boolean {
  if (to === state.id || !state.log.conf.voters.includes(to)) return false;
  if (role.transfer?.to !== to) role.transfer = { to, startedTick: state.tick };
  role.peers.get(to)?.oweAppend();
  maybeTimeoutNow(state, role, to);
  return true;
}

/** Tells the target to campaign once it has the whole log: called whenever the target was heard. */
export function maybeTimeoutNow(state: State, role: LeaderRole, heardFrom: MemberId): void {
  if (role.transfer?.to !== heardFrom) return;
  if (role.peers.get(heardFrom)?.matchIndex === state.log.lastIndex)
    sendTimeoutNow(state, heardFrom);
}

export function sendTimeoutNow(state: State, to: MemberId): void {
  state.outbox.send({ type: 'timeoutNow', ...envelope(state, to) });
}

/** Gives a transfer up that did not succeed in time. */
export function tickTransfer(state: State, role: LeaderRole): void {
  if (role.transfer === null) return;
  const ageTicks = state.tick - role.transfer.startedTick;
  if (ageTicks >= state.settings.electionTimeoutTicks) role.transfer = null;
}
