import { type RunResult, type SimulateOptions, simulate } from './simulate.ts';
import { Violation } from './violation.ts';

/** Runs that shortening may take. */
const RUNS_MAX = 200;

/** A failure with as few faults as were found to suffice. */
export interface Shortened {
  /** Yield it again: `only` names the faults that are left. */
  readonly changes: SimulateOptions;
  readonly result: RunResult;
}

/**
 * Shortens a failed run as long as it breaks the same promise. First networks and disks lose the
 * faults of their own; then single faults are left out: half of them at once, quarters, down to
 * each one (Zeller, Hildebrandt: "Simplifying and isolating failure-inducing input", 2002). What is
 * left happens when it did, because each fault draws from a stream of its own.
 * @param isOver asked before each run: whether nobody wants to wait any longer
 */
export async function shorten(
  failed: RunResult,
  options: SimulateOptions = {},
  isOver: () => boolean = () => false,
): Promise<Shortened> {
  let shortest: Shortened = { changes: options, result: failed };
  let runs = 0;
  const attempt = async (changes: SimulateOptions): Promise<boolean> => {
    if (++runs > RUNS_MAX || isOver()) return false;
    const { virtualMs, plan } = shortest.result;
    // What broke while faults went on breaks as early as that, or is not looked for.
    const isEarly = virtualMs < plan.safetyMs;
    const safetyMs = isEarly ? Math.ceil(virtualMs) + 1 : plan.safetyMs;
    const result = await simulate(failed.seed, { ...changes, safetyMs });
    if (promiseOf(result.failure) !== promiseOf(failed.failure)) return false;
    if (isEarly && result.virtualMs > safetyMs) return false;
    shortest = { changes, result };
    return true;
  };
  const ids = (): string[] => shortest.result.faults.map(({ id }) => id);
  if (ids().length > 0) await attempt({ ...options, only: [] });
  if (options.quiet !== true) await attempt({ ...shortest.changes, quiet: true });
  let pieces = 2;
  for (let left = ids(); left.length > 0; left = ids()) {
    const size = Math.ceil(left.length / pieces);
    let shorter = false;
    for (let start = 0; start < left.length && !shorter; start += size) {
      const only = left.toSpliced(start, size);
      shorter = await attempt({ ...shortest.changes, only });
    }
    if (shorter) pieces = Math.max(2, pieces - 1);
    else if (size === 1 || runs > RUNS_MAX || isOver()) break;
    else pieces = Math.min(left.length, pieces * 2);
  }
  return shortest;
}

/** What broke, for comparing two runs; errors that are no violation compare by their text. */
function promiseOf(failure: Error | null): string | null {
  return failure instanceof Violation ? failure.promise : (failure?.message ?? null);
}
