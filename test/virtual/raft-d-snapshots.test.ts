import { describe, expect } from 'vitest';
import { others, RaftLab, T } from './raft-lab.ts';
import { onSeeds } from './seeds.ts';

/*
 * Part D of the course lab's Raft tests, snapshots, on virtual time. The lab's service takes one
 * every ten entries and lets a server keep 2000 bytes, twice what it aims at in later years; here
 * the log may hold some seven entries, and every event of every test looks that no log, in memory
 * or on disk, is longer than twice that. States travel in pieces that are lost, doubled and
 * overtaken like all messages.
 */
const SEEDS = 3;
const COMPACTION = { bytesMax: 300 };
const CHUNK_BYTES_MAX = 64;
const SNAPSHOT_LIMITS = { windowBytesMax: 4 * CHUNK_BYTES_MAX, resendMs: 100 };
const ROUNDS = 30;

function lab(servers: number, seed: number, unreliable = false): RaftLab {
  const made = new RaftLab(servers, seed, {
    compaction: COMPACTION,
    snapshotLimits: SNAPSHOT_LIMITS,
    chunkBytesMax: CHUNK_BYTES_MAX,
  });
  made.setUnreliable(unreliable);
  return made;
}

/** Hands 5 to 14 commands to the leader, each in an entry of its own; it may refuse some. */
function submitSome(lab: RaftLab): void {
  const leader = lab.leader();
  for (let n = 5 + lab.prng.below(10); n > 0; n--) {
    lab.submit(leader, lab.command());
    lab.run(lab.prng.below(50) / 10);
  }
}

function expectGoodEnd(lab: RaftLab): void {
  lab.setUnreliable(false);
  lab.agree({ servers: lab.all.length });
  lab.expectEqualLogs();
}

interface Round {
  readonly victim: number;
  readonly bringBack: () => void;
}

/** How the lab's four tests of installation go on, and what ours do while the victim returns. */
function installRounds(
  lab: RaftLab,
  fault: 'disconnect' | 'crash',
  whileReturning: (round: Round) => void = () => {},
): void {
  lab.agree({ servers: 3 });
  for (let round = 0; round < ROUNDS; round++) {
    const leader = lab.leader();
    const victim = round % 3 === 1 ? leader : (leader + 1) % 3;
    if (fault === 'crash') lab.crash(victim);
    else lab.disconnect(victim);
    const bringBack = (): void => {
      if (fault === 'crash') lab.restart(victim);
      else lab.connect(victim);
    };
    lab.agree({ servers: 2 });
    submitSome(lab);
    lab.agree({ servers: 2 });
    bringBack();
    whileReturning({ victim, bringBack });
    lab.agree({ servers: 3 });
  }
  expectGoodEnd(lab);
  expect(lab.installed).toBeGreaterThan(ROUNDS / 3);
}

/** What the victims were about when they died, over all seeds of a test. */
interface Deaths {
  receiving: number;
  writing: number;
}

/** The victim loses power in the middle of an installation, up to three times in a row. */
function killWhileReceiving(lab: RaftLab, deaths: Deaths): (round: Round) => void {
  return ({ victim }) => {
    for (let life = 0; life < 3; life++) {
      const isReceiving = (): boolean => lab.status(victim).snapshotReceiving;
      const isWriting = (): boolean => isReceiving() && lab.isWritingState(victim);
      if (!lab.runUntil(isReceiving, T)) return;
      if (lab.prng.chance(0.5)) lab.runUntil(isWriting, T);
      lab.run(lab.prng.below(30) / 10);
      if (!isReceiving()) return;
      deaths[isWriting() ? 'writing' : 'receiving']++;
      lab.crash(victim);
      lab.run(lab.prng.below(T / 4));
      lab.restart(victim);
    }
  };
}

describe('lab 3D, snapshots', () => {
  onSeeds('SnapshotBasic: logs stay short while all servers are there', SEEDS, (seed) => {
    const made = lab(3, seed);
    for (let round = 0; round < ROUNDS; round++) {
      submitSome(made);
      made.agree({ servers: 3 });
    }
    expectGoodEnd(made);
    expect(made.installed).toBe(0);
    for (const i of made.all) expect(made.status(i).firstIndex).toBeGreaterThan(5 * ROUNDS);
  });

  onSeeds('SnapshotInstall: who was cut off is given the state', SEEDS, (seed) =>
    installRounds(lab(3, seed), 'disconnect'),
  );

  onSeeds('SnapshotInstallUnreliable: the same on links that lose a fifth', SEEDS, (seed) =>
    installRounds(lab(3, seed, true), 'disconnect'),
  );

  onSeeds('SnapshotInstallCrash: who lost power is given the state', SEEDS, (seed) =>
    installRounds(lab(3, seed), 'crash'),
  );

  onSeeds('SnapshotInstallUnCrash: the same on links that lose a fifth', SEEDS, (seed) =>
    installRounds(lab(3, seed, true), 'crash'),
  );

  for (const unreliable of [false, true]) {
    const links = unreliable ? 'Unreliable' : '';
    onSeeds(`SnapshotAllCrash${links}: all lose power, five times, and go on`, SEEDS, (seed) => {
      const made = lab(3, seed, unreliable);
      made.agree({ servers: 3 });
      for (let round = 0; round < 5; round++) {
        for (let n = 5 + made.prng.below(10); n > 0; n--) made.agree({ servers: 3 });
        const before = made.oracle.length;
        made.agree({ servers: 3 });
        made.restart(...made.all);
        made.agree({ servers: 3 });
        expect(made.oracle.length).toBeGreaterThan(before + 1);
      }
      expectGoodEnd(made);
    });

    onSeeds(`SnapshotInit${links}: a state survives two restarts in a row`, SEEDS, (seed) => {
      const made = lab(3, seed, unreliable);
      for (let n = 0; n < 11; n++) made.agree({ servers: 3 });
      const first = made.oracle.commandAt(1);
      for (let restart = 0; restart < 2; restart++) {
        made.restart(...made.all);
        for (const i of made.all) expect(made.status(i).flushedIndex).toBeGreaterThan(0);
        made.agree({ servers: 3 });
      }
      expectGoodEnd(made);
      for (const i of made.all) expect(made.appliedBy(i)[0]).toBe(first);
    });
  }
});

