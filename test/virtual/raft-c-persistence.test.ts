import { describe, expect } from 'vitest';
import type { Message } from '../../src/raft/index.ts';
import { others, RaftLab, T } from './raft-lab.ts';
import { onSeeds } from './seeds.ts';

/*
 * Part C of the course lab's Raft tests, persistence, on virtual time. A crash is a power loss:
 * of what was not synced a random beginning survives, and messages that are under way still arrive.
 */
const SEEDS = 10;

/** The pauses between the steps of the long tests: mostly none, sometimes an election's worth. */
function pause(lab: RaftLab): void {
  lab.run(lab.prng.chance(0.1) ? lab.prng.below(T / 2) : lab.prng.below(13));
}

describe('lab 3C, persistence', () => {
  onSeeds('Persist1: everything survives restarts of all, leader and follower', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3 });
    lab.restart(...lab.all);
    lab.agree({ servers: 3 });
    lab.restart(lab.leader());
    lab.agree({ servers: 3 });

    const leader = lab.leader();
    lab.disconnect(leader);
    lab.agree({ servers: 2 });
    lab.restart(leader);
    lab.connect(leader);
    lab.await(lab.oracle.commandAt(4) ?? '', 3);

    const follower = (lab.leader() + 1) % 3;
    lab.disconnect(follower);
    lab.agree({ servers: 2 });
    lab.restart(follower);
    lab.connect(follower);
    lab.agree({ servers: 3 });
    expect(lab.oracle.length).toBe(6);
  });

  onSeeds('Persist2: five rounds of majorities that take turns', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    for (let round = 0; round < 5; round++) {
      lab.agree({ servers: 5 });
      const first = lab.leader();
      const [b, c, d, e] = [1, 2, 3, 4].map((n) => (first + n) % 5) as [
        number,
        number,
        number,
        number,
      ];
      lab.disconnect(b, c);
      lab.agree({ servers: 3 });
      lab.disconnect(first, d, e);
      lab.restart(b, c);
      lab.connect(b, c);
      lab.run(T);
      lab.restart(d);
      lab.connect(d);
      lab.agree({ servers: 3 });
      lab.connect(e, first);
    }
    lab.agree({ servers: 5 });
    lab.expectEqualLogs();
  });

  onSeeds('Persist3: a committed entry survives the crash of those who have it', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    lab.agree({ servers: 3 });
    const leader = lab.leader();
    const [partner = 0, away = 0] = others(lab.all, leader);
    lab.disconnect(away);
    lab.agree({ servers: 2 });
    lab.crash(leader, partner);
    lab.connect(away);
    lab.restart(leader);
    lab.agree({ servers: 2 });
    lab.restart(partner);
    lab.agree({ servers: 3 });
    lab.expectEqualLogs();
    expect(lab.oracle.length).toBe(4);
  });

  onSeeds('Figure8: 1000 rounds in which leaders crash with what they just took', 5, (seed) =>
    figure8(seed, false),
  );
});

describe('lab 3C, unreliable links', () => {
  onSeeds('UnreliableAgree: 246 agreements over links that lose a fifth', 5, (seed) => {
    const lab = new RaftLab(5, seed);
    lab.setUnreliable(true);
    const commands: string[] = [];
    for (let round = 0; round < 49; round++) {
      const leader = lab.reachable.find((i) => lab.status(i).role === 'leader');
      for (let n = 0; n < 4; n++) {
        const command = lab.command();
        commands.push(command);
        if (leader !== undefined) lab.submit(leader, command);
      }
      const command = lab.command();
      commands.push(command);
      lab.agree({ servers: 1, command });
    }
    // What a leader took and lost again is asked for once more.
    for (const command of commands) {
      if (lab.countApplied(command) === 0) lab.agree({ servers: 1, command });
    }
    lab.setUnreliable(false);
    lab.agree({ servers: 5 });
    lab.expectEqualLogs();
    const applied = new Set(lab.appliedBy(0));
    expect(commands.filter((command) => !applied.has(command))).toEqual([]);
    expect(applied.size).toBe(246);
  });

  onSeeds('Figure8Unreliable: 1000 rounds, replies held back up to 2.2 s', 3, (seed) => {
    const lab = new RaftLab(5, seed);
    lab.setUnreliable(true);
    lab.agree({ servers: 1 });
    for (let round = 0; round < 1_000; round++) {
      if (round === 200) lab.setUnreliable(true, true);
      const leaders = lab.all.filter((i) => lab.submit(i, lab.command()) !== null);
      pause(lab);
      for (const i of leaders) if (lab.prng.chance(0.5)) lab.disconnect(i);
      if (lab.reachable.length < 3) lab.connect(lab.prng.below(5));
    }
    lab.connect(...lab.all);
    lab.agree({ servers: 5 });
    lab.setUnreliable(false);
    lab.expectEqualLogs();
    expect(lab.oracle.leaderships).toBeGreaterThan(3);
  });

  onSeeds('ReliableChurn: clients, crashes and cuts at once', 2, (seed) => churn(seed, false));

  onSeeds('UnreliableChurn: the same on links that lose a fifth', 5, (seed) => churn(seed, true));
});

