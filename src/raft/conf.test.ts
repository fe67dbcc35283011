import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMPTY_BYTES, InvariantViolation } from '../lib/index.ts';
import { applyConfChange, ConfHistory, confProblem, isJoint, membersOf } from './conf.ts';
import { voteResult } from './quorum.ts';
import type { ConfChange, ConfState, MemberChange, MemberId } from './types.ts';

const context = EMPTY_BYTES;

function conf(fields: Partial<ConfState>): ConfState {
  const empty = {
    voters: [],
    outgoingVoters: [],
    learners: [],
    learnersNext: [],
    autoLeave: false,
  };
  return { ...empty, ...fields };
}

function simple(action: MemberChange['action'], memberId: MemberId): ConfChange {
  return { type: 'simple', change: { action, memberId }, context };
}

function enterJoint(changes: MemberChange[], autoLeave = false): ConfChange {
  return { type: 'enterJoint', changes, autoLeave, context };
}

const leaveJoint: ConfChange = { type: 'leaveJoint', context };

/** Changes one after another; throws on the first problem. */
function changed(start: ConfState, ...changes: ConfChange[]): ConfState {
  return changes.reduce((from, change) => {
    const outcome = applyConfChange(from, change);
    if ('problem' in outcome) throw new Error(outcome.problem);
    return outcome.conf;
  }, start);
}

const THREE = conf({ voters: [1n, 2n, 3n] });

const memberId = fc.bigInt({ min: 1n, max: 6n });
const memberChange: fc.Arbitrary<MemberChange> = fc.record({
  action: fc.constantFrom('addVoter', 'addLearner', 'remove'),
  memberId,
});
const anyChange: fc.Arbitrary<ConfChange> = fc.oneof(
  fc.record({ type: fc.constant('simple'), change: memberChange, context: fc.constant(context) }),
  fc.record({
    type: fc.constant('enterJoint'),
    changes: fc.array(memberChange, { maxLength: 4 }),
    autoLeave: fc.boolean(),
    context: fc.constant(context),
  }),
  fc.constant(leaveJoint),
);

/** True when some split of the members gives each configuration a quorum on its own side. */
function quorumsCanMiss(a: ConfState, b: ConfState): boolean {
  const everyone = [...new Set([...membersOf(a), ...membersOf(b)])];
  for (let mask = 0; mask < 2 ** everyone.length; mask++) {
    const side = (id: MemberId) => (mask >> everyone.indexOf(id)) % 2 === 1;
    if (voteResult(a, side) === 'won' && voteResult(b, (id) => !side(id)) === 'won') return true;
  }
  return false;
}

describe('any sequence of changes', () => {
  test('keeps the configuration valid, and consecutive quorums meet (Raft §6, thesis §4.1)', () => {
    fc.assert(
      fc.property(fc.array(anyChange, { maxLength: 12 }), (changes) => {
        let current = THREE;
        for (const change of changes) {
          const outcome = applyConfChange(current, change);
          if ('problem' in outcome) continue;
          expect(confProblem(outcome.conf)).toBeNull();
          expect(quorumsCanMiss(current, outcome.conf)).toBe(false);
          current = outcome.conf;
        }
      }),
    );
  });

  test('cut off anywhere, brings back exactly the configuration of that place', () => {
    fc.assert(
      fc.property(fc.array(anyChange, { maxLength: 12 }), fc.nat(14), (changes, cut) => {
        const history = new ConfHistory(0, THREE);
        const confs = [THREE];
        for (const change of changes) {
          if ('problem' in applyConfChange(history.latest, change)) continue;
          history.push(confs.length, change);
          confs.push(history.latest);
        }
        const from = 1 + (cut % confs.length);
        history.truncate(from);
        expect(history.latest).toEqual(confs[from - 1]);
        expect(history.latestIndex).toBe(from - 1);
      }),
    );
  });
});

