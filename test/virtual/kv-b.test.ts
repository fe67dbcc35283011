import { describe, expect } from 'vitest';
import { checkAppends, type TokenAppend } from '../../src/checker/index.ts';
import { inLab, others, watch } from './in-lab.ts';
import type { KvLab, KvLabOptions } from './kv-lab.ts';
import { runScenario, type Scenario } from './kv-workload.ts';
import { onSeeds } from './seeds.ts';

/*
 * The course lab's key/value part B, snapshots, on virtual time. Its servers keep a log of 1000
 * bytes, and may overstep it eightfold; here the bound is 1000 bytes or a dozen entries, and twice
 * that is the most. On a disk every write takes whole blocks of 4096 bytes: an entry costs up to
 * three (itself, its commit, the mark of a rest), and segments go as a whole.
 */
const COMPACTION = { bytesMax: 1_000, entriesMax: 12 };
const BLOCK_BYTES = 4_096;
const SEGMENT_BYTES = 8 * BLOCK_BYTES;
const LOGS: KvLabOptions = {
  compaction: COMPACTION,
  walLimits: { segmentBytes: SEGMENT_BYTES },
  logBytesMax: 2 * COMPACTION.entriesMax * 3 * BLOCK_BYTES + 2 * SEGMENT_BYTES,
};

const ALL_FAULTS = { unreliable: true, crash: true, partitions: true } as const;

const SCENARIOS: readonly (readonly [string, Scenario])[] = [
  ['SnapshotRecover: one clerk, members lose power', { clerks: 1, members: 5, crash: true }],
  [
    'SnapshotRecoverManyClients: 20 clerks',
    { clerks: 20, members: 5, crash: true, restMsMax: 150 },
  ],
  ['SnapshotUnreliable: links lose a fifth', { clerks: 5, members: 5, unreliable: true }],
  [
    'SnapshotUnreliableRecover: and members lose power',
    { clerks: 5, members: 5, crash: true, unreliable: true },
  ],
  [
    'SnapshotUnreliableRecoverConcurrentPartition: five clerks, every fault',
    { clerks: 5, members: 5, ...ALL_FAULTS },
  ],
  [
    'SnapshotUnreliableRecoverConcurrentPartitionLinearizable: 15 clerks on shared keys',
    { clerks: 15, members: 7, randomKeys: true, ...ALL_FAULTS },
  ],
];

const TOUGHER: readonly (readonly [string, Scenario])[] = [
  [
    'KilledReceivers: who receives a snapshot loses power in the middle of it, again and again',
    { clerks: 5, members: 5, partitions: true, killReceivers: 0.3, randomKeys: true },
  ],
  [
    'KilledReceiversUnreliable: the same with every other fault',
    { clerks: 5, members: 5, killReceivers: 0.3, randomKeys: true, ...ALL_FAULTS },
  ],
  [
    'SnapshotLongReordering: replies of members held back up to 2.2 s',
    { clerks: 5, members: 5, randomKeys: true, longReordering: true, partitions: true },
  ],
];

for (const [suite, scenarios] of [
  ['lab 4C, generic', SCENARIOS],
  ['beyond the lab: snapshots', TOUGHER],
] as const) {
  describe(suite, () => {
    for (const [title, scenario] of scenarios) {
      onSeeds(title, 1, async (seed) => {
        const { transfers, logBytesMost } = await runScenario({ ...scenario, logs: LOGS }, seed);
        if (scenario.partitions === true) expect(transfers.installed).toBeGreaterThan(0);
        expect(logBytesMost).toBeGreaterThan(SEGMENT_BYTES);
      });
    }
  });
}