describe('beyond the lab: snapshots', () => {
  for (const unreliable of [false, true]) {
    const links = unreliable ? 'Unreliable' : '';
    onSeeds(`KilledInstall${links}: the victim dies again while it receives`, SEEDS, (seed) => {
      const made = lab(3, seed, unreliable);
      const deaths: Deaths = { receiving: 0, writing: 0 };
      installRounds(made, 'crash', killWhileReceiving(made, deaths));
      expect(deaths.receiving).toBeGreaterThan(3);
      expect(deaths.writing).toBeGreaterThan(3);
    });
  }

  onSeeds('KilledSender: the leader dies in the middle of a transfer', SEEDS, (seed) => {
    const made = lab(3, seed, true);
    let deaths = 0;
    installRounds(made, 'disconnect', ({ victim }) => {
      const sender = (): number | undefined =>
        others(made.reachable, victim).find((i) => made.status(i).snapshotsSending > 0);
      if (!made.runUntil(() => sender() !== undefined, T)) return;
      made.run(made.prng.below(20));
      const leader = sender();
      if (leader === undefined) return;
      deaths++;
      made.crash(leader);
      made.run(2 * T);
      made.restart(leader);
    });
    expect(deaths).toBeGreaterThan(5);
  });

  onSeeds('OneWay: chunks arrive and no answer comes back, for a while', SEEDS, (seed) => {
    const made = lab(3, seed);
    installRounds(made, 'disconnect', ({ victim }) => {
      for (const i of others(made.all, victim)) made.network.cut(made.id(victim), made.id(i));
      made.run(made.prng.below(2 * T));
      made.network.healLinks();
    });
  });

  onSeeds('LongReordering: most answers to chunks come up to 2.2 s late', SEEDS, (seed) => {
    const made = lab(3, seed);
    installRounds(made, 'disconnect', () => {
      made.setUnreliable(true, true);
      made.run(2 * T);
      made.setUnreliable(false);
    });
  });

  onSeeds('TwoLaggards: two of five are given the state while they flap', SEEDS, (seed) => {
    const made = lab(5, seed, true);
    made.agree({ servers: 5 });
    for (let round = 0; round < 10; round++) {
      const leader = made.leader();
      const away = [1, 2].map((n) => (leader + n) % 5);
      made.disconnect(...away);
      submitSome(made);
      made.agree({ servers: 3 });
      for (let flap = 0; flap < 20; flap++) {
        const [one = 0] = made.prng.chance(0.5) ? away : [...away].reverse();
        if (made.prng.chance(0.3)) made.disconnect(one);
        else made.connect(one);
        made.run(made.prng.below(100));
      }
      made.connect(...away);
      made.agree({ servers: 5 });
    }
    expectGoodEnd(made);
    expect(made.installed).toBeGreaterThan(10);
  });

  onSeeds('Figure8Snapshots: leaders crash 1000 times on logs of seven entries', SEEDS, (seed) => {
    const made = lab(5, seed, true);
    made.agree({ servers: 1 });
    for (let round = 0; round < 1_000; round++) {
      const leaders = made.all.filter((i) => made.submit(i, made.command()) !== null);
      made.run(made.prng.chance(0.1) ? made.prng.below(T / 2) : made.prng.below(13));
      if (made.prng.chance(0.3)) made.crash(...leaders);
      const down = made.all.filter((i) => !made.isUp(i));
      if (down.length > 2) made.restart(down[made.prng.below(down.length)] as number);
    }
    made.restart(...made.all.filter((i) => !made.isUp(i)));
    made.agree({ servers: 5 });
    expectGoodEnd(made);
    expect(made.oracle.leaderships).toBeGreaterThan(10);
    expect(made.installed).toBeGreaterThan(0);
  });

  onSeeds('Blackouts: all lose power under load, flushes and transfers included', SEEDS, (seed) => {
    const made = lab(3, seed, true);
    const answered: string[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const leader = made.leader();
      const away = (leader + 1) % 3;
      made.disconnect(away);
      const submissions = Array.from({ length: 20 }, () => {
        const submission = made.submit(leader, made.command());
        made.run(made.prng.below(30) / 10);
        return submission;
      });
      made.connect(away);
      made.run(made.prng.below(100));
      made.crash(...made.all);
      for (const submission of submissions) {
        if (submission?.outcome?.type === 'applied') answered.push(submission.command);
      }
      made.restart(...made.all);
    }
    expectGoodEnd(made);
    const applied = new Set(made.appliedBy(0));
    expect(answered.filter((command) => !applied.has(command))).toEqual([]);
    expect(answered.length).toBeGreaterThan(50);
  });
});
