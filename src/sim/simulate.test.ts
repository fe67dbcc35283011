import { describe, expect, test, vi } from 'vitest';
import { drawPlan, FAULT_KINDS, runCampaign, runHere, simulate } from './index.ts';

/** Runs take processor time, and a machine may have little to spare. */
vi.setConfig({ testTimeout: 120_000 });

const SHORT = { safetyMs: 8_000 };

describe('one seed', () => {
  test('yields the same world twice, line by line', async () => {
    const [first, second] = [[] as string[], [] as string[]];
    const a = await simulate(7, { ...SHORT, trace: (line) => first.push(line) });
    const b = await simulate(7, { ...SHORT, trace: (line) => second.push(line) });
    expect(first.length).toBeGreaterThan(1_000);
    expect(second).toEqual(first);
    expect(b.traceHash).toBe(a.traceHash);
  });

  test('yields the same world whether anybody listens or not', async () => {
    const heard = await simulate(3, { ...SHORT, trace: () => 'nothing to do' });
    expect((await simulate(3, SHORT)).traceHash).toBe(heard.traceHash);
  });

  test('yields another world than its neighbour', async () => {
    const [a, b] = [await simulate(1, SHORT), await simulate(2, SHORT)];
    expect(a.traceHash).not.toBe(b.traceHash);
  });
});

test('plans differ in size, faults and work, and draw every class of faults', () => {
  const plans = Array.from({ length: 200 }, (_, i) => drawPlan(i + 1));
  expect(new Set(plans.map(({ members }) => members))).toEqual(new Set([1, 3, 5, 7]));
  const kinds = new Set(plans.flatMap(({ faults }) => faults.map(({ kind }) => kind)));
  expect([...kinds].sort()).toEqual([...FAULT_KINDS].sort());
  const combined = plans.filter(({ faults }) => faults.length >= 3).length;
  expect(combined).toBeGreaterThan(0.8 * plans.length);
});

describe('a class of faults really happens, and nothing breaks', () => {
  test.each(FAULT_KINDS)('%s', async (kind) => {
    for (let seed = 1; seed <= 5; seed++) {
      const options = { safetyMs: 5_000, members: 3, faults: [kind], quiet: true };
      const { failure, counters } = await simulate(seed, options);
      expect(failure, `seed ${seed} with ${JSON.stringify(options)}`).toBeNull();
      if (counters.get(`fault: ${kind}`) > 0) return;
    }
    expect.unreachable(`never happened: ${kind}`);
  });
});

test('the calendar of a machine has no effect, however it jumps', async () => {
  const lines = async (only?: readonly string[]): Promise<string[]> => {
    const all: string[] = [];
    const trace = (line: string): void => void all.push(line);
    const options = { ...SHORT, members: 3, faults: ['wallJump', 'kill', 'pause'] as const };
    const result = await simulate(8, {
      ...options,
      trace,
      ...(only === undefined ? {} : { only }),
    });
    jumps = result.faults.filter(({ kind }) => kind === 'wallJump').length;
    others = result.faults.filter(({ kind }) => kind !== 'wallJump').map(({ id }) => id);
    return all.filter((line) => !line.includes('wallJump'));
  };
  let jumps = 0;
  let others: string[] = [];
  const jumping = await lines();
  expect(jumps, 'seed 8').toBeGreaterThan(0);
  expect(await lines(others)).toEqual(jumping);
  expect(jumps).toBe(0);
});

test('no promise is broken in 8 short runs, and the rare situations are reached', async () => {
  const campaign = await runCampaign({
    firstSeed: 1,
    seeds: 8,
    runners: [runHere],
    isOver: () => false,
    onRun: ({ seed, failure }) => {
      expect(failure, `seed ${seed} failed: simulate(${seed}, { safetyMs: 8000 })`).toBeNull();
    },
    changes: SHORT,
  });
  expect(campaign.failures).toEqual([]);
  expect(campaign.runs).toBe(8);
  for (const name of [
    'network: message lost',
    'network: message doubled',
    'network: message late',
    'client: reply lost',
    'client: connection broken',
    'client: connection gone silent',
    'sometimes: leader elected',
    'sometimes: command twice in the log',
    'sometimes: power cut during a write',
    'sometimes: member stopped because of its disk',
    'sometimes: call ended SESSION_FENCED',
  ]) {
    expect(campaign.counters.get(name), name).toBeGreaterThan(0);
  }
});
