import { expect, test } from 'vitest';
import { BUGS } from './bugs/all.ts';
import { type PlanChanges, shorten, simulate } from './index.ts';

test('a failure is shortened to the faults that it needs', async () => {
  const bug = BUGS.find(({ name }) => name === 'the name of a new segment is not synced');
  const changes: PlanChanges = {
    members: 3,
    safetyMs: 15_000,
    faults: ['powerCut', 'powerCutOfAll', 'pauseClerk', 'slowLink', 'cutClient'],
  };
  const options = { ...changes, planted: bug?.planted ?? {} };
  const failed = await simulate(1, options);
  expect(failed.failure, 'seed 1').not.toBeNull();
  const without = await shorten(failed, options);
  expect(without.length).toBeGreaterThan(0);
  const needed = failed.plan.faults.map(({ kind }) => kind).filter((one) => !without.includes(one));
  expect(needed).toContain('powerCutOfAll');
  const again = await simulate(1, { ...options, without });
  expect(again.plan.faults.map(({ kind }) => kind)).toEqual(needed);
  expect(again.failure?.name).toBe('Violation');
});
