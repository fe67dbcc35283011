import { describe, expect } from 'vitest';
import { others, RaftLab, type Submission, T } from './raft-lab.ts';
import { onSeeds } from './seeds.ts';

/*
 * Part B of the course lab's Raft tests, log replication, on virtual time. The lab counts log
 * indexes; a position here is the place of a command among all commands, because a leader's empty
 * entries and the commands that share an entry do not count alike.
 */
const SEEDS = 20;
/** One command per entry: each is handed over in a turn of its own. */
const TURN_MS = 0.01;

/** Hands `count` commands to a server that must accept them all, each in its own entry. */
function feed(lab: RaftLab, server: number, count: number): Submission[] {
  return Array.from({ length: count }, () => {
    const submission = lab.submit(server, lab.command());
    if (submission === null) throw new Error(`server ${server} did not accept a command`);
    lab.run(TURN_MS);
    return submission;
  });
}

function expectNowhere(lab: RaftLab, submissions: readonly (Submission | null)[]): void {
  for (const submission of submissions) {
    if (submission !== null) expect(lab.countApplied(submission.command)).toBe(0);
  }
}

describe('lab 3B, agreement', () => {
  onSeeds('BasicAgree: three commands, three positions, nothing before', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    for (const position of [1, 2, 3]) {
      expect(lab.oracle.length).toBe(position - 1);
      expect(lab.agree({ servers: 3, retry: false })).toBe(position);
    }
  });

  onSeeds('RPCBytes: 10 commands of 5000 bytes cross to each peer about once', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3, retry: false });
    const before = lab.network.bytes;
    for (let i = 0; i < 10; i++) {
      lab.agree({ servers: 3, retry: false, command: lab.command(5_000) });
    }
    const bytes = lab.network.bytes - before;
    // The lab allows 3 · 50,000 + 50,000. Two peers need 100,000; a tenth on top is enough.
    expect(bytes).toBeGreaterThanOrEqual(100_000);
    expect(bytes).toBeLessThanOrEqual(110_000);
  });

  onSeeds('FollowerFailure: two of three go on, one of three does not', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3, retry: false });
    const gone = (lab.leader() + 1) % 3;
    lab.disconnect(gone);
    lab.agree({ servers: 2, retry: false });
    lab.run(T);
    lab.agree({ servers: 2, retry: false });
    const leader = lab.leader();
    lab.disconnect(...others(lab.all, leader, gone));
    const [lost] = feed(lab, leader, 1);
    lab.run(2 * T);
    expectNowhere(lab, [lost ?? null]);
    // Nobody waits for nothing: the caller was told when leadership was lost.
    expect(lost?.outcome).toMatchObject({ type: 'leadershipLost' });
  });

  onSeeds('LeaderFailure: agreement without the first leader, none without two', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3, retry: false });
    const first = lab.leader();
    lab.disconnect(first);
    lab.agree({ servers: 2 });
    lab.run(T);
    lab.agree({ servers: 2 });
    lab.disconnect(lab.leader());
    const submissions = lab.all.map((i) => lab.submit(i, lab.command()));
    lab.run(2 * T);
    expectNowhere(lab, submissions);
    expect(lab.oracle.length).toBe(3);
  });

  onSeeds('FailAgree: a follower that was away catches up', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3, retry: false });
    const away = (lab.leader() + 1) % 3;
    lab.disconnect(away);
    for (let i = 0; i < 4; i++) {
      lab.agree({ servers: 2, retry: false });
      if (i === 1) lab.run(T);
    }
    expect(lab.appliedBy(away).length).toBe(1);
    lab.connect(away);
    lab.agree({ servers: 3 });
    lab.run(T);
    lab.agree({ servers: 3 });
    lab.expectEqualLogs();
  });

  onSeeds('FailNoAgree: no agreement without three of five, and then again', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    lab.agree({ servers: 5, retry: false });
    const leader = lab.leader();
    const cut = [1, 2, 3].map((n) => (leader + n) % 5);
    lab.disconnect(...cut);
    const [parked] = feed(lab, leader, 1);
    lab.run(2 * T);
    expectNowhere(lab, [parked ?? null]);
    lab.connect(...cut);
    const again = lab.leader();
    const [next] = feed(lab, again, 1);
    lab.await(next?.command ?? '', 5);
    expect([2, 3]).toContain(lab.oracle.positionOf(next?.command ?? ''));
    lab.agree({ servers: 5 });
    lab.expectEqualLogs();
  });

  onSeeds('ConcurrentStarts: six commands of one turn, all on all servers', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    const leader = lab.leader();
    const submissions = Array.from({ length: 6 }, () => lab.submit(leader, lab.command()));
    for (const submission of submissions) lab.await(submission?.command ?? '', 3);
    const positions = submissions.map((s) => lab.oracle.positionOf(s?.command ?? ''));
    expect(positions).toEqual([1, 2, 3, 4, 5, 6]);
    expect(submissions.map((s) => s?.outcome?.type)).toEqual(Array(6).fill('applied'));
  });

  onSeeds('Rejoin: entries that only a cut off leader had are overwritten', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3 });
    const first = lab.leader();
    lab.disconnect(first);
    const stale = feed(lab, first, 3);
    lab.agree({ servers: 2 });
    const second = lab.leader();
    lab.disconnect(second);
    lab.connect(first);
    lab.agree({ servers: 2 });
    lab.connect(second);
    lab.agree({ servers: 3 });
    lab.expectEqualLogs();
    expectNowhere(lab, stale);
    for (const { outcome } of stale) expect(outcome).toMatchObject({ type: 'leadershipLost' });
  });
});

