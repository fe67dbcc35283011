import { type Clock, type Disk, DiskError, type Log } from '../io/index.ts';
import type { ConfState } from '../raft/index.ts';
import { ioError, WalError } from './error.ts';
import { parseSegmentName } from './format.ts';
import { type WalLimits, walLimits } from './limits.ts';
import { LogReader, type LogReading, type LogTail } from './log-reader.ts';
import {
  type ActiveSegment,
  activateSegment,
  createSegment,
  firstBlocks,
  TEMPORARY_SUFFIX,
  writeDurably,
} from './segment-files.ts';
import { SegmentedWal } from './segmented-wal.ts';
import type { Wal, WalIdentity, WalTail } from './types.ts';

/** Where a log is, whose it is, and what it stands on. */
export interface OpenWalOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** The member's data directory; the log takes the folder `wal` in it, and locks it. */
  readonly directory: string;
  readonly identity: WalIdentity;
  /** The configuration that a log begins with; written when it is created, else not looked at. */
  readonly confState: ConfState;
  readonly limits?: Partial<WalLimits>;
  /** Called once, with the error that ended the log; the process should stop. */
  onFailure(error: Error): void;
}

/**
 * Opens the log of a member, or makes it. Everything in it was verified, a torn tail was cut off,
 * and what is left is durable. Damage is never repaired here: it is refused, with nothing changed.
 * @throws WalError, whose message says what, where, and what to do
 */
export async function openWal(options: OpenWalOptions): Promise<Wal> {
  const limits = walLimits(options.limits);
  const release = await lock(options);
  try {
    return await openLocked(options, limits, release);
  } catch (error) {
    await release();
    throw error instanceof DiskError ? ioError(error, options.directory) : error;
  }
}

/** Takes the directory for this process alone. */
async function lock({ disk, directory }: OpenWalOptions): Promise<() => Promise<void>> {
  try {
    await disk.makeDirectory(directory);
    const held = await disk.lock(directory);
    return () => held.release();
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
    if (error.code !== 'ELOCKED') throw ioError(error, directory);
    throw new WalError(
      'LOCKED',
      `${directory} is used by another process: stop that one first, or choose another directory`,
      { file: directory, cause: error },
    );
  }
}

async function openLocked(
  options: OpenWalOptions,
  limits: WalLimits,
  release: () => Promise<void>,
): Promise<Wal> {
  const { disk, clock, log, identity, onFailure } = options;
  const directory = `${options.directory}/wal`;
  await disk.makeDirectory(directory);
  const { reading, created } = await readOrCreate(options, directory, limits.segmentBytes);
  const { confState, hardState, entries, lastIndex, lastTerm, tail } = reading;
  report(log, { created, tail, lastIndex });
  const repaired = await repair(options, { directory, reading, segmentBytes: limits.segmentBytes });
  return new SegmentedWal({
    disk,
    clock,
    log,
    directory,
    identity,
    limits,
    onFailure: (error) => onFailure(error),
    recovery: { created, confState, hardState, entries, tail: describeTail(tail) },
    head: { hardState, lastIndex, lastTerm },
    lastKind: tail.last.kind,
    release,
    ...repaired,
  });
}

async function readOrCreate(
  options: OpenWalOptions,
  directory: string,
  segmentBytes: number,
): Promise<{ reading: LogReading; created: boolean }> {
  const { disk, identity, confState } = options;
  const found = await readSegments(options, directory);
  if (!found.isEmpty) {
    // Nothing is touched before this has not thrown.
    const reading = found.finish();
    await removeUnfinished(disk, directory);
    return { reading, created: false };
  }
  await removeUnfinished(disk, directory);
  const head = firstBlocks(identity, segmentBytes, confState);
  await createSegment(disk, { directory, segment: 1, segmentBytes, head });
  const made = await readSegments(options, directory);
  return { reading: made.finish(), created: true };
}

