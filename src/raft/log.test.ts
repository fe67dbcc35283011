import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EMPTY_BYTES } from '../lib/index.ts';
import { entryBytes } from './codec.ts';
import { RaftLog } from './log.ts';
import type { ConfState, Entry, SnapshotMeta } from './types.ts';

const CONF: ConfState = {
  voters: [1n, 2n, 3n],
  outgoingVoters: [],
  learners: [],
  learnersNext: [],
  autoLeave: false,
};

/** Commands with these terms, the first at `from`. */
function entries(terms: readonly number[], from = 1): Entry[] {
  return terms.map((term, i) => ({
    kind: 'command',
    index: from + i,
    term,
    data: new Uint8Array([term]),
  }));
}

/** A change that adds a voter. */
function addVoter(index: number, term: number, memberId: bigint): Entry {
  const change = { action: 'addVoter', memberId } as const;
  return {
    kind: 'confChange',
    index,
    term,
    change: { type: 'simple', change, context: EMPTY_BYTES },
  };
}

function snapshotAt(index: number, term: number): SnapshotMeta {
  return { index, term, confState: CONF };
}

/** A log that was recovered with these terms. */
function logOf(
  terms: readonly number[],
  options: { base?: SnapshotMeta; commitIndex?: number } = {},
) {
  const base = options.base ?? snapshotAt(0, 0);
  return new RaftLog({
    snapshot: base,
    entries: entries(terms, base.index + 1),
    commitIndex: options.commitIndex ?? base.index,
    applied: base.index,
  });
}

function termsOf(log: RaftLog): (number | null)[] {
  const indices = Array.from({ length: log.lastIndex - log.firstIndex + 1 }, (_, i) => i);
  return indices.map((i) => log.termAt(log.firstIndex + i));
}

describe('places in the log', () => {
  test('outside of what is here nothing has a term', () => {
    const log = logOf([3, 3, 4], { base: snapshotAt(10, 2) });
    expect([9, 10, 11, 13, 14].map((index) => log.termAt(index))).toEqual([null, 2, 3, 4, null]);
    expect(log.firstIndex).toBe(11);
    expect(log.lastTerm).toBe(4);
  });

  test('§5.4.1: the later last term is more up-to-date, then the longer log', () => {
    const log = logOf([1, 1, 2]);
    expect(log.isUpToDate({ index: 1, term: 3 })).toBe(true);
    expect(log.isUpToDate({ index: 3, term: 2 })).toBe(true);
    expect(log.isUpToDate({ index: 2, term: 2 })).toBe(false);
    expect(log.isUpToDate({ index: 99, term: 1 })).toBe(false);
  });

  test('lastNotAfter is the last index ≤ index with term ≤ term, for any log', () => {
    const steps = fc.array(fc.nat(2), { maxLength: 30 });
    fc.assert(
      fc.property(steps, fc.nat(35), fc.nat(40), (increments, index, term) => {
        const terms = increments.map((_, i) =>
          increments.slice(0, i + 1).reduce((sum, each) => sum + each, 1),
        );
        const expected = [0, ...terms].findLastIndex((each, i) => i <= index && each <= term);
        expect(logOf(terms).lastNotAfter({ index, term })).toBe(expected);
      }),
    );
  });

  test('lastNotAfter leads below the log when nothing here can match', () => {
    const log = logOf([5, 5], { base: snapshotAt(10, 4) });
    expect(log.lastNotAfter({ index: 12, term: 4 })).toBe(10);
    expect(log.lastNotAfter({ index: 12, term: 3 })).toBe(9);
    expect(log.lastNotAfter({ index: 7, term: 9 })).toBe(7);
  });

  test('slice gives at least one entry, and otherwise keeps to the bound', () => {
    const log = logOf([1, 1, 1, 1]);
    const size = entryBytes(entries([1])[0] as Entry);
    const indices = (bytesMax: number) =>
      log.slice({ from: 2, to: 4, bytesMax }).entries.map((entry) => entry.index);
    expect(indices(1)).toEqual([2]);
    expect(indices(2 * size)).toEqual([2, 3]);
    expect(indices(100 * size)).toEqual([2, 3, 4]);
    expect(log.slice({ from: 5, to: 4, bytesMax: 1 })).toEqual({ entries: [], bytes: 0 });
    expect(log.slice({ from: 2, to: 3, bytesMax: 100 * size }).bytes).toBe(2 * size);
    expect(log.bytesBetween(1, 3)).toBe(2 * size);
  });
});

