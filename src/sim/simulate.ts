import type { Counters } from './counters.ts';
import { type FaultRecord, Faults } from './faults.ts';
import { judge } from './judge.ts';
import { proveLiveness } from './liveness.ts';
import type { Matrix } from './matrix.ts';
import { drawPlan, type Plan, type PlanChanges } from './plan.ts';
import type { Planted } from './planted.ts';
import type { Recording } from './recording.ts';
import { setStage } from './stage.ts';
import type { TraceSink } from './world.ts';

/** How a run is made. */
export interface SimulateOptions extends PlanChanges {
  /** Gets a line for everything that happens. */
  readonly trace?: TraceSink;
  readonly planted?: Planted;
  /** Takes what a picture of the run shows. */
  readonly recording?: Recording;
}

/** What a run has shown. */
export interface RunResult {
  readonly seed: number;
  readonly plan: Plan;
  /** Virtual time that passed, milliseconds. */
  readonly virtualMs: number;
  readonly events: number;
  /** Calls of clerks, and how they ended. */
  readonly calls: number;
  readonly acknowledged: number;
  readonly counters: Counters;
  readonly matrix: Matrix;
  /** What was injected, in its order. */
  readonly faults: readonly FaultRecord[];
  /** Equal for equal runs. */
  readonly traceHash: string;
  /** What broke; null when nothing did. */
  readonly failure: Error | null;
}

/** Runs one seed: faults, then a majority that heals, then the verdict. */
export async function simulate(seed: number, options: SimulateOptions = {}): Promise<RunResult> {
  const plan = drawPlan(seed, options);
  const { trace = null, planted = {}, recording = null } = options;
  const stage = setStage(plan, { trace, planted, recording });
  const { world, counters, matrix, history } = stage;
  const faults = new Faults(stage);
  const restore = planted.substitute?.();
  const { stackTraceLimit } = Error;
  // Thousands of errors in a run belong to its faults: only who listens wants to know where from.
  if (trace === null) Error.stackTraceLimit = 0;
  let failure: Error | null = null;
  try {
    for (const member of stage.members) member.start();
    for (const clerk of stage.clerks) clerk.start();
    for (const client of stage.etcdClients) client.start();
    for (const watcher of stage.watchers) watcher.start();
    faults.start();
    await world.run(plan.safetyMs);
    faults.stop();
    judge(history, await proveLiveness(stage));
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    world.trace('world', failure.message);
  } finally {
    restore?.();
    Error.stackTraceLimit = stackTraceLimit;
  }
  for (const member of stage.members) member.process?.kill();
  for (const clerk of stage.clerks) clerk.process?.kill();
  for (const client of stage.etcdClients) client.process.kill();
  for (const watcher of stage.watchers) watcher.process?.kill();
  return {
    seed,
    plan,
    virtualMs: world.nowMs,
    events: world.events,
    calls: history.issued,
    acknowledged: history.counts.acknowledged,
    counters,
    matrix,
    faults: faults.records,
    traceHash: world.traceHash,
    failure,
  };
}