async function readSegments(
  { disk, log, identity }: OpenWalOptions,
  directory: string,
): Promise<LogReader> {
  const reader = new LogReader(directory, identity);
  // Names have a fixed width: sorted as text they are sorted by number.
  for (const name of await disk.list(directory)) {
    const segment = parseSegmentName(name);
    if (segment === null) {
      if (!isTemporary(name))
        log.warn('a file that is none of ours is ignored', { directory, name });
      continue;
    }
    const file = await disk.open(`${directory}/${name}`, { create: false });
    try {
      reader.read(segment, await file.read({ offset: 0, length: await file.size() }));
    } finally {
      await file.close();
    }
  }
  return reader;
}

/** Removes segments that a crash left half made, and makes the names that are there durable. */
async function removeUnfinished(disk: Disk, directory: string): Promise<void> {
  for (const name of await disk.list(directory)) {
    if (isTemporary(name)) await disk.remove(`${directory}/${name}`);
  }
  await disk.syncDirectory(directory);
}

function isTemporary(name: string): boolean {
  const base = name.slice(0, -TEMPORARY_SUFFIX.length);
  return name.endsWith(TEMPORARY_SUFFIX) && parseSegmentName(base) !== null;
}

interface Repaired {
  readonly active: ActiveSegment;
  readonly preparedBytes: number | null;
  readonly sealedBytes: number;
}

interface RepairOptions {
  readonly directory: string;
  readonly reading: LogReading;
  readonly segmentBytes: number;
}

/**
 * Cuts off a torn tail, makes what was read durable, and finishes a change of segments. Every step
 * may be the last one before a crash: the next start finds the same log and does the rest.
 */
async function repair(options: OpenWalOptions, repairOptions: RepairOptions): Promise<Repaired> {
  const { disk } = options;
  const { directory, reading, segmentBytes } = repairOptions;
  const { tail } = reading;
  const { segment, position, last, tornBytes } = tail;
  const file = await disk.open(tail.file, { create: false, writeThrough: true });
  try {
    if (tornBytes > 0) await writeDurably(file, position.offset, new Uint8Array(tornBytes));
    // The page cache may show what a failed sync has dropped: written again, it reaches the disk.
    await writeDurably(file, last.offset, last.bytes);
    let { preparedBytes } = tail;
    if (preparedBytes !== null && preparedBytes !== segmentBytes) {
      // Made under another limit; batches may not fit. The rename replaces it in one step.
      const head = new Uint8Array(0);
      await createSegment(disk, { directory, segment: segment + 1, segmentBytes, head });
      preparedBytes = segmentBytes;
    }
    if (last.kind !== 'seal') {
      const { salt } = tail;
      const active = { file, segment, segmentBytes: tail.segmentBytes, salt, position };
      return { active, preparedBytes, sealedBytes: tail.usedBytes - position.offset };
    }
    const active = await activateSegment(options, {
      directory,
      segmentBytes,
      segment: segment + 1,
      previousSequence: position.sequence,
      previousChain: position.chain,
      lastIndex: reading.lastIndex,
      lastTerm: reading.lastTerm,
    });
    await file.close();
    return { active, preparedBytes: null, sealedBytes: tail.usedBytes };
  } catch (error) {
    await file.close();
    throw error;
  }
}

function describeTail(tail: LogTail): WalTail {
  if (tail.tornBytes === 0) return { kind: 'clean' };
  const { file, position, tornBytes } = tail;
  return { kind: 'torn', file, offset: position.offset, bytes: tornBytes };
}

function report(
  log: Log,
  { created, tail, lastIndex }: { created: boolean; tail: LogTail; lastIndex: number },
): void {
  const { file, position, tornBytes } = tail;
  const place = { file, offset: position.offset };
  if (tornBytes > 0) {
    log.warn('the last write before a crash was never finished; it is cut off', {
      ...place,
      bytes: tornBytes,
    });
  }
  log.info(created ? 'log created' : 'log opened', { ...place, lastIndex });
}
