import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import type { Prng } from '../../src/lib/index.ts';
import { readUndoLogs, type UndoRecord } from './undo-log.ts';

/** What a disk writes wholly or not at all, bytes. */
const SECTOR = 512;

/** How much of what was not synced reaches the disk all the same; drawn for each file. */
const KEPT_SHARES = [0, 0.5, 0.9] as const;

/** What a power cut took. */
export interface Loss {
  /** Sectors written since the last sync. */
  readonly unsyncedSectors: number;
  /** Those of them that went back to an earlier state. */
  readonly lostSectors: number;
  /** Files whose length went back. */
  readonly resized: number;
  /** Creations, renames and removals taken back. */
  readonly namesUndone: number;
}

/**
 * Acts a power cut out on what processes under lossy.c, all of them dead, have left below
 * `directories`: every sector holds what was synced last, or anything that was written to it since;
 * so do lengths; the names of a directory go back to any of their states since its last sync. Then
 * the undo logs are removed.
 * @param side the processes' LOSSY_SIDE
 */
export function cutPower(world: {
  readonly directories: readonly string[];
  readonly side: string;
  readonly prng: Prng;
}): Loss {
  const { directories, side, prng } = world;
  const records = readUndoLogs(side);
  const names = namesToUndo(records, prng);
  for (const record of names) undoName(record, side);
  let [unsyncedSectors, lostSectors, resized] = [0, 0, 0];
  const paths = new Map(directories.flatMap((directory) => [...filesByInode(directory)]));
  for (const [inode, changes] of unsyncedChanges(records)) {
    const path = paths.get(inode);
    if (path === undefined) continue; // its name is gone, and its content with it
    const keptShare = KEPT_SHARES[prng.below(KEPT_SHARES.length)] ?? 0;
    const loss = undoContent(path, changes, (count) => choose(count, keptShare, prng));
    unsyncedSectors += loss.unsynced;
    lostSectors += loss.lost;
    if (loss.isResized) resized++;
  }
  rmSync(side, { recursive: true });
  mkdirSync(side);
  return { unsyncedSectors, lostSectors, resized, namesUndone: names.length };
}

/** Which of `count` states, oldest first, the disk holds: often the last one, or any other. */
function choose(count: number, keptShare: number, prng: Prng): number {
  return count === 1 || prng.chance(keptShare) ? count - 1 : prng.below(count - 1);
}

/** For each directory: some of the last changes of its names, if it was not synced since. */
function namesToUndo(records: readonly UndoRecord[], prng: Prng): UndoRecord[] {
  const directories = new Map<string, UndoRecord[]>();
  for (const record of records) {
    const { type, path, path2, upto } = record;
    if (type === 'syncDirectory') {
      const rest = (directories.get(path) ?? []).filter(({ sequence }) => sequence > upto);
      directories.set(path, rest);
    } else if (['create', 'rename', 'unlink', 'mkdir', 'rmdir'].includes(type)) {
      const directory = dirname(path2 === '' ? path : path2);
      const changes = directories.get(directory);
      if (changes === undefined) directories.set(directory, [record]);
      else changes.push(record);
    }
  }
  const undone = [...directories.values()].flatMap((changes) =>
    changes.slice(prng.below(changes.length + 1)),
  );
  return undone.sort((a, b) => b.sequence - a.sequence);
}

/** Takes a change of a name back, unless the process died before it came to it. */
function undoName({ type, path, path2, inode }: UndoRecord, side: string): void {
  const saved = join(side, `${inode}.saved`);
  if (type === 'create' || type === 'mkdir') rmSync(path, { recursive: true, force: true });
  else if (existsSync(path)) return;
  else if (type === 'rename') {
    if (existsSync(path2)) renameSync(path2, path);
    if (inode !== 0 && existsSync(dirname(path2))) linkSync(saved, path2);
  } else if (!existsSync(dirname(path))) return;
  else if (type === 'unlink') linkSync(saved, path);
  else mkdirSync(path, { mode: 0o700 });
}

function filesByInode(directory: string): Map<number, string> {
  const paths = new Map<number, string>();
  if (!existsSync(directory)) return paths;
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, name);
    paths.set(statSync(path).ino, path);
  }
  return paths;
}

/** A change of a file; `durable`: it was written through. */
interface Change {
  readonly record: UndoRecord;
  durable: boolean;
}

/** By file, in order: what was changed since its last sync. */
function unsyncedChanges(records: readonly UndoRecord[]): Map<number, Change[]> {
  const files = new Map<number, Change[]>();
  for (const record of records) {
    const { type, inode, upto } = record;
    const changes = files.get(inode) ?? [];
    if (type === 'write' || type === 'truncate') {
      changes.push({ record, durable: false });
      files.set(inode, changes);
    } else if (type === 'sync') {
      const rest = changes.filter((change) => change.record.sequence > upto);
      files.set(inode, rest);
    } else if (type === 'writtenThrough') {
      const through = changes.findLast((change) => change.record.sequence === upto);
      if (through !== undefined) through.durable = true;
    }
  }
  return files;
}

/** Takes one file back to a state that a power cut can have left. */
function undoContent(
  path: string,
  changes: readonly Change[],
  chooseOf: (count: number) => number,
): { unsynced: number; lost: number; isResized: boolean } {
  const states = sectorStates(changes);
  const fd = openSync(path, 'r+');
  try {
    const present = fstatSync(fd).size;
    let lost = 0;
    for (const [sector, earlier] of states) {
      const chosen = earlier[chooseOf(earlier.length + 1)];
      if (chosen === undefined) continue; // the present one
      lost++;
      writeSync(fd, imageOf(chosen, sector), 0, SECTOR, sector * SECTOR);
    }
    const sizes = changes.slice(lastDurable(changes) + 1).map(({ record }) => record.sizeBefore);
    const size = sizes[chooseOf(sizes.length + 1)] ?? present;
    // Also when it stays: a sector that was put back may have made the file longer.
    ftruncateSync(fd, size);
    return { unsynced: states.size, lost, isResized: size !== present };
  } finally {
    closeSync(fd);
  }
}

/**
 * For each sector that was changed and is not durable: the changes that saved its earlier states,
 * oldest first, from the last durable one on.
 */
function sectorStates(changes: readonly Change[]): Map<number, UndoRecord[]> {
  const states = new Map<number, UndoRecord[]>();
  const unsynced = changes.filter(({ durable }) => !durable);
  for (const { record } of unsynced) for (const at of sectorsOf(record)) states.set(at, []);
  for (const { record, durable } of changes) {
    for (const at of sectorsOf(record)) {
      const earlier = states.get(at);
      if (durable) earlier?.splice(0);
      else earlier?.push(record);
    }
  }
  for (const [at, earlier] of states) if (earlier.length === 0) states.delete(at);
  return states;
}

/** The sectors that a change touched, and whose earlier content it saved. */
function* sectorsOf({ type, offset, length, sizeBefore }: UndoRecord): Generator<number> {
  const end = type === 'truncate' ? sizeBefore : offset + length;
  for (let at = Math.floor(offset / SECTOR); at * SECTOR < end; at++) yield at;
}

/** What a sector held before a change. */
function imageOf({ offset, data }: UndoRecord, sector: number): Uint8Array {
  const image = new Uint8Array(SECTOR);
  const from = sector * SECTOR - Math.floor(offset / SECTOR) * SECTOR;
  image.set(data.subarray(from, from + SECTOR));
  return image;
}

function lastDurable(changes: readonly Change[]): number {
  return changes.findLastIndex(({ durable }) => durable);
}
