import { describe, expect, test } from 'vitest';
import { EMPTY_BYTES } from '../../lib/index.ts';
import type { ConfChange, Entry, MemberChange, MemberId } from '../index.ts';
import {
  accepted,
  appendEntries,
  Cluster,
  conf,
  ELECTION_TICKS,
  entries,
  only,
  requestVote,
  requestVoteReply,
  Solo,
  simple,
} from '../testing/index.ts';

const THREE = [1n, 2n, 3n];

function joint(changes: readonly MemberChange[], autoLeave = true): ConfChange {
  return { type: 'enterJoint', changes, autoLeave, context: EMPTY_BYTES };
}

const LEAVE: ConfChange = { type: 'leaveJoint', context: EMPTY_BYTES };
const add = (memberId: MemberId): MemberChange => ({ action: 'addVoter', memberId });
const remove = (memberId: MemberId): MemberChange => ({ action: 'remove', memberId });

function changeEntry(index: number, term: number, change: ConfChange): Entry {
  return { kind: 'confChange', index, term, change };
}

function elected(voters: readonly bigint[] = THREE): Cluster {
  const cluster = new Cluster({ voters });
  cluster.campaign(1n);
  cluster.stabilize();
  return cluster;
}

function settle(cluster: Cluster, ticks = 3): void {
  for (let i = 0; i < ticks; i++) {
    cluster.tickAll();
    cluster.stabilize();
  }
}

describe('§6, a configuration is in force as soon as it is in the log', () => {
  test('§6: at the leader on proposing it, before it is committed', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.changeConf(simple('addVoter', 4n));
    expect(solo.raft.commitIndex).toBe(1);
    expect(solo.raft.confState).toEqual(conf([1n, 2n, 3n, 4n]));
  });

  test('§6: at a follower on storing it', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ entries: [changeEntry(1, 1, simple('addVoter', 4n))] }));
    expect(solo.raft.confState.voters).toEqual([1n, 2n, 3n, 4n]);
  });

  test('§6: the entry itself is committed by the new configuration', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.changeConf(simple('addVoter', 4n));
    const ack = { term: 1, matchIndex: 2 };
    solo.receive(accepted({ from: 2n, ...ack }));
    expect(solo.raft.commitIndex).toBe(1);
    solo.receive(accepted({ from: 4n, ...ack }));
    expect(solo.raft.commitIndex).toBe(2);
  });

  test('§6: cut off uncommitted, it gives way to the one before it', () => {
    const solo = new Solo();
    const change = changeEntry(2, 1, joint([add(4n), remove(3n)]));
    solo.receive(appendEntries({ entries: [...entries([1]), change] }));
    expect(solo.raft.confState.outgoingVoters).toEqual(THREE);
    solo.receive(
      appendEntries({ term: 2, prevLogIndex: 1, prevLogTerm: 1, entries: entries([2], 2) }),
    );
    expect(solo.raft.confState).toEqual(conf(THREE));
  });

  test('§6: two changes cut off at once give way to the configuration before both', () => {
    const solo = new Solo();
    const changes = [
      changeEntry(1, 1, simple('addLearner', 4n)),
      changeEntry(2, 1, simple('addVoter', 4n)),
      changeEntry(3, 1, simple('remove', 3n)),
    ];
    solo.receive(appendEntries({ entries: changes }));
    expect(solo.raft.confState).toEqual(conf([1n, 2n, 4n]));
    solo.receive(
      appendEntries({ term: 2, prevLogIndex: 1, prevLogTerm: 1, entries: entries([2], 2) }),
    );
    expect(solo.raft.confState).toEqual(conf(THREE, [4n]));
  });

  test('§6: it survives a restart, committed or not', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ entries: [changeEntry(1, 1, simple('remove', 3n))] }));
    solo.member.crash();
    solo.member.start();
    expect(solo.raft.confState).toEqual(conf([1n, 2n]));
  });

  test('§6: … also one cut off while it was on its way to the disk', () => {
    const solo = new Solo();
    solo.member.diskIsSlow = true;
    solo.receive(appendEntries({ entries: [changeEntry(1, 1, simple('remove', 3n))] }));
    solo.member.crash();
    solo.member.start();
    expect(solo.raft.confState).toEqual(conf(THREE));
  });
});

