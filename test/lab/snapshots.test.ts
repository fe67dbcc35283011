import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { Clerk } from '../../src/client/index.ts';
import { Lab, sleep } from './lab.ts';
import { LabKeeper, type Scenario } from './workload.ts';

/*
 * The lab's part B, snapshots, on real processes with LMDB: logs so short that whoever was away for
 * a moment needs a snapshot. (On virtual time: test/virtual/kv-b.test.ts.)
 */
const SEED = Number(process.env['SEED'] ?? 1);
const MEBIBYTE = 1024 * 1024;
/** The smallest that a server takes. */
const LOG_BYTES_MAX = 8 * MEBIBYTE;
const SEGMENT_BYTES = 16 * MEBIBYTE;
const SHORT_LOG = ['--snapshot-count', '10', '--max-log-bytes', String(LOG_BYTES_MAX)];

const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
const ALL_FAULTS = { crash: true, partitions: true, unreliable: true };

/** The hardest two in every run, all of the lab's at full scale. */
const SCENARIOS: readonly (readonly [string, Scenario])[] = [
  ['SnapshotRecoverManyClients: 20 clerks', { clients: 20, servers: 5, crash: true }],
  [
    'SnapshotUnreliableRecoverConcurrentPartition: five clerks, every fault, shared keys',
    { clients: 5, servers: 5, ...ALL_FAULTS, randomKeys: true },
  ],
];
const MORE_SCENARIOS: readonly (readonly [string, Scenario])[] = [
  ['SnapshotRecover', { clients: 1, servers: 5, crash: true }],
  ['SnapshotUnreliable', { clients: 5, servers: 5, unreliable: true }],
  ['SnapshotUnreliableRecover', { clients: 5, servers: 5, unreliable: true, crash: true }],
  [
    'SnapshotUnreliableRecoverConcurrentPartitionLinearizable: 15 clerks, seven members',
    { clients: 15, servers: 7, ...ALL_FAULTS, randomKeys: true },
  ],
];

describe('lab 3B, generic', () => {
  const keeper = new LabKeeper();
  afterAll(() => keeper.close(), 30_000);

  test.each([...SCENARIOS, ...(FULL ? MORE_SCENARIOS : [])])(
    '%s',
    { timeout: 120_000 },
    (_title, scenario) => keeper.run({ ...scenario, flags: SHORT_LOG }, SEED),
  );
});

describe('lab 3B, scripted', () => {
  let lab: Lab;
  afterEach(() => lab.close(), 30_000);

  test('SnapshotRPC: members that take turns in being away go on from snapshots', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3, SEED, SHORT_LOG);
    const [m1 = '', m2 = '', m3 = ''] = lab.members;
    const first = await lab.clerk('first');
    await first.put('a', 'A');
    lab.cluster.links.partition([[m1, m2], [m3]]);
    const majority = await lab.clerk('majority', { members: [m1, m2] });
    for (let n = 0; n < 50; n++) await majority.put(String(n), String(n));
    await majority.put('b', 'B');

    lab.loseUnderWay(m3);
    lab.cluster.links.partition([[m1, m3], [m2]]);
    const others = await lab.clerk('others', { members: [m1, m3] });
    await others.put('c', 'C');
    expect(statesOf(lab, m3)).not.toEqual([1]);
    const seen = await Promise.all(['a', 'b', '1', '49'].map((key) => others.get(key)));
    expect(seen).toEqual(['A', 'B', '1', '49']);

    lab.cluster.links.heal();
    await first.put('e', 'E');
    expect(await Promise.all(['c', 'e', '1'].map((key) => first.get(key)))).toEqual([
      'C',
      'E',
      '1',
    ]);
    await lab.agreement();
  });

  test('SnapshotSize and SnapshotSpeed: 800 calls on one key leave a short log, none takes long', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3, SEED, SHORT_LOG);
    const clerk = await lab.clerk('c');
    await clerk.get('x');
    const startMs = performance.now();
    const rounds = FULL ? 200 : 50;
    for (let round = 0; round < rounds; round++) {
      for (const value of ['0', '1']) {
        await clerk.put('x', value);
        expect(await clerk.get('x')).toBe(value);
      }
    }
    expect((performance.now() - startMs) / (4 * rounds)).toBeLessThan(100 / 3);
    for (const [name, { logBytes }] of await lab.cluster.statuses()) {
      expect(logBytes, `log of ${name}`).toBeLessThanOrEqual(2 * LOG_BYTES_MAX + SEGMENT_BYTES);
    }
    await lab.agreement();
  });

  test('KilledReceiver: a member is killed in the middle of its snapshot, again and again', {
    timeout: 60_000,
  }, async () => {
    lab = await Lab.start(3, SEED, SHORT_LOG);
    const leader = await lab.leader();
    const [victim = ''] = lab.members.filter((name) => name !== leader);
    const clerk = await lab.clerk('c');
    const stop = watchLogs(lab);
    await putLarge(clerk, 0, 20);
    await lab.cluster.kill(victim);
    // Three times what the log may hold.
    await putLarge(clerk, 20, 100);
    for (let life = 0; life < (FULL ? 3 : 2); life++) {
      await lab.cluster.restart(victim);
      // The next state is beside the one in force while it is received.
      await lab.until(
        async () => (statesOf(lab, victim).length > 1 ? true : null),
        'snapshot on its way',
      );
      await sleep(lab.prng.below(100));
      await lab.cluster.kill(victim);
    }
    await lab.cluster.restart(victim);
    await putLarge(clerk, 100, 105);
    await lab.agreement();
    expect(statesOf(lab, victim)).toHaveLength(1);
    expect(statesOf(lab, victim)).not.toEqual([1]);
    for (const [name, bytes] of await stop()) {
      // Segments are removed as a whole.
      expect(bytes, `log of ${name}`).toBeLessThanOrEqual(2 * LOG_BYTES_MAX + SEGMENT_BYTES);
    }
  });
});

/** Half a mebibyte under each of these numbers, four at a time. */
async function putLarge(clerk: Clerk, from: number, to: number): Promise<void> {
  for (let n = from; n < to; n += 4) {
    const numbers = [n, n + 1, n + 2, n + 3].filter((each) => each < to);
    await Promise.all(
      numbers.map((each) => clerk.put(`large ${each}`, String(each).padEnd(MEBIBYTE / 2, '.'))),
    );
  }
}

/** The states on a member's disk: the one in force, and one that is being received. */
function statesOf(lab: Lab, member: string): number[] {
  const names = readdirSync(join(lab.dataDirectory(member), 'state'));
  return names.filter((name) => name.endsWith('.lmdb')).map((name) => Number.parseInt(name, 10));
}

/** Measures the logs until told to stop; then says how long each member's was at most. */
function watchLogs(lab: Lab): () => Promise<Map<string, number>> {
  const most = new Map<string, number>();
  const state = { stopped: false };
  const watching = (async () => {
    while (!state.stopped) {
      for (const [name, { logBytes }] of await lab.cluster.statuses()) {
        most.set(name, Math.max(most.get(name) ?? 0, logBytes));
      }
      await sleep(20);
    }
  })();
  return async () => {
    state.stopped = true;
    await watching;
    return most;
  };
}