describe('beyond the lab: power', () => {
  onSeeds('Figure8Lossy: the same on slow links, so that entries reach only some', 5, (seed) =>
    figure8(seed, true),
  );

  onSeeds('LastWords: servers die the moment they have said yes to something', 5, (seed) => {
    const lab = new RaftLab(5, seed);
    const { onSend } = lab.network;
    let armed = true;
    lab.network.onSend = (message) => {
      onSend(message);
      if (!armed || !lab.prng.chance(fatality(message))) return;
      const i = Number(message.from) - 1;
      lab.clock.defer(() => {
        lab.crash(i);
        lab.clock.setTimer(lab.prng.below(1_000), () => {
          if (!lab.isUp(i)) lab.restart(i);
        });
      });
    };
    for (let round = 0; round < 400; round++) {
      for (const i of lab.all) lab.submit(i, lab.command());
      pause(lab);
    }
    armed = false;
    lab.run(T);
    lab.agree({ servers: 5 });
    lab.expectEqualLogs();
    expect(lab.oracle.leaderships).toBeGreaterThan(3);
    expect(lab.oracle.length).toBeGreaterThan(10);
  });

  onSeeds('Blackouts: all servers lose power at once, again and again, under load', 5, (seed) => {
    const lab = new RaftLab(5, seed);
    const answered: string[] = [];
    for (let round = 0; round < 20; round++) {
      const leader = lab.leader();
      const submissions = Array.from({ length: 20 }, () => {
        const submission = lab.submit(leader, lab.command());
        lab.run(lab.prng.below(100) / 100);
        return submission;
      });
      lab.crash(...lab.all);
      for (const submission of submissions) {
        if (submission?.outcome?.type === 'applied') answered.push(submission.command);
      }
      lab.run(lab.prng.below(T));
      lab.restart(...lab.all);
    }
    lab.agree({ servers: 5 });
    lab.expectEqualLogs();
    const applied = new Set(lab.appliedBy(0));
    expect(answered.length).toBeGreaterThan(20);
    expect(answered.filter((command) => !applied.has(command))).toEqual([]);
  });
});

/** How likely it is that a server dies of saying this. */
function fatality(message: Message): number {
  if (message.type === 'requestVoteReply') return message.granted ? 0.3 : 0;
  if (message.type === 'appendEntriesReply') return message.accepted ? 0.03 : 0;
  return message.type === 'appendEntries' ? 0.02 : 0;
}

/** Leaders crash after 0 to 12 ms, some much later; one comes back while fewer than 3 are up. */
function figure8(seed: number, unreliable: boolean): void {
  const lab = new RaftLab(5, seed);
  lab.setUnreliable(unreliable);
  lab.agree({ servers: 1 });
  for (let round = 0; round < 1_000; round++) {
    const leaders = lab.all.filter((i) => lab.submit(i, lab.command()) !== null);
    pause(lab);
    lab.crash(...leaders);
    const down = lab.all.filter((i) => !lab.isUp(i));
    if (down.length > 2) {
      const i = lab.prng.below(5);
      if (!lab.isUp(i)) lab.restart(i);
    }
  }
  lab.restart(...lab.all.filter((i) => !lab.isUp(i)));
  lab.agree({ servers: 5 });
  lab.setUnreliable(false);
  lab.expectEqualLogs();
  expect(lab.oracle.leaderships).toBeGreaterThan(10);
  expect(lab.oracle.length).toBeGreaterThan(5);
}

/** Three clients submit to everybody while servers come and go; nothing a client saw is lost. */
function churn(seed: number, unreliable: boolean): void {
  const lab = new RaftLab(5, seed);
  lab.setUnreliable(unreliable);
  const seen: string[] = [];
  const clients = { stopped: false };
  for (const id of [0, 1, 2]) client(lab, { id, seen, clients });
  for (let round = 0; round < 20; round++) {
    const { prng } = lab;
    if (prng.chance(0.2)) lab.disconnect(prng.below(5));
    if (prng.chance(0.5)) {
      const i = prng.below(5);
      if (!lab.isUp(i)) lab.restart(i);
      lab.connect(i);
    }
    if (prng.chance(0.2)) lab.crash(prng.below(5));
    lab.run(700);
  }
  lab.run(T);
  clients.stopped = true;
  lab.setUnreliable(false);
  lab.restart(...lab.all.filter((i) => !lab.isUp(i)));
  lab.connect(...lab.all);
  lab.run(T);
  lab.agree({ servers: 5 });
  lab.expectEqualLogs();
  const applied = new Set(lab.appliedBy(0));
  expect(seen.filter((command) => !applied.has(command))).toEqual([]);
  expect(seen.length).toBeGreaterThan(10);
}

/** Submits to everybody; looks after 10, 30, 80, 180 and 380 ms whether it was done. */
function client(
  lab: RaftLab,
  { id, seen, clients }: { id: number; seen: string[]; clients: { readonly stopped: boolean } },
): void {
  const next = (): void => {
    if (clients.stopped) return;
    const command = lab.command();
    const taken = lab.all.map((i) => lab.submit(i, command)).filter((s) => s !== null);
    if (taken.length === 0) {
      lab.clock.setTimer(79 + 17 * id, next);
      return;
    }
    const look = (pausesMs: readonly number[]): void => {
      if (taken.some(({ outcome }) => outcome?.type === 'applied')) {
        seen.push(command);
        return next();
      }
      const [pauseMs, ...later] = pausesMs;
      if (pauseMs === undefined) return next();
      lab.clock.setTimer(pauseMs, () => look(later));
    };
    look([10, 20, 50, 100, 200]);
  };
  next();
}
