import { afterAll, describe, test } from 'vitest';
import { LabKeeper, type Scenario } from './workload.ts';

/**
 * The generic tests of the lab's part A (no snapshots) on real processes: kill -9 for crashes, a
 * TCP proxy on every link for partitions and unreliability. Replays differ in timing; the seed
 * fixes what is asked and what is broken.
 */
const SEED = Number(process.env['SEED'] ?? 1);

const SCENARIOS: readonly (readonly [string, Scenario])[] = [
  ['Basic: one clerk, five members', { clients: 1, servers: 5 }],
  ['Concurrent: five clerks', { clients: 5, servers: 5 }],
  ['Unreliable: links lose replies and break', { clients: 5, servers: 5, unreliable: true }],
  ['ManyPartitionsOneClient', { clients: 1, servers: 5, partitions: true }],
  ['ManyPartitionsManyClients', { clients: 5, servers: 5, partitions: true }],
  ['PersistOneClient: all members killed', { clients: 1, servers: 5, crash: true }],
  ['PersistConcurrent', { clients: 5, servers: 5, crash: true }],
  ['PersistConcurrentUnreliable', { clients: 5, servers: 5, crash: true, unreliable: true }],
  ['PersistPartition', { clients: 5, servers: 5, crash: true, partitions: true }],
  [
    'PersistPartitionUnreliable',
    { clients: 5, servers: 5, crash: true, partitions: true, unreliable: true },
  ],
  [
    'PersistPartitionUnreliableLinearizable: 15 clerks on shared keys, seven members',
    {
      clients: 15,
      servers: 7,
      crash: true,
      partitions: true,
      unreliable: true,
      randomKeys: true,
    },
  ],
];

describe('lab 3A, generic', () => {
  const keeper = new LabKeeper();
  afterAll(() => keeper.close(), 30_000);

  test.each(SCENARIOS)('%s', { timeout: 120_000 }, (_title, scenario) =>
    keeper.run(scenario, SEED),
  );
});
