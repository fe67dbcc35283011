import type { Bug } from './bugs/all.ts';
import { simulate } from './simulate.ts';
import { Violation } from './violation.ts';

/** How a bug is looked for. */
export interface HuntOptions {
  readonly bugs: readonly Bug[];
  /** Seeds 1 to this. */
  readonly seedsMax: number;
  /** Asked before each run: whether the hunt is over. */
  readonly isOver: () => boolean;
  /** After each bug. */
  readonly onCaught: (caught: Caught) => void;
}

/** How the hunt for one bug ended. */
export interface Caught {
  readonly bug: Bug;
  /** Seeds that were run, the last one included. */
  readonly seeds: number;
  /** Virtual time of these runs, milliseconds. */
  readonly virtualMs: number;
  /** The promise that was found broken; null when none was. */
  readonly violation: Violation | null;
}

/** Short runs: a bug that takes long to show is rather looked for with the next seed. */
const SAFETY_MS = 15_000;

/** Plants one bug after the other and runs seeds until it is found. */
export async function hunt(options: HuntOptions): Promise<Caught[]> {
  const all: Caught[] = [];
  for (const bug of options.bugs) {
    if (options.isOver()) break;
    const caught = await catchBug(bug, options);
    all.push(caught);
    options.onCaught(caught);
  }
  return all;
}

async function catchBug(bug: Bug, { seedsMax, isOver }: HuntOptions): Promise<Caught> {
  let virtualMs = 0;
  let seeds = 0;
  while (seeds < seedsMax && !isOver()) {
    const changes = { members: 3, safetyMs: SAFETY_MS, ...bug.run };
    const result = await simulate(++seeds, { ...changes, planted: bug.planted });
    virtualMs += result.virtualMs;
    // Anything else that goes wrong is the bug's own clumsiness, and finds nothing.
    const { failure } = result;
    if (failure instanceof Violation) return { bug, seeds, virtualMs, violation: failure };
    if (failure !== null) throw failure;
  }
  return { bug, seeds, virtualMs, violation: null };
}