describe('§6, joint consensus', () => {
  /** Voters 1, 2, 3 and on the way to 1, 4, 5. */
  function jointLeader(autoLeave = true): Solo {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.changeConf(joint([add(4n), add(5n), remove(2n), remove(3n)], autoLeave));
    return solo;
  }

  test('§6: entries go to the members of both configurations', () => {
    const solo = jointLeader();
    solo.ackAll(solo.taken());
    for (const from of [2n, 3n, 4n, 5n]) solo.receive(accepted({ from, matchIndex: 2 }));
    const sent = only(solo.propose(), 'appendEntries');
    expect(new Set(sent.map((message) => message.to))).toEqual(new Set([2n, 3n, 4n, 5n]));
  });

  test('§6: a commit takes separate majorities of the old and of the new', () => {
    const old = jointLeader();
    for (const from of [2n, 3n]) old.receive(accepted({ from, matchIndex: 2 }));
    expect(old.raft.commitIndex).toBe(1);
    const young = jointLeader();
    for (const from of [4n, 5n]) young.receive(accepted({ from, matchIndex: 2 }));
    expect(young.raft.commitIndex).toBe(1);
    young.receive(accepted({ from: 3n, matchIndex: 2 }));
    expect(young.raft.commitIndex).toBe(2);
  });

  test('§6: an election takes separate majorities of the old and of the new', () => {
    const log = [changeEntry(1, 1, joint([add(4n), add(5n), remove(2n), remove(3n)]))];
    const solo = new Solo();
    solo.receive(appendEntries({ entries: log }));
    solo.tick(2 * ELECTION_TICKS);
    const asked = solo.becomeCandidate();
    expect(asked.map((message) => message.to)).toEqual([2n, 3n, 4n, 5n]);
    const { term } = solo.raft;
    solo.receive(requestVoteReply({ from: 4n, term }), requestVoteReply({ from: 5n, term }));
    expect(solo.raft.role).toBe('candidate');
    solo.receive(requestVoteReply({ from: 2n, term }));
    expect(solo.raft.role).toBe('leader');
  });

  test('§6: a server of either configuration can become leader', () => {
    for (const id of [2n, 4n]) {
      const solo = new Solo({ id });
      const change = changeEntry(1, 1, joint([add(4n), add(5n), remove(2n), remove(3n)]));
      solo.receive(appendEntries({ from: 1n, to: id, entries: [change] }));
      solo.tick(2 * ELECTION_TICKS);
      expect(solo.raft.role).toBe('preCandidate');
    }
  });

  test('§6: once it is committed the leader goes on to the new configuration by itself', () => {
    const cluster = elected();
    cluster.join(4n);
    cluster.changeConf(1n, joint([add(4n), remove(3n)]));
    cluster.stabilize();
    settle(cluster);
    for (const id of [1n, 2n, 4n]) {
      expect(cluster.raft(id).confState).toEqual(conf([1n, 2n, 4n]));
      expect(cluster.member(id).applied).toBe(cluster.oracle.commitIndex);
    }
  });

  test('§6: … or waits to be told', () => {
    const cluster = elected();
    cluster.join(4n);
    cluster.changeConf(1n, joint([add(4n), remove(3n)], false));
    cluster.stabilize();
    settle(cluster, 30);
    expect(cluster.raft(1n).confState.outgoingVoters).toEqual(THREE);
    expect(cluster.changeConf(1n, LEAVE).accepted).toBe(true);
    cluster.stabilize();
    expect(cluster.raft(1n).confState).toEqual(conf([1n, 2n, 4n]));
  });

  test('§6: a leader elected in the middle of a change finishes it', () => {
    const cluster = elected();
    cluster.join(4n);
    cluster.changeConf(1n, joint([add(4n), remove(3n)]));
    cluster.stabilize([1n, 2n, 4n]);
    cluster.crash(1n);
    cluster.drop(() => true);
    for (let i = 0; i < 10 * ELECTION_TICKS; i++) settle(cluster, 1);
    const leader = cluster.leader ?? 0n;
    expect(leader).not.toBe(1n);
    expect(cluster.raft(leader).confState).toEqual(conf([1n, 2n, 4n]));
  });

  test('§4.3 of the thesis: a voter made learner in a joint change votes until it is left', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.changeConf(joint([{ action: 'addLearner', memberId: 3n }], false));
    expect(solo.raft.confState).toEqual({
      voters: [1n, 2n],
      outgoingVoters: THREE,
      learners: [],
      learnersNext: [3n],
      autoLeave: false,
    });
    for (const from of [2n, 3n]) solo.receive(accepted({ from, matchIndex: 2 }));
    solo.changeConf(LEAVE);
    expect(solo.raft.confState).toEqual(conf([1n, 2n], [3n]));
  });
});

