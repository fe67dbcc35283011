import { describe, expect, test } from 'vitest';
import { type MemoryDisk, memoryDisk } from '../io/memory-disk.ts';
import { segmentName } from './format.ts';
import { type FreshLog, replaceWal, salvageWal } from './index.ts';
import { dieAt, digest } from './testing/crash-states.ts';
import {
  append,
  CONF_STATE,
  command,
  contents,
  DATA,
  filler,
  fingerprint,
  IDENTITY,
  manyBatches,
  open,
  place,
  quiescence,
} from './testing/fixture.ts';

const LIMITS = { segmentBytes: 32 * 1024 };
const BATCHES = manyBatches();
const FRESH: FreshLog = {
  confState: CONF_STATE,
  hardState: { term: 3, vote: 0xa2n, commitIndex: 8 },
  base: { index: 5, term: 2 },
  rejoinFloorTerm: 3,
};

/** A closed log in three segments; the hard states of terms 1, 2 and 3 are in different batches. */
async function closedLog(): Promise<MemoryDisk> {
  const { wal, disk } = await open(undefined, LIMITS);
  for (const batch of BATCHES) await append(wal, batch);
  await wal.close();
  return disk;
}

function pathOf(segment: number): string {
  return `${DATA}/wal/${segmentName(segment)}`;
}

/** Flips a bit of what is in use at `offset`. */
function rot(disk: MemoryDisk, segment: number, offset: number): void {
  const bytes = disk.peek(pathOf(segment));
  bytes[offset] = (bytes[offset] ?? 0) ^ 16;
  disk.poke(pathOf(segment), bytes);
}

/** Where the batches of a segment begin. */
function batchesIn(bytes: Uint8Array): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const offsets = Array.from({ length: bytes.length / 4096 }, (_, i) => i * 4096);
  return offsets.filter((offset) => view.getUint32(offset, true) === 0x54414251);
}

