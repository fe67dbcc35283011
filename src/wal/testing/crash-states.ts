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

/**
 * What a power cut may leave: nothing unsynced, everything, all but one change, one change only,
 * and `randomSubsets` of them.
 */
export function* powerCuts(
  disk: MemoryDisk,
  randomSubsets: number,
  random: Prng,
): Generator<CrashState> {
  const changes = disk.unsynced().length;
  yield { disk: disk.afterPowerCut(() => false), name: 'nothing kept' };
  if (changes === 0) return;
  yield { disk: disk.afterPowerCut(() => true), name: 'all kept' };
  for (let i = 0; i < changes && changes > 1; i++) {
    yield { disk: pick(disk, (n) => n !== i), name: `change ${i} lost` };
    yield { disk: pick(disk, (n) => n === i), name: `change ${i} kept` };
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

/** Two disks that hold the same have the same digest (as good as certainly). */
export function digest(disk: MemoryDisk): string {
  return disk
    .paths()
    .map((path) => {
      const bytes = disk.peek(path);
      return `${path}:${bytes.length}:${crc32(bytes)}`;
    })
    .join(' ');
}