describe('§6 and thesis §4, the other rules', () => {
  test('thesis §4.1: a second change waits until the first is committed', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.changeConf(simple('addVoter', 4n));
    const result = solo.member.run((raft) => raft.proposeConfChange(simple('remove', 3n)));
    expect(result).toEqual({ accepted: false, reason: 'confChangePending' });
  });

  test('Ongaro 2015: no change before an entry of the leader’s own term is committed', () => {
    const solo = new Solo({ terms: [1], commitIndex: 1 });
    const sent = solo.becomeLeader();
    const propose = (): boolean =>
      solo.member.run((raft) => raft.proposeConfChange(simple('remove', 3n))).accepted;
    expect(propose()).toBe(false);
    expect(solo.raft.confState).toEqual(conf(THREE));
    solo.ackAll(sent);
    expect(propose()).toBe(true);
  });

  test('thesis §4.1: a simple change moves one voter; what does not fit is refused', () => {
    const solo = new Solo({ voters: [1n], learners: [4n] });
    solo.becomeSettledLeader();
    const reason = (change: ConfChange): string => {
      const result = solo.member.run((raft) => raft.proposeConfChange(change));
      return result.accepted ? 'accepted' : result.reason;
    };
    expect(reason(simple('remove', 1n))).toBe('confChangeInvalid');
    expect(reason(LEAVE)).toBe('confChangeInvalid');
    expect(reason(simple('addVoter', 4n))).toBe('accepted');
  });

  test('thesis §4.2.1: a learner gets the log, and neither votes nor campaigns nor counts', () => {
    const cluster = new Cluster({ voters: THREE, learners: [4n] });
    cluster.campaign(1n);
    cluster.stabilize();
    cluster.propose(1n, 'a');
    cluster.stabilize();
    expect(cluster.member(4n).applied).toBe(2);
    for (const id of THREE) cluster.crash(id);
    cluster.campaign(4n);
    cluster.tick(4n, 10 * ELECTION_TICKS);
    expect(cluster.raft(4n).role).toBe('follower');
    expect(cluster.network).toEqual([]);
  });

  test('thesis §4.2.1: a learner that is asked votes, as its configuration may be old', () => {
    const solo = new Solo({ id: 4n, learners: [4n] });
    const replies = solo.receive(requestVote({ to: 4n, term: 1 }));
    expect(only(replies, 'requestVoteReply')).toMatchObject([{ to: 2n, granted: true }]);
  });

  test('thesis §4.2.2: a removed leader leads on without counting itself, then steps down', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.changeConf(simple('remove', 1n));
    expect(solo.raft.role).toBe('leader');
    solo.receive(accepted({ from: 2n, matchIndex: 2 }));
    expect(solo.raft.commitIndex).toBe(1);
    solo.receive(accepted({ from: 3n, matchIndex: 2 }));
    expect(solo.raft.commitIndex).toBe(2);
    expect(solo.raft.role).toBe('follower');
  });

  test('thesis §4.2.2: … and the rest elects one of its own', () => {
    const cluster = elected();
    cluster.changeConf(1n, simple('remove', 1n));
    cluster.stabilize();
    for (let i = 0; i < 10 * ELECTION_TICKS; i++) settle(cluster, 1);
    expect([2n, 3n]).toContain(cluster.leader);
    expect(cluster.propose(cluster.leader ?? 0n, 'a').accepted).toBe(true);
    cluster.stabilize();
    expect(cluster.raft(1n).role).toBe('follower');
  });

  test('§6: a removed server can’t disturb the rest, however often it times out', () => {
    const cluster = elected();
    cluster.isolate(3n);
    cluster.changeConf(1n, simple('remove', 3n));
    cluster.stabilize();
    cluster.heal();
    const { term } = cluster.raft(1n);
    for (let i = 0; i < 20; i++) {
      cluster.tick(3n, 2 * ELECTION_TICKS);
      settle(cluster, 1);
    }
    expect(cluster.leader).toBe(1n);
    expect(cluster.raft(1n).term).toBe(term);
  });

  test('thesis §4.2.3: who hears a leader gives no vote and takes no term from a candidate', () => {
    const solo = new Solo({ terms: [1] });
    solo.receive(appendEntries({ from: 2n, prevLogIndex: 1, prevLogTerm: 1 }));
    const ask = requestVote({ from: 3n, term: 9, lastLogIndex: 9, lastLogTerm: 8 });
    expect(only(solo.receive(ask), 'requestVoteReply').some((reply) => reply.granted)).toBe(false);
    expect(solo.raft.term).toBe(1);
    solo.tick(ELECTION_TICKS);
    expect(only(solo.receive(ask), 'requestVoteReply')).toMatchObject([{ granted: true }]);
  });

  test('§6: a vote is given also to who is not in one’s own configuration', () => {
    const solo = new Solo();
    const replies = solo.receive(requestVote({ from: 9n, term: 1 }));
    expect(only(replies, 'requestVoteReply')).toMatchObject([{ to: 9n, granted: true }]);
  });

  test('§6: entries are taken also from a leader outside one’s own configuration', () => {
    const solo = new Solo();
    const replies = solo.receive(appendEntries({ from: 9n, entries: entries([1]) }));
    expect(replies).toMatchObject([{ to: 9n, accepted: true, matchIndex: 1 }]);
    expect(solo.raft.leader).toBe(9n);
  });
});
