import { describe, expect, test } from 'vitest';
import type { Answer } from './ask-terms.ts';
import { floorOf, hasHistory, isNewCluster } from './floor.ts';

const NEW: Answer = { type: 'asks', isNew: true, hearsUs: true };
const UNHEARD: Answer = { type: 'asks', isNew: true, hearsUs: false };
const LOST: Answer = { type: 'asks', isNew: false, hearsUs: true };

function runs(term: number, wasNew = false): Answer {
  return { type: 'runs', term, wasNew };
}

function answersOf(...answers: Answer[]): ReadonlyMap<bigint, Answer> {
  return new Map(answers.map((answer, i) => [BigInt(i + 2), answer]));
}

describe('a cluster is new (of three members, this one included)', () => {
  test.each<[boolean, boolean, string, Answer[]]>([
    [true, false, 'all others ask too', [NEW, UNHEARD]],
    [true, false, 'all others run, and none knows of a term', [runs(0), runs(0)]],
    [false, false, 'one answers, and the other still has time', [NEW]],
    [true, true, 'one asks too and hears this one; the other is silent', [NEW]],
    [true, true, 'one asked too and runs by now; the other is silent', [runs(0, true)]],
    [false, true, 'one asks, and may not know that this one does', [UNHEARD]],
    [false, true, 'one has run for longer: the silent one may have led without it', [runs(0)]],
    [false, true, 'nobody answers', []],
  ])('%s (late: %s): %s', (expected, isLate, _, answers) => {
    expect(isNewCluster(answersOf(...answers), { membersMax: 3, isLate })).toBe(expected);
  });
});

test('who runs in a term, or has lost its disk, knows that there is a history', () => {
  expect(hasHistory(answersOf(NEW, runs(0)))).toBe(false);
  expect(hasHistory(answersOf(NEW, runs(1)))).toBe(true);
  expect(hasHistory(answersOf(NEW, LOST))).toBe(true);
});

describe('the floor', () => {
  const all = { membersMax: 3, needsAll: true };

  test('is the highest term of a majority that runs', () => {
    expect(floorOf(answersOf(runs(4), runs(7)), all)).toBe(7);
    expect(floorOf(answersOf(runs(4), runs(7), runs(5)), { membersMax: 5, needsAll: false })).toBe(
      7,
    );
  });

  test('is not known before all others answer, when a vote may be lost', () => {
    const answers = [runs(4), runs(7), runs(5)];
    expect(floorOf(answersOf(...answers), { membersMax: 5, needsAll: true })).toBeNull();
    expect(floorOf(answersOf(...answers, LOST), { membersMax: 5, needsAll: true })).toBe(7);
  });

  test('is not known from members that remember nothing themselves', () => {
    expect(floorOf(answersOf(runs(4), LOST), all)).toBeNull();
    expect(floorOf(answersOf(runs(4), runs(0)), all)).toBeNull();
  });
});
