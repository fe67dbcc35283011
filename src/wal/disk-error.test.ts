import { expect, test } from 'vitest';
import { DiskError } from '../io/index.ts';
import { type MemoryDisk, memoryDisk } from '../io/memory-disk.ts';
import { WalError } from './index.ts';
import {
  append,
  command,
  contents,
  filler,
  fingerprint,
  manyBatches,
  open,
  quiescence,
} from './testing/fixture.ts';

const LIMITS = { segmentBytes: 20 * 1024 };
const BATCHES = manyBatches();
const ALLOWED = contents(BATCHES).map(fingerprint);

/** How a run on a disk went that failed at some call. */
interface Run {
  readonly disk: MemoryDisk;
  readonly calls: number;
  /** Batches whose `done` was called. */
  readonly acked: number;
  /** The same at the moment of the failure; null when there was none. */
  readonly ackedAtFailure: number | null;
  readonly failures: readonly unknown[];
}

/** Opens, appends everything, closes; the call `failAt` fails once, all others work. */
async function run(failAt: number, code: string): Promise<Run> {
  const disk = memoryDisk();
  let calls = 0;
  disk.intercept = ({ number, path }) => {
    calls = number;
    return number === failAt ? new DiskError(code, path) : 'run';
  };
  let acked = 0;
  let ackedAtFailure: number | null = null;
  const failures: unknown[] = [];
  const onFailure = (error: unknown): void => {
    failures.push(error);
    ackedAtFailure ??= acked;
  };
  const opened = await open(disk, LIMITS, { onFailure }).catch(onFailure);
  if (opened) {
    for (const batch of BATCHES.slice(0, 4)) {
      opened.wal.append(batch, () => acked++);
      await quiescence();
    }
    for (const batch of BATCHES.slice(4)) opened.wal.append(batch, () => acked++);
    await quiescence();
    await opened.wal.close().catch(onFailure);
  }
  return { disk, calls, acked, ackedAtFailure, failures };
}

/** How many batches a start on this disk finds. */
async function found(
  disk: MemoryDisk,
  what: string,
): Promise<{ batches: number; disk: MemoryDisk }> {
  const { wal } = await open(disk, LIMITS).catch((cause: unknown) => {
    throw new Error(`${what}: refused`, { cause });
  });
  return { batches: ALLOWED.lastIndexOf(fingerprint(wal.recovery)), disk };
}

test.each(['EIO', 'ENOSPC'])(
  'an %s at any call ends the log, once, with no false acknowledgement before or after',
  async (code) => {
    const { calls } = await run(0, code);
    expect(calls).toBeGreaterThan(60);
    for (let failAt = 1; failAt <= calls; failAt++) {
      const what = `${code} at call ${failAt}`;
      const { disk, acked, ackedAtFailure, failures } = await run(failAt, code);
      expect(failures, what).toHaveLength(1);
      expect(failures[0], what).toMatchObject({ code: 'IO' });
      expect(acked, what).toBe(ackedAtFailure);
      // A power cut right then, or a new process that may see pages which never reached the disk.
      const cut = await found(
        disk.afterPowerCut(() => false),
        `${what}, power cut`,
      );
      expect(cut.batches, what).toBeGreaterThanOrEqual(acked);
      const again = await found(disk.afterKill(), `${what}, restart`);
      expect(again.batches, what).toBeGreaterThanOrEqual(acked);
      const later = await found(
        again.disk.afterPowerCut(() => false),
        `${what}, restart, power cut`,
      );
      expect(later.batches, what).toBeGreaterThanOrEqual(again.batches);
    }
  },
);

test('after the first error nothing is written or synced, and no done is called', async () => {
  const { wal, disk, failures, clock } = await open(undefined, { segmentBytes: 1024 * 1024 });
  await append(wal, { hardState: null, entries: [command(1, 1, filler(10, 1))] });
  const calls: string[] = [];
  disk.intercept = ({ kind, path }) => {
    calls.push(kind);
    return kind === 'sync' ? new DiskError('EIO', path) : 'run';
  };
  let acked = 0;
  for (let i = 2; i < 6; i++) {
    wal.append({ hardState: null, entries: [command(i, 1, filler(10, i))] }, () => acked++);
  }
  await quiescence();
  wal.append({ hardState: null, entries: [command(6, 1, filler(10, 6))] }, () => acked++);
  clock.advance(1000);
  await quiescence();
  await wal.close();
  expect(acked).toBe(0);
  expect(calls.filter((kind) => kind === 'write' || kind === 'sync')).toEqual(['write', 'sync']);
  expect(failures).toHaveLength(1);
  expect(failures[0]).toBeInstanceOf(WalError);
  expect(failures[0]?.message).toContain('EIO');
});

test('a batch whose sync failed is written anew by the next start, not only synced', async () => {
  const { wal, disk } = await open(undefined, LIMITS);
  disk.intercept = ({ kind, path }) => (kind === 'sync' ? new DiskError('EIO', path) : 'run');
  wal.append({ hardState: null, entries: [command(1, 1, filler(10, 1))] }, () => {});
  await quiescence();
  // The page cache shows the batch, and no sync would bring it to the disk.
  const { wal: next, disk: seen } = await open(disk.afterKill(), LIMITS);
  expect(next.recovery.entries).toHaveLength(1);
  const { wal: last } = await open(
    seen.afterPowerCut(() => false),
    LIMITS,
  );
  expect(last.recovery.entries).toHaveLength(1);
});