describe('merge', () => {
  test('§5.3: a conflict removes the entry and all after it', () => {
    const log = logOf([1, 1, 2, 2]);
    log.merge(entries([1, 3], 2));
    expect(termsOf(log)).toEqual([1, 1, 3]);
  });

  test('a late message with a part of what is here removes nothing', () => {
    const log = logOf([1, 1, 2, 2]);
    log.merge(entries([1, 2], 2));
    log.merge([]);
    expect(termsOf(log)).toEqual([1, 1, 2, 2]);
  });

  test('a committed entry is never overwritten', () => {
    const log = logOf([1, 1], { commitIndex: 2 });
    expect(() => log.merge(entries([2], 2))).toThrow('committed entry would be overwritten');
  });

  test('gaps and descending terms are bugs', () => {
    expect(() => logOf([1]).merge(entries([1], 3))).toThrow('gap');
    expect(() => logOf([2]).append(entries([1], 2)[0] as Entry)).toThrow('descend');
  });
});

describe('commit and apply', () => {
  test('the commit index never goes back and never beyond the log', () => {
    const log = logOf([1, 1, 1]);
    expect(log.commitTo(2)).toBe(true);
    expect(log.commitTo(1)).toBe(false);
    expect(log.commitIndex).toBe(2);
    expect(() => log.commitTo(4)).toThrow('the log lost entries that it had acknowledged');
  });

  test('entries are handed out once committed and durable, in order, within the bound', () => {
    const log = logOf([1, 1]);
    for (const entry of entries([1, 1], 3)) log.append(entry);
    log.commitTo(4);
    const { sequence } = log.takeUnwritten();
    expect(log.takeApplicable(1).map(({ index }) => index)).toEqual([1]);
    expect(log.takeApplicable(1000).map(({ index }) => index)).toEqual([2]);
    expect(log.hasApplicable).toBe(false);
    log.confirmWritten(sequence);
    expect(log.takeApplicable(1000).map(({ index }) => index)).toEqual([3, 4]);
  });

  test('applied is a report about what was handed out, and late reports change nothing', () => {
    const log = logOf([1, 1, 1], { commitIndex: 3 });
    log.takeApplicable(1000);
    log.appliedTo(3);
    log.appliedTo(2);
    expect(log.applied).toBe(3);
    expect(() => log.appliedTo(4)).toThrow('never handed out');
  });

  test('what was applied before a restart was committed, even if the disk says less', () => {
    const log = new RaftLog({
      snapshot: snapshotAt(0, 0),
      entries: entries([1, 1, 1]),
      commitIndex: 1,
      applied: 2,
    });
    expect(log.commitIndex).toBe(2);
    expect(log.hasApplicable).toBe(false);
  });
});

describe('durability', () => {
  test('counts from the confirmation on, several Readies at once', () => {
    const log = logOf([]);
    const sequences = [1, 2, 3].map((index) => {
      log.append(entries([1], index)[0] as Entry);
      return log.takeUnwritten().sequence;
    });
    log.confirmWritten(sequences[1] as number);
    expect(log.durableIndex).toBe(2);
    expect(() => log.confirmWritten(sequences[0] as number)).toThrow('confirmed twice');
    log.confirmWritten(sequences[2] as number);
    expect(log.durableIndex).toBe(3);
    expect(() => log.confirmWritten(99)).toThrow('before it was handed out');
  });

  test('a confirmation does not vouch for what was overwritten since', () => {
    const log = logOf([1]);
    log.merge(entries([1, 1], 2));
    const first = log.takeUnwritten();
    log.merge(entries([2, 2, 2], 2));
    log.confirmWritten(first.sequence);
    expect(log.durableIndex).toBe(1);
    const second = log.takeUnwritten();
    expect(second.entries.map(({ index, term }) => [index, term])).toEqual([
      [2, 2],
      [3, 2],
      [4, 2],
    ]);
    log.confirmWritten(second.sequence);
    expect(log.durableIndex).toBe(4);
  });

  test('nor for the same entry, removed and written again (ABA)', () => {
    const log = logOf([1]);
    log.merge(entries([1], 2));
    const first = log.takeUnwritten();
    log.merge(entries([2], 2));
    log.takeUnwritten();
    log.merge(entries([3], 2));
    const again = log.takeUnwritten();
    log.confirmWritten(first.sequence);
    expect(log.durableIndex).toBe(1);
    log.confirmWritten(again.sequence);
    expect(log.durableIndex).toBe(2);
  });

  test('overwriting durable entries makes them undurable until written again', () => {
    const log = logOf([1, 1, 1], { commitIndex: 1 });
    expect(log.durableIndex).toBe(3);
    log.merge(entries([2], 2));
    expect(log.durableIndex).toBe(1);
  });
});

