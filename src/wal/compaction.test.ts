import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DiskError } from '../io/index.ts';
import type { MemoryDisk } from '../io/memory-disk.ts';
import { segmentName } from './format.ts';
import type { LogPosition, Wal, WalBatch, WalError } from './index.ts';
import {
  append,
  CONF_STATE,
  type Content,
  command,
  contents,
  DATA,
  filler,
  fingerprint,
  open,
  quiescence,
  seenFrom,
} from './testing/fixture.ts';

/** Header, preamble, one batch, seal: every entry of 3000 bytes has a segment of its own. */
const LIMITS = { segmentBytes: 16 * 1024 };
const HARD_STATE = { term: 2, vote: 0xa1n, commitIndex: 0 };

function entry(index: number, term = 2): WalBatch {
  return { hardState: null, entries: [command(index, term, filler(3000, index))] };
}

/** A log with entries 1 … n, one in each segment behind the first. */
async function logOf(n: number, limits = LIMITS): Promise<{ wal: Wal; disk: MemoryDisk }> {
  const opened = await open(undefined, limits);
  await append(opened.wal, { hardState: HARD_STATE, entries: [] });
  for (let index = 1; index <= n; index++) await append(opened.wal, entry(index));
  // The next segment is made in the background.
  await quiescence();
  return opened;
}

/** Numbers of the segments that are there, prepared ones too. */
function segmentsOn(disk: MemoryDisk): number[] {
  return disk
    .paths()
    .filter((path) => path.endsWith('.wal'))
    .map((path) => Number.parseInt(path.slice(-20, -4), 16));
}

function pathOfActive(disk: MemoryDisk): string {
  return `${DATA}/wal/${segmentName(segmentsOn(disk).at(-2) ?? 0)}`;
}

function remove(disk: MemoryDisk, ...segments: number[]): MemoryDisk {
  const left = disk.afterKill();
  for (const segment of segments) left.poke(`${DATA}/wal/${segmentName(segment)}`, null);
  return left;
}

async function refusal(disk: MemoryDisk, base: LogPosition | null): Promise<WalError> {
  return await open(disk, LIMITS, { base }).then(
    () => {
      throw new Error('not refused');
    },
    (error: WalError) => error,
  );
}

