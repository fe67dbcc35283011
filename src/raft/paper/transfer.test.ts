import { describe, expect, test } from 'vitest';
import {
  accepted,
  appendEntries,
  Cluster,
  ELECTION_TICKS,
  only,
  requestVote,
  requestVoteReply,
  Solo,
  timeoutNow,
} from '../testing/index.ts';

const THREE = [1n, 2n, 3n];

function elected(): Cluster {
  const cluster = new Cluster({ voters: THREE, learners: [4n] });
  cluster.campaign(1n);
  cluster.stabilize();
  return cluster;
}

function settled(): Solo {
  const solo = new Solo({ learners: [4n] });
  solo.becomeSettledLeader();
  return solo;
}

describe('Thesis §3.10, leadership transfer', () => {
  test('§3.10 step 1: the prior leader stops taking commands', () => {
    const solo = settled();
    solo.run((raft) => raft.transferLeadership(2n));
    const result = solo.member.run((raft) => raft.propose(new Uint8Array(1)));
    expect(result).toEqual({ accepted: false, reason: 'transferring' });
  });

  test('§3.10 step 2: a target that lacks entries gets them first', () => {
    const solo = settled();
    solo.propose('a');
    solo.taken();
    expect(
      only(
        solo.run((raft) => raft.transferLeadership(2n)),
        'timeoutNow',
      ),
    ).toEqual([]);
    const sent = solo.receive(accepted({ from: 2n, matchIndex: 2 }));
    expect(only(sent, 'timeoutNow')).toMatchObject([{ to: 2n, term: 1 }]);
  });

  test('§3.10 step 3: a target that has everything is told to campaign at once', () => {
    const solo = settled();
    const sent = solo.run((raft) => raft.transferLeadership(2n));
    expect(only(sent, 'timeoutNow')).toMatchObject([{ to: 2n, term: 1 }]);
  });

  test('§3.10 step 3: the target campaigns without PreVote and without waiting', () => {
    const solo = new Solo();
    solo.receive(appendEntries());
    const sent = solo.receive(timeoutNow());
    expect(solo.state).toMatchObject({ role: 'candidate', term: 2 });
    expect(only(sent, 'requestVote')).toMatchObject([
      { to: 2n, term: 2, leadershipTransfer: true },
      { to: 3n, term: 2, leadershipTransfer: true },
    ]);
  });

  test('§4.2.3: such a RequestVote is answered even while a leader is heard', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ from: 2n }));
    const ask = requestVote({ from: 3n, term: 2, leadershipTransfer: true });
    expect(only(solo.receive(ask), 'requestVoteReply')).toMatchObject([{ to: 3n, granted: true }]);
  });

  test('§3.10: the whole transfer, and commands go on under the new leader', () => {
    const cluster = elected();
    cluster.propose(1n, 'a');
    expect(cluster.transfer(1n, 3n)).toBe(true);
    cluster.stabilize();
    expect(cluster.leader).toBe(3n);
    expect(cluster.state(1n)).toMatchObject({ role: 'follower', leader: 3n, term: 2 });
    cluster.propose(3n, 'b');
    cluster.stabilize();
    expect(cluster.oracle.commitIndex).toBe(4);
  });

  test('§3.10: after an election timeout the transfer is given up and commands go on', () => {
    const cluster = elected();
    cluster.crash(3n);
    expect(cluster.transfer(1n, 3n)).toBe(true);
    expect(cluster.propose(1n, 'a').accepted).toBe(false);
    for (let i = 0; i <= 2 * ELECTION_TICKS; i++) {
      cluster.tick(1n);
      cluster.stabilize();
    }
    expect(cluster.raft(1n).role).toBe('leader');
    expect(cluster.propose(1n, 'a').accepted).toBe(true);
  });

  test('§3.10: impossible targets are refused and change nothing', () => {
    const cluster = elected();
    for (const target of [1n, 4n, 9n]) expect(cluster.transfer(1n, target)).toBe(false);
    expect(cluster.transfer(2n, 3n)).toBe(false);
    expect(cluster.propose(1n, 'a').accepted).toBe(true);
  });

  test('§3.10: TimeoutNow of an earlier term, or to a learner, starts nothing', () => {
    const late = new Solo({ term: 3 });
    late.receive(timeoutNow({ term: 2 }));
    expect(late.state).toMatchObject({ role: 'follower', term: 3 });
    const learner = new Solo({ id: 4n, learners: [4n] });
    learner.receive(appendEntries({ to: 4n }), timeoutNow({ to: 4n }));
    expect(learner.state).toMatchObject({ role: 'follower', term: 1 });
  });

  test('§3.10: TimeoutNow that arrives at the leader itself has no effect', () => {
    const solo = settled();
    solo.receive(timeoutNow({ from: 2n }));
    expect(solo.state).toMatchObject({ role: 'leader', term: 1 });
  });

  test('§3.10: a target removed meanwhile ends the transfer', () => {
    const cluster = elected();
    cluster.isolate(3n);
    cluster.changeConf(1n, {
      type: 'simple',
      change: { action: 'remove', memberId: 3n },
      context: new Uint8Array(0),
    });
    cluster.stabilize();
    expect(cluster.transfer(1n, 3n)).toBe(false);
    expect(cluster.propose(1n, 'a').accepted).toBe(true);
  });

  test('§3.10: the transfer’s candidate still needs a majority and as good a log', () => {
    const voter = new Solo({ terms: [1, 1] });
    const ask = requestVote({ term: 2, lastLogIndex: 1, lastLogTerm: 1, leadershipTransfer: true });
    expect(only(voter.receive(ask), 'requestVoteReply')).toMatchObject([{ granted: false }]);
    const candidate = new Solo();
    candidate.receive(timeoutNow());
    candidate.receive(requestVoteReply({ from: 2n, term: 2, granted: false }));
    expect(candidate.raft.role).toBe('candidate');
  });
});
