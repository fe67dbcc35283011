import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { MemberExit } from './cluster/index.ts';
import { type Supervised, Supervisor } from './supervisor.ts';

const KILLED: MemberExit = { code: null, signal: 'SIGKILL' };

let starts: number;
let said: string[];
let member: Supervised;
let supervisor: Supervisor;

beforeEach(() => {
  vi.useFakeTimers();
  [starts, said] = [0, []];
  const spec = { name: 'm1', command: [], flags: [], environment: {}, logPath: '/d/m1.log' };
  member = {
    spec,
    pid: 7,
    start: async () => {
      starts++;
    },
  };
  supervisor = new Supervisor((line) => said.push(line));
  supervisor.started('m1');
});

afterEach(() => {
  vi.useRealTimers();
});

test('a dead member is started again, after pauses that double up to a bound', async () => {
  const pausesMs: number[] = [];
  for (let life = 1; life <= 8; life++) {
    supervisor.exited(member, KILLED);
    const startMs = performance.now();
    await vi.advanceTimersToNextTimerAsync();
    pausesMs.push(performance.now() - startMs);
    expect(starts).toBe(life);
  }
  expect(pausesMs).toEqual([250, 500, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
  expect(said.slice(0, 2)).toEqual([
    'm1 was killed (SIGKILL); starting it again in 250 ms',
    'm1 serves again (pid 7)',
  ]);
});

test('a member that keeps dying is left alone, and its log is named', async () => {
  for (let life = 1; life <= 9; life++) {
    supervisor.exited(member, { code: 1, signal: null });
    await vi.advanceTimersByTimeAsync(8_000);
  }
  expect(starts).toBe(8);
  expect(supervisor.abandoned).toEqual(new Set(['m1']));
  expect(said.at(-1)).toBe(
    'm1 ended with exit code 1, 9 times in a row: it is left alone now; see /d/m1.log',
  );
});

test('a member that lived well starts with the shortest pause again', async () => {
  for (let life = 1; life <= 20; life++) {
    supervisor.exited(member, KILLED);
    await vi.advanceTimersByTimeAsync(60_000);
  }
  expect(starts).toBe(20);
  expect(said.at(-2)).toBe('m1 was killed (SIGKILL); starting it again in 250 ms');
});

test('nothing is started any more once it has stopped', async () => {
  supervisor.exited(member, KILLED);
  supervisor.stop();
  supervisor.exited(member, KILLED);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(starts).toBe(0);
});
