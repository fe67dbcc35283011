import { describe, expect } from 'vitest';
import { others, RaftLab, T } from './raft-lab.ts';
import { onSeeds } from './seeds.ts';

/*
 * Part A of the course lab's Raft tests, elections, on virtual time. At every event of every run:
 * one leader a term, one vote a term, nothing said that the disk does not hold yet.
 */
const SEEDS = 20;

describe('lab 3A, election', () => {
  onSeeds('InitialElection: one leader, and its term stays while nothing fails', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    const leader = lab.leader();
    lab.run(50);
    const terms = lab.all.map((i) => lab.status(i).term);
    expect(new Set(terms).size).toBe(1);
    expect(terms[0]).toBeGreaterThanOrEqual(1);
    lab.run(2 * T);
    expect(lab.leader()).toBe(leader);
    expect(lab.all.map((i) => lab.status(i).term)).toEqual(terms);
  });

  onSeeds('ReElection: a leader whenever a majority is there, and none without', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    const first = lab.leader();
    lab.disconnect(first);
    const second = lab.leader();
    expect(second).not.toBe(first);

    lab.connect(first);
    expect(lab.leader()).toBe(second);
    expect(lab.status(first).role).toBe('follower');

    const third = (second + 1) % 3;
    lab.disconnect(second, third);
    lab.run(2 * T);
    lab.expectNoLeader();

    lab.connect(third);
    const leader = lab.leader();
    lab.connect(second);
    expect(lab.leader()).toBe(leader);
  });

  onSeeds('ManyElections: 7 servers, 9 rounds without 3 random ones', SEEDS, (seed) => {
    const lab = new RaftLab(7, seed);
    lab.leader();
    for (let round = 0; round < 9; round++) {
      const victims = [0, 1, 2].map(() => lab.prng.below(7));
      lab.disconnect(...victims);
      const leader = lab.leader();
      expect(victims).not.toContain(leader);
      lab.connect(...victims);
    }
    lab.leader();
  });
});

describe('beyond the lab: elections', () => {
  onSeeds('TakeoverTime: a new leader within 5 s of losing one, lossy links', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    lab.setUnreliable(true);
    for (let round = 0; round < 5; round++) {
      const leader = lab.leader();
      lab.disconnect(leader);
      expect(lab.leader()).not.toBe(leader);
      lab.connect(leader);
    }
  });

  onSeeds('Rejoin50: a server that comes and goes 50 times deposes nobody', SEEDS, (seed) => {
    const lab = new RaftLab(3, seed);
    const leader = lab.leader();
    const guest = (leader + 1) % 3;
    const { term } = lab.status(leader);
    for (let round = 0; round < 50; round++) {
      lab.disconnect(guest);
      lab.run(200 + lab.prng.below(2_000));
      lab.connect(guest);
      lab.run(lab.prng.below(500));
    }
    expect(lab.status(leader)).toMatchObject({ role: 'leader', term });
  });

  onSeeds('DeafLeader: one that is heard and hears nobody gives way', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    const deaf = lab.leader();
    for (const i of others(lab.all, deaf)) lab.network.cut(lab.id(i), lab.id(deaf));
    lab.run(2 * T);
    expect(lab.status(deaf).role).not.toBe('leader');
    const leader = lab.leader();
    expect(leader).not.toBe(deaf);
    lab.agree({ servers: 4 });
    lab.network.healLinks();
    expect(lab.leader()).toBe(leader);
    lab.agree({ servers: 5 });
  });

  onSeeds('MuteLeader: one that hears all and is not heard gives way', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    const mute = lab.leader();
    for (const i of others(lab.all, mute)) lab.network.cut(lab.id(mute), lab.id(i));
    lab.run(2 * T);
    expect(lab.status(mute).role).not.toBe('leader');
    expect(lab.leader()).not.toBe(mute);
    lab.agree({ servers: 4 });
    lab.network.healLinks();
    lab.agree({ servers: 5 });
  });

  onSeeds('Bridge: two halves that only meet in one server still have a leader', SEEDS, (seed) => {
    const lab = new RaftLab(5, seed);
    const bridge = lab.prng.below(5);
    const [a = 0, b = 0, c = 0, d = 0] = others(lab.all, bridge);
    for (const left of [a, b]) {
      for (const right of [c, d]) {
        lab.network.cut(lab.id(left), lab.id(right));
        lab.network.cut(lab.id(right), lab.id(left));
      }
    }
    const position = lab.agree({ servers: 3 });
    expect(lab.agree({ servers: 3 })).toBeGreaterThan(position);
    lab.network.healLinks();
    lab.agree({ servers: 5 });
  });
});
