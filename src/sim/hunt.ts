import type { Bug } from './bugs/all.ts';
import { patchedCopy } from './bugs/patch.ts';
import { forkRunner, type ReportedFailure, type Runner, WORKER } from './runner.ts';

/** How bugs are looked for. */
export interface HuntOptions {
  readonly bugs: readonly Bug[];
  /** Seeds 1 to this. */
  readonly seedsMax: number;
  /** Look for one bug each, side by side; at least one. */
  readonly runners: readonly Runner[];
  /** The compiled worker; patch bugs run from a copy of it. Default: beside this file. */
  readonly worker?: string;
  /** Asked before each run: whether the hunt is over. */
  readonly isOver: () => boolean;
  /** After each bug, in the order of `bugs`. */
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
  readonly violation: ReportedFailure | null;
}

/** Short runs: a bug that takes long to show is rather looked for with the next seed. */
const SAFETY_MS = 15_000;

/** Plants one bug after the other and runs seeds until it is found. */
export async function hunt(options: HuntOptions): Promise<Caught[]> {
  const { bugs, runners, isOver, onCaught } = options;
  const all: Caught[] = [];
  const early = new Map<number, Caught>();
  let begun = 0;
  const work = async (runner: Runner): Promise<void> => {
    while (begun < bugs.length && !isOver()) {
      const position = begun++;
      const bug = bugs[position] as Bug;
      early.set(position, await catchBug(bug, runner, options));
      for (let next = early.get(all.length); next; next = early.get(all.length)) {
        all.push(next);
        onCaught(next);
      }
    }
  };
  await Promise.all(runners.map(work));
  return all;
}

async function catchBug(bug: Bug, runner: Runner, options: HuntOptions): Promise<Caught> {
  if (bug.patches === undefined) return await search(bug, runner, options);
  const copy = patchedCopy(options.worker ?? WORKER, bug.patches);
  const patchedRunner = forkRunner(copy.worker);
  try {
    return await search(bug, patchedRunner, options);
  } finally {
    patchedRunner.close();
    copy.remove();
  }
}

async function search(bug: Bug, runner: Runner, options: HuntOptions): Promise<Caught> {
  const changes = { members: 3, safetyMs: SAFETY_MS, ...bug.run };
  let virtualMs = 0;
  let seeds = 0;
  while (seeds < options.seedsMax && !options.isOver()) {
    const task = { seed: ++seeds, changes, bug: bug.name, twice: false };
    const { failure, virtualMs: ranMs } = await runner.run(task);
    virtualMs += ranMs;
    if (failure === null) continue;
    // Anything else that goes wrong is the bug's own clumsiness, and finds nothing.
    if (failure.promise === null) throw new Error(`planted '${bug.name}': ${failure.message}`);
    return { bug, seeds, virtualMs, violation: failure };
  }
  return { bug, seeds, virtualMs, violation: null };
}
