import { assert, unreachable } from '../lib/index.ts';
import type { ConfChange, ConfState, MemberChange, MemberId } from './types.ts';

/*
 * Configurations as values. A change takes a valid configuration to another valid one, or names the
 * problem; nothing here knows of logs or leaders.
 *
 *                 simple                        enterJoint
 *      ┌───┐    (≤ 1 voter      ┌────────┐ ─────────────────────▶ ┌────────────────────┐
 *      │   └──── differs) ────▶ │ voters │                        │ voters (new)       │
 *      └─────────────────────── │        │ ◀───────────────────── │ outgoingVoters(old)│
 *                               └────────┘      leaveJoint        └────────────────────┘
 *
 * Any two consecutive configurations have only intersecting quorums: that is what makes a change
 * safe without stopping the cluster (Raft §6, thesis §4.1). `conf.test.ts` checks it.
 */

/** The outcome of a change: the configuration after it, or why there is none. */
export type ConfOutcome = { readonly conf: ConfState } | { readonly problem: string };

/** True between `enterJoint` and `leaveJoint`. */
export function isJoint(conf: ConfState): boolean {
  return conf.outgoingVoters.length > 0;
}

/** True when the member's vote counts, in the new or in the old configuration. */
export function isVoter(conf: ConfState, id: MemberId): boolean {
  return conf.voters.includes(id) || conf.outgoingVoters.includes(id);
}

/** True for everybody who gets the log. */
export function isMember(conf: ConfState, id: MemberId): boolean {
  return isVoter(conf, id) || conf.learners.includes(id);
}

/** Everybody who gets the log, ascending, each once. */
export function membersOf(conf: ConfState): MemberId[] {
  return sorted(new Set([...conf.voters, ...conf.outgoingVoters, ...conf.learners]));
}

/** What is wrong with a configuration, or null. The configuration without anybody is valid. */
export function confProblem(conf: ConfState): string | null {
  const { voters, outgoingVoters, learners, learnersNext } = conf;
  for (const ids of [voters, outgoingVoters, learners, learnersNext]) {
    if (!isAscending(ids)) return 'members are not in ascending order';
    if (ids[0] !== undefined && ids[0] <= 0n) return 'a member id is not positive';
  }
  if (learners.some((id) => isVoter(conf, id))) return 'a learner is a voter';
  if (!learnersNext.every((id) => outgoingVoters.includes(id))) {
    return 'a learner to be is not an outgoing voter';
  }
  if (learnersNext.some((id) => voters.includes(id))) return 'a learner to be stays a voter';
  if (!isJoint(conf) && conf.autoLeave) return 'nothing joint to leave';
  if (voters.length === 0 && membersOf(conf).length > 0) return 'no voter is left';
  return null;
}

/** Applies a change to a valid configuration. */
export function applyConfChange(conf: ConfState, change: ConfChange): ConfOutcome {
  switch (change.type) {
    case 'simple':
      if (isJoint(conf)) return { problem: 'the configuration is joint' };
      return checked(changeMembers({ ...conf, outgoingVoters: [] }, [change.change]));
    case 'enterJoint':
      if (isJoint(conf)) return { problem: 'the configuration is joint' };
      if (conf.voters.length === 0) return { problem: 'there is no configuration to start from' };
      return checked(
        changeMembers({ ...conf, outgoingVoters: conf.voters }, change.changes, change.autoLeave),
      );
    case 'leaveJoint':
      if (!isJoint(conf)) return { problem: 'the configuration is not joint' };
      return checked({ conf: leaveJoint(conf) });
    default:
      return unreachable(change);
  }
}

function leaveJoint(conf: ConfState): ConfState {
  return {
    voters: conf.voters,
    outgoingVoters: [],
    learners: sorted(new Set([...conf.learners, ...conf.learnersNext])),
    learnersNext: [],
    autoLeave: false,
  };
}

function changeMembers(
  from: ConfState,
  changes: readonly MemberChange[],
  autoLeave = false,
): ConfOutcome {
  const named = new Set(changes.map((change) => change.memberId));
  if (named.size !== changes.length) return { problem: 'a member is named twice' };
  const voters = new Set(from.voters);
  const learners = new Set(from.learners);
  const learnersNext = new Set<MemberId>();
  for (const { action, memberId } of changes) {
    if (action === 'remove' && !isMember(from, memberId)) return { problem: 'not a member' };
    voters.delete(memberId);
    learners.delete(memberId);
    if (action === 'addVoter') voters.add(memberId);
    // Who still votes in the old configuration may listen only once that is left.
    else if (action === 'addLearner') {
      if (from.outgoingVoters.includes(memberId)) learnersNext.add(memberId);
      else learners.add(memberId);
    }
  }
  return {
    conf: {
      voters: sorted(voters),
      outgoingVoters: from.outgoingVoters,
      learners: sorted(learners),
      learnersNext: sorted(learnersNext),
      autoLeave,
    },
  };
}

function checked(outcome: ConfOutcome): ConfOutcome {
  if ('problem' in outcome) return outcome;
  if (outcome.conf.voters.length === 0) return { problem: 'no voter is left' };
  const problem = confProblem(outcome.conf);
  return problem === null ? outcome : { problem };
}

function sorted(ids: ReadonlySet<MemberId>): MemberId[] {
  return [...ids].sort((a, b) => (a < b ? -1 : 1));
}

function isAscending(ids: readonly MemberId[]): boolean {
  return ids.every((id, i) => i === 0 || (ids[i - 1] as MemberId) < id);
}

/** One configuration and where in the log it began. */
interface ConfRecord {
  readonly index: number;
  readonly conf: ConfState;
}

/**
 * The configurations of a log: the one it starts with and one per confChange entry. The last is in
 * force, committed or not (Raft §6), and cutting the log off brings its predecessor back.
 */
export class ConfHistory {
  /** Ascending by index, never empty; the first is the one at the log's start. */
  #records: ConfRecord[];

  constructor(index: number, conf: ConfState) {
    const problem = confProblem(conf);
    assert(problem === null, 'configuration is not valid', { problem, index });
    this.#records = [{ index, conf }];
  }

  /** The configuration in force. */
  get latest(): ConfState {
    return this.#last().conf;
  }

  /** Index of the entry that brought it into force; 0 or the snapshot's at the start. */
  get latestIndex(): number {
    return this.#last().index;
  }

  /** The configuration in force for the log that ends at `index`. */
  at(index: number): ConfState {
    const record = this.#records.findLast((each) => each.index <= index);
    assert(record !== undefined, 'configuration was forgotten', { index });
    return record.conf;
  }

  /** Puts a change into force. A leader checked it, so here it fits. */
  push(index: number, change: ConfChange): void {
    assert(index > this.latestIndex, 'configurations out of order', { index });
    const outcome = applyConfChange(this.latest, change);
    assert('conf' in outcome, 'a configuration change in the log does not fit', {
      index,
      problem: 'problem' in outcome ? outcome.problem : null,
    });
    this.#records.push({ index, conf: outcome.conf });
  }

  /** Takes back all configurations of entries from `index` on. */
  truncate(index: number): void {
    while (this.#records.length > 1 && this.latestIndex >= index) this.#records.pop();
  }

  /** Forgets what nobody can ask for when the log starts after `index`. */
  compact(index: number): void {
    const kept = this.#records.findLastIndex((each) => each.index <= index);
    this.#records.splice(0, kept);
  }

  #last(): ConfRecord {
    return this.#records[this.#records.length - 1] as ConfRecord;
  }
}
