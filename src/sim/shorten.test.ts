import { expect, test, vi } from 'vitest';
import { BUGS } from './bugs/all.ts';
import { type PlanChanges, shorten, simulate } from './index.ts';

/** Runs take processor time, and a machine may have little to spare. */
vi.setConfig({ testTimeout: 120_000 });

const CHANGES: PlanChanges = {
  members: 3,
  safetyMs: 15_000,
  faults: ['powerCut', 'powerCutOfAll', 'pauseClerk', 'slowLink', 'cutClient'],
};
/** The fewest faults that a shortened failure may still be worth looking at with. */
const FAULTS_MAX = 10;

test('a failure is shortened to the single faults that it needs, and they suffice', async () => {
  const bug = BUGS.find(({ name }) => name === 'the name of a new segment is not synced');
  const options = { ...CHANGES, planted: bug?.planted ?? {} };
  const failed = await simulate(6, options);
  expect(failed.failure, 'seed 6').not.toBeNull();
  const { changes, result } = await shorten(failed, options);
  expect(result.faults.length).toBeLessThanOrEqual(FAULTS_MAX);
  expect(result.faults.length).toBeLessThan(failed.faults.length);
  expect(result.faults.map(({ kind }) => kind)).toContain('powerCutOfAll');
  expect(changes.only).toEqual(result.faults.map(({ id }) => id));
  // The cut of the run's length was only for shortening: the changes name the whole failure.
  const again = await simulate(6, changes);
  expect(again.failure?.message).toBe(result.failure?.message);
  expect(again.faults).toEqual(result.faults);
});

test('every fault that is left out is left out, and the others strike when they did', async () => {
  const short = { ...CHANGES, safetyMs: 8_000 };
  const all = await simulate(3, short);
  const kept = all.faults.filter((_, i) => i % 2 === 0);
  const some = await simulate(3, { ...short, only: kept.map(({ id }) => id) });
  expect(kept.length).toBeGreaterThan(2);
  const times = new Map(all.faults.map(({ id, atMs }) => [id, atMs]));
  for (const { id, atMs } of some.faults) expect([id, atMs]).toEqual([id, times.get(id)]);
  expect(some.faults.every(({ id }) => kept.some((one) => one.id === id))).toBe(true);
});
