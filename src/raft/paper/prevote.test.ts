import { describe, expect, test } from 'vitest';
import {
  appendEntries,
  Cluster,
  ELECTION_TICKS,
  heartbeat,
  heartbeatReply,
  only,
  preVote,
  preVoteReply,
  requestVote,
  Solo,
} from '../testing/index.ts';

const THREE = [1n, 2n, 3n];
const FIVE = [1n, 2n, 3n, 4n, 5n];

function elected(voters: readonly bigint[] = THREE): Cluster {
  const cluster = new Cluster({ voters });
  cluster.campaign(1n);
  cluster.stabilize();
  return cluster;
}

function live(cluster: Cluster, ticks: number): void {
  for (let i = 0; i < ticks; i++) {
    cluster.tickAll();
    cluster.stabilize();
  }
}

describe('Thesis §9.6, PreVote', () => {
  test('§9.6: an election timeout asks for pre-votes in the next term and keeps the own', () => {
    const solo = new Solo({ terms: [1, 3], term: 4 });
    const sent = solo.tick(2 * ELECTION_TICKS - 1);
    expect(only(sent, 'preVote').slice(0, 2)).toMatchObject([
      { to: 2n, term: 5, lastLogIndex: 2, lastLogTerm: 3 },
      { to: 3n, term: 5, lastLogIndex: 2, lastLogTerm: 3 },
    ]);
    expect(solo.state).toMatchObject({ role: 'preCandidate', term: 4 });
    expect(solo.member.disk.hardState).toMatchObject({ term: 4, vote: null });
  });

  test('§9.6: the term goes up only with a majority of pre-votes', () => {
    const solo = new Solo({ voters: FIVE });
    solo.run((raft) => raft.campaign());
    const yes = preVoteReply({ from: 2n, term: 1 });
    solo.receive(yes, yes, preVoteReply({ from: 4n, term: 0, granted: false }));
    expect(solo.state).toMatchObject({ role: 'preCandidate', term: 0 });
    solo.receive(preVoteReply({ from: 3n, term: 1 }));
    expect(solo.state).toMatchObject({ role: 'candidate', term: 1 });
  });

  test('§9.6: a pre-vote given changes neither term nor vote, and may be given to several', () => {
    const solo = new Solo();
    const replies = solo.receive(preVote({ from: 2n, term: 1 }), preVote({ from: 3n, term: 1 }));
    expect(only(replies, 'preVoteReply')).toMatchObject([
      { to: 2n, term: 1, granted: true },
      { to: 3n, term: 1, granted: true },
    ]);
    expect(solo.state).toMatchObject({ role: 'follower', term: 0 });
    expect(solo.member.disk.hardState).toBeNull();
  });

  test('§9.6: it does not put off the giver’s own election', () => {
    const solo = new Solo();
    for (let i = 0; i < 2 * ELECTION_TICKS; i++) {
      solo.tick();
      if (solo.raft.role === 'follower') solo.receive(preVote({ from: 2n, term: 1 }));
    }
    expect(solo.raft.role).toBe('preCandidate');
  });

  test('§9.6: no pre-vote for a log that is behind', () => {
    const solo = new Solo({ terms: [1, 2] });
    const replies = solo.receive(preVote({ term: 3, lastLogIndex: 9, lastLogTerm: 1 }));
    expect(only(replies, 'preVoteReply')).toMatchObject([{ granted: false }]);
  });

  test('§9.6: no pre-vote while a leader is heard, one election timeout long', () => {
    const solo = new Solo();
    solo.receive(heartbeat());
    const ask = preVote({ from: 3n, term: 2, lastLogIndex: 5, lastLogTerm: 1 });
    const granted = (): boolean =>
      only(solo.receive(ask), 'preVoteReply').some((reply) => reply.granted);
    solo.tick(ELECTION_TICKS - 1);
    expect(granted()).toBe(false);
    solo.tick();
    expect(granted()).toBe(true);
  });

  test('§9.6: a leader gives none', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    const ask = preVote({ from: 3n, term: 2, lastLogIndex: 5, lastLogTerm: 1 });
    expect(only(solo.receive(ask), 'preVoteReply').some((reply) => reply.granted)).toBe(false);
    expect(solo.raft.role).toBe('leader');
  });

  test('§9.6: no pre-vote for a term already passed; the refusal tells the newer term', () => {
    const solo = new Solo({ term: 5 });
    const ask = preVote({ term: 3, lastLogIndex: 9, lastLogTerm: 2 });
    expect(only(solo.receive(ask), 'preVoteReply')).toMatchObject([{ term: 5, granted: false }]);
    const asker = new Solo({ term: 2 });
    asker.run((raft) => raft.campaign());
    asker.receive(preVoteReply({ term: 5, granted: false }));
    expect(asker.state).toMatchObject({ role: 'follower', term: 5 });
  });

  test('§9.6: pre-votes for an earlier attempt do not count for a later term', () => {
    const solo = new Solo({ term: 4 });
    solo.run((raft) => raft.campaign());
    solo.receive(preVoteReply({ from: 2n, term: 3 }), preVoteReply({ from: 3n, term: 3 }));
    expect(solo.state).toMatchObject({ role: 'preCandidate', term: 4 });
  });

  test('§9.6: a server cut off and back again does not disturb the leader', () => {
    const cluster = elected();
    cluster.isolate(3n);
    live(cluster, 20 * ELECTION_TICKS);
    expect(cluster.raft(3n).term).toBe(1);
    cluster.heal();
    live(cluster, 4 * ELECTION_TICKS);
    expect(cluster.leader).toBe(1n);
    expect(cluster.raft(1n).term).toBe(1);
    expect(cluster.state(3n)).toMatchObject({ role: 'follower', leader: 1n });
  });

  test('§9.6: a server that only can’t hear the leader does not disturb it either', () => {
    const cluster = elected();
    cluster.cut(1n, 3n);
    live(cluster, 20 * ELECTION_TICKS);
    expect(cluster.leader).toBe(1n);
    expect(cluster.raft(1n).term).toBe(1);
  });

  test('§9.6: without PreVote’s consent nobody campaigns, yet a dead leader is replaced', () => {
    const cluster = elected();
    cluster.crash(1n);
    live(cluster, 6 * ELECTION_TICKS);
    expect([2n, 3n]).toContain(cluster.leader);
  });
});

