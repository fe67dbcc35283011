import { beforeAll, describe, expect, test } from 'vitest';
import {
  BLOCK_BYTES,
  decodeSegmentHeader,
  SECTOR_BYTES,
  segmentName,
  segmentSalt,
} from './format.ts';
import { type WalBatch, WalError } from './index.ts';
import { judgeBatch, type Position } from './scan.ts';
import { damaged, readSegments, type Segments } from './testing/damage.ts';
import {
  append,
  type Content,
  contents,
  DATA,
  fingerprint,
  IDENTITY,
  manyBatches,
  moved,
  open,
} from './testing/fixture.ts';

/*
 * A log of 64 KiB in two segments with all kinds of records, closed, so that a mark covers all of
 * it. Whatever happens to its bytes: the same content, or CORRUPT. Anything else is a silent loss.
 */
const SEGMENT_BYTES = 32 * 1024;
const BATCHES: readonly WalBatch[] = [
  { base: { index: 10, term: 1 }, hardState: null, entries: [] },
  ...moved(manyBatches(), { index: 10, term: 0 }),
];
const EXPECTED = fingerprint(contents(BATCHES).at(-1) ?? { hardState: null, entries: [] });
/** `QUORATE_TEST_SCALE=full`: every bit and every length; otherwise a sample of seconds. */
const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
const FULL_TIMEOUT_MS = 20 * 60_000;
// Hundreds of thousands of errors are made here; nobody looks at their stacks.
Error.stackTraceLimit = 0;
let segments: Segments = [];
/** Where the batches of each segment begin, and where the last one ends. */
let positions: Position[][] = [];

beforeAll(async () => {
  segments = await segmentsOf(BATCHES);
  positions = segments.map(positionsOf);
});

/** The segments in use of a closed log with these batches. */
async function segmentsOf(batches: readonly WalBatch[]): Promise<Uint8Array[]> {
  const { wal, disk } = await open(undefined, { segmentBytes: SEGMENT_BYTES });
  // In groups, so that all of it fits into two segments.
  for (const group of [batches.slice(0, 4), batches.slice(4, 6), batches.slice(6)]) {
    await Promise.all(group.map((batch) => append(wal, batch)));
  }
  await wal.close();
  const paths = disk.paths().filter((path) => path.endsWith('.wal'));
  return paths.map((path) => disk.peek(path)).filter((bytes) => bytes.some((b) => b !== 0));
}

function positionsOf(bytes: Uint8Array, i: number): Position[] {
  const reading = decodeSegmentHeader(bytes.subarray(0, BLOCK_BYTES));
  if (reading.kind !== 'header') throw new Error(reading.kind);
  const salt = segmentSalt(IDENTITY, i + 1);
  const sequence = reading.header.previousSequence;
  const all: Position[] = [{ offset: BLOCK_BYTES, sequence, chain: reading.chain }];
  for (;;) {
    const judgement = judgeBatch({ bytes, salt }, all.at(-1) as Position);
    if (judgement.kind !== 'batch') return all;
    all.push(judgement.next);
    if (judgement.header.kind === 'seal') return all;
  }
}

/** Fails on everything but the same content or a refusal; says whether it was refused. */
function judge(changed: Segments, what: string): 'same' | 'refused' {
  let content: string;
  try {
    content = readSegments(changed);
  } catch (error) {
    if (error instanceof WalError && error.code === 'CORRUPT') return 'refused';
    throw new Error(`${what}: not a CORRUPT`, { cause: error });
  }
  if (content !== EXPECTED) throw new Error(`${what}: silent loss`);
  return 'same';
}

