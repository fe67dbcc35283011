import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { MemoryDisk } from '../io/memory-disk.ts';
import type { Entry } from '../raft/index.ts';
import { FORMAT_VERSION, segmentName } from './format.ts';
import { payloadBytesMax, type Wal, type WalBatch, WalError } from './index.ts';
import { digest } from './testing/crash-states.ts';
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
  quiescence,
} from './testing/fixture.ts';

/** Large enough that no second one is prepared. */
const ONE_SEGMENT = { segmentBytes: 1024 * 1024 };
const NOTHING = { hardState: null, entries: [] };

function entryBatch(...entries: Entry[]): WalBatch {
  return { hardState: null, entries };
}

async function refusal(opening: Promise<unknown>): Promise<WalError> {
  const error = await opening.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof WalError) return error;
  throw new Error('not refused with a WalError', { cause: error });
}

/** Records the calls from here on. */
function recordCalls(disk: MemoryDisk): string[] {
  const calls: string[] = [];
  disk.intercept = ({ kind, path }) => {
    calls.push(`${kind} ${path.slice(path.lastIndexOf('/') + 1)}`);
    return 'run';
  };
  return calls;
}

describe('a log', () => {
  test('is created with its configuration and gives it back at each start', async () => {
    const first = await open();
    expect(first.wal.recovery).toEqual({
      created: true,
      confState: CONF_STATE,
      hardState: null,
      entries: [],
      earlierEntries: [],
      tail: { kind: 'clean' },
      reset: false,
      rejoinFloorTerm: null,
    });
    await first.wal.close();
    const other = { ...CONF_STATE, voters: [7n] };
    const second = await open(first.disk, undefined, { confState: other });
    expect(second.wal.recovery.created).toBe(false);
    expect(second.wal.recovery.confState).toEqual(CONF_STATE);
  });

  test('gives back every kind of record, whatever the segments are', async () => {
    for (const segmentBytes of [20, 24, 64, 1024].map((kib) => kib * 1024)) {
      const { wal, disk } = await open(undefined, { segmentBytes });
      for (const batch of manyBatches()) await append(wal, batch);
      await wal.close();
      const again = await open(
        disk.afterPowerCut(() => false),
        { segmentBytes },
      );
      const expected = contents(manyBatches()).at(-1) ?? NOTHING;
      expect(fingerprint(again.wal.recovery)).toBe(fingerprint(expected));
    }
  });

  test('lets go of the recovered entries with the first append', async () => {
    const first = await open();
    await append(first.wal, entryBatch(command(1, 1, filler(10, 1))));
    await first.wal.close();
    const { wal } = await open(first.disk);
    expect(wal.recovery.entries).toHaveLength(1);
    await append(wal, entryBatch(command(2, 1, filler(10, 2))));
    expect(wal.recovery.entries).toHaveLength(0);
  });

  test('goes on where it was after a change of the segment size', async () => {
    let disk = (await open(undefined, { segmentBytes: 20 * 1024 })).disk.afterKill();
    let index = 0;
    for (const kib of [20, 64, 20, 32, 20]) {
      const { wal, disk: used } = await open(disk, { segmentBytes: kib * 1024 });
      expect(wal.recovery.entries).toHaveLength(index);
      for (let i = 0; i < 7; i++) {
        index += 1;
        await append(wal, entryBatch(command(index, 1, filler(kib * 256, index))));
      }
      await wal.close();
      disk = used.afterPowerCut(() => false);
    }
  });

  test('reads back what random batches wrote, with restarts in between', async () => {
    const size = fc.oneof(fc.nat(300), fc.nat(9000));
    const bytes = fc
      .tuple(size, fc.constantFrom(0, 0, 1, 255))
      .map(([n, fill]) => (fill === 255 ? filler(n, n) : new Uint8Array(n).fill(fill)));
    const step = fc.record({
      /** How many entries the batch goes back before it adds its own. */
      back: fc.nat(3),
      datas: fc.array(bytes, { maxLength: 4 }),
      newTerm: fc.boolean(),
      withHardState: fc.boolean(),
      reopen: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        let opened = await open();
        let content = contents([])[0] ?? NOTHING;
        let term = 1;
        for (const { back, datas, newTerm, withHardState, reopen } of steps) {
          if (newTerm) term += 1;
          const commitIndex = content.hardState?.commitIndex ?? 0;
          const first = Math.max(commitIndex + 1, content.entries.length + 1 - back);
          const entries = datas.map((data, i) => command(first + i, term, data));
          const hardState = withHardState ? { term, vote: null, commitIndex } : null;
          const batch = { hardState, entries };
          const done = append(opened.wal, batch);
          content = contents([batch], content)[1] ?? NOTHING;
          if (!reopen) continue;
          await done;
          opened = await open(opened.disk.afterPowerCut(() => false));
          expect(fingerprint(opened.wal.recovery)).toBe(fingerprint(content));
        }
        await opened.wal.close();
        const last = await open(opened.disk.afterPowerCut(() => false));
        expect(fingerprint(last.wal.recovery)).toBe(fingerprint(content));
      }),
      { numRuns: 80, seed: 1 },
    );
  });
});

