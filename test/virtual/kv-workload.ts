import { expect } from 'vitest';
import {
  type Call,
  checkAppends,
  checkLinearizable,
  type KvOperation,
  type TokenAppend,
} from '../../src/checker/index.ts';
import type { Clerk } from '../../src/client/index.ts';
import { KvLab, type KvLabOptions, type Transfers } from './kv-lab.ts';
import { FULL } from './seeds.ts';

/** Of load, then quiet or a crash of all; three in the lab. */
const ITERATIONS = FULL ? 3 : 1;
/** Fewer calls of a clerk in one of them would show that it hung; one alone may be unlucky. */
const CALLS_MIN = FULL ? 7 : 1;
/** The lab's figures, milliseconds. */
const LOAD_MS = 5_000;
const QUIET_BEFORE_PARTITIONS_MS = 1_000;
const PARTITION_MS_MIN = 1_000;
const PARTITION_MS_SPREAD = 200;
const DOWN_MS = 1_000;
const AFTER_HEAL_MS = 1_000;
/** A clerk rests up to so long between its calls, so that not all of the run is one queue. */
const REST_MS_MAX = 40;
/** A crash under load hits one member; all come later. */
const ROLLING_CRASH_EVERY_MS = 1_500;

/** One of the lab's generic tests: who, how many, and what goes wrong. */
export interface Scenario {
  readonly clerks: number;
  readonly members: number;
  /** Links lose, delay, repeat and reorder. */
  readonly unreliable?: boolean;
  /**
   * Members lose power one by one under load, the leader among them, and all at once while the last
   * calls of each iteration are pending.
   */
  readonly crash?: boolean;
  readonly partitions?: boolean;
  /** Clerks share keys; only linearizability is judged. Otherwise each has a key of its own. */
  readonly randomKeys?: boolean;
  /** Replies between members are held back, most of them. */
  readonly longReordering?: boolean;
  /** Whoever receives a snapshot loses power with this probability a chunk, and comes back. */
  readonly killReceivers?: number;
  /** A clerk rests up to so long between its calls. Default 40 ms. */
  readonly restMsMax?: number;
  /** How much of the log lives. */
  readonly logs?: KvLabOptions;
}

/** One run of a scenario: its clerks and what they saw. */
interface Run {
  readonly lab: KvLab;
  readonly scenario: Scenario;
  readonly clerks: readonly Clerk[];
  readonly history: Call[];
  /** Appends by key, in each clerk's order. */
  readonly appends: Map<string, TokenAppend[]>;
  isStopped: boolean;
}

/** What a run came to; equal for equal seeds. */
export interface Summary {
  readonly calls: number;
  readonly endMs: number;
  /** Bytes that members sent to each other. */
  readonly bytes: number;
  readonly transfers: Transfers;
  /** The most that a log took on a disk, in bytes; 0 when nobody measured. */
  readonly logBytesMost: number;
}

/** Runs a generic test of the lab and judges it. */
export async function runScenario(scenario: Scenario, seed: number): Promise<Summary> {
  const lab = new KvLab(scenario.members, seed, scenario.logs);
  return await lab.drive(runIn(lab, scenario));
}

async function runIn(lab: KvLab, scenario: Scenario): Promise<Summary> {
  const names = Array.from({ length: scenario.clerks }, (_, i) => i);
  const clerks = await Promise.all(names.map(() => lab.clerk()));
  const run: Run = { lab, scenario, clerks, history: [], appends: new Map(), isStopped: false };
  const reader = await lab.clerk();
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    await iterate(run, iteration);
    for (const [key, appends] of run.appends) {
      expect(checkAppends((await reader.get(key)) ?? '', appends), `key ${key}`).toEqual([]);
    }
  }
  expect(run.history.length).toBeGreaterThan(ITERATIONS * CALLS_MIN * scenario.clerks);
  expect(checkLinearizable(run.history)).toEqual({ type: 'linearizable' });
  await lab.agreement();
  const { nowMs: endMs, transfers, logBytesMost } = lab;
  const { bytes } = lab.network;
  return { calls: run.history.length, endMs, bytes, transfers, logBytesMost };
}