describe('a 64 KiB log whose content is covered by a mark', () => {
  test('is two full-length segments and reads back', () => {
    expect(segments.map((bytes) => bytes.length)).toEqual([SEGMENT_BYTES, SEGMENT_BYTES]);
    expect(judge(segments, 'undamaged')).toBe('same');
  });

  test('never loses anything silently, whichever single bit is flipped', () => {
    const step = FULL ? 1 : 3;
    const counts = { header: 0, batch: 0, unused: 0 };
    segments.forEach((original, i) => {
      const bytes = original.slice();
      const salt = segmentSalt(IDENTITY, i + 1);
      const starts = positions[i] ?? [];
      for (let bit = 0; bit < bytes.length * 8; bit += step) {
        const at = bit >> 3;
        const flip = (): void => {
          bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
        };
        flip();
        // The first place that is touched decides; what is before it was read already.
        const start = starts.findLast(({ offset }) => offset <= at);
        const last = start === starts.at(-1);
        if (start === undefined) {
          counts.header += 1;
          const { kind } = decodeSegmentHeader(bytes.subarray(0, BLOCK_BYTES));
          if (kind !== 'corrupt') throw new Error(`segment ${i + 1} bit ${bit}: header ${kind}`);
        } else {
          const { kind } = judgeBatch({ bytes, salt }, start);
          if (last) counts.unused += 1;
          else counts.batch += 1;
          const right = last ? kind === 'torn' || kind === 'corrupt' : kind === 'corrupt';
          if (!right) throw new Error(`segment ${i + 1} bit ${bit}: ${kind}`);
        }
        flip();
      }
    });
    const all = { header: 65_536, batch: 425_984, unused: 32_768 };
    expect(counts.header * step).toBeGreaterThanOrEqual(all.header);
    expect(counts.batch * step).toBeGreaterThanOrEqual(all.batch - step);
    expect(counts.unused * step).toBeGreaterThanOrEqual(all.unused - step);
    if (FULL) expect(counts).toEqual(all);
  });

  function verdictsOnTheWhole() {
    const counts = { same: 0, refused: 0 };
    for (let bit = 0; bit < 524_288; bit += FULL ? 1 : 61) {
      const segment = Math.floor(bit / 8 / SEGMENT_BYTES);
      const at = (bit >> 3) % SEGMENT_BYTES;
      const changed = damaged(segments, segment, (bytes) => {
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
        return undefined;
      });
      counts[judge(changed, `bit ${bit}`)] += 1;
    }
    expect(counts.refused).toBeGreaterThan(5000);
  }
  test('gives the same verdicts when the whole log is read', verdictsOnTheWhole, FULL_TIMEOUT_MS);

  test(
    'never loses anything silently when its first segment was removed',
    () => {
      const second = segments[1] ?? new Uint8Array();
      const whole = readSegments([second], 2);
      const { hardState, entries } = JSON.parse(whole) as Content;
      const expected = JSON.parse(EXPECTED) as Content;
      // What it holds: a suffix of the log, and all that is no entry.
      expect(hardState).toEqual(expected.hardState);
      expect(entries.length).toBeGreaterThan(2);
      expect(expected.entries.slice(-entries.length)).toEqual(entries);
      let refused = 0;
      const step = FULL ? 1 : 31;
      for (let bit = 0; bit < second.length * 8; bit += step) {
        const changed = second.slice();
        changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        let content: string | null = null;
        try {
          content = readSegments([changed], 2);
        } catch (error) {
          if (!(error instanceof WalError && error.code === 'CORRUPT')) throw error;
          refused += 1;
        }
        if (content !== null && content !== whole) throw new Error(`bit ${bit}: silent loss`);
      }
      expect(refused * step).toBeGreaterThan(160_000);
    },
    FULL_TIMEOUT_MS,
  );

  test('is refused at each length to which a segment is cut', () => {
    let refused = 0;
    // 512 is divisible by no such step: also cuts within sectors and blocks.
    const step = FULL ? 1 : 5;
    segments.forEach((original, i) => {
      for (let length = 0; length < SEGMENT_BYTES; length += step) {
        const cut = segments.map((bytes) =>
          bytes === original ? bytes.subarray(0, length) : bytes,
        );
        const verdict = judge(cut, `segment ${i + 1} cut to ${length}`);
        if (verdict === 'refused') refused += 1;
      }
    });
    expect(refused).toBe(segments.length * Math.ceil(SEGMENT_BYTES / step));
  });

  test('never loses anything silently when a sector is zeroed', () => {
    for (const [segment, sector] of sectors()) {
      const zeroed = damaged(segments, segment, (bytes) => bytes.fill(0, ...span(sector)));
      judge(zeroed, `sector ${sector} of segment ${segment + 1} zeroed`);
    }
  });

  test('never loses anything silently when a sector is written over any other', () => {
    for (const [toSegment, to] of sectors()) {
      for (const [fromSegment, from] of sectors()) {
        const source = segments[fromSegment]?.subarray(...span(from)) ?? new Uint8Array();
        const changed = damaged(segments, toSegment, (bytes) => {
          bytes.set(source, span(to)[0]);
          return undefined;
        });
        judge(changed, `sector ${fromSegment}.${from} over ${toSegment}.${to}`);
      }
    }
  });

  test('never loses anything silently when two sectors or two blocks are swapped', () => {
    for (const length of [SECTOR_BYTES, BLOCK_BYTES]) {
      for (const bytes of segments) {
        for (let a = 0; a < SEGMENT_BYTES; a += length) {
          for (let b = a + length; b < SEGMENT_BYTES; b += length) {
            const swap = bytes.slice();
            swap.copyWithin(a, b, b + length);
            swap.set(bytes.subarray(a, a + length), b);
            const changed = segments.map((each) => (each === bytes ? swap : each));
            judge(changed, `${length} bytes at ${a} and ${b} swapped`);
          }
        }
      }
    }
  });

  test('is refused when segments are missing, swapped, doubled or from another log', async () => {
    const [first, second] = segments as [Uint8Array, Uint8Array];
    const [base, , ...rest] = BATCHES;
    const hardState = { term: 1, vote: null, commitIndex: 10 };
    const foreign = (
      await segmentsOf([{ ...base, hardState, entries: [] }, { hardState, entries: [] }, ...rest])
    )[1];
    const cases = { alone: [first], swapped: [second, first], doubled: [first, first] };
    for (const [what, changed] of Object.entries(cases))
      expect(judge(changed, what)).toBe('refused');
    // Only a byte of the first segment differs: all indexes, terms and sequences are the same.
    if (foreign === undefined) throw new Error('one segment only');
    expect(judge([first, foreign], 'second segment of another log')).toBe('refused');
    expect(judge([first, new Uint8Array(SEGMENT_BYTES), second], 'empty between')).toBe('refused');
  });

  test('names the end of a segment whose seal is gone', () => {
    const seal = positions[0]?.at(-2)?.offset ?? 0;
    const unsealed = damaged(segments, 0, (bytes) => bytes.fill(0, seal, seal + BLOCK_BYTES));
    expect(() => readSegments(unsealed)).toThrow(`the end of this segment is gone`);
    expect(() => readSegments(unsealed)).toThrow(`at byte ${seal}`);
  });

  test('takes a batch only with the sequence and the chain that come next', () => {
    const bytes = segments[0] ?? new Uint8Array();
    const salt = segmentSalt(IDENTITY, 1);
    for (const start of positions[0]?.slice(0, -1) ?? []) {
      expect(judgeBatch({ bytes, salt }, start).kind).toBe('batch');
      const later = { ...start, sequence: start.sequence + 1 };
      expect(judgeBatch({ bytes, salt }, later).kind).toBe('corrupt');
      const other = { ...start, chain: start.chain ^ 1 };
      expect(judgeBatch({ bytes, salt }, other).kind).toBe('corrupt');
    }
  });
});