describe('compact', () => {
  test('removes whole segments without entries above the index, never the active one', async () => {
    const { wal, disk } = await logOf(6);
    // Segment 2 has the hard state, segment 3 entry 1, and so on.
    expect(segmentsOn(disk)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    const before = wal.sizeBytes;
    wal.compact(2);
    await quiescence();
    expect(segmentsOn(disk)).toEqual([5, 6, 7, 8, 9]);
    expect(wal.firstIndex).toBe(3);
    expect(before - wal.sizeBytes).toBe(4 * LIMITS.segmentBytes);
    wal.compact(1);
    wal.compact(6);
    await quiescence();
    expect(segmentsOn(disk)).toEqual([8, 9]);
    expect(wal.firstIndex).toBe(6);
    await append(wal, entry(7));
    // What was not needed before is removed as soon as its segment is sealed.
    await quiescence();
    expect(segmentsOn(disk)).toEqual([9, 10]);
    expect(wal.firstIndex).toBe(7);
    await wal.close();
    const again = await open(disk, LIMITS, { base: { index: 6, term: 2 } });
    expect(again.wal.recovery.entries.map(({ index }) => index)).toEqual([7]);
    expect(again.wal.recovery).toMatchObject({ confState: CONF_STATE, hardState: { term: 2 } });
    expect(again.wal.firstIndex).toBe(7);
  });

  test('removes oldest first, and the next only when the last removal is durable', async () => {
    const { wal, disk } = await logOf(6);
    const calls: string[] = [];
    disk.intercept = ({ kind, path }) => {
      calls.push(kind === 'remove' ? path.slice(-5, -4) : kind);
      return 'run';
    };
    wal.compact(3);
    await quiescence();
    expect(calls).toEqual(['1', '2', '3', '4', '5'].flatMap((name) => [name, 'syncDirectory']));
  });

  test('keeps a segment while an entry of it is in force, not when it was replaced', async () => {
    const { wal, disk } = await logOf(3);
    wal.compact(0);
    await quiescence();
    expect(segmentsOn(disk)).toEqual([3, 4, 5, 6]);
    // Entry 1 again, of a later term: 1, 2 and 3 in segments 3, 4 and 5 are void.
    await append(wal, { ...entry(1, 3), hardState: { term: 3, vote: null, commitIndex: 0 } });
    await quiescence();
    expect(segmentsOn(disk)).toEqual([6, 7]);
    await wal.close();
    const { recovery } = (await open(disk, LIMITS)).wal;
    expect(recovery.entries.map(({ index, term }) => ({ index, term }))).toEqual([
      { index: 1, term: 3 },
    ]);
  });

  test('keeps a segment until what replaces its entries is durable', async () => {
    const { wal, disk } = await logOf(3, { segmentBytes: 24 * 1024 });
    wal.compact(0);
    await quiescence();
    const before = disk.paths();
    const active = pathOfActive(disk);
    disk.intercept = ({ kind, path }) => (kind === 'sync' && path === active ? 'stall' : 'run');
    wal.append({ ...entry(1, 3), hardState: { term: 3, vote: null, commitIndex: 0 } }, () => {});
    wal.compact(0);
    await quiescence();
    expect(disk.paths()).toEqual(before);
    const { recovery } = (
      await open(
        disk.afterPowerCut(() => false),
        LIMITS,
      )
    ).wal;
    expect(recovery.entries.map(({ term }) => term)).toEqual([2, 2, 2]);
  });

  test('knows after a restart too which entries were replaced', async () => {
    const { wal, disk } = await logOf(3);
    await append(wal, { ...entry(1, 3), hardState: { term: 3, vote: null, commitIndex: 0 } });
    await wal.close();
    const again = await open(disk, LIMITS);
    const active = segmentsOn(disk).slice(-2);
    again.wal.compact(0);
    await quiescence();
    expect(segmentsOn(disk)).toEqual(active);
  });

  test('does nothing after the log has failed, and is part of its failure', async () => {
    const { wal, disk } = await logOf(3);
    disk.intercept = ({ kind, path }) => (kind === 'remove' ? new DiskError('EIO', path) : 'run');
    wal.compact(2);
    await quiescence();
    const paths = disk.paths();
    let done = false;
    wal.append(entry(4), () => {
      done = true;
    });
    wal.compact(3);
    await quiescence();
    expect(done).toBe(false);
    expect(disk.paths()).toEqual(paths);
    await wal.close();
  });

  test('is refused beyond the last entry', async () => {
    const { wal } = await logOf(2);
    expect(() => wal.compact(3)).toThrow('beyond the last entry');
  });
});

describe('a log whose first segments are gone', () => {
  test('opens from every number on if the state machine holds what they held', async () => {
    const { wal, disk } = await logOf(5);
    await wal.close();
    for (let first = 2; first <= 7; first++) {
      const gone = Array.from({ length: first - 1 }, (_, i) => i + 1);
      for (let index = 0; index <= 5; index++) {
        const left = remove(disk, ...gone);
        const base = index === 0 ? null : { index, term: 2 };
        // Entry i is in segment i + 2.
        if (index + 3 >= first) {
          const { recovery } = (await open(left, LIMITS, { base })).wal;
          const found = recovery.entries.map((each) => each.index);
          expect(found).toEqual([1, 2, 3, 4, 5].slice(index));
          const earlier = recovery.earlierEntries.map((each) => each.index);
          expect(earlier).toEqual([1, 2, 3, 4, 5].slice(Math.max(0, first - 3), index));
          expect(recovery).toMatchObject({ reset: false, confState: CONF_STATE });
          expect(recovery.hardState).toEqual({ ...HARD_STATE, commitIndex: index });
        } else {
          const error = await refusal(left, base);
          expect(error.code).toBe('CORRUPT');
          expect(error.message).toContain('this segment is missing');
          expect(error.message).toContain(`begins with entry ${first - 2}`);
          expect(error.message).toContain(`ends with entry ${index}`);
          expect(error.file).toBe(`${DATA}/wal/${segmentName(first - 1)}`);
        }
      }
    }
  });

  test('is refused when one in the middle, the last or all are missing', async () => {
    const { wal, disk } = await logOf(5);
    await wal.close();
    const base = { index: 4, term: 2 };
    for (const gone of [[3], [5], [1, 4], [7], [7, 8], [1, 2, 3, 4, 5, 6, 7]]) {
      const error = await refusal(remove(disk, ...gone), base);
      expect(error.code, `without ${gone}`).toBe('CORRUPT');
    }
    const error = await refusal(remove(disk, 1, 2, 3, 4, 5, 6, 7, 8), base);
    expect(error.message).toContain('the log is gone');
    expect(error.message).toContain('entries up to 4');
  });

  test('is refused when its first preamble is unreadable', async () => {
    const { wal, disk } = await logOf(5);
    await wal.close();
    const left = remove(disk, 1, 2, 3, 4);
    const path = `${DATA}/wal/${segmentName(5)}`;
    const bytes = left.peek(path);
    left.poke(path, bytes.fill(0, 4096, 8192));
    expect((await refusal(left, { index: 4, term: 2 })).code).toBe('CORRUPT');
  });
});

describe('a state machine ahead of the log', () => {
  test('makes the log start anew behind it, durably, in the term of the state', async () => {
    for (const base of [
      { index: 4, term: 2 },
      { index: 9, term: 7 },
    ]) {
      const { wal, disk } = await logOf(3);
      await wal.close();
      const opened = await open(disk, LIMITS, { base });
      const vote = base.term > 2 ? null : HARD_STATE.vote;
      const expected = {
        created: false,
        reset: true,
        entries: [],
        hardState: { term: base.term, vote, commitIndex: base.index },
      };
      expect(opened.wal.recovery).toMatchObject(expected);
      expect(opened.wal.firstIndex).toBe(base.index + 1);
      await append(opened.wal, entry(base.index + 1, base.term));
      const cut = disk.afterPowerCut(() => false);
      const again = await open(cut, LIMITS, { base });
      expect(again.wal.recovery.reset).toBe(false);
      expect(again.wal.recovery.entries).toHaveLength(1);
    }
  });

  test('is seen by the term at its place: the log has what was never committed', async () => {
    const { wal, disk } = await logOf(3);
    await wal.close();
    const base = { index: 2, term: 5 };
    const opened = await open(disk, LIMITS, { base });
    expect(opened.wal.recovery).toMatchObject({ reset: true, entries: [], hardState: { term: 5 } });
  });

  test('is refused when it contradicts what the log has committed', async () => {
    const { wal, disk } = await logOf(3);
    await append(wal, { hardState: { ...HARD_STATE, commitIndex: 2 }, entries: [] });
    await wal.close();
    const error = await refusal(disk, { index: 2, term: 5 });
    expect(error.code).toBe('CORRUPT');
    expect(error.message).toContain('committed entry 2 of term 2');
    // The same for what the log was cut below: that was committed too.
    const left = remove(disk, 1, 2, 3, 4);
    expect((await refusal(left, { index: 2, term: 5 })).code).toBe('CORRUPT');
  });
});

describe('a base', () => {
  const BASE = { index: 10, term: 4 };

  test('makes all earlier entries void, and their segments go', async () => {
    const { wal, disk } = await logOf(4);
    const hardState = { term: 4, vote: null, commitIndex: 10 };
    await append(wal, { base: BASE, hardState, entries: entry(11, 4).entries });
    await quiescence();
    expect(segmentsOn(disk)).toEqual([7, 8]);
    expect(wal.firstIndex).toBe(11);
    await wal.close();
    const again = await open(disk, LIMITS, { base: BASE });
    expect(again.wal.recovery).toMatchObject({ reset: false, hardState });
    expect(again.wal.recovery.entries.map(({ index }) => index)).toEqual([11]);
  });

  test('never lies below what is committed, and entries follow it without a gap', async () => {
    const { wal } = await logOf(4);
    await append(wal, { hardState: { ...HARD_STATE, commitIndex: 3 }, entries: [] });
    const none = { hardState: null, entries: [] };
    const bad: [string, WalBatch][] = [
      ['before what is settled', { ...none, base: { index: 2, term: 2 } }],
      ['no term', { ...none, base: { index: 20, term: 0 } }],
      ['leaves a gap', { ...none, base: BASE, entries: entry(12, 4).entries }],
      ['a committed one', { ...none, base: BASE, entries: entry(10, 4).entries }],
      ['no stranger', { ...none, rejoined: true }],
    ];
    for (const [message, batch] of bad) {
      expect(() => wal.append(batch, () => {})).toThrow(message);
    }
    await append(wal, { ...none, base: BASE });
    expect(() => wal.append(entry(10, 4), () => {})).toThrow('a committed one');
  });
});

test('random lives with cuts, bases and restarts give back what they must', async () => {
  const step = fc.record({
    action: fc.constantFrom('append', 'append', 'append', 'replace', 'flush', 'install'),
    bytes: fc.nat(7000),
    count: fc.integer({ min: 1, max: 4 }),
    reopen: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      const limits = { segmentBytes: 24 * 1024 };
      let opened = await open(undefined, limits);
      let content: Content = { base: null, hardState: null, entries: [] };
      let state: LogPosition | null = null;
      let term = 1;
      for (const { action, bytes, count, reopen } of steps) {
        const last: LogPosition = content.entries.at(-1) ?? content.base ?? { index: 0, term: 0 };
        const settled = Math.max(state?.index ?? 0, content.base?.index ?? 0);
        if (action === 'flush' && last.index > settled) {
          state = { index: last.index, term: last.term };
          opened.wal.compact(last.index);
        } else if (action !== 'flush') {
          const installed =
            action === 'install' ? { index: last.index + count, term: ++term } : null;
          if (action === 'replace') term += 1;
          const back = action === 'replace' ? count : 0;
          const first = installed?.index ?? Math.max(settled, last.index - back);
          const entries = Array.from({ length: count }, (_, i) =>
            command(first + 1 + i, term, filler(bytes, i)),
          );
          const commitIndex = installed?.index ?? content.hardState?.commitIndex ?? 0;
          const hardState = { term, vote: null, commitIndex };
          const batch: WalBatch = { base: installed, hardState, entries };
          if (installed !== null) state = installed;
          await append(opened.wal, batch);
          content = contents([batch], content)[1] ?? content;
        }
        if (!reopen) continue;
        opened = await open(
          opened.disk.afterPowerCut(() => false),
          limits,
          { base: state },
        );
        const { recovery } = opened.wal;
        expect(fingerprint(recovery)).toBe(fingerprint(seenFrom(content, state)));
        const earlier = content.entries.filter(({ index }) => index <= (state?.index ?? 0));
        const tail = earlier.slice(earlier.length - recovery.earlierEntries.length);
        expect(recovery.earlierEntries).toEqual(tail);
        expect(opened.wal.recovery.reset).toBe(false);
      }
    }),
    { numRuns: 150, seed: 1 },
  );
});