describe('simple changes', () => {
  test('add, promote, demote and remove one member', () => {
    expect(changed(THREE, simple('addVoter', 4n)).voters).toEqual([1n, 2n, 3n, 4n]);
    const learner = changed(THREE, simple('addLearner', 4n));
    expect(learner).toEqual(conf({ voters: [1n, 2n, 3n], learners: [4n] }));
    expect(changed(learner, simple('addVoter', 4n))).toEqual(conf({ voters: [1n, 2n, 3n, 4n] }));
    expect(changed(THREE, simple('addLearner', 3n))).toEqual(
      conf({ voters: [1n, 2n], learners: [3n] }),
    );
    expect(changed(THREE, simple('remove', 1n))).toEqual(conf({ voters: [2n, 3n] }));
  });

  test('that change nothing are allowed: their context may say something', () => {
    expect(changed(THREE, simple('addVoter', 2n))).toEqual(THREE);
  });

  test.each([
    ['the last voter leaves', conf({ voters: [1n] }), simple('remove', 1n)],
    ['a stranger leaves', THREE, simple('remove', 9n)],
    ['a member has no id', THREE, simple('addVoter', 0n)],
    ['a joint configuration is in force', changed(THREE, enterJoint([])), simple('addVoter', 4n)],
  ])('are refused when %s', (_, from, change) => {
    expect(applyConfChange(from, change)).toHaveProperty('problem');
  });
});

describe('joint changes', () => {
  const changes: MemberChange[] = [
    { action: 'remove', memberId: 1n },
    { action: 'addLearner', memberId: 2n },
    { action: 'addVoter', memberId: 4n },
    { action: 'addLearner', memberId: 5n },
  ];

  test('keep the old voters until left; an old voter learns only then (learnersNext)', () => {
    const joint = changed(THREE, enterJoint(changes, true));
    expect(joint).toEqual({
      voters: [3n, 4n],
      outgoingVoters: [1n, 2n, 3n],
      learners: [5n],
      learnersNext: [2n],
      autoLeave: true,
    });
    expect(isJoint(joint)).toBe(true);
    expect(changed(joint, leaveJoint)).toEqual(conf({ voters: [3n, 4n], learners: [2n, 5n] }));
  });

  test.each([
    ['nothing is joint', THREE, leaveJoint],
    ['one is under way', changed(THREE, enterJoint(changes)), enterJoint(changes)],
    ['no voter would be left', conf({ voters: [1n] }), enterJoint(changes.slice(0, 1))],
    ['a member is named twice', THREE, enterJoint([...changes, ...changes])],
    ['nobody is there to start from', conf({}), enterJoint([{ action: 'addVoter', memberId: 1n }])],
  ])('are refused when %s', (_, from, change) => {
    expect(applyConfChange(from, change)).toHaveProperty('problem');
  });
});

describe('confProblem', () => {
  test.each([
    [conf({ voters: [2n, 1n] })],
    [conf({ voters: [1n, 1n] })],
    [conf({ voters: [0n] })],
    [conf({ learners: [1n] })],
    [conf({ voters: [1n], learners: [1n] })],
    [conf({ voters: [1n], autoLeave: true })],
    [conf({ voters: [1n], outgoingVoters: [2n], learnersNext: [3n] })],
    [conf({ voters: [1n], outgoingVoters: [1n, 2n], learnersNext: [1n] })],
  ])('names what is wrong, case %#', (broken) => {
    expect(confProblem(broken)).not.toBeNull();
    expect(() => new ConfHistory(0, broken)).toThrow(InvariantViolation);
  });

  test('finds nothing wrong with nobody: a member that joins starts so', () => {
    expect(confProblem(conf({}))).toBeNull();
  });
});

describe('ConfHistory', () => {
  test('answers for every index it has not forgotten', () => {
    const history = new ConfHistory(0, THREE);
    history.push(5, simple('addVoter', 4n));
    history.push(9, simple('addVoter', 5n));
    expect(history.at(4)).toEqual(THREE);
    expect(history.at(5).voters).toHaveLength(4);
    history.compact(7);
    expect(history.at(8).voters).toHaveLength(4);
    expect(history.at(100).voters).toHaveLength(5);
    expect(() => history.at(4)).toThrow('forgotten');
  });

  test('refuses an entry that does not fit: the log is damaged', () => {
    const history = new ConfHistory(0, THREE);
    expect(() => history.push(1, leaveJoint)).toThrow('does not fit');
  });
});