async function iterate(run: Run, iteration: number): Promise<void> {
  const { lab, scenario } = run;
  run.isStopped = false;
  lab.setUnreliable(scenario.unreliable === true, scenario.longReordering === true);
  lab.killReceivers(scenario.killReceivers ?? 0);
  const work = Promise.all(run.clerks.map((_, id) => workClerk(run, iteration, id)));
  const faults = [
    scenario.partitions === true ? partitionAgainAndAgain(run) : lab.sleep(LOAD_MS),
    scenario.crash === true ? crashOneByOne(run) : lab.sleep(0),
  ];
  await Promise.all(faults);
  run.isStopped = true;
  if (scenario.crash === true) {
    lab.crash(...lab.all);
    await lab.sleep(DOWN_MS);
    lab.restart(...lab.all);
  }
  lab.healAll();
  await work;
  await lab.sleep(AFTER_HEAL_MS);
}

async function partitionAgainAndAgain({ lab }: Run): Promise<void> {
  await lab.sleep(QUIET_BEFORE_PARTITIONS_MS);
  const endMs = lab.nowMs + LOAD_MS;
  while (lab.nowMs < endMs) {
    lab.partitionAtRandom();
    await lab.sleep(PARTITION_MS_MIN + lab.prng.below(PARTITION_MS_SPREAD));
  }
}

/** Every second victim is the leader. Each is up again before the next one goes. */
async function crashOneByOne({ lab }: Run): Promise<void> {
  for (let round = 0; (round + 1) * ROLLING_CRASH_EVERY_MS < LOAD_MS; round++) {
    await lab.sleep(ROLLING_CRASH_EVERY_MS / 2 + lab.prng.below(ROLLING_CRASH_EVERY_MS / 4));
    const leader = lab.all.find((i) => lab.status(i)?.role === 'leader');
    const victim = round % 2 === 0 ? leader : undefined;
    const chosen = victim ?? lab.prng.below(lab.all.length);
    lab.crash(chosen);
    await lab.sleep(lab.prng.below(ROLLING_CRASH_EVERY_MS / 4));
    lab.restart(chosen);
  }
}

async function workClerk(run: Run, iteration: number, id: number): Promise<void> {
  const { lab, scenario, appends } = run;
  const own = `${iteration}-${id}`;
  let expected = '';
  if (scenario.randomKeys !== true) await call(run, id, own, { type: 'put', value: '' });
  for (let n = 0; !run.isStopped; n++) {
    await lab.sleep(lab.prng.below(scenario.restMsMax ?? REST_MS_MAX));
    const token = `x ${iteration}.${id}.${n} y`;
    if (scenario.randomKeys === true) {
      const key = `k${lab.prng.below(scenario.clerks)}`;
      await call(run, id, key, randomOperation(lab.prng.below(100), token));
    } else if (lab.prng.chance(0.5)) {
      await call(run, id, own, { type: 'append', value: token });
      expected += token;
      const append: TokenAppend = { clerk: `c${id}`, token, outcome: 'acknowledged' };
      const known = appends.get(own);
      if (known === undefined) appends.set(own, [append]);
      else known.push(append);
    } else {
      expect(await call(run, id, own, { type: 'get', output: null })).toBe(expected);
    }
  }
}

function randomOperation(percent: number, token: string): KvOperation {
  if (percent < 50) return { type: 'append', value: token };
  if (percent < 55) return { type: 'put', value: token };
  return { type: 'get', output: null };
}

/** Makes one call and writes down when it began, when it ended, and what a get saw. */
async function call(
  { lab, clerks, history }: Run,
  id: number,
  key: string,
  operation: KvOperation,
): Promise<string | null> {
  const clerk = clerks[id] as Clerk;
  const called = lab.nowMs;
  let seen: KvOperation = operation;
  let output: string | null = null;
  if (operation.type === 'put') await clerk.put(key, operation.value);
  if (operation.type === 'append') await clerk.append(key, operation.value);
  if (operation.type === 'get') {
    output = await clerk.get(key);
    seen = { type: 'get', output };
  }
  history.push({ clerk: `c${id}`, key, operation: seen, called, returned: lab.nowMs });
  return output;
}
