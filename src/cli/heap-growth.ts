import { getHeapStatistics, setFlagsFromString } from 'node:v8';

/** What the heap may grow by between two collections of all of it, bytes. */
const GROWTH_BYTES = 256 * 1024 * 1024;
/** A heap of a few megabytes would be let grow to a hundred times its size otherwise. */
const PERCENT_MAX = 1500;
/** The heap is not let grow beyond this share of the largest that V8 allows. */
const LIMIT_SHARE = 1 / 4;
/** The heap is looked at again after this time. */
const LOOK_MS = 10_000;
/** What changes by less is left as it is. */
const CHANGE_MIN = 1.5;

/** V8's name of it; in percent of what was found alive at the last collection. */
const FLAG = '--heap-growing-percent';

/** A heap, bytes. */
export interface HeapSize {
  readonly usedBytes: number;
  /** The largest that V8 allows. */
  readonly limitBytes: number;
}

/**
 * Lets the heap of this process grow by some 256 MiB between two collections of all of it. V8
 * collects a small heap each time a few megabytes of buffers were made, because what it allows is a
 * multiple of what is alive (docs/decisions/0011 has what that costs). For a process that is ours;
 * nothing happens when whoever started it set the flag (which NODE_OPTIONS cannot).
 */
export function letHeapGrow(): void {
  if (process.execArgv.some(isGrowthFlag)) return;
  let percent = 0;
  const look = (): void => {
    const { used_heap_size: usedBytes, heap_size_limit: limitBytes } = getHeapStatistics();
    const wanted = growthPercent({ usedBytes, limitBytes });
    if (!isOtherGrowth(percent, wanted)) return;
    percent = wanted;
    // Read by V8 at the end of every collection.
    setFlagsFromString(`${FLAG}=${percent}`);
  };
  look();
  setInterval(look, LOOK_MS).unref();
}

/** By how much such a heap may grow, percent, 1 to 1500; 0: as V8 thinks right. */
export function growthPercent({ usedBytes, limitBytes }: HeapSize): number {
  if (usedBytes >= GROWTH_BYTES) return 0;
  const percent = Math.min(Math.round((100 * GROWTH_BYTES) / usedBytes), PERCENT_MAX);
  return usedBytes * (1 + percent / 100) > limitBytes * LIMIT_SHARE ? 0 : percent;
}

/** Whether the second percentage is worth setting after the first. */
export function isOtherGrowth(before: number, now: number): boolean {
  if (before === 0 || now === 0) return before !== now;
  return Math.max(before, now) / Math.min(before, now) >= CHANGE_MIN;
}

/** V8 takes dashes and underscores for the same. */
export function isGrowthFlag(argument: string): boolean {
  return argument.replaceAll('_', '-').startsWith(FLAG);
}
