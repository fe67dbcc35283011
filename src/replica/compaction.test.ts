import { describe, expect, test } from 'vitest';
import { cutIndex, isFull, type LiveLog, wantsFlush } from './compaction.ts';

const LIMITS = { bytesMax: 1_000, entriesMax: 100, unflushedBytesMax: 500 };

/** Entries 11 … `lastIndex` of `each` bytes. */
function logOf(lastIndex: number, each: number): LiveLog {
  return {
    firstIndex: 11,
    lastIndex,
    logBytes: (lastIndex - 10) * each,
    tailAfter: (bytesMax) => Math.max(10, lastIndex - Math.floor(bytesMax / each)),
  };
}

const free = { flushedIndex: 1_000, neededIndex: null };

describe('cutIndex', () => {
  test('within the bound nothing goes', () => {
    expect(cutIndex(logOf(20, 100), free, LIMITS)).toBeNull();
  });

  test('beyond it the oldest go, down to three quarters, in bytes or in entries', () => {
    expect(cutIndex(logOf(21, 100), free, LIMITS)).toBe(14);
    expect(cutIndex(logOf(111, 1), free, LIMITS)).toBe(36);
  });

  test('what the state has not durably stays, whatever the size', () => {
    expect(cutIndex(logOf(31, 100), { ...free, flushedIndex: 12 }, LIMITS)).toBe(12);
    expect(cutIndex(logOf(31, 100), { ...free, flushedIndex: 10 }, LIMITS)).toBeNull();
    expect(cutIndex(logOf(31, 100), { ...free, flushedIndex: 3 }, LIMITS)).toBeNull();
  });

  test('what a follower needs stays up to one and a half of the bound, not beyond', () => {
    expect(cutIndex(logOf(25, 100), { ...free, neededIndex: 10 }, LIMITS)).toBeNull();
    expect(cutIndex(logOf(25, 100), { ...free, neededIndex: 13 }, LIMITS)).toBe(13);
    expect(cutIndex(logOf(26, 100), { ...free, neededIndex: 10 }, LIMITS)).toBe(19);
  });

  test('a few entries are not worth the copying while there is room', () => {
    expect(cutIndex(logOf(25, 100), { ...free, neededIndex: 11 }, LIMITS)).toBeNull();
    expect(cutIndex(logOf(27, 100), { ...free, flushedIndex: 11 }, LIMITS)).toBe(11);
  });
});

describe('wantsFlush', () => {
  const little = { entries: 1, logBytes: 1, stateBytes: 1 };

  test.each([
    ['much in the state', { ...little, stateBytes: 500 }],
    ['a quarter of the bytes', { ...little, logBytes: 250 }],
    ['a quarter of the entries', { ...little, entries: 25 }],
  ])('%s is enough', (_name, unflushed) => {
    expect(wantsFlush(unflushed, LIMITS)).toBe(true);
  });

  test('little is not, and nothing never is', () => {
    expect(wantsFlush(little, LIMITS)).toBe(false);
    expect(wantsFlush({ entries: 0, logBytes: 0, stateBytes: 900 }, LIMITS)).toBe(false);
  });
});

test('a log is full at twice its bound', () => {
  expect(isFull({ log: 1_900, more: 100 }, LIMITS)).toBe(false);
  expect(isFull({ log: 1_900, more: 101 }, LIMITS)).toBe(true);
});