describe('lab 4C, scripted', () => {
  inLab(
    'SnapshotRPC: a member that is away catches up by a snapshot',
    { members: 3, ...LOGS },
    (lab) => snapshotRpc(lab),
  );

  inLab(
    'SnapshotSize: 800 calls on one key leave a short log and a snapshot of 500 bytes',
    { members: 3, seeds: 3, ...LOGS },
    async (lab) => {
      const clerk = await lab.clerk();
      const away = ((await lab.leader()) + 1) % 3;
      for (let round = 0; round < 200; round++) {
        if (round === 180) lab.partition([[away], others(lab, away)]);
        for (const value of ['0', '1']) {
          await clerk.put('x', value);
          expect(await clerk.get('x')).toBe(value);
        }
      }
      // The lab's state has no history. Ours forgets it on demand, some rows with each entry.
      for (let n = 0; n < 5; n++) {
        const { revision } = await clerk.put('x', '0');
        await clerk.compact(revision);
      }
      lab.healAll();
      await lab.agreement();
      expect(lab.transfers.installed).toBeGreaterThan(0);
      expect(lab.transfers.bytes).toBeLessThanOrEqual(500);
    },
  );

  inLab(
    'SnapshotSpeed: 1000 sequential appends, each far below a heartbeat',
    { members: 3, seeds: 1, ...LOGS },
    async (lab) => {
      const clerk = await lab.clerk();
      await clerk.get('k');
      const startMs = lab.nowMs;
      const appends: TokenAppend[] = [];
      for (let n = 0; n < 1_000; n++) {
        const token = `x 0 ${n} y`;
        await clerk.append('k', token);
        appends.push({ clerk: 'c', token, outcome: 'acknowledged' });
      }
      // The lab allows 33.3 ms.
      expect((lab.nowMs - startMs) / 1_000).toBeLessThan(8);
      expect(checkAppends((await clerk.get('k')) ?? '', appends)).toEqual([]);
    },
  );
});

describe('beyond the lab: what a snapshot must hold', () => {
  inLab(
    'AnswerInSnapshot: a command sent again to who has only the snapshot does not run again',
    { members: 3, ...LOGS },
    async (lab) => {
      const leader = await lab.leader();
      const laggard = (leader + 1) % 3;
      const { clerk, silence } = await lab.application();
      await clerk.append('k', '<1>');
      lab.partition([[laggard], others(lab, laggard)]);
      const before = revisionOf(lab, leader);
      const parked = watch(clerk.append('k', '<2>'));
      while (revisionOf(lab, leader) === before) await lab.sleep(0.05);
      // It has run, and the answer never arrives.
      silence(others(lab, laggard));
      const other = await lab.clerk([laggard]);
      for (let n = 0; n < 30; n++) await other.put('other', String(n));
      expect(parked.ended).toBe(false);
      lab.network.healLinks();
      await lab.agreement();
      expect(lab.transfers.installed).toBeGreaterThan(0);
      for (;;) {
        const leads = await lab.leader();
        if (leads === laggard) break;
        lab.crash(leads);
        await lab.sleep(1_000);
        lab.restart(leads);
      }
      expect(await parked.promise).toMatchObject({ valueBytes: 6 });
      expect(await clerk.get('k')).toBe('<1><2>');
      await clerk.append('k', '<3>');
      lab.healAll();
      expect(await clerk.get('k')).toBe('<1><2><3>');
      await lab.agreement();
    },
  );
});

/** The lab's script: member 2 is away while the log goes on, then all depends on it. */
async function snapshotRpc(lab: KvLab): Promise<void> {
  const first = await lab.clerk();
  await first.put('a', 'A');
  lab.partition([[0, 1], [2]]);
  const majority = await lab.clerk([2]);
  for (let n = 0; n < 50; n++) await majority.put(String(n), String(n));
  await lab.sleep(1_000);
  await majority.put('b', 'B');
  expect(lab.transfers.begun).toBe(0);

  lab.partition([[0, 2], [1]]);
  const others = await lab.clerk([1]);
  await others.put('c', 'C');
  await others.put('d', 'D');
  expect(lab.transfers.installed).toBeGreaterThan(0);
  for (const [key, value] of [
    ['a', 'A'],
    ['b', 'B'],
    ['1', '1'],
    ['49', '49'],
  ] as const) {
    expect(await others.get(key)).toBe(value);
  }

  lab.healAll();
  await first.put('e', 'E');
  expect([await first.get('c'), await first.get('e'), await first.get('1')]).toEqual([
    'C',
    'E',
    '1',
  ]);
  await lab.agreement();
}

function revisionOf(lab: KvLab, i: number): number {
  const status = lab.status(i);
  if (status === null) throw new Error(`member ${i} is down`);
  return status.revision;
}
