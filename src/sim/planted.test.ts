import { describe, expect, test } from 'vitest';
import { simulate, Violation } from './index.ts';
import { BUGS } from './testing/bugs.ts';

/** Runs that a bug may survive; each is short. */
const SEEDS_MAX = 20;

describe('the simulator finds what it is there to find', () => {
  test.each(BUGS)('$name', async ({ planted, breaks }) => {
    for (let seed = 1; seed <= SEEDS_MAX; seed++) {
      const { failure } = await simulate(seed, { members: 3, safetyMs: 15_000, planted });
      if (failure === null) continue;
      expect(failure, `seed ${seed}: ${failure.stack}`).toBeInstanceOf(Violation);
      expect(breaks, failure.message).toContain((failure as Violation).promise);
      return;
    }
    expect.unreachable(`not found within ${SEEDS_MAX} seeds`);
  });
});
