import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InflightWindow } from './inflight.ts';
import { RAFT_LIMITS } from './options.ts';
import { Progress } from './progress.ts';

const LIMITS = { ...RAFT_LIMITS, inflightAppendsMax: 3, inflightBytesMax: 100 };

function probing(nextIndex: number): Progress {
  return new Progress({ nextIndex, tick: 0, limits: LIMITS });
}

/** Matched at `matchIndex`, everything acknowledged. */
function replicating(matchIndex: number): Progress {
  const progress = probing(matchIndex + 1);
  progress.accepted(matchIndex, 1);
  return progress;
}

function send(progress: Progress, lastIndex: number, bytes = 10, commitIndex = 0): void {
  progress.sentAppend({ lastIndex, bytes, commitIndex });
}

describe('probe', () => {
  test('sends one append, then waits for an answer or a heartbeat’s', () => {
    const progress = probing(5);
    const log = { lastIndex: 9, commitIndex: 3 };
    expect(progress.wantsAppend(log)).toBe(true);
    send(progress, 9);
    expect(progress.wantsAppend(log)).toBe(false);
    expect(progress.nextIndex).toBe(5);
    progress.oweAppend();
    expect(progress.wantsAppend(log)).toBe(true);
  });

  test('an acceptance starts replication, even one that tells nothing new', () => {
    const progress = probing(1);
    progress.accepted(0, 1);
    expect([progress.state, progress.nextIndex]).toEqual(['replicate', 1]);
  });

  test('a refusal moves back to the hint, at most to what matched, and owes the next probe', () => {
    const progress = probing(10);
    send(progress, 9, 0);
    expect(progress.rejected({ prevLogIndex: 9, retryIndex: 4 })).toBe(true);
    expect([progress.nextIndex, progress.wantsAppend({ lastIndex: 9, commitIndex: 0 })]).toEqual([
      5,
      true,
    ]);
    expect(progress.rejected({ prevLogIndex: 4, retryIndex: 99 })).toBe(true);
    expect(progress.nextIndex).toBe(4);
  });

  test('a repeated or late refusal changes nothing', () => {
    const progress = probing(10);
    progress.rejected({ prevLogIndex: 9, retryIndex: 4 });
    expect(progress.rejected({ prevLogIndex: 9, retryIndex: 2 })).toBe(false);
    expect(progress.nextIndex).toBe(5);
  });
});

describe('replicate', () => {
  test('sends ahead until the window is full, and goes on as answers come', () => {
    const progress = replicating(0);
    const log = { lastIndex: 9, commitIndex: 0 };
    for (const lastIndex of [1, 2, 3]) send(progress, lastIndex);
    expect([progress.windowFull, progress.wantsAppend(log)]).toEqual([true, false]);
    progress.accepted(2, 1);
    expect([progress.windowFull, progress.wantsAppend(log)]).toEqual([false, true]);
    expect(progress.nextIndex).toBe(4);
  });

  test('late acceptances move nothing back', () => {
    const progress = replicating(5);
    send(progress, 8);
    progress.accepted(7, 1);
    progress.accepted(6, 1);
    expect([progress.matchIndex, progress.nextIndex]).toEqual([7, 9]);
  });

  test('a refusal above matchIndex goes back to what matched; one at or below is old news', () => {
    const progress = replicating(5);
    send(progress, 8);
    expect(progress.rejected({ prevLogIndex: 5, retryIndex: 0 })).toBe(false);
    expect(progress.state).toBe('replicate');
    expect(progress.rejected({ prevLogIndex: 8, retryIndex: 0 })).toBe(true);
    expect([progress.state, progress.nextIndex, progress.windowFull]).toEqual(['probe', 6, false]);
  });

  test('a new commit index is worth one empty append, and not a second', () => {
    const progress = replicating(5);
    const log = { lastIndex: 5, commitIndex: 4 };
    expect(progress.wantsAppend(log)).toBe(true);
    send(progress, 5, 0, 4);
    expect(progress.wantsAppend(log)).toBe(false);
    expect(progress.wantsAppend({ lastIndex: 5, commitIndex: 5 })).toBe(true);
  });

  test('a commit index beyond what was sent is of no use yet', () => {
    const progress = replicating(5);
    for (const lastIndex of [6, 7, 8]) send(progress, lastIndex, 10, 8);
    expect(progress.wantsAppend({ lastIndex: 20, commitIndex: 20 })).toBe(false);
  });
});

describe('snapshot', () => {
  test('nothing is sent until its fate is known', () => {
    const progress = probing(1);
    progress.becomeSnapshot(10);
    progress.oweAppend();
    expect(progress.wantsAppend({ lastIndex: 20, commitIndex: 20 })).toBe(false);
    expect(progress.rejected({ prevLogIndex: 10, retryIndex: 0 })).toBe(false);
  });

  test('delivered: probes behind it; failed: from what matched; both once it is heard', () => {
    for (const [delivered, nextIndex] of [
      [true, 11],
      [false, 1],
    ] as const) {
      const progress = probing(1);
      progress.becomeSnapshot(10);
      progress.endSnapshot({ delivered });
      expect([progress.state, progress.nextIndex]).toEqual(['probe', nextIndex]);
      expect(progress.wantsAppend({ lastIndex: 20, commitIndex: 20 })).toBe(false);
      progress.oweAppend();
      expect(progress.wantsAppend({ lastIndex: 20, commitIndex: 20 })).toBe(true);
    }
  });

  test('an answer that reaches the log starts replication, whatever snapshot it was', () => {
    const progress = probing(1);
    progress.becomeSnapshot(10);
    progress.accepted(5, 8);
    expect(progress.state).toBe('snapshot');
    progress.accepted(7, 8);
    expect([progress.state, progress.nextIndex]).toEqual(['replicate', 8]);
  });

  test('the report about a snapshot that is over changes nothing', () => {
    const progress = replicating(5);
    progress.endSnapshot({ delivered: false });
    expect(progress.state).toBe('replicate');
  });
});

describe('InflightWindow', () => {
  test('holds what is sent and not acknowledged, for any order of events', () => {
    const step = fc.oneof(
      fc.record({ send: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ ack: fc.nat(60) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        const window = new InflightWindow({ appendsMax: 4, bytesMax: 120 });
        let naive: { lastIndex: number; bytes: number }[] = [];
        let lastIndex = 0;
        for (const each of steps) {
          if ('ack' in each) {
            window.freeTo(each.ack);
            naive = naive.filter((append) => append.lastIndex > each.ack);
          } else if (!window.full) {
            lastIndex += 1;
            window.add(lastIndex, each.send);
            naive.push({ lastIndex, bytes: each.send });
          }
          const bytes = naive.reduce((sum, append) => sum + append.bytes, 0);
          expect([window.count, window.bytes]).toEqual([naive.length, bytes]);
          expect(window.full).toBe(naive.length >= 4 || bytes >= 120);
        }
      }),
    );
  });
});

test('heard and confirmed reads only go up', () => {
  const progress = probing(1);
  progress.confirmRead(7);
  progress.confirmRead(3);
  expect(progress.readAttempt).toBe(7);
  progress.heard(4);
  expect(progress.heardTick).toBe(4);
});
