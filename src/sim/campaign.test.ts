import { dirname, join } from 'node:path';
import { expect, inject, test, vi } from 'vitest';
import { MUST_HAPPEN, neverHappened } from './campaign.ts';
import {
  CALLS,
  Counters,
  FAULT_KINDS,
  forkRunner,
  Matrix,
  type Report,
  type Runner,
  runCampaign,
  runHere,
} from './index.ts';

/** Runs take processor time, and a machine may have little to spare. */
vi.setConfig({ testTimeout: 120_000 });

const WORKER = join(dirname(dirname(inject('quorateMain'))), 'sim', 'worker.js');

async function reportsOf(runners: readonly Runner[]): Promise<Report[]> {
  const reports: Report[] = [];
  await runCampaign({
    firstSeed: 11,
    seeds: 6,
    runners,
    isOver: () => false,
    onRun: (report) => reports.push(report),
    changes: { safetyMs: 3_000, members: 3 },
  });
  for (const runner of runners) runner.close();
  return reports.map((report) => ({ ...report, cpuMs: 0 }));
}

test('what never happened is named, and every class of faults must happen', () => {
  const counters = new Counters();
  expect(neverHappened(counters)).toEqual(MUST_HAPPEN);
  for (const name of MUST_HAPPEN.slice(1)) counters.add(name);
  expect(neverHappened(counters)).toEqual([`fault: ${FAULT_KINDS[0]}`]);
  counters.add(`fault: ${FAULT_KINDS[0]}`);
  expect(neverHappened(counters)).toEqual([]);
});

test('two processes report what one does, in the order of the seeds', async () => {
  const alone = await reportsOf([runHere]);
  const together = await reportsOf([forkRunner(WORKER), forkRunner(WORKER)]);
  expect(alone.map(({ seed }) => seed)).toEqual([11, 12, 13, 14, 15, 16]);
  expect(together).toEqual(alone);
});

test('a process that ends before its run does is an error, and not a good run', async () => {
  const runner = forkRunner(WORKER);
  const run = runner.run({ seed: 1, changes: {}, bug: null, twice: false });
  runner.close();
  await expect(run).rejects.toThrow('the process that ran seed 1 has ended');
});

test('the matrix counts calls under what is at work, and names the cells that are empty', () => {
  const matrix = new Matrix();
  expect(matrix.empty()).toHaveLength(CALLS.length * FAULT_KINDS.length);
  matrix.add('put');
  matrix.begin('kill');
  matrix.begin('kill');
  matrix.begin('pause');
  matrix.end('kill');
  matrix.add('put');
  matrix.end('kill');
  matrix.add('heartbeat');
  matrix.end('pause');
  matrix.add('put');
  expect([matrix.at('put', 'kill'), matrix.at('put', 'pause')]).toEqual([1, 1]);
  expect([matrix.at('heartbeat', 'kill'), matrix.at('heartbeat', 'pause')]).toEqual([0, 1]);
  const sum = new Matrix();
  sum.addAll(matrix.counts);
  sum.addAll(matrix.counts);
  expect(sum.at('put', 'kill')).toBe(2);
  expect(sum.empty()).not.toContain('put during kill');
  expect(sum.empty()).toContain('heartbeat during kill');
});
