import { expect, test } from 'vitest';
import { CORNERS, type Corner, Schedule } from './schedule.ts';

/** `SEED=42` replays one seed; `SEEDS=10000` looks further. */
const SEED = process.env['SEED'];
const SEEDS = Number(process.env['SEEDS'] ?? 100);
const STEPS = 2000;
const SEEDS_PER_TEST = 50;
/** Every corner is reached by that many of the default seeds' steps, or the dice are loaded. */
const CORNER_MIN = 10;

function run(seed: number): Schedule {
  const schedule = new Schedule(seed);
  try {
    schedule.storm(STEPS);
    schedule.calm();
  } catch (cause) {
    const replay = `SEED=${seed} npx vitest run src/raft/testing/fuzz.test.ts`;
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed} failed: ${replay}\n${message}\n${schedule.trace}`, { cause });
  }
  return schedule;
}

if (SEED !== undefined) {
  test(`seed ${SEED}`, () => {
    expect(run(Number(SEED)).cluster.oracle.commitIndex).toBeGreaterThan(0);
  });
} else {
  const corners = new Map<Corner, number>(CORNERS.map((corner) => [corner, 0]));
  for (let first = 0; first < SEEDS; first += SEEDS_PER_TEST) {
    const last = Math.min(first + SEEDS_PER_TEST, SEEDS) - 1;
    test(`any schedule keeps the invariants and recovers, seeds ${first} to ${last}`, () => {
      for (let seed = first; seed <= last; seed++) {
        const { cluster, corners: reached } = run(seed);
        expect(cluster.oracle.commitIndex).toBeGreaterThan(0);
        for (const [corner, count] of reached) {
          corners.set(corner, (corners.get(corner) ?? 0) + count);
        }
      }
    });
  }

  test('the schedules reach every corner', () => {
    const rare = [...corners].filter(([, count]) => count < CORNER_MIN);
    expect(rare).toEqual([]);
  });

  test('the same seed gives the same history', () => {
    const [a, b] = [run(7), run(7)];
    expect(a.trace).toBe(b.trace);
    expect(a.cluster.oracle.commitIndex).toBe(b.cluster.oracle.commitIndex);
  });
}
