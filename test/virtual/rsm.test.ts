import { describe, expect } from 'vitest';
import { type Application, others, RaftLab, type Submission } from './raft-lab.ts';
import { onSeeds } from './seeds.ts';

/*
 * The course lab's tests of the layer between Raft and a service ("rsm"), on virtual time: a
 * counter on the production `Replica`. Whoever submits is answered, exactly once, whatever happens.
 */
const SEEDS = 20;
const SUBMIT_LIMIT_MS = 10_000;

/** A counter: `inc` and `dec` change it, any command is answered with its value. */
function counter(): Application {
  let value = 0;
  return (command) => {
    if (command.startsWith('inc')) value++;
    if (command.startsWith('dec')) value--;
    return String(value);
  };
}

class CounterLab extends RaftLab {
  constructor(seed: number) {
    super(3, seed, { application: counter });
  }

  /** Submits to one server after the other until one of them has executed it; its answer. */
  submitUntilDone(kind: 'inc' | 'dec' | 'nop'): number {
    const endMs = this.nowMs + SUBMIT_LIMIT_MS;
    while (this.nowMs < endMs) {
      for (const i of this.reachable) {
        const submission = this.submit(i, this.named(kind));
        if (submission === null) continue;
        while (submission.outcome === null && this.nowMs < endMs) this.run(1);
        if (submission.outcome?.type === 'applied') return numberOf(submission);
      }
      this.run(50);
    }
    throw new Error(`nobody executed ${kind} within ${SUBMIT_LIMIT_MS} ms`);
  }

  /** Hands all of them over in one turn; they wait. */
  submitParallel(i: number, kind: 'inc' | 'dec' | 'nop', count: number): Submission[] {
    return Array.from({ length: count }, () => {
      const submission = this.submit(i, this.named(kind));
      if (submission === null) throw new Error(`server ${i} does not lead`);
      return submission;
    });
  }

  named(kind: string): string {
    return `${kind} ${this.command()}`;
  }

  /** Waits until that many servers count to `value`, and no server has counted otherwise. */
  expectCounters(value: number, servers = 3): void {
    const values = (): number[] => this.reachable.map((i) => countOf(this.appliedBy(i)));
    const endMs = this.nowMs + SUBMIT_LIMIT_MS;
    const right = (): number => values().filter((each) => each === value).length;
    while (right() < servers && this.nowMs < endMs) this.run(10);
    if (right() < servers) throw new Error(`counters are ${values()}, not ${value}`);
  }
}

function countOf(commands: readonly string[]): number {
  const application = counter();
  let value = 0;
  for (const command of commands) value = Number(application(command));
  return value;
}

function numberOf({ outcome }: Submission): number {
  if (outcome?.type !== 'applied') throw new Error(`not applied: ${outcome?.type}`);
  return Number(new TextDecoder().decode(outcome.answer));
}

function waiting(submissions: readonly Submission[]): number {
  return submissions.filter(({ outcome }) => outcome === null).length;
}

function expectEnded(submissions: readonly Submission[], type: string): void {
  expect(new Set(submissions.map(({ outcome }) => outcome?.type))).toEqual(new Set([type]));
}