describe('salvageWal', () => {
  test('gives back all of a good log, and names no damage', async () => {
    const disk = await closedLog();
    const before = digest(disk);
    const { entries, hardState, damage, isTermCertain } = await salvageWal(place(disk));
    expect({ damage, isTermCertain }).toEqual({ damage: null, isTermCertain: true });
    const expected = contents(BATCHES).at(-1) ?? { hardState: null, entries: [] };
    expect(fingerprint({ hardState, entries })).toBe(fingerprint(expected));
    expect(digest(disk)).toBe(before);
    await (await open(disk, LIMITS)).wal.close();
  });

  test('gives the entries before the damage, wherever it is, and the highest term', async () => {
    const good = await closedLog();
    const known = contents(BATCHES).map((each) => fingerprint({ ...each, hardState: null }));
    let places = 0;
    let certain = 0;
    for (const segment of [1, 2, 3]) {
      for (const offset of batchesIn(good.peek(pathOf(segment)))) {
        const disk = good.afterKill();
        rot(disk, segment, offset + 70);
        await expect(open(disk, LIMITS)).rejects.toMatchObject({ code: 'CORRUPT', offset });
        const before = digest(disk);
        const salvage = await salvageWal(place(disk));
        expect(salvage.damage).toEqual({ file: pathOf(segment), offset });
        // What was in force after some batch: no more, no less, nothing else.
        const found = fingerprint({ hardState: null, entries: salvage.entries });
        expect(known).toContain(found);
        if (salvage.isTermCertain) {
          certain += 1;
          expect(salvage.hardState).toEqual({ term: 3, vote: 0xa2n, commitIndex: 8 });
        } else expect(salvage.hardState?.term ?? 0).toBeLessThanOrEqual(3);
        expect(digest(disk)).toBe(before);
        places += 1;
      }
    }
    expect(places).toBeGreaterThan(12);
    expect(certain).toBeGreaterThan(8);
    expect(places - certain).toBeGreaterThan(0);
  });

  test('does not call the term certain when the end of the log is damaged or missing', async () => {
    const disk = await closedLog();
    const rotten = disk.afterKill();
    rot(rotten, 3, (batchesIn(disk.peek(pathOf(3))).at(-1) ?? 0) + 8);
    const { hardState, isTermCertain } = await salvageWal(place(rotten));
    expect({ hardState, isTermCertain }).toEqual({
      hardState: { term: 3, vote: 0xa2n, commitIndex: 8 },
      isTermCertain: false,
    });
    disk.poke(pathOf(3), null);
    const salvage = await salvageWal(place(disk));
    expect(salvage.damage).toEqual({ file: pathOf(3), offset: 0 });
    expect(salvage.isTermCertain).toBe(false);
  });

  test('knows a term from an entry, whose vote it does not know', async () => {
    const { wal, disk } = await open(undefined, { segmentBytes: 1024 * 1024 });
    const hardState = { term: 6, vote: 0xa1n, commitIndex: 0 };
    await append(wal, { hardState, entries: [command(1, 6, filler(9, 1))] });
    await append(wal, { hardState: { ...hardState, term: 8 }, entries: [] });
    await append(wal, { hardState: null, entries: [command(2, 8, filler(9, 2))] });
    await wal.close();
    const bytes = disk.peek(pathOf(1));
    rot(disk, 1, (batchesIn(bytes).at(-3) ?? 0) + 70);
    const { hardState: found, isTermCertain, entries } = await salvageWal(place(disk));
    expect(found).toEqual({ term: 8, vote: null, commitIndex: 0 });
    expect(isTermCertain).toBe(false);
    expect(entries).toHaveLength(1);
  });

  test('names the gap between the state machine and a log that was cut', async () => {
    const disk = await closedLog();
    disk.poke(pathOf(1), null);
    const { damage } = await salvageWal(place(disk));
    expect(damage).toEqual({ file: pathOf(1), offset: 0 });
    const base = { index: 7, term: 3 };
    expect((await salvageWal({ ...place(disk), base })).damage).toBeNull();
  });

  test('finds nothing where no log is, and refuses one of another member', async () => {
    const empty = memoryDisk();
    expect(await salvageWal(place(empty))).toEqual({
      hardState: null,
      isTermCertain: false,
      entries: [],
      damage: { file: pathOf(1), offset: 0 },
    });
    const identity = { ...IDENTITY, memberId: 0xa9n };
    const other = salvageWal({ ...place(await closedLog()), identity });
    await expect(other).rejects.toMatchObject({ code: 'WRONG_IDENTITY' });
    const { disk } = await open();
    await expect(salvageWal(place(disk))).rejects.toMatchObject({ code: 'LOCKED' });
  });
});

