import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { BUGS } from './bugs/all.ts';
import type { PlanChanges } from './plan.ts';
import { type RunResult, simulate } from './simulate.ts';
import { Violation } from './violation.ts';

/** A run to be made. Plain data, as everything that workers are told. */
export interface Task {
  readonly seed: number;
  readonly changes: PlanChanges;
  /** Name of the bug that is planted; null: none. */
  readonly bug: string | null;
  /** Run it again, and compare. */
  readonly twice: boolean;
}

/** What a run has shown, as plain data. */
export interface Report {
  readonly seed: number;
  readonly members: number;
  /** Virtual time of all its runs, milliseconds. */
  readonly virtualMs: number;
  /** Processor time that they took, milliseconds. */
  readonly cpuMs: number;
  readonly calls: number;
  readonly acknowledged: number;
  readonly faults: number;
  readonly traceHash: string;
  readonly counters: readonly (readonly [name: string, count: number])[];
  /** Of `Matrix`. */
  readonly matrix: readonly number[];
  /** What broke; null when nothing did. */
  readonly failure: ReportedFailure | null;
}

export interface ReportedFailure {
  readonly message: string;
  /** Null: no promise was broken, but the simulator itself. */
  readonly promise: string | null;
  /** An assertion of the production code noticed it. */
  readonly byAssertion: boolean;
}

/** Makes runs, one at a time: in this process, or in another one. */
export interface Runner {
  run(task: Task): Promise<Report>;
  /** Ends its process, if it has one. */
  close(): void;
}

/** The program that `forkRunner` starts; it exists only where the sources have been compiled. */
export const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

/** Runs in this process. */
export const runHere: Runner = { run: runTask, close() {} };

/** Runs in a process of its own, started from the compiled `worker`. */
export function forkRunner(worker: string = WORKER): Runner {
  const child = fork(worker, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  return {
    run: (task) => ask(child, task),
    close: () => {
      if (child.connected) child.disconnect();
    },
  };
}

/** What a worker answers: a report, or why there is none. */
export type WorkerAnswer = { readonly report: Report } | { readonly error: string };

function ask(child: ChildProcess, task: Task): Promise<Report> {
  return new Promise((resolve, reject) => {
    const done = (): void => {
      child.off('message', onMessage);
      child.off('exit', onExit);
      child.off('error', onError);
    };
    const onMessage = (message: unknown): void => {
      done();
      const answer = message as WorkerAnswer;
      if ('report' in answer) resolve(answer.report);
      else reject(new Error(`seed ${task.seed}: ${answer.error}`));
    };
    const onError = (error: Error): void => {
      done();
      reject(error);
    };
    const onExit = (): void => {
      onError(new Error(`the process that ran seed ${task.seed} has ended`));
    };
    child.on('message', onMessage).on('exit', onExit).on('error', onError);
    child.send(task);
  });
}

/** Makes a run in this process. */
export async function runTask({ seed, changes, bug, twice }: Task): Promise<Report> {
  const planted = BUGS.find(({ name }) => name === bug)?.planted;
  const options = planted === undefined ? changes : { ...changes, planted };
  const before = process.cpuUsage();
  let result = await simulate(seed, options);
  let { virtualMs } = result;
  if (twice) {
    const again = await simulate(seed, options);
    virtualMs += again.virtualMs;
    result = compared(result, again);
  }
  const { user, system } = process.cpuUsage(before);
  return { ...reportOf(result, (user + system) / 1000), virtualMs };
}

/** The same seed must yield the same world. */
function compared(result: RunResult, again: RunResult): RunResult {
  if (result.failure !== null || result.traceHash === again.traceHash) return result;
  const what = `trace hash ${result.traceHash}, then ${again.traceHash}`;
  return { ...result, failure: new Error(`not deterministic: ${what}`) };
}

/** A run in plain data. */
export function reportOf(result: RunResult, cpuMs = 0): Report {
  const {
    seed,
    plan,
    virtualMs,
    calls,
    acknowledged,
    faults,
    traceHash,
    counters,
    matrix,
    failure,
  } = result;
  return {
    seed,
    members: plan.members,
    virtualMs,
    cpuMs,
    calls,
    acknowledged,
    faults: faults.length,
    traceHash,
    counters: counters.entries(),
    matrix: matrix.counts,
    failure: failure === null ? null : describe(failure),
  };
}

function describe(failure: Error): ReportedFailure {
  if (!(failure instanceof Violation)) {
    return { message: failure.stack ?? failure.message, promise: null, byAssertion: false };
  }
  const { message, promise, byAssertion } = failure;
  return { message, promise, byAssertion };
}