describe('lab 4A, rsm', () => {
  onSeeds('Basic: ten increments, answered 1 … 10, on every server', SEEDS, (seed) => {
    const lab = new CounterLab(seed);
    for (let n = 1; n <= 10; n++) {
      expect(lab.submitUntilDone('inc')).toBe(n);
      lab.expectCounters(n);
    }
  });

  onSeeds('Concurrent: 50 parallel increments are 50, each with its own answer', SEEDS, (seed) => {
    const lab = new CounterLab(seed);
    const submissions = lab.submitParallel(lab.leader(), 'inc', 50);
    lab.expectCounters(50);
    const answers = submissions.map(numberOf).sort((a, b) => a - b);
    expect(answers).toEqual(Array.from({ length: 50 }, (_, i) => i + 1));
  });

  onSeeds('LeaderFailure: the other two count on, the third catches up', SEEDS, (seed) => {
    const lab = new CounterLab(seed);
    lab.submitUntilDone('inc');
    lab.expectCounters(1);
    const leader = lab.leader();
    lab.disconnect(leader);
    expect(lab.submitUntilDone('inc')).toBe(2);
    lab.expectCounters(2, 2);
    lab.connect(leader);
    lab.expectCounters(2);
  });

  onSeeds('LeaderPartition: 100 commands of a cut off leader never run', SEEDS, (seed) => {
    const lab = new CounterLab(seed);
    lab.submitUntilDone('inc');
    const leader = lab.leader();
    lab.disconnect(leader);
    const cutMs = lab.nowMs;
    const submissions = lab.submitParallel(leader, 'dec', 100);
    lab.run(10);
    expect(waiting(submissions)).toBe(100);
    expect(lab.submitUntilDone('inc')).toBe(2);
    lab.run(1_000);
    // The lab lets them wait until the network heals; here a leader without a majority steps down.
    expectEnded(submissions, 'leadershipLost');
    for (const { endedMs } of submissions) expect((endedMs ?? 0) - cutMs).toBeLessThan(1_100);
    lab.connect(leader);
    lab.expectCounters(2);
    expect(lab.submitUntilDone('nop')).toBe(2);
  });

  onSeeds('RestartReplay: 100 increments, all stopped, the next answer is 101', SEEDS, (seed) => {
    const lab = new CounterLab(seed);
    for (let n = 1; n <= 100; n++) lab.submitUntilDone('inc');
    lab.expectCounters(100);
    lab.crash(...lab.all);
    lab.run(1_000);
    lab.restart(...lab.all);
    expect(lab.submitUntilDone('inc')).toBe(101);
    lab.expectCounters(101);
  });

  onSeeds('Shutdown: everybody who waits is answered when all servers stop', SEEDS, (seed) => {
    const lab = new CounterLab(seed);
    const leader = lab.leader();
    lab.disconnect(...others(lab.all, leader));
    const submissions = lab.submitParallel(leader, 'nop', 100);
    lab.run(20);
    expect(waiting(submissions)).toBe(100);
    const stopMs = lab.nowMs;
    lab.crash(...lab.all);
    expectEnded(submissions, 'leadershipLost');
    for (const { endedMs } of submissions) expect(endedMs).toBe(stopMs);
  });

  onSeeds(
    'RestartSubmit: stopped under load twice, nothing acknowledged is lost',
    SEEDS,
    (seed) => {
      const lab = new CounterLab(seed);
      for (let n = 1; n <= 100; n++) lab.submitUntilDone('inc');
      lab.expectCounters(100);
      lab.crash(...lab.all);
      lab.run(1_000);
      lab.restart(...lab.all);
      expect(lab.submitUntilDone('inc')).toBe(101);
      lab.expectCounters(101);

      const submissions = lab.submitParallel(lab.leader(), 'inc', 100);
      lab.run(lab.prng.below(20));
      lab.crash(...lab.all);
      expect(waiting(submissions)).toBe(0);
      const done = submissions.filter(({ outcome }) => outcome?.type === 'applied');
      lab.run(1_000);
      lab.restart(...lab.all);
      const value = lab.submitUntilDone('inc');
      expect(value).toBeGreaterThanOrEqual(102 + done.length);
      expect(value).toBeLessThanOrEqual(202);
      lab.expectCounters(value);
    },
  );
});

describe('beyond the lab: answers', () => {
  onSeeds('Reappearing: an index that others take is not the answer of who had it', 20, (seed) => {
    const lab = new CounterLab(seed);
    lab.submitUntilDone('inc');
    const first = lab.leader();
    lab.disconnect(first);
    const lost = lab.submitParallel(first, 'dec', 1);
    lab.run(1);
    // The others take the same index; the first hears of it, often while its caller still waits.
    for (const i of others(lab.all, first)) lab.network.cut(lab.id(first), lab.id(i));
    let second: number | undefined;
    while (second === undefined) {
      lab.run(1);
      second = others(lab.all, first).find((i) => lab.status(i).role === 'leader');
    }
    const taken = lab.submitParallel(second, 'inc', 3);
    lab.connect(first);
    lab.run(2_000);
    lab.network.healLinks();
    lab.expectCounters(4);
    expectEnded(taken, 'applied');
    expectEnded(lost, 'leadershipLost');
    expect(taken.map(numberOf)).toEqual([2, 3, 4]);
  });

  onSeeds('Flapping: leadership there and back; every caller gets one true answer', 5, (seed) => {
    const lab = new CounterLab(seed);
    lab.setUnreliable(true, true);
    const submissions: Submission[] = [];
    for (let round = 0; round < 300; round++) {
      for (const i of lab.all) {
        const submission = lab.submit(i, lab.named('inc'));
        if (submission !== null) submissions.push(submission);
      }
      lab.run(lab.prng.below(40));
      if (lab.prng.chance(0.05)) lab.disconnect(lab.prng.below(3));
      if (lab.prng.chance(0.2)) lab.connect(...lab.all);
    }
    lab.connect(...lab.all);
    lab.setUnreliable(false);
    lab.run(6_000);
    expect(waiting(submissions)).toBe(0);
    lab.expectEqualLogs();
    const applied = lab.appliedBy(0);
    const done = submissions.filter(({ outcome }) => outcome?.type === 'applied');
    for (const submission of done) {
      expect(applied[numberOf(submission) - 1]).toBe(submission.command);
    }
    expect(done.length).toBeGreaterThan(20);
    expect(new Set(applied).size).toBe(applied.length);
  });
});
