import { expect } from 'vitest';
import {
  type Call,
  checkAppends,
  checkLinearizable,
  type KvOperation,
  type TokenAppend,
} from '../../src/checker/index.ts';
import type { Clerk } from '../../src/client/index.ts';
import { Lab, sleep } from './lab.ts';

/** `QUORATE_TEST_SCALE=full`: the lab's own durations, three iterations; else a short one. */
const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
const ITERATIONS = FULL ? 3 : 1;
const LOAD_MS = FULL ? 5_000 : 1_500;
const QUIET_BEFORE_PARTITIONS_MS = FULL ? 1_000 : 300;
const DOWN_MS = FULL ? 1_000 : 200;

/** One of the lab's generic tests: who, how many, and what goes wrong. */
export interface Scenario {
  readonly clients: number;
  readonly servers: number;
  readonly unreliable?: boolean;
  /** All members are killed while the last calls of each iteration are pending. */
  readonly crash?: boolean;
  readonly partitions?: boolean;
  /** Clerks share keys; only linearizability is judged. Otherwise each has a key of its own. */
  readonly randomKeys?: boolean;
  /** More flags for every member. */
  readonly flags?: readonly string[];
}

/** What the clerks of one run saw. */
interface Record {
  readonly history: Call[];
  /** Appends by key, in each clerk's order. */
  readonly appends: Map<string, TokenAppend[]>;
}

/**
 * Members for one scenario after another: as long as all goes well those of the last one go on, for
 * to start them takes longer than a short scenario. Keys differ from one to the next.
 */
export class LabKeeper {
  #lab: Lab | null = null;
  #scenarios = 0;

  /** Runs a generic test of the lab and judges it; any contradiction fails the test. */
  async run(scenario: Scenario, seed: number): Promise<void> {
    const { servers, flags } = scenario;
    if (this.#lab?.members.length !== servers) await this.close();
    const lab = this.#lab ?? (await Lab.start(servers, seed, flags));
    // Kept only if nothing goes wrong.
    this.#lab = null;
    try {
      await lab.renew(seed);
      await runScenario(lab, { scenario, seed, prefix: `s${this.#scenarios++} ` });
      this.#lab = lab;
    } finally {
      if (this.#lab === null) await lab.close();
    }
  }

  async close(): Promise<void> {
    await this.#lab?.close();
    this.#lab = null;
  }
}

async function runScenario(
  lab: Lab,
  { scenario, seed, prefix }: { scenario: Scenario; seed: number; prefix: string },
): Promise<void> {
  const record: Record = { history: [], appends: new Map() };
  const names = Array.from({ length: scenario.clients }, (_, i) => `c${i}`);
  const clerks = await Promise.all(names.map((name) => lab.clerk(name)));
  for (let iteration = 0; iteration < ITERATIONS; iteration++) {
    await iterate(lab, { scenario, clerks, record, iteration, prefix });
  }
  const reader = await lab.clerk('reader');
  for (const [key, appends] of record.appends) {
    expect(
      checkAppends((await reader.get(key)) ?? '', appends),
      `key ${key}, seed ${seed}`,
    ).toEqual([]);
  }
  expect(checkLinearizable(record.history), `seed ${seed}`).toEqual({ type: 'linearizable' });
  expect(record.history.length).toBeGreaterThan(scenario.clients);
  await lab.agreement();
}

async function iterate(
  lab: Lab,
  run: Omit<ClerkRun, 'clerk' | 'id' | 'state'> & { readonly clerks: readonly Clerk[] },
): Promise<void> {
  const { scenario, clerks } = run;
  const state = { stopped: false };
  const work = Promise.all(clerks.map((clerk, id) => workClerk(lab, { ...run, clerk, id, state })));
  if (scenario.unreliable === true) lab.setUnreliable(true);
  if (scenario.partitions === true) {
    await sleep(QUIET_BEFORE_PARTITIONS_MS);
    const endMs = performance.now() + LOAD_MS;
    while (performance.now() < endMs) {
      lab.partitionAtRandom();
      await sleep(Math.min(1_000 + lab.prng.below(200), LOAD_MS / 2));
    }
  } else {
    await sleep(LOAD_MS);
  }
  state.stopped = true;
  if (scenario.crash === true) await lab.crashAll(DOWN_MS);
  lab.setUnreliable(false);
  lab.cluster.links.heal();
  await work;
}

interface ClerkRun {
  readonly scenario: Scenario;
  /** Of all keys. */
  readonly prefix: string;
  readonly record: Record;
  readonly iteration: number;
  readonly clerk: Clerk;
  readonly id: number;
  readonly state: { readonly stopped: boolean };
}

async function workClerk(lab: Lab, run: ClerkRun): Promise<void> {
  const { scenario, prefix, iteration, id, state } = run;
  const own = `${prefix}${iteration}-${id}`;
  let expected = '';
  if (scenario.randomKeys !== true) await call(run, own, { type: 'put', value: '' });
  for (let n = 0; !state.stopped; n++) {
    const token = `x ${iteration}.${id}.${n} y`;
    if (scenario.randomKeys === true) {
      const key = `${prefix}k${lab.prng.below(scenario.clients)}`;
      const kind = lab.prng.below(100);
      if (kind < 50) await call(run, key, { type: 'append', value: token });
      else if (kind < 55) await call(run, key, { type: 'put', value: token });
      else await call(run, key, { type: 'get', output: null });
    } else if (lab.prng.chance(0.5)) {
      await call(run, own, { type: 'append', value: token });
      expected += token;
      noteAppend(run.record, own, { clerk: `c${id}`, token, outcome: 'acknowledged' });
    } else {
      expect(await call(run, own, { type: 'get', output: null })).toBe(expected);
    }
  }
}

function noteAppend(record: Record, key: string, append: TokenAppend): void {
  const appends = record.appends.get(key);
  if (appends === undefined) record.appends.set(key, [append]);
  else appends.push(append);
}

/** Makes one call and writes down when it began, when it ended, and what a get saw. */
async function call(run: ClerkRun, key: string, operation: KvOperation): Promise<string | null> {
  const { clerk, record, id } = run;
  const called = performance.now();
  let seen: KvOperation = operation;
  let output: string | null = null;
  switch (operation.type) {
    case 'put':
      await clerk.put(key, operation.value);
      break;
    case 'append':
      await clerk.append(key, operation.value);
      break;
    case 'get':
      output = await clerk.get(key);
      seen = { type: 'get', output };
      break;
  }
  const returned = performance.now();
  record.history.push({ clerk: `c${id}`, key, operation: seen, called, returned });
  return output;
}