describe('appending', () => {
  test('calls every done once, in order, never before append has returned', async () => {
    const { wal } = await open();
    const order: number[] = [];
    for (let i = 1; i <= 20; i++) {
      wal.append(entryBatch(command(i, 1, filler(2000, i))), () => order.push(i));
      expect(order).toEqual([]);
    }
    await wal.close();
    expect(order).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  });

  test('writes at once, and what arrives meanwhile shares the next write and sync', async () => {
    const opened = await open(undefined, ONE_SEGMENT);
    const calls = recordCalls(opened.disk);
    const acked = Array.from({ length: 50 }, (_, i) =>
      append(opened.wal, entryBatch(command(i + 1, 1, filler(20, i)))),
    );
    await Promise.all(acked);
    const name = segmentName(1);
    expect(calls).toEqual([`write ${name}`, `sync ${name}`, `write ${name}`, `sync ${name}`]);
  });

  test('spreads a batch beyond the limit, and tells when all of it is durable', async () => {
    const limits = { segmentBytes: 64 * 1024, batchBytesMax: 8 * 1024 };
    const entries = Array.from({ length: 30 }, (_, i) => command(i + 1, 4, filler(3000, i)));
    const batch = { hardState: { term: 4, vote: 0xa2n, commitIndex: 25 }, entries };
    const { disk } = await open(undefined, limits);
    const partial = new Set<number>();
    for (let at = 1, done = false; !done; at++) {
      const trial = disk.afterKill();
      const { wal } = await open(trial, limits);
      let started = 0;
      trial.intercept = ({ number }) => {
        started ||= number;
        return number - started + 1 >= at ? 'stall' : 'run';
      };
      wal.append(batch, () => {
        done = true;
      });
      await quiescence();
      const { recovery } = (
        await open(
          trial.afterPowerCut(() => false),
          limits,
        )
      ).wal;
      const found = recovery.entries.length;
      partial.add(found);
      const expected = { hardState: recovery.hardState, entries: entries.slice(0, found) };
      expect(fingerprint(recovery)).toBe(fingerprint(expected));
      expect(recovery.hardState?.commitIndex ?? 0).toBeLessThanOrEqual(found);
      // No entry without its term.
      expect(recovery.hardState?.term ?? 0).toBe(found === 0 ? 0 : 4);
      if (done) expect(fingerprint(recovery)).toBe(fingerprint(batch));
    }
    expect(partial.size).toBeGreaterThan(5);
  });

  test('refuses what Raft forbids, and writes nothing of it', async () => {
    const { wal, disk } = await open();
    const data = filler(5, 5);
    const hardState = { term: 2, vote: 0xa1n, commitIndex: 1 };
    await append(wal, { hardState, entries: [command(1, 1, data), command(2, 2, data)] });
    const bad: [string, WalBatch][] = [
      ['leaves a gap', entryBatch(command(4, 2, data))],
      ['leaves a gap', entryBatch(command(3, 2, data), command(5, 2, data))],
      ['replace a committed one', entryBatch(command(1, 2, data))],
      ['term went back', { hardState: { ...hardState, term: 1 }, entries: [command(3, 2, data)] }],
      ['vote in term 2 changed', { hardState: { ...hardState, vote: 0xa2n }, entries: [] }],
      ['vote in term 2 changed', { hardState: { ...hardState, vote: null }, entries: [] }],
      ['commit index went back', { hardState: { ...hardState, commitIndex: 0 }, entries: [] }],
      ['beyond the last entry', { hardState: { ...hardState, commitIndex: 3 }, entries: [] }],
      ['does not fit', entryBatch(command(3, 2, new Uint8Array(payloadBytesMax(32 * 1024))))],
    ];
    for (const [message, batch] of bad) {
      expect(() => wal.append(batch, () => {})).toThrow(message);
    }
    await wal.close();
    expect(() => wal.append(NOTHING, () => {})).toThrow('closed');
    expect((await open(disk)).wal.recovery.entries).toHaveLength(2);
  });

  test('says how long the oldest batch has been waiting for the disk', async () => {
    const { wal, disk, clock } = await open();
    expect(wal.waitingMs()).toBeNull();
    await append(wal, entryBatch(command(1, 1, filler(5, 5))));
    expect(wal.waitingMs()).toBeNull();
    disk.intercept = () => 'stall';
    wal.append(entryBatch(command(2, 1, filler(5, 5))), () => {});
    clock.advance(700);
    wal.append(entryBatch(command(3, 1, filler(5, 5))), () => {});
    clock.advance(300);
    expect(wal.waitingMs()).toBe(1000);
  });

  test('counts the bytes in use through all segments', async () => {
    const { wal } = await open(undefined, { segmentBytes: 16 * 1024 });
    // Header, preamble, mark.
    expect(wal.sizeBytes).toBe(3 * 4096);
    await append(wal, entryBatch(command(1, 1, filler(5, 5))));
    // The mark was the last that fitted: seal, next header and preamble, batch.
    expect(wal.sizeBytes).toBe(7 * 4096);
  });
});

