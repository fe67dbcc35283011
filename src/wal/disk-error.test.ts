import { expect, test } from 'vitest';
import { DiskError } from '../io/index.ts';
import { type MemoryDisk, memoryDisk } from '../io/memory-disk.ts';
import { type LogPosition, WalError } from './index.ts';
import { append, command, filler, open, quiescence } from './testing/fixture.ts';
import { batchesIn, LIMITS, live, type Progress } from './testing/workload.ts';

/** How a life on a disk went that failed at some call. */
interface Run extends Progress {
  readonly disk: MemoryDisk;
  readonly calls: string[];
  /** `acked` at the moment of the failure; null when there was none. */
  readonly ackedAtFailure: number | null;
  readonly failures: readonly unknown[];
}

/** Opens, lives, closes; the call `failAt` fails once, all others work. */
async function run(failAt: number, code: string): Promise<Run> {
  const disk = memoryDisk();
  const calls: string[] = [];
  disk.intercept = ({ number, kind, path }) => {
    calls.push(`${kind} ${path}`);
    return number === failAt ? new DiskError(code, path) : 'run';
  };
  const progress: Progress = { acked: 0, state: null };
  let ackedAtFailure: number | null = null;
  const failures: unknown[] = [];
  const onFailure = (error: unknown): void => {
    failures.push(error);
    ackedAtFailure ??= progress.acked;
  };
  const opened = await open(disk, LIMITS, { onFailure }).catch(onFailure);
  if (opened) {
    await live(opened.wal, progress);
    await opened.wal.close().catch(onFailure);
  }
  return { disk, calls, ...progress, ackedAtFailure, failures };
}

/** How many batches a start on this disk finds. */
async function found(disk: MemoryDisk, base: LogPosition | null, what: string): Promise<number> {
  const { wal } = await open(disk, LIMITS, { base }).catch((cause: unknown) => {
    throw new Error(`${what}: refused`, { cause });
  });
  return batchesIn(wal.recovery, base);
}

test.each(['EIO', 'ENOSPC'])(
  'an %s at any call ends the log, once, with no false acknowledgement before or after',
  async (code) => {
    const { calls } = await run(0, code);
    expect(calls.length).toBeGreaterThan(150);
    expect(calls.filter((call) => call.startsWith('remove')).length).toBeGreaterThan(4);
    for (let failAt = 1; failAt <= calls.length; failAt++) {
      const what = `${code} at call ${failAt}, ${calls[failAt - 1]}`;
      const { disk, acked, state, ackedAtFailure, failures } = await run(failAt, code);
      expect(failures, what).toHaveLength(1);
      expect(failures[0], what).toMatchObject({ code: 'IO' });
      expect(acked, what).toBe(ackedAtFailure);
      // A power cut right then, or a new process that may see pages which never reached the disk.
      const cut = disk.afterPowerCut(() => false);
      expect(await found(cut, state, what), what).toBeGreaterThanOrEqual(acked);
      const restarted = disk.afterKill();
      const batches = await found(restarted, state, what);
      expect(batches, what).toBeGreaterThanOrEqual(acked);
      const cutThen = restarted.afterPowerCut(() => false);
      expect(await found(cutThen, state, what), what).toBeGreaterThanOrEqual(batches);
    }
  },
);

test('an error at any call while a log starts anew behind the state refuses openWal', async () => {
  const base = { index: 100, term: 20 };
  const { disk: before } = await run(0, 'none');
  let refused = 0;
  for (let failAt = 1, done = false; !done; failAt++) {
    const disk = before.afterKill();
    let calls = 0;
    disk.intercept = ({ path }) => {
      calls += 1;
      return calls === failAt ? new DiskError('EIO', path) : 'run';
    };
    const failures: Error[] = [];
    const onFailure = (error: Error): void => void failures.push(error);
    const opened = await open(disk, LIMITS, { base, onFailure }).catch((error: unknown) => error);
    await quiescence();
    if (opened instanceof WalError) {
      expect(opened.code).toBe('IO');
      expect(failures).toEqual([]);
      refused += 1;
    } else done = calls < failAt;
    const cut = disk.afterPowerCut(() => false);
    const again = await open(cut, LIMITS, { base });
    expect(again.wal.recovery).toMatchObject({
      hardState: { term: 20, vote: null, commitIndex: 100 },
      entries: [],
    });
    await again.wal.close();
  }
  expect(refused).toBeGreaterThan(15);
});

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