describe('replaceWal', () => {
  test('begins a log with what it is given and keeps the old one aside', async () => {
    const disk = await closedLog();
    rot(disk, 2, 5000);
    const old = [1, 2, 3].map((segment) => Buffer.from(disk.peek(pathOf(segment))).toString('hex'));
    await replaceWal({ ...place(disk), limits: LIMITS }, FRESH);
    const aside = [1, 2, 3].map((segment) => disk.peek(`${pathOf(segment)}.damaged`));
    expect(aside.map((bytes) => Buffer.from(bytes).toString('hex'))).toEqual(old);
    const { wal } = await open(disk, LIMITS, { base: FRESH.base });
    expect(wal.recovery).toEqual({
      created: false,
      confState: CONF_STATE,
      hardState: { term: 3, vote: 0xa2n, commitIndex: 5 },
      entries: [],
      earlierEntries: [],
      tail: { kind: 'clean' },
      reset: false,
      rejoinFloorTerm: 3,
    });
    await wal.close();
    // A second time: nothing that is aside is overwritten.
    await replaceWal({ ...place(disk), limits: LIMITS }, FRESH);
    const names = disk.paths().filter((path) => path.endsWith('.damaged'));
    expect(names).toHaveLength(4 + (disk.paths().includes(`${pathOf(5)}.damaged`) ? 1 : 0));
    await (await open(disk, LIMITS, { base: FRESH.base })).wal.close();
    // Nor a number used twice, if only what is aside is left.
    const live = disk.paths().filter((path) => path.endsWith('.wal'));
    for (const path of live) disk.poke(path, null);
    await replaceWal({ ...place(disk), limits: LIMITS }, FRESH);
    expect(disk.paths().filter((path) => path.endsWith('.wal'))).toEqual(live.slice(0, 1));
  });

  test('the floor outlives changes of segments until the member has rejoined', async () => {
    const disk = memoryDisk();
    await replaceWal({ ...place(disk), limits: LIMITS }, FRESH);
    let { wal } = await open(disk, LIMITS, { base: FRESH.base });
    for (let index = 6; index < 12; index++) {
      await append(wal, { hardState: null, entries: [command(index, 4, filler(9000, index))] });
    }
    wal.compact(11);
    await wal.close();
    const base = { index: 11, term: 4 };
    ({ wal } = await open(disk, LIMITS, { base }));
    expect(wal.firstIndex).toBeGreaterThan(9);
    expect(wal.recovery.rejoinFloorTerm).toBe(3);
    await append(wal, { hardState: null, entries: [], rejoined: true });
    await wal.close();
    const cut = disk.afterPowerCut(() => false);
    expect((await open(cut, LIMITS, { base })).wal.recovery.rejoinFloorTerm).toBeNull();
  });

  test('at every crash either the damaged log is there, untouched, or the fresh one', async () => {
    const damaged = await closedLog();
    rot(damaged, 2, 5000);
    const seen = { old: 0, fresh: 0 };
    for (let at = 1, done = false; !done; at++) {
      const disk = damaged.afterKill();
      dieAt(disk, at);
      void replaceWal({ ...place(disk), limits: LIMITS }, FRESH).then(() => {
        done = true;
      });
      await quiescence();
      const cuts = [
        disk.afterKill(),
        disk.afterPowerCut(() => false),
        disk.afterPowerCut(() => true),
        ...disk.unsynced().map((_, n) => {
          let i = 0;
          return disk.afterPowerCut(() => i++ !== n);
        }),
      ];
      for (const cut of cuts) {
        const opened = await open(cut, LIMITS, { base: FRESH.base }).catch((error) => error);
        if (opened instanceof Error) {
          expect(opened).toMatchObject({ code: 'CORRUPT', file: pathOf(2) });
          seen.old += 1;
          expect(done).toBe(false);
          continue;
        }
        seen.fresh += 1;
        expect(opened.wal.recovery).toMatchObject({ rejoinFloorTerm: 3, hardState: { term: 3 } });
        // What had not been put aside is put aside by this start.
        const segments = cut.paths().filter((path) => path.endsWith('.wal'));
        expect(segments).toEqual([pathOf(cut.paths().includes(`${pathOf(4)}.damaged`) ? 5 : 4)]);
      }
    }
    expect(seen.old).toBeGreaterThan(10);
    expect(seen.fresh).toBeGreaterThan(5);
  });

  test('makes the log of a restored state; for one openWal never makes it unasked', async () => {
    const disk = memoryDisk();
    const base = { index: 5, term: 2 };
    await expect(open(disk, LIMITS, { base })).rejects.toMatchObject({ code: 'CORRUPT' });
    await replaceWal(
      { ...place(disk), limits: LIMITS },
      { confState: CONF_STATE, hardState: null, base, rejoinFloorTerm: null },
    );
    const { wal } = await open(disk, LIMITS, { base });
    expect(wal.recovery.hardState).toEqual({ term: 2, vote: null, commitIndex: 5 });
    expect(wal.firstIndex).toBe(6);
    await append(wal, { hardState: null, entries: [command(6, 2, filler(5, 5))] });
  });
});
