import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type MemoryDisk, memoryDisk } from '../io/memory-disk.ts';
import { Prng } from '../lib/index.ts';
import { FORMAT_VERSION, segmentName } from './format.ts';
import { replaceWal } from './index.ts';
import { dieAt, powerCuts } from './testing/crash-states.ts';
import {
  append,
  CONF_STATE,
  command,
  contents,
  DATA,
  filler,
  fingerprint,
  manyBatches,
  open,
  place,
  quiescence,
  seenFrom,
} from './testing/fixture.ts';

const SEGMENT_BYTES = 32 * 1024;
const BASE = { index: 40, term: 9 };

/** `GOLDEN=write npx vitest run src/wal/golden` makes the files of a new version. */
const rewrite = process.env['GOLDEN'] === 'write';

function golden(name: string): URL {
  return new URL(`golden/${name}.bin`, import.meta.url);
}

function goldenLog(prefix: string, segments: readonly number[]): MemoryDisk {
  const disk = memoryDisk();
  for (const segment of segments) {
    disk.poke(`${DATA}/wal/${segmentName(segment)}`, readFileSync(golden(`${prefix}-${segment}`)));
  }
  return disk;
}

function expectGolden(disk: MemoryDisk, prefix: string, segments: readonly number[]): void {
  for (const segment of segments) {
    const bytes = disk.peek(`${DATA}/wal/${segmentName(segment)}`);
    const url = golden(`${prefix}-${segment}`);
    if (rewrite) writeFileSync(url, bytes);
    const same = Buffer.compare(bytes, readFileSync(url)) === 0;
    expect(same, `segment ${segment} differs from ${url.pathname}`).toBe(true);
  }
}

test(`today's writer makes the bytes of format version ${FORMAT_VERSION}`, async () => {
  const { wal, disk } = await open(undefined, { segmentBytes: SEGMENT_BYTES });
  for (const batch of manyBatches()) await append(wal, batch);
  await wal.close();
  expectGolden(disk, `v${FORMAT_VERSION}`, [1, 2, 3]);
});

/** A base in the middle, a base at the beginning, a floor, and the record that lifts it. */
const REJOINING = [
  { hardState: null, entries: [command(41, 9, filler(50, 1))] },
  {
    base: { index: 60, term: 10 },
    hardState: { term: 10, vote: null, commitIndex: 60 },
    entries: [command(61, 10, filler(50, 2))],
    rejoined: true,
  },
];

test('so it does for a log that took the place of another one', async () => {
  const disk = memoryDisk();
  const hardState = { term: 9, vote: 0xa2n, commitIndex: 0 };
  const fresh = { confState: CONF_STATE, base: BASE, rejoinFloorTerm: 9, hardState };
  await replaceWal({ ...place(disk), limits: { segmentBytes: SEGMENT_BYTES } }, fresh);
  const { wal } = await open(disk, { segmentBytes: SEGMENT_BYTES }, { base: BASE });
  for (const batch of REJOINING) await append(wal, batch);
  await wal.close();
  expectGolden(disk, `v${FORMAT_VERSION}-rejoin`, [1]);
});

test.each([1, 2])('a log of version %i opens to the content that was written', async (version) => {
  const disk = goldenLog(`v${version}`, [1, 2, 3]);
  const { wal } = await open(disk, { segmentBytes: SEGMENT_BYTES });
  const expected = contents(manyBatches()).at(-1) ?? { hardState: null, entries: [] };
  expect(wal.recovery).toMatchObject({ created: false, reset: false, rejoinFloorTerm: null });
  expect(wal.recovery.confState).toEqual(CONF_STATE);
  expect(fingerprint(wal.recovery)).toBe(fingerprint(expected));
});

test('a log of version 2 that took the place of another one opens to its content', async () => {
  const disk = goldenLog('v2-rejoin', [1]);
  const base = { index: 60, term: 10 };
  const { wal } = await open(disk, { segmentBytes: SEGMENT_BYTES }, { base });
  const expected = contents(REJOINING).at(-1) ?? { hardState: null, entries: [] };
  expect(fingerprint(wal.recovery)).toBe(fingerprint(seenFrom(expected, base)));
  expect(wal.recovery).toMatchObject({ reset: false, rejoinFloorTerm: null });
});

test('a crash at any step of the change from version 1 to 2 changes nothing', async () => {
  const limits = { segmentBytes: SEGMENT_BYTES };
  const expected = fingerprint(contents(manyBatches()).at(-1) ?? { hardState: null, entries: [] });
  let steps = 0;
  for (let done = false; !done; steps++) {
    const disk = goldenLog('v1', [1, 2, 3]);
    dieAt(disk, steps + 1);
    void open(disk, limits).then(() => {
      done = true;
    });
    await quiescence();
    const cuts = powerCuts(disk, { singlesMax: 20, randomSubsets: 4 }, new Prng(1));
    for (const { disk: left, name } of [{ disk: disk.afterKill(), name: 'killed' }, ...cuts]) {
      const { recovery } = (await open(left, limits)).wal;
      expect(fingerprint(recovery), `seed 1, call ${steps + 1}, ${name}`).toBe(expected);
    }
  }
  expect(steps).toBeGreaterThan(20);
});

test('a log of version 1 goes on in version 2 and can be cut, whatever crashes undo', async () => {
  const limits = { segmentBytes: SEGMENT_BYTES };
  const disk = goldenLog('v1', [1, 2, 3]);
  const { wal } = await open(disk, limits);
  await append(wal, { hardState: null, entries: [command(9, 3, filler(10, 1))] });
  await quiescence();
  const base = { index: 8, term: 3 };
  const removals: number[] = [];
  const cuts: MemoryDisk[] = [];
  disk.intercept = ({ kind }) => {
    // After a removal, before it is durable: it may be undone or not.
    if (kind === 'syncDirectory') removals.push(disk.unsynced().length);
    cuts.push(
      disk.afterPowerCut(() => false),
      disk.afterPowerCut(() => true),
    );
    return 'run';
  };
  wal.compact(8);
  await wal.close();
  expect(removals).toEqual([1, 1, 1]);
  for (const cut of [...cuts, disk.afterPowerCut(() => false)]) {
    const { recovery } = (await open(cut, limits, { base })).wal;
    expect(recovery.entries.map(({ index }) => index)).toEqual([9]);
    expect(recovery.confState).toEqual(CONF_STATE);
    expect(recovery.hardState).toEqual({ term: 3, vote: 0xa2n, commitIndex: 8 });
  }
});