describe('the durable mark', () => {
  test('follows 10 ms after the last append, once', async () => {
    const opened = await open(undefined, ONE_SEGMENT);
    const calls = recordCalls(opened.disk);
    const { wal, clock } = opened;
    await append(wal, entryBatch(command(1, 1, filler(5, 5))));
    clock.advance(6);
    await append(wal, entryBatch(command(2, 1, filler(5, 5))));
    clock.advance(9);
    await quiescence();
    expect(calls).toHaveLength(4);
    clock.advance(1);
    await quiescence();
    expect(calls).toHaveLength(6);
    clock.advance(1000);
    await quiescence();
    expect(calls).toHaveLength(6);
    expect(clock.pending).toBe(0);
  });

  test('makes damage to the last batch known as such', async () => {
    for (const marked of [false, true]) {
      const { wal, disk, clock } = await open();
      const before = disk.peek(`${DATA}/wal/${segmentName(1)}`);
      await append(wal, entryBatch(command(1, 1, filler(1000, 5))));
      if (marked) clock.advance(10);
      await quiescence();
      const left = disk.afterPowerCut(() => false);
      const path = `${DATA}/wal/${segmentName(1)}`;
      const bytes = left.peek(path);
      const offset = bytes.findIndex((byte, i) => byte !== before[i]);
      left.poke(path, bytes.fill(0, offset + 512, offset + 1024));
      const opening = open(left);
      if (marked) expect((await refusal(opening)).code).toBe('CORRUPT');
      else expect((await opening).wal.recovery.tail).toMatchObject({ kind: 'torn', offset });
    }
  });

  test('is written by close, which waits for everything and may be called twice', async () => {
    const { wal, disk, clock } = await open();
    let acked = 0;
    for (let i = 1; i <= 9; i++)
      wal.append(entryBatch(command(i, 1, filler(900, i))), () => acked++);
    await Promise.all([wal.close(), wal.close()]);
    await wal.close();
    expect(acked).toBe(9);
    expect(clock.pending).toBe(0);
    const calls = recordCalls((await open(disk)).disk);
    await quiescence();
    // A mark is the last thing in it: none is due after the next start.
    expect(calls).toEqual([]);
  });
});

