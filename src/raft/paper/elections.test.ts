import { describe, expect, test } from 'vitest';
import {
  appendEntries,
  Cluster,
  ELECTION_TICKS,
  only,
  requestVote,
  requestVoteReply,
  Solo,
} from '../testing/index.ts';

const THREE = [1n, 2n, 3n];
const FIVE = [1n, 2n, 3n, 4n, 5n];

/** The tick at which a lone core starts its first campaign, for one draw of its generator. */
function campaignTick(draw: number): number {
  const solo = new Solo({ random: { uint32: () => draw } });
  for (let tick = 1; tick <= 3 * ELECTION_TICKS; tick++) {
    if (solo.tick().length > 0) return tick;
  }
  throw new Error('no campaign');
}

describe('§5.1, terms', () => {
  test('§5.1: a server with an older term takes over the newer one it sees', () => {
    const solo = new Solo({ term: 2 });
    solo.receive(appendEntries({ term: 5 }));
    expect(solo.raft.term).toBe(5);
  });

  test('§5.1: a candidate or leader that finds its term outdated becomes a follower', () => {
    const solo = new Solo();
    solo.becomeLeader();
    solo.receive(appendEntries({ from: 3n, term: 2 }));
    expect(solo.state).toMatchObject({ role: 'follower', leader: 3n, term: 2 });
  });

  test('§5.1: a reply of an earlier term has no effect', () => {
    const solo = new Solo({ term: 4 });
    solo.becomeCandidate();
    solo.receive(requestVoteReply({ from: 2n, term: 4 }), requestVoteReply({ from: 3n, term: 4 }));
    expect(solo.state).toMatchObject({ role: 'candidate', term: 5 });
  });
});

describe('§5.2, leader election', () => {
  test('§5.2: servers start as followers', () => {
    expect(new Solo().state).toMatchObject({ role: 'follower', leader: null });
    expect(new Solo({ terms: [1, 2], vote: 1n }).raft.role).toBe('follower');
  });

  test('§5.2: a follower that hears from a leader stays follower', () => {
    const cluster = new Cluster({ voters: THREE });
    cluster.campaign(1n);
    cluster.stabilize();
    for (let i = 0; i < 10 * ELECTION_TICKS; i++) {
      cluster.tickAll();
      cluster.stabilize();
    }
    expect(cluster.leader).toBe(1n);
    expect(cluster.raft(1n).term).toBe(1);
  });

  test('§5.2: outcome one, the candidate wins with a majority of the term’s votes', () => {
    const cluster = new Cluster({ voters: FIVE });
    cluster.isolate(4n);
    cluster.isolate(5n);
    cluster.campaign(1n);
    cluster.stabilize();
    expect(cluster.state(1n)).toMatchObject({ role: 'leader', term: 1 });
  });

  test('§5.2: a minority elects nobody', () => {
    const cluster = new Cluster({ voters: FIVE });
    for (const id of [3n, 4n, 5n]) cluster.crash(id);
    for (let i = 0; i < 10 * ELECTION_TICKS; i++) {
      cluster.tickAll();
      cluster.stabilize();
    }
    expect(cluster.leader).toBeNull();
  });

  test('§5.2: votes go to the first that asks, one per term', () => {
    const solo = new Solo({ voters: FIVE });
    const replies = solo.receive(
      requestVote({ from: 4n, term: 1 }),
      requestVote({ from: 2n, term: 1 }),
      requestVote({ from: 3n, term: 1 }),
    );
    expect(only(replies, 'requestVoteReply').map(({ to, granted }) => [to, granted])).toEqual([
      [4n, true],
      [2n, false],
      [3n, false],
    ]);
  });

  test('§5.2: outcome two, another leader of the same or a higher term is accepted', () => {
    for (const term of [1, 2]) {
      const solo = new Solo();
      solo.becomeCandidate();
      solo.receive(appendEntries({ from: 2n, term }));
      expect(solo.state).toMatchObject({ role: 'follower', leader: 2n, term });
    }
  });

  test('§5.2: … and a lower term is refused, the candidate goes on', () => {
    const solo = new Solo({ term: 3 });
    solo.becomeCandidate();
    solo.receive(appendEntries({ from: 2n, term: 3 }));
    expect(solo.state).toMatchObject({ role: 'candidate', term: 4 });
  });

  test('§5.2: outcome three, a split vote ends with a new term', () => {
    const cluster = new Cluster({ voters: [1n, 2n] });
    cluster.campaign(1n);
    cluster.campaign(2n);
    cluster.stabilize();
    expect(cluster.leader).toBeNull();
    for (let i = 0; i < 10 * ELECTION_TICKS && cluster.leader === null; i++) {
      cluster.tickAll();
      cluster.stabilize();
    }
    const leader = cluster.leader;
    expect(leader).not.toBeNull();
    expect(cluster.raft(leader ?? 0n).term).toBeGreaterThan(1);
  });

  test('§5.2: election timeouts lie in [T, 2T) and the draw decides where', () => {
    const draws = Array.from({ length: 64 }, (_, i) => i * 2 ** 26 + i);
    const ticks = draws.map(campaignTick);
    expect(Math.min(...ticks)).toBeGreaterThanOrEqual(ELECTION_TICKS);
    expect(Math.max(...ticks)).toBeLessThan(2 * ELECTION_TICKS + 1);
    expect(new Set(ticks).size).toBe(ELECTION_TICKS);
  });

  test('§5.2: a candidate draws a new timeout for its next election', () => {
    let draws = 0;
    const solo = new Solo({ random: { uint32: () => draws++ } });
    const before = draws;
    solo.becomeCandidate();
    expect(draws).toBeGreaterThan(before);
  });
});

describe('§5.4.1, election restriction', () => {
  const voter = (): Solo => new Solo({ terms: [1, 2, 2], term: 2 });
  const granted = (lastLogIndex: number, lastLogTerm: number): boolean => {
    const sent = voter().receive(requestVote({ term: 9, lastLogIndex, lastLogTerm }));
    return only(sent, 'requestVoteReply')[0]?.granted === true;
  };

  test('§5.4.1: with different last terms the later term is the better log, however short', () => {
    expect(granted(1, 3)).toBe(true);
    expect(granted(99, 1)).toBe(false);
  });

  test('§5.4.1: with equal last terms the longer log is the better one', () => {
    expect(granted(4, 2)).toBe(true);
    expect(granted(3, 2)).toBe(true);
    expect(granted(2, 2)).toBe(false);
  });

  test('§5.4.1: a refused candidate’s higher term is taken over all the same', () => {
    const solo = voter();
    solo.receive(requestVote({ term: 9, lastLogIndex: 1, lastLogTerm: 1 }));
    expect(solo.member.disk.hardState).toMatchObject({ term: 9, vote: null });
  });

  test('§5.4.1: who lacks a committed entry is not elected by any majority', () => {
    const cluster = new Cluster({ voters: THREE });
    cluster.campaign(1n);
    cluster.stabilize();
    cluster.isolate(3n);
    cluster.propose(1n, 'committed without 3');
    cluster.stabilize();
    cluster.crash(1n);
    cluster.heal();
    for (let i = 0; i < 5; i++) {
      cluster.tick(2n, 2 * ELECTION_TICKS);
      cluster.drop(({ from }) => from === 2n);
      cluster.campaign(3n);
      cluster.stabilize();
      expect(cluster.raft(3n).role).not.toBe('leader');
    }
    cluster.campaign(2n);
    cluster.stabilize();
    expect(cluster.leader).toBe(2n);
  });
});
