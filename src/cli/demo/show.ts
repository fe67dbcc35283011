import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessCluster } from '../cluster/index.ts';
import { reasonOf } from '../exit.ts';
import { readAll, readReplicas } from './collect.ts';
import { type Display, secondsText } from './display.ts';
import { Faults } from './faults.ts';
import { planFaults } from './plan.ts';
import { Stage } from './stage.ts';
import { type Evidence, type Held, type Judgement, judge, type ReplicaState } from './verify.ts';

const UPDATE_MS = 200;

/** What a run came to. */
export interface Outcome {
  readonly evidence: Evidence;
  readonly judgement: Judgement;
  readonly pausesMs: readonly number[];
}

/** How a run goes. */
export interface ShowOptions {
  readonly seed: number;
  /** How long the clerks load the cluster at least. */
  readonly loadMs: number;
  readonly display: Display;
  readonly signal: AbortSignal;
}

/**
 * Loads a running cluster, carries out the faults and judges what is left.
 * @throws the signal's reason, or what kept the run from beginning
 */
export async function show(cluster: ProcessCluster, options: ShowOptions): Promise<Outcome> {
  const { seed, loadMs, display, signal } = options;
  const stage = await Stage.open(cluster, { seed, signal });
  const startMs = performance.now();
  const say = (line: string): void =>
    display.event(`${secondsText(performance.now() - startMs)}  ${line}`);
  const faults = new Faults(stage, { say, signal });
  const anomalies: string[] = [];
  /** Runs a part of the show; its failure is part of the verdict. */
  const attempt = async <T>(part: string, otherwise: T, run: () => Promise<T>): Promise<T> => {
    try {
      return await untilAborted(run(), signal);
    } catch (error) {
      signal.throwIfAborted();
      anomalies.push(`${part}: ${reasonOf(error)}`);
      return otherwise;
    }
  };
  const updates = startUpdates(stage, faults, { startMs, loadMs, display });
  try {
    for (const load of stage.loads) load.start();
    await attempt('faults', undefined, async () => {
      const plan = planFaults({ seed, loadMs, clerks: stage.loads.length });
      await faults.run(plan);
      await sleep(Math.max(0, startMs + loadMs - performance.now()), undefined, { signal });
    });
    for (const load of stage.loads) load.pause();
    cluster.links.heal();
    say('the load ends; verifying');
    await attempt('load', [], () => Promise.all(stage.loads.map((load) => load.settled())));
    const held = await attempt('reading', new Map<string, Held>(), () => readAll(stage.witness));
    const none: ReplicaState[] = [];
    const replicas = await attempt('replicas', none, () => readReplicas(cluster, signal));
    for (const load of stage.loads) anomalies.push(...load.anomalies);
    const commands = stage.loads.flatMap((load) => load.commands);
    const { counts, takeovers, pausesMs } = faults;
    const members = cluster.members.size;
    const evidence = { commands, held, members, replicas, faults: counts, takeovers, anomalies };
    return { evidence, judgement: judge(evidence), pausesMs };
  } finally {
    clearInterval(updates);
    await stage.close();
  }
}

function startUpdates(
  stage: Stage,
  faults: Faults,
  { startMs, loadMs, display }: { startMs: number; loadMs: number; display: Display },
): NodeJS.Timeout {
  const recent: { atMs: number; acknowledged: number }[] = [];
  return setInterval(() => {
    const nowMs = performance.now();
    const { acknowledged } = stage.meter;
    recent.push({ atMs: nowMs, acknowledged });
    if (recent.length > 1_000 / UPDATE_MS + 1) recent.shift();
    const [first = { atMs: nowMs, acknowledged }] = recent;
    const seconds = Math.max(UPDATE_MS, nowMs - first.atMs) / 1_000;
    display.update({
      elapsedMs: nowMs - startMs,
      progress: Math.min(1, (nowMs - startMs) / loadMs),
      members: stage.watch.members(),
      acknowledged,
      acknowledgedPerSecond: Math.round((acknowledged - first.acknowledged) / seconds),
      faults: faults.summary,
    });
  }, UPDATE_MS);
}

/** Waits, but no longer than until the user asks to stop. */
export async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
