import { type Clock, DiskError, type Log } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import type { ConfState } from '../raft/index.ts';
import { corrupt, ioError } from './error.ts';
import { listFolder, lockDirectory, readSegment, tidyFolder, type WalFolder } from './folder.ts';
import { segmentName } from './format.ts';
import { type WalLimits, walLimits } from './limits.ts';
import { LogReader, type LogReading, type LogTail } from './log-reader.ts';
import { reconcile } from './reconcile.ts';
import { repair } from './repair.ts';
import { createSegment, firstBlocks } from './segment-files.ts';
import { SegmentedWal, type WalParts } from './segmented-wal.ts';
import type { LogPosition, Wal, WalPlace, WalTail } from './types.ts';

/** Where a log is, whose it is, and what it stands on. */
export interface OpenWalOptions extends WalPlace {
  readonly clock: Clock;
  /** The configuration that a log begins with; written when it is created, else not looked at. */
  readonly confState: ConfState;
  /**
   * Last entry that the state machine holds durably; null or absent: it is empty. What it holds is
   * not needed from the log.
   */
  readonly base?: LogPosition | null;
  readonly limits?: Partial<WalLimits>;
  /** Called once, with the error that ended the log; the process should stop. */
  onFailure(error: Error): void;
}

/**
 * Opens the log of a member, or makes it. Everything in it was verified, a torn tail was cut off,
 * a log that ends before the state machine's position was made to begin behind it, and what is
 * left is durable. Damage is never repaired here: it is refused, with nothing changed.
 * @throws WalError, whose message says what, where, and what to do
 */
export async function openWal(options: OpenWalOptions): Promise<Wal> {
  const limits = walLimits(options.limits);
  const release = await lockDirectory(options);
  try {
    return await openLocked(options, limits, release);
  } catch (error) {
    await release();
    throw error instanceof DiskError ? ioError(error, options.directory) : error;
  }
}

async function openLocked(
  options: OpenWalOptions,
  limits: WalLimits,
  release: () => Promise<void>,
): Promise<Wal> {
  const { disk, log, base = null } = options;
  const { segmentBytes } = limits;
  const directory = `${options.directory}/wal`;
  await disk.makeDirectory(directory);
  const folder = await listFolder(disk, directory);
  for (const name of folder.foreign) {
    log.warn('a file that is none of ours is ignored', { directory, name });
  }
  const found = await readSegments(options, folder);
  const reading = found ?? (await create(options, folder, segmentBytes));
  const { hardState, entries, earlierEntries, reset } = reconcile(reading, base, directory);
  // Nothing was touched before the whole log was read and found good.
  if (found !== null) await tidyFolder(disk, folder);
  const { confState, content, head, tail } = reading;
  report(log, { created: found === null, tail, lastIndex: head.lastIndex });
  const repaired = await repair(options, { directory, reading, segmentBytes });
  const recovery = {
    created: found === null,
    confState,
    hardState,
    entries,
    earlierEntries,
    tail: describeTail(tail),
    reset,
    rejoinFloorTerm: head.rejoinFloorTerm,
  };
  const { firstIndex } = content;
  return start({ ...options, directory, limits, recovery, head, firstIndex, release, ...repaired });
}

/**
 * Puts the log into use; one that ends before the state machine first begins anew behind it, with
 * the hard state that follows from it.
 */
async function start(parts: WalParts & { base?: LogPosition | null }): Promise<Wal> {
  const { recovery, log, base = null } = parts;
  let onFailure = (error: Error): void => parts.onFailure(error);
  const wal = new SegmentedWal({ ...parts, onFailure: (error) => onFailure(error) });
  if (!recovery.reset) return wal;
  log.warn('the log ends before the state machine: it starts anew behind it', { ...base });
  const { hardState } = recovery;
  try {
    await new Promise<void>((resolve, reject) => {
      onFailure = reject;
      wal.append({ hardState, entries: [], base }, resolve);
    });
  } catch (error) {
    await wal.close();
    throw error;
  }
  onFailure = (error) => parts.onFailure(error);
  return wal;
}

/** Makes a log where none was. */
async function create(
  options: OpenWalOptions,
  folder: WalFolder,
  segmentBytes: number,
): Promise<LogReading> {
  const { disk, identity, confState, base = null } = options;
  const { directory, highest } = folder;
  if (base !== null || highest > 0) {
    const what = `the log is gone, and the state machine holds entries up to ${base?.index ?? 0}`;
    throw corrupt(what, { file: `${directory}/${segmentName(highest + 1)}`, offset: 0 });
  }
  await tidyFolder(disk, folder);
  const preamble = { confState, base: null, hardState: null, rejoinFloorTerm: null };
  const head = firstBlocks({ identity, segment: 1, segmentBytes, preamble });
  await createSegment(disk, { directory, segment: 1, segmentBytes, head });
  const made = await readSegments(options, await listFolder(disk, directory));
  assert(made !== null, 'the segment that was made is not there');
  return made;
}

/** The log in the folder; null when there is none. */
async function readSegments(
  { disk, identity }: WalPlace,
  { directory, segments }: WalFolder,
): Promise<LogReading | null> {
  const reader = new LogReader(directory, identity);
  for (const segment of segments) {
    reader.read(segment, await readSegment(disk, directory, segment));
  }
  return reader.isEmpty ? null : reader.finish();
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
