import { describe, expect } from 'vitest';
import { runScenario, type Scenario } from './kv-workload.ts';
import { onSeeds } from './seeds.ts';

/*
 * The generic tests of the course lab's key/value part A, with its clerks, members, durations and
 * iterations, on virtual time: production members, sessions and clerks. Crashes lose what was not
 * synced, hit members one by one under load, then all at once; links lose without a word.
 */
const ALL_FAULTS = { unreliable: true, crash: true, partitions: true } as const;

const SCENARIOS: readonly (readonly [string, Scenario])[] = [
  ['Basic: one clerk, five members', { clerks: 1, members: 5 }],
  ['Concurrent: five clerks', { clerks: 5, members: 5 }],
  ['Unreliable: links lose a fifth', { clerks: 5, members: 5, unreliable: true }],
  ['ManyPartitionsOneClient: sides change', { clerks: 1, members: 5, partitions: true }],
  ['ManyPartitionsManyClients: five clerks', { clerks: 5, members: 5, partitions: true }],
  ['PersistOneClient: members lose power', { clerks: 1, members: 5, crash: true }],
  ['PersistConcurrent: five clerks', { clerks: 5, members: 5, crash: true }],
  [
    'PersistConcurrentUnreliable: and links lose a fifth',
    { clerks: 5, members: 5, crash: true, unreliable: true },
  ],
  ['PersistPartition: five clerks', { clerks: 5, members: 5, crash: true, partitions: true }],
  ['PersistPartitionUnreliable: five clerks', { clerks: 5, members: 5, ...ALL_FAULTS }],
  [
    'PersistPartitionUnreliableLinearizable: 15 clerks on shared keys, seven members',
    { clerks: 15, members: 7, randomKeys: true, ...ALL_FAULTS },
  ],
  [
    'LongReordering: beyond the lab, replies of members held back up to 2.2 s',
    { clerks: 5, members: 5, randomKeys: true, longReordering: true, unreliable: true },
  ],
];

describe('lab 4B, generic', () => {
  for (const [title, scenario] of SCENARIOS) {
    onSeeds(title, 1, async (seed) => {
      await runScenario(scenario, seed);
    });
  }
});

describe('the lab itself', () => {
  onSeeds('Replay: the same seed makes the same run, another seed another', 1, async (seed) => {
    const scenario = { clerks: 5, members: 5, ...ALL_FAULTS };
    const summary = await runScenario(scenario, seed);
    expect(await runScenario(scenario, seed)).toEqual(summary);
    expect(await runScenario(scenario, seed + 1)).not.toEqual(summary);
  });
});
