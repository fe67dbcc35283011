import { unreachable } from '../../lib/index.ts';
import type { ConfChange, ConfState, Entry, MemberChange, MemberId } from '../index.ts';

/*
 * A second, independent reading of what a configuration change means, for the judge: it shares no
 * code with the core.
 */

type Mutable = Record<'voters' | 'outgoing' | 'learners' | 'learnersNext', Set<MemberId>>;

/** The configuration that follows `conf` when `change` enters the log. */
export function changed(conf: ConfState, change: ConfChange): ConfState {
  const next = open(conf);
  switch (change.type) {
    case 'simple':
      applyOne(next, change.change);
      return close(next, false);
    case 'enterJoint':
      next.outgoing = new Set(next.voters);
      for (const each of change.changes) applyOne(next, each);
      return close(next, change.autoLeave);
    case 'leaveJoint':
      for (const id of next.learnersNext) next.learners.add(id);
      next.learnersNext.clear();
      next.outgoing.clear();
      return close(next, false);
    default:
      unreachable(change);
  }
}

/** The configuration in force at the end of a log: a change counts as soon as it is in it. */
export function confAfter(base: ConfState, entries: readonly Entry[]): ConfState {
  let conf = base;
  for (const entry of entries) {
    if (entry.kind === 'confChange') conf = changed(conf, entry.change);
  }
  return conf;
}

/** True when the members named by `has` are a majority of the voters, of both while joint. */
export function isQuorum(conf: ConfState, has: (id: MemberId) => boolean): boolean {
  return [conf.voters, conf.outgoingVoters].every((voters) => {
    if (voters.length === 0) return true;
    return voters.filter(has).length * 2 > voters.length;
  });
}

/** All members of a configuration in ascending order. */
export function everyone(conf: ConfState): MemberId[] {
  return sorted(
    new Set([...conf.voters, ...conf.outgoingVoters, ...conf.learners, ...conf.learnersNext]),
  );
}

function applyOne(conf: Mutable, { action, memberId }: MemberChange): void {
  conf.learners.delete(memberId);
  conf.learnersNext.delete(memberId);
  switch (action) {
    case 'addVoter':
      conf.voters.add(memberId);
      return;
    case 'addLearner':
      conf.voters.delete(memberId);
      // While its old vote still counts it can't listen only: it becomes a learner on leaving.
      (conf.outgoing.has(memberId) ? conf.learnersNext : conf.learners).add(memberId);
      return;
    case 'remove':
      conf.voters.delete(memberId);
      return;
    default:
      unreachable(action);
  }
}

function open(conf: ConfState): Mutable {
  return {
    voters: new Set(conf.voters),
    outgoing: new Set(conf.outgoingVoters),
    learners: new Set(conf.learners),
    learnersNext: new Set(conf.learnersNext),
  };
}

function close(conf: Mutable, autoLeave: boolean): ConfState {
  return {
    voters: sorted(conf.voters),
    outgoingVoters: sorted(conf.outgoing),
    learners: sorted(conf.learners),
    learnersNext: sorted(conf.learnersNext),
    autoLeave,
  };
}

function sorted(ids: ReadonlySet<MemberId>): MemberId[] {
  return [...ids].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
}
