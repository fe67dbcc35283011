import { expect, test, vi } from 'vitest';
import { simulate } from './index.ts';

/** Runs take processor time, and a machine may have little to spare. */
vi.setConfig({ testTimeout: 120_000 });

/** Runs the first of these seeds in which it happened; nothing may break meanwhile. */
async function happens(
  counter: string,
  options: Parameters<typeof simulate>[1],
  seedsMax: number,
): Promise<void> {
  for (let seed = 1; seed <= seedsMax; seed++) {
    const { failure, counters } = await simulate(seed, options);
    expect(failure, `seed ${seed} with ${JSON.stringify(options)}`).toBeNull();
    if (counters.get(counter) > 0) return;
  }
  expect.unreachable(`never happened: ${counter}`);
}

const SHORT = { safetyMs: 8_000, members: 3 } as const;

test('a member whose disk was wiped asks, and comes back', async () => {
  await happens('sometimes: member rejoined', { ...SHORT, faults: ['wipeDisk'] }, 3);
});

test('two of five at once do so too, while the others are killed', async () => {
  const options = { ...SHORT, members: 5, faults: ['wipeDisk', 'kill'] } as const;
  await happens('sometimes: member rejoined', options, 3);
});

test('a member whose disk was set back stops, and its operator gives it an empty one', async () => {
  const options = { ...SHORT, safetyMs: 15_000, faults: ['rollBackDisk'] } as const;
  await happens('sometimes: rolled-back member stopped', options, 10);
});

test('a member with a damaged log asks, and comes back', async () => {
  await happens('sometimes: damage found', { ...SHORT, faults: ['damage'] }, 5);
});

test('clients of etcd have their commands passed on', async () => {
  await happens('sometimes: command passed on', { ...SHORT, faults: ['transfer', 'kill'] }, 5);
});