describe('Thesis §6.2, a leader without a majority steps down (CheckQuorum)', () => {
  test('§6.2: after an election timeout without answers from a majority it follows', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.tick(ELECTION_TICKS - 1);
    expect(solo.raft.role).toBe('leader');
    for (let i = 0; i < ELECTION_TICKS && solo.raft.role === 'leader'; i++) solo.tick();
    expect(solo.state).toMatchObject({ role: 'follower', leader: null, term: 1 });
  });

  test('§6.2: any answer counts, and half the peers of three suffice', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    for (let i = 0; i < 5 * ELECTION_TICKS; i++) {
      solo.tick();
      if (i % 5 === 0) solo.receive(heartbeatReply({ from: 2n }));
    }
    expect(solo.raft.role).toBe('leader');
  });

  test('§6.2: answers of a minority do not keep it', () => {
    const solo = new Solo({ voters: FIVE, learners: [6n, 7n] });
    solo.becomeSettledLeader();
    for (let i = 0; i < 3 * ELECTION_TICKS; i++) {
      solo.tick();
      if (solo.raft.role !== 'leader') break;
      for (const from of [2n, 6n, 7n, 9n]) solo.receive(heartbeatReply({ from }));
    }
    expect(solo.raft.role).toBe('follower');
  });

  test('§6.2: a group of one keeps its leader', () => {
    const solo = new Solo({ voters: [1n] });
    solo.becomeSettledLeader();
    solo.tick(20 * ELECTION_TICKS);
    expect(solo.raft.role).toBe('leader');
  });

  test('§6.2: when links fail so that only one server reaches a majority, it comes to lead', () => {
    const cluster = elected();
    cluster.cut(1n, 2n);
    cluster.cut(2n, 1n);
    cluster.cut(1n, 3n);
    cluster.cut(3n, 1n);
    live(cluster, 20 * ELECTION_TICKS);
    expect([2n, 3n]).toContain(cluster.leader);
    expect(cluster.raft(1n).role).not.toBe('leader');
  });

  test('§6.2: one way only, leader deaf: it steps down although everyone hears it', () => {
    const cluster = elected();
    cluster.cut(2n, 1n);
    cluster.cut(3n, 1n);
    live(cluster, 20 * ELECTION_TICKS);
    expect([2n, 3n]).toContain(cluster.leader);
    expect(cluster.raft(1n).role).not.toBe('leader');
  });
});

describe('Stragglers catch up with the term', () => {
  test('a member stranded in a higher term is brought back by AppendEntries or heartbeats', () => {
    const cluster = elected();
    const ask = requestVote({ from: 9n, to: 3n, term: 8, leadershipTransfer: true });
    cluster.deliver(ask);
    expect(cluster.raft(3n).term).toBe(8);
    live(cluster, 10 * ELECTION_TICKS);
    const leader = cluster.leader ?? 0n;
    expect(cluster.raft(leader).term).toBeGreaterThanOrEqual(8);
    cluster.propose(leader, 'a');
    cluster.stabilize();
    live(cluster, 3);
    for (const id of THREE) expect(cluster.member(id).applied).toBe(cluster.oracle.commitIndex);
  });

  test('a message of an old term is answered with the new one', () => {
    const solo = new Solo({ term: 5 });
    for (const message of [appendEntries({ term: 3 }), heartbeat({ term: 3 })]) {
      const replies = solo.receive(message);
      expect(replies.map((reply) => [reply.to, reply.term])).toEqual([[2n, 5]]);
    }
  });
});
