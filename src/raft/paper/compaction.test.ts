import { describe, expect, test } from 'vitest';
import type { SnapshotMeta } from '../index.ts';
import {
  accepted,
  appendEntries,
  Cluster,
  conf,
  entries,
  heartbeatReply,
  installSnapshot,
  only,
  rejected,
  requestVote,
  Solo,
  simple,
} from '../testing/index.ts';

const THREE = [1n, 2n, 3n];

function meta(index: number, term: number, voters = THREE): SnapshotMeta {
  return { index, term, confState: conf(voters) };
}

/** A leader of 1, 2, 3 whose log starts behind index 5. */
function compacted(): Solo {
  const solo = new Solo({ terms: [1, 1, 1, 1] });
  solo.becomeLeader();
  solo.receive(accepted({ from: 2n, term: 2, matchIndex: 5 }));
  solo.member.compact(5, conf(THREE));
  return solo;
}

function refuse(solo: Solo): ReturnType<Solo['receive']> {
  const hint = { prevLogIndex: 4, hintIndex: 0, hintTerm: 0 };
  return solo.receive(rejected({ from: 3n, term: 2, ...hint }));
}

describe('§7, log compaction', () => {
  test('§7: a snapshot replaces the entries up to its index; terms and log go on', () => {
    const solo = compacted();
    expect(solo.state).toMatchObject({
      firstIndex: 6,
      lastIndex: 5,
      commitIndex: 5,
      role: 'leader',
    });
    expect(only(solo.propose(), 'appendEntries')).toMatchObject([
      { to: 2n, prevLogIndex: 5, prevLogTerm: 2, entries: [{ index: 6 }] },
    ]);
  });

  test('§7: after a restart the core goes on from snapshot and log', () => {
    const solo = new Solo({ snapshot: meta(10, 3), terms: [3, 4], commitIndex: 11 });
    expect(solo.state).toMatchObject({ firstIndex: 11, lastIndex: 12, commitIndex: 11, term: 4 });
    expect(solo.applied.map((entry) => entry.index)).toEqual([11]);
    const ask = requestVote({ term: 9, lastLogIndex: 10, lastLogTerm: 3 });
    expect(only(solo.receive(ask), 'requestVoteReply')).toMatchObject([{ granted: false }]);
  });

  test('§7: a follower whose next entry is gone gets the snapshot', () => {
    expect(only(refuse(compacted()), 'installSnapshot')).toMatchObject([
      { to: 3n, term: 2, snapshot: { index: 5, term: 2, confState: conf(THREE) } },
    ]);
  });

  test('§7: while it is under way the follower gets no entries, and no second snapshot', () => {
    const solo = compacted();
    refuse(solo);
    const sent = [...solo.propose(), ...refuse(solo), ...solo.tick(3)];
    const toThree = sent.filter((message) => message.to === 3n);
    expect(toThree.every((message) => message.type === 'heartbeat')).toBe(true);
  });

  test('§7: once it is there, replication goes on behind it', () => {
    const solo = compacted();
    refuse(solo);
    solo.propose();
    const reply = { type: 'installSnapshotReply', from: 3n, to: 1n, term: 2 } as const;
    const sent = solo.receive({ ...reply, matchIndex: 5 });
    expect(only(sent, 'appendEntries')).toMatchObject([{ to: 3n, prevLogIndex: 5 }]);
  });

  test('§7: when the transfer failed the follower is probed again', () => {
    const solo = compacted();
    refuse(solo);
    solo.run((raft) => raft.reportSnapshot(3n, false));
    const sent = [...solo.tick(), ...solo.receive(heartbeatReply({ from: 3n, term: 2 }))];
    const again = sent.filter((message) => message.to === 3n && message.type !== 'heartbeat');
    expect(again).not.toEqual([]);
  });

  test('§7: a follower takes a snapshot ahead of its log, and answers once it is durable', () => {
    const solo = new Solo({ terms: [1, 1] });
    solo.member.diskIsSlow = true;
    expect(solo.receive(installSnapshot(meta(9, 2), { term: 2 }))).toEqual([]);
    expect(solo.sync()).toMatchObject([{ type: 'installSnapshotReply', to: 2n, matchIndex: 9 }]);
    expect(solo.state).toMatchObject({ firstIndex: 10, lastIndex: 9, commitIndex: 9 });
    expect(solo.member.applied).toBe(9);
    expect(solo.raft.confState).toEqual(conf(THREE));
  });

  test('§7: the snapshot brings its configuration', () => {
    const solo = new Solo();
    solo.receive(installSnapshot(meta(9, 2, [1n, 4n, 5n]), { term: 2 }));
    expect(solo.raft.confState).toEqual(conf([1n, 4n, 5n]));
  });

  test('§7: a conflicting log gives way to the snapshot', () => {
    const solo = new Solo({ terms: [1, 2, 2, 2], term: 2 });
    solo.receive(installSnapshot(meta(3, 3), { term: 3 }));
    expect(solo.state).toMatchObject({ firstIndex: 4, lastIndex: 3 });
    solo.receive(
      appendEntries({ term: 3, prevLogIndex: 3, prevLogTerm: 3, entries: entries([3], 4) }),
    );
    expect(solo.raft.lastIndex).toBe(4);
  });

  test('§7: entries behind a snapshot that the log matches are kept', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1, 1] });
    const sent = solo.receive(installSnapshot(meta(3, 1)));
    expect(solo.raft.lastIndex).toBe(5);
    expect(solo.raft.commitIndex).toBe(3);
    expect(sent).toMatchObject([{ to: 2n }]);
    expect(solo.applied.map((entry) => entry.index)).toEqual([1, 2, 3]);
  });

  test('§7: an old snapshot below the commit is answered and changes nothing', () => {
    const solo = new Solo({ terms: [1, 1, 1], commitIndex: 3 });
    const sent = solo.receive(installSnapshot(meta(2, 1)));
    expect(solo.state).toMatchObject({ firstIndex: 1, lastIndex: 3, commitIndex: 3 });
    expect(sent).toHaveLength(1);
  });

  test('§7: … nor does one older than the snapshot that the log starts from', () => {
    const solo = new Solo({ snapshot: meta(10, 3), terms: [3] });
    const sent = solo.receive(installSnapshot(meta(5, 1), { term: 3 }));
    expect(solo.state).toMatchObject({ firstIndex: 11, lastIndex: 11, commitIndex: 10 });
    expect(sent).toMatchObject([{ type: 'installSnapshotReply', matchIndex: 10 }]);
  });

  test('§7: a snapshot of an earlier term’s leader is refused', () => {
    const solo = new Solo({ terms: [1], term: 5 });
    solo.receive(installSnapshot(meta(9, 2), { term: 2 }));
    expect(solo.state).toMatchObject({ lastIndex: 1, term: 5 });
  });

  test('§7: nothing behind a snapshot is applied before the snapshot is durable', () => {
    const solo = new Solo();
    solo.member.diskIsSlow = true;
    solo.receive(installSnapshot(meta(5, 1)));
    const next = { prevLogIndex: 5, prevLogTerm: 1, entries: entries([1], 6), leaderCommit: 6 };
    solo.receive(appendEntries(next));
    expect(solo.applied).toEqual([]);
    solo.sync(1);
    expect(solo.applied).toEqual([]);
    solo.sync();
    expect(solo.applied.map((entry) => entry.index)).toEqual([6]);
  });

  test('§7: a second snapshot in the middle of a first is safe', () => {
    const solo = new Solo();
    solo.member.diskIsSlow = true;
    solo.receive(installSnapshot(meta(5, 1)));
    solo.receive(installSnapshot(meta(8, 1)));
    solo.sync(1);
    expect(solo.raft.lastIndex).toBe(8);
    solo.sync();
    expect(solo.member.applied).toBe(8);
    expect(solo.state).toMatchObject({ commitIndex: 8, durableIndex: 8 });
  });

  test('§7: a laggard comes back by snapshot and log, across a change of members', () => {
    const cluster = new Cluster({ voters: THREE });
    cluster.campaign(1n);
    cluster.stabilize();
    cluster.isolate(3n);
    cluster.join(4n);
    cluster.changeConf(1n, simple('addVoter', 4n));
    cluster.stabilize();
    for (let i = 0; i < 20; i++) cluster.propose(1n, `c${i}`);
    cluster.stabilize();
    cluster.compact(1n);
    cluster.propose(1n, 'after');
    cluster.heal();
    for (let i = 0; i < 5; i++) {
      cluster.tick(1n);
      cluster.stabilize();
    }
    expect(cluster.member(3n).applied).toBe(cluster.oracle.commitIndex);
    expect(cluster.raft(3n).confState).toEqual(conf([1n, 2n, 3n, 4n]));
    expect(cluster.raft(3n).firstIndex).toBeGreaterThan(20);
  });
});