describe('configurations', () => {
  test('a change is in force when it is in the log, and gone when it is cut off (Raft §6)', () => {
    const log = logOf([1]);
    log.append(addVoter(2, 1, 4n));
    expect(log.conf.voters).toEqual([1n, 2n, 3n, 4n]);
    expect(log.confIndex).toBe(2);
    expect(log.committedConf).toEqual(CONF);
    log.merge(entries([2], 2));
    expect(log.conf).toEqual(CONF);
    expect(log.confIndex).toBe(0);
  });

  test('a snapshot carries the one at its index, not the one in force', () => {
    const log = logOf([1, 1], { commitIndex: 2 });
    log.append(addVoter(3, 1, 4n));
    log.takeApplicable(1000);
    log.appliedTo(2);
    expect(log.confAt(2)).toEqual(CONF);
    expect(log.confAt(3).voters).toContain(4n);
    log.compact(2);
    expect(log.snapshot).toEqual(snapshotAt(2, 1));
  });
});

describe('compact', () => {
  test('forgets entries and keeps what follows; repeated and older ones change nothing', () => {
    const log = logOf([1, 1, 2, 2], { commitIndex: 3 });
    log.takeApplicable(1000);
    log.appliedTo(3);
    log.compact(3);
    log.compact(2);
    expect([log.firstIndex, log.lastIndex, log.snapshot.index]).toEqual([4, 4, 3]);
    expect(termsOf(log)).toEqual([2]);
  });

  test('never beyond what is applied', () => {
    const log = logOf([1, 1, 1], { commitIndex: 3 });
    expect(() => log.compact(1)).toThrow('not applied');
  });

  test('size and tail follow every change of the entries', () => {
    const log = logOf([1, 1, 2, 2], { commitIndex: 2 });
    const each = entryBytes(entries([1], 1)[0] as Entry);
    expect([log.bytes, log.tailAfter(each * 2), log.tailAfter(each - 1)]).toEqual([4 * each, 2, 4]);
    expect(log.tailAfter(1_000)).toBe(0);
    log.merge(entries([3], 3));
    expect(log.bytes).toBe(3 * each);
    log.takeApplicable(1_000);
    log.appliedTo(2);
    log.compact(2);
    expect([log.bytes, log.tailAfter(1_000)]).toEqual([each, 2]);
    log.restore(snapshotAt(10, 3));
    expect([log.bytes, log.tailAfter(1_000)]).toEqual([0, 10]);
  });
});

describe('restore', () => {
  test('replaces the log; nothing is handed out until the snapshot is durable', () => {
    const log = logOf([1, 1, 1], { commitIndex: 1 });
    log.restore(snapshotAt(10, 3));
    for (const entry of entries([3, 3], 11)) log.append(entry);
    log.commitTo(11);
    const { sequence, snapshot, entries: written } = log.takeUnwritten();
    expect(snapshot).toEqual(snapshotAt(10, 3));
    expect(written.map(({ index }) => index)).toEqual([11, 12]);
    expect([log.snapshotPending, log.hasApplicable, log.applied]).toEqual([true, false, 0]);
    log.confirmWritten(sequence);
    expect([log.snapshotPending, log.durableIndex, log.applied]).toEqual([false, 12, 10]);
    expect(log.takeApplicable(1000).map(({ index }) => index)).toEqual([11]);
  });

  test('a second snapshot while the first is on its way to the disk', () => {
    const log = logOf([1]);
    log.restore(snapshotAt(10, 3));
    const first = log.takeUnwritten();
    log.restore(snapshotAt(20, 3));
    log.confirmWritten(first.sequence);
    expect([log.durableIndex, log.snapshotPending, log.applied]).toEqual([10, true, 0]);
    log.compact(10);
    log.confirmWritten(log.takeUnwritten().sequence);
    expect([log.durableIndex, log.snapshotPending, log.applied]).toEqual([20, false, 20]);
  });

  test('a write from before the snapshot does not count for the log after it', () => {
    const log = logOf([1], { commitIndex: 1 });
    log.merge(entries([1, 1, 1, 1], 2));
    const before = log.takeUnwritten();
    log.restore(snapshotAt(3, 2));
    log.confirmWritten(before.sequence);
    expect([log.durableIndex, log.snapshotPending]).toEqual([1, true]);
  });

  test('never rolls back', () => {
    expect(() => logOf([1, 1], { commitIndex: 2 }).restore(snapshotAt(2, 1))).toThrow('roll back');
  });
});