describe('lab 3B, cost', () => {
  onSeeds('Backup: logs that differ by 50 entries of several terms are repaired', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    lab.agree({ servers: 5 });
    const startMs = lab.nowMs;
    const first = lab.leader();
    const friend = (first + 1) % 5;
    const [a = 0, b = 0, c = 0] = others(lab.all, first, friend);
    lab.disconnect(a, b, c);
    const dead = feed(lab, first, 50);
    lab.run(T / 2);

    lab.disconnect(first, friend);
    lab.connect(a, b, c);
    for (let i = 0; i < 50; i++) lab.agree({ servers: 3 });

    const second = lab.leader();
    const spare = [a, b, c].find((i) => i !== second) as number;
    lab.disconnect(spare);
    lab.disconnect(...others([a, b, c], second, spare));
    dead.push(...feed(lab, second, 50));
    lab.run(T / 2);

    lab.disconnect(...lab.all);
    lab.connect(first, friend, spare);
    for (let i = 0; i < 50; i++) lab.agree({ servers: 3 });

    lab.connect(...lab.all);
    lab.agree({ servers: 5 });
    lab.expectEqualLogs();
    expectNowhere(lab, dead);
    expect(lab.oracle.length).toBe(102);
    expect(lab.nowMs - startMs).toBeLessThan(30_000);
  });

  onSeeds('Backup1000: a tail of 1000 dead entries costs a handful of requests', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3 });
    const first = lab.leader();
    lab.disconnect(first);
    feed(lab, first, 1_000);
    for (let i = 0; i < 10; i++) lab.agree({ servers: 2 });
    lab.leader();
    const before = lab.network.requests;
    const startMs = lab.nowMs;
    lab.connect(first);
    lab.agree({ servers: 3 });
    lab.expectEqualLogs();
    expect(lab.nowMs - startMs).toBeLessThan(500);
    expect(lab.network.requests - before).toBeLessThan(30);
  });

  onSeeds(
    'Count: requests for an election, for ten commands, for an idle second',
    SEEDS,
    (seed) => {
      const lab = new RaftLab(3, seed);
      const leader = lab.leader();
      expect(lab.network.requests).toBeGreaterThanOrEqual(1);
      expect(lab.network.requests).toBeLessThanOrEqual(30);
      lab.run(T);

      const { term } = lab.status(leader);
      const beforeCommands = lab.network.requests;
      const submissions = feed(lab, leader, 12);
      for (const { command } of submissions) lab.await(command, 3);
      // The lab's bound for its commands. Here every entry and every commit goes out at once, as
      // many together as one sync of the disk takes.
      expect(lab.network.requests - beforeCommands).toBeLessThanOrEqual(42);

      const beforeIdle = lab.network.requests;
      lab.run(1_000);
      // The lab allows 60; two peers and ten heartbeats make 20.
      expect(lab.network.requests - beforeIdle).toBeLessThanOrEqual(22);
      expect(lab.status(leader)).toMatchObject({ role: 'leader', term });
    },
  );

  onSeeds('SlowPeer: a peer behind a cut one-way link does not slow the others', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    const leader = lab.leader();
    const slow = (leader + 1) % 5;
    lab.network.cut(lab.id(slow), lab.id(leader));
    for (let i = 0; i < 20; i++) {
      const startMs = lab.nowMs;
      const [submission] = feed(lab, leader, 1);
      lab.await(submission?.command ?? '', 3);
      expect((submission?.endedMs ?? Number.NaN) - startMs).toBeLessThan(20);
    }
    lab.network.healLinks();
    lab.agree({ servers: 5 });
    lab.expectEqualLogs();
  });
});
