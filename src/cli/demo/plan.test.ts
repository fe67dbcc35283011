import { expect, test } from 'vitest';
import { KILLS, planFaults } from './plan.ts';

const SEEDS = Array.from({ length: 200 }, (_, seed) => seed);

test('every plan has five kills, a freeze, lost replies and one new clerk, in time order', () => {
  for (const seed of SEEDS) {
    const plan = planFaults({ seed, loadMs: 25_000, clerks: 4 });
    const count = (type: string): number => plan.filter(({ fault }) => fault.type === type).length;
    const counts = ['killLeader', 'freezeLeader', 'dropReplies', 'replaceClerk'].map(count);
    expect(counts, `seed ${seed}`).toEqual([KILLS, 1, 3, 1]);
    const times = plan.map(({ atMs }) => atMs);
    expect(times, `seed ${seed}`).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.min(...times), `seed ${seed}`).toBeGreaterThan(0);
    expect(Math.max(...times), `seed ${seed}`).toBeLessThan(25_000);
  }
});

test('the clerk is replaced between the third and the fourth kill', () => {
  for (const seed of SEEDS) {
    const types = planFaults({ seed, loadMs: 1, clerks: 4 }).map(({ fault }) => fault.type);
    expect(types.indexOf('replaceClerk'), `seed ${seed}`).toBe(5);
    expect(types[4], `seed ${seed}`).toBe('killLeader');
  }
});

test('the same seed makes the same plan, another seed another one', () => {
  const plan = (seed: number) => planFaults({ seed, loadMs: 25_000, clerks: 4 });
  expect(plan(7)).toEqual(plan(7));
  expect(plan(7)).not.toEqual(plan(8));
});