describe('opening is refused', () => {
  async function closedLog() {
    const { wal, disk } = await open();
    for (const batch of manyBatches()) await append(wal, batch);
    await wal.close();
    return disk;
  }
  const path = `${DATA}/wal/${segmentName(1)}`;

  test('while another has the directory, and not after it has closed', async () => {
    const { wal, disk } = await open();
    const error = await refusal(open(disk));
    expect(error.code).toBe('LOCKED');
    expect(error.message).toContain(DATA);
    await wal.close();
    await (await open(disk)).wal.close();
  });

  test("for another cluster's or member's log, with both ids, releasing the lock", async () => {
    const disk = await closedLog();
    for (const identity of [
      { ...IDENTITY, clusterId: 0xc2n },
      { ...IDENTITY, memberId: 0xa9n },
    ]) {
      const error = await refusal(open(disk, undefined, { identity }));
      expect(error.code).toBe('WRONG_IDENTITY');
      expect(error.message).toContain('member a1 of cluster c1');
      const { memberId, clusterId } = identity;
      expect(error.message).toContain(
        `member ${memberId.toString(16)} of cluster ${clusterId.toString(16)}`,
      );
    }
    await (await open(disk)).wal.close();
  });

  test('for a format that is newer, and says so', async () => {
    const disk = await closedLog();
    const { crc32 } = await import('node:zlib');
    const bytes = disk.peek(path);
    const view = new DataView(bytes.buffer);
    view.setUint32(8, FORMAT_VERSION + 1, true);
    view.setUint32(12, crc32(bytes.subarray(16, 512), crc32(bytes.subarray(0, 12))), true);
    disk.poke(path, bytes);
    const error = await refusal(open(disk));
    expect(error.code).toBe('VERSION');
    expect(error.message).toContain(`format ${FORMAT_VERSION + 1}`);
  });

  test('for damage, naming file and offset, and nothing is changed', async () => {
    const disk = await closedLog();
    const bytes = disk.peek(path);
    bytes[4096 + 100] = (bytes[4096 + 100] ?? 0) ^ 1;
    disk.poke(path, bytes);
    disk.poke(`${DATA}/wal/${segmentName(4)}.new`, new Uint8Array(10));
    const before = digest(disk);
    const error = await refusal(open(disk));
    expect({ code: error.code, file: error.file, offset: error.offset }).toEqual({
      code: 'CORRUPT',
      file: path,
      offset: 4096,
    });
    expect(error.message).toContain(`${path}: the batch is damaged`);
    expect(error.message).toContain('at byte 4096');
    expect(digest(disk)).toBe(before);
  });

  test('when any segment in use is missing, also the last one', async () => {
    const disk = await closedLog();
    const used = disk
      .paths()
      .filter((each) => each.endsWith('.wal') && disk.peek(each).some(Boolean));
    expect(used.length).toBeGreaterThan(2);
    for (const missing of used) {
      const without = disk.afterKill();
      without.poke(missing, null);
      const error = await refusal(open(without));
      expect(error.code).toBe('CORRUPT');
      expect(error.file).toBe(missing);
      expect(error.message).toContain('missing');
    }
  });
});

test('leftovers of an unfinished segment are removed, foreign files are left alone', async () => {
  const { wal, disk } = await open();
  await wal.close();
  disk.poke(`${DATA}/wal/${segmentName(2)}.new`, new Uint8Array(10));
  disk.poke(`${DATA}/wal/notes.txt`, new Uint8Array(10));
  const warnings: unknown[] = [];
  const { silentLog } = await import('../io/index.ts');
  const log = { ...silentLog, warn: (_: string, fields: unknown) => warnings.push(fields) };
  const again: { wal: Wal } = await open(disk, undefined, { log });
  expect(again.wal.recovery.created).toBe(false);
  expect(disk.paths()).toEqual([`${DATA}/wal/${segmentName(1)}`, `${DATA}/wal/notes.txt`]);
  expect(warnings).toEqual([{ directory: `${DATA}/wal`, name: 'notes.txt' }]);
});
