import { expect, test } from 'vitest';
import { ReadQueue, type ReadRequest } from './read-queue.ts';

function request(requestId: number, askedTick: number): ReadRequest {
  return { from: 1n, requestId, askedTick };
}

/** Rounds 10 (requests 1, 2), 20 (3), and 4 waiting; asked at ticks 1 … 4. */
function filled(): ReadQueue {
  const queue = new ReadQueue();
  queue.add(request(1, 1));
  queue.add(request(2, 2));
  queue.startRound({ id: 10, commitIndex: 7 });
  queue.add(request(3, 3));
  queue.startRound({ id: 20, commitIndex: 8 });
  queue.add(request(4, 4));
  return queue;
}

function idsOf(requests: readonly ReadRequest[]): number[] {
  return requests.map(({ requestId }) => requestId);
}

test('all that waits when a round starts shares it', () => {
  const queue = filled();
  expect(queue.takeRound(10)).toMatchObject({ commitIndex: 7, requests: [{}, {}] });
  expect([queue.size, queue.latestRound, queue.hasWaiting]).toEqual([2, 20, true]);
});

test('who confirms a round confirms those before it', () => {
  const queue = filled();
  expect(queue.takeRoundsUpTo(9)).toEqual([]);
  expect(queue.takeRoundsUpTo(25).map(({ id }) => id)).toEqual([10, 20]);
  expect([queue.size, queue.latestRound]).toEqual([1, null]);
});

test('a round leaves once', () => {
  const queue = filled();
  queue.takeRound(20);
  expect(queue.takeRound(20)).toBeNull();
  expect(queue.latestRound).toBe(10);
});

test('a round ages with its oldest request; each request leaves exactly once', () => {
  const queue = filled();
  expect(queue.takeOlderThan(0)).toEqual([]);
  expect(idsOf(queue.takeOlderThan(1))).toEqual([1, 2]);
  expect(idsOf(queue.takeOlderThan(4))).toEqual([3, 4]);
  expect([queue.size, queue.hasWaiting, queue.latestRound]).toEqual([0, false, null]);
});

test('taking all leaves nothing', () => {
  const queue = filled();
  expect(idsOf(queue.takeAll())).toEqual([1, 2, 3, 4]);
  expect([queue.size, queue.takeAll()]).toEqual([0, []]);
});
