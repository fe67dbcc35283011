import { expect, test } from 'vitest';
import { type ChangeEvent, changesResultOf } from './changes.ts';
import { API_LIMITS } from './limits.ts';

const KEY = Uint8Array.of(1);
const HALF = API_LIMITS.changesAnswerBytesMax / 2;

function event(modRevision: number, valueBytes = 1): ChangeEvent {
  const value = new Uint8Array(valueBytes);
  const kv = { key: KEY, value, createRevision: 1, modRevision, version: 1 };
  return { type: 'put', kv, prevKv: null };
}

/** Reads a page answer by answer, as a client does: the revisions in each answer. */
function answersOf(events: readonly ChangeEvent[], next: number): number[][] {
  const answers: number[][] = [];
  let place = { from: 1, skip: 0 };
  do {
    const { from, skip } = place;
    const rest = { to: null, from: KEY };
    const query = { type: 'changes', range: rest, from, skip, prevKv: false, waitMs: 0 } as const;
    const left = events.filter(({ kv }) => kv.modRevision >= from);
    const result = changesResultOf(query, { events: left, next }, next - 1);
    answers.push(result.events.map(({ kv }) => kv.modRevision));
    place = { from: result.next, skip: result.skip };
  } while (place.from < next);
  return answers;
}

test('a page that fits is one answer', () => {
  expect(answersOf([event(1), event(1), event(3)], 4)).toEqual([[1, 1, 3]]);
});

test('a page that is too large is cut between revisions where that is possible', () => {
  expect(answersOf([event(1), event(2, HALF), event(3, HALF), event(3)], 4)).toEqual([
    [1, 2],
    [3, 3],
  ]);
});

test('one revision that is too large is cut inside, and nothing is lost or told twice', () => {
  const events = [event(1), event(2, HALF), event(2, HALF), event(2, HALF), event(2), event(5)];
  expect(answersOf(events, 6)).toEqual([[1, 2], [2], [2, 2, 5]]);
});

test('a single change that is too large is told all the same', () => {
  expect(answersOf([event(1, 3 * HALF), event(1)], 2)).toEqual([[1], [1]]);
});

test('a place behind the last change of a revision is the next revision', () => {
  const query = { type: 'changes', range: { from: KEY, to: null }, from: 4 } as const;
  const page = { events: [event(4), event(4), event(6)], next: 7 };
  const result = changesResultOf({ ...query, skip: 2, prevKv: false, waitMs: 0 }, page, 6);
  expect(result.events.map(({ kv }) => kv.modRevision)).toEqual([6]);
  expect([result.next, result.skip]).toEqual([7, 0]);
});