describe('the last batch of a log that has no mark yet', () => {
  test('is cut off if a sector is unwritten, refused if damaged otherwise', async () => {
    const { wal, disk } = await open(undefined, { segmentBytes: SEGMENT_BYTES });
    for (const batch of manyBatches().slice(0, 3)) await append(wal, batch);
    const path = `${DATA}/wal/${segmentName(1)}`;
    const bytes = disk.peek(path);
    const before = fingerprint(contents(manyBatches().slice(0, 2)).at(-1) as never);
    const start = positionsOf(bytes, 0).at(-2)?.offset ?? 0;
    const used = Math.ceil((64 + 100 + 5000) / SECTOR_BYTES);
    for (let sector = 0; sector < used; sector++) {
      const at = start + sector * SECTOR_BYTES;
      const torn = damaged([bytes], 0, (copy) => copy.fill(0, at, at + SECTOR_BYTES));
      expect(readSegments(torn)).toBe(before);
      const rotten = damaged([bytes], 0, (copy) => copy.fill(0xff, at, at + SECTOR_BYTES));
      expect(judge(rotten, `sector ${sector} rotten`)).toBe('refused');
    }
  });
});

function* sectors(): Generator<[segment: number, sector: number]> {
  for (let segment = 0; segment < segments.length; segment++) {
    for (let sector = 0; sector < SEGMENT_BYTES / SECTOR_BYTES; sector++) yield [segment, sector];
  }
}

function span(sector: number): [start: number, end: number] {
  return [sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES];
}
