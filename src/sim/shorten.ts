import type { FaultKind } from './plan.ts';
import { type RunResult, type SimulateOptions, simulate } from './simulate.ts';
import { Violation } from './violation.ts';

/**
 * Takes classes of faults out of a failed run, one after the other, as long as it breaks the same
 * promise. Each class draws from a stream of its own: taking one out does not shift the others.
 * @returns the classes that the failure does not need
 */
export async function shorten(
  failed: Pick<RunResult, 'seed' | 'plan' | 'failure'>,
  options: SimulateOptions = {},
): Promise<readonly FaultKind[]> {
  let without: readonly FaultKind[] = [...(options.without ?? [])];
  for (const { kind } of failed.plan.faults) {
    const fewer = [...without, kind];
    const { failure } = await simulate(failed.seed, { ...options, without: fewer });
    if (failure !== null && promiseOf(failure) === promiseOf(failed.failure)) without = fewer;
  }
  return without;
}

/** What broke, for comparing two runs; errors that are no violation compare by their text. */
function promiseOf(failure: Error | null): string | null {
  return failure instanceof Violation ? failure.promise : (failure?.message ?? null);
}
