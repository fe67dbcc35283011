import { type Disk, DiskError } from '../io/index.ts';
import { ioError, WalError } from './error.ts';
import { BLOCK_BYTES, decodeSegmentHeader, parseSegmentName, segmentName } from './format.ts';

/** What a segment is called while it is being made. */
export const TEMPORARY_SUFFIX = '.new';
/** What is added to the names of a damaged log's segments when another log takes its place. */
export const DAMAGED_SUFFIX = '.damaged';

/**
 * Takes a member's data directory for this process alone; makes it if it is not there.
 * @returns gives it back; may be called twice
 * @throws WalError LOCKED, IO
 */
export async function lockDirectory({
  disk,
  directory,
}: {
  disk: Disk;
  directory: string;
}): Promise<() => Promise<void>> {
  try {
    await disk.makeDirectory(directory);
    const held = await disk.lock(directory);
    let released: Promise<void> | null = null;
    return () => {
      released ??= held.release();
      return released;
    };
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

/** What is in a log's folder. */
export interface WalFolder {
  readonly directory: string;
  /** Numbers of the segments of the log in force, ascending. */
  readonly segments: readonly number[];
  /** Numbers of segments of a log that it took the place of, not yet called damaged; ascending. */
  readonly replaced: readonly number[];
  /** Names of segments that were being made. */
  readonly unfinished: readonly string[];
  /** Names that are none of ours. */
  readonly foreign: readonly string[];
  /** Highest number that any segment here has or had, damaged ones too; 0 for none. */
  readonly highest: number;
}

/**
 * Looks into the folder, which must exist; changes nothing.
 * @throws DiskError
 */
export async function listFolder(disk: Disk, directory: string): Promise<WalFolder> {
  const all: number[] = [];
  const unfinished: string[] = [];
  const foreign: string[] = [];
  let highest = 0;
  // Names have a fixed width: sorted as text they are sorted by number.
  for (const name of await disk.list(directory)) {
    const [segment, suffix] = parseName(name);
    if (segment === null) foreign.push(name);
    else if (suffix === TEMPORARY_SUFFIX) unfinished.push(name);
    else highest = Math.max(highest, segment);
    if (segment !== null && suffix === '') all.push(segment);
  }
  const begin = await findBegin(disk, directory, all);
  const replaced = all.slice(0, begin);
  const segments = all.slice(begin);
  return { directory, segments, replaced, unfinished, foreign, highest };
}

function parseName(name: string): [segment: number | null, suffix: string] {
  const suffix = [TEMPORARY_SUFFIX, DAMAGED_SUFFIX].find((each) => name.endsWith(each)) ?? '';
  return [parseSegmentName(name.slice(0, name.length - suffix.length)), suffix];
}

/**
 * A log begins at the last segment whose header says that nothing is before it; what is older
 * belongs to a log that it took the place of. If none says so, the beginning was removed.
 * @returns position in `segments`
 */
async function findBegin(disk: Disk, directory: string, segments: readonly number[]) {
  for (let i = segments.length - 1; i > 0; i--) {
    const block = await readFile(
      disk,
      `${directory}/${segmentName(segments[i] ?? 0)}`,
      BLOCK_BYTES,
    );
    const reading = block.length === BLOCK_BYTES ? decodeSegmentHeader(block) : null;
    if (reading?.kind === 'header' && reading.header.previousSequence === 0) return i;
  }
  return 0;
}

/** All bytes of a segment's file. */
export function readSegment(disk: Disk, directory: string, segment: number): Promise<Uint8Array> {
  return readFile(disk, `${directory}/${segmentName(segment)}`, null);
}

/** The first `bytesMax` bytes of a file, or all of it. */
async function readFile(disk: Disk, path: string, bytesMax: number | null): Promise<Uint8Array> {
  const file = await disk.open(path, { create: false });
  try {
    const size = await file.size();
    return await file.read({ offset: 0, length: Math.min(size, bytesMax ?? size) });
  } finally {
    await file.close();
  }
}

/**
 * Removes segments that a crash left half made, calls those damaged that another log took the place
 * of, and makes the names that are there durable. Every step may be the last before a crash.
 */
export async function tidyFolder(disk: Disk, folder: WalFolder): Promise<void> {
  const { directory, unfinished, replaced } = folder;
  for (const name of unfinished) await disk.remove(`${directory}/${name}`);
  for (const segment of replaced) {
    const path = `${directory}/${segmentName(segment)}`;
    await disk.rename(path, path + DAMAGED_SUFFIX);
  }
  await disk.syncDirectory(directory);
}
