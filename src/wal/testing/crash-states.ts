import { crc32 } from 'node:zlib';
import type { DiskCall, MemoryDisk, UnsyncedChange } from '../../io/memory-disk.ts';
import type { Prng } from '../../lib/index.ts';

/** A disk as it may be found after a power cut, and how to name it when a test fails. */
export interface CrashState {
  readonly disk: MemoryDisk;
  readonly name: string;
}

/**
 * Runs `work` on the disk and has the process die at call `at`: that call and all later ones never
 * return. `work` need not end.
 */
export function dieAt(disk: MemoryDisk, at: number): void {
  disk.intercept = (call: DiskCall) => (call.number >= at ? 'stall' : 'run');
}

/** How many of the states that a power cut may leave are tried. */
export interface CutLimits {
  /** Unsynced changes that are tried one by one; more are sampled evenly. */
  readonly singlesMax: number;
  readonly randomSubsets: number;
}

/**
 * What a power cut may leave: nothing unsynced, everything, all but one change, one change only,
 * and random subsets.
 */
export function* powerCuts(
  disk: MemoryDisk,
  { singlesMax, randomSubsets }: CutLimits,
  random: Prng,
): Generator<CrashState> {
  const changes = disk.unsynced().length;
  yield { disk: disk.afterPowerCut(() => false), name: 'nothing kept' };
  if (changes === 0) return;
  yield { disk: disk.afterPowerCut(() => true), name: 'all kept' };
  const singles = changes > 1 ? Math.min(changes, singlesMax) : 0;
  for (let i = 0; i < singles; i++) {
    const single = Math.floor((i * changes) / singles);
    yield { disk: pick(disk, (n) => n !== single), name: `change ${single} lost` };
    yield { disk: pick(disk, (n) => n === single), name: `change ${single} kept` };
  }
  for (let i = 0; i < randomSubsets && changes > 2; i++) {
    const kept = Array.from({ length: changes }, () => random.chance(0.5));
    const name = `kept ${kept.map(Number).join('')}`;
    yield { disk: pick(disk, (n) => kept[n] === true), name };
  }
}

/** `keep` by the number of the change. */
function pick(disk: MemoryDisk, keep: (n: number) => boolean): MemoryDisk {
  let n = 0;
  return disk.afterPowerCut((_change: UnsyncedChange) => {
    const kept = keep(n);
    n += 1;
    return kept;
  });
}

/**
 * Two disks that hold the same have the same digest (as good as certainly). What is in unfinished
 * segments does not count: nobody reads it.
 */
export function digest(disk: MemoryDisk): string {
  return disk
    .paths()
    .map((path) => {
      if (path.endsWith('.new')) return path;
      const bytes = disk.peek(path);
      return `${path}:${bytes.length}:${crc32(bytes)}`;
    })
    .join(' ');
}
