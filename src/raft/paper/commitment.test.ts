import { describe, expect, test } from 'vitest';
import { accepted, appendEntries, Cluster, entries, Solo } from '../testing/index.ts';

describe('§5.4.2, committing entries from previous terms', () => {
  test('§5.4.2: an old entry on a majority is committed only through one of the own term', () => {
    const solo = new Solo({ terms: [1, 2], term: 3 });
    solo.becomeLeader();
    const { term } = solo.raft;
    const own = solo.raft.lastIndex;
    solo.receive(accepted({ from: 2n, term, matchIndex: 2 }));
    expect(solo.raft.commitIndex).toBe(0);
    solo.receive(accepted({ from: 2n, term, matchIndex: own }));
    expect(solo.raft.commitIndex).toBe(own);
    expect(solo.applied.map((entry) => entry.term)).toEqual([1, 2, term]);
  });

  test('§5.4.2: entries keep the term of their creation when a later leader sends them', () => {
    const solo = new Solo({ terms: [1, 2], term: 3 });
    solo.becomeLeader();
    const { term } = solo.raft;
    const hint = { prevLogIndex: 2, hintIndex: 0, hintTerm: 0 };
    const [append] = solo.receive({
      type: 'appendEntriesReply',
      accepted: false,
      from: 2n,
      to: 1n,
      term,
      ...hint,
    });
    const terms = append?.type === 'appendEntries' && append.entries.map((entry) => entry.term);
    expect(terms).toEqual([1, 2, term]);
  });

  test('§5.4.2: a leader’s first entry is empty, so that it can commit at once (§8)', () => {
    const solo = new Solo({ terms: [1, 2], term: 3 });
    const sent = solo.becomeLeader();
    expect(sent).toMatchObject([
      { type: 'appendEntries', entries: [{ kind: 'empty', index: 3, term: 4 }] },
      { type: 'appendEntries', entries: [{ kind: 'empty', index: 3, term: 4 }] },
    ]);
  });

  test('§5.4.2: in a group of five a commit takes three, the leader counted once it has it', () => {
    const solo = new Solo({ voters: [1n, 2n, 3n, 4n, 5n] });
    solo.becomeLeader();
    solo.receive(accepted({ from: 2n, matchIndex: 1 }));
    expect(solo.raft.commitIndex).toBe(0);
    solo.receive(accepted({ from: 3n, matchIndex: 1 }));
    expect(solo.raft.commitIndex).toBe(1);
  });

  test('§5.4.2: learners and strangers do not count', () => {
    const solo = new Solo({ learners: [4n] });
    solo.becomeLeader();
    solo.receive(accepted({ from: 4n, matchIndex: 1 }), accepted({ from: 9n, matchIndex: 1 }));
    expect(solo.raft.commitIndex).toBe(0);
  });

  test('§5.4.3: what was committed is in the log of every later leader', () => {
    const cluster = new Cluster({ voters: [1n, 2n, 3n, 4n, 5n] });
    for (const [round, leader] of [1n, 2n, 3n, 4n, 5n, 1n, 3n].entries()) {
      cluster.tickAll(10);
      cluster.drop(() => true);
      cluster.campaign(leader);
      cluster.stabilize();
      cluster.propose(leader, `round ${round}`);
      cluster.stabilize();
    }
    const { commitIndex } = cluster.oracle;
    expect(commitIndex).toBeGreaterThanOrEqual(7);
    const leader = cluster.leader ?? 0n;
    for (let index = 1; index <= commitIndex; index++) {
      const committed = cluster.oracle.entryAt(index);
      expect(cluster.member(leader).log.entryAt(index)).toEqual(committed);
    }
  });

  test('§5.4.2: a follower commits what the leader says also of earlier terms', () => {
    const solo = new Solo({ terms: [1, 2] });
    solo.receive(
      appendEntries({
        term: 4,
        prevLogIndex: 2,
        prevLogTerm: 2,
        entries: entries([4], 3),
        leaderCommit: 2,
      }),
    );
    expect(solo.applied.map((entry) => entry.term)).toEqual([1, 2]);
  });
});

describe('§5.5 and limits', () => {
  test('§5.5: RPCs are idempotent, a repeated AppendEntries changes nothing', () => {
    const solo = new Solo();
    const append = appendEntries({ entries: entries([1, 1]), leaderCommit: 1 });
    const first = solo.receive(append);
    const written = solo.readies.flatMap((ready) => ready.entries).length;
    const second = solo.receive(append);
    expect(second).toEqual(first);
    expect(solo.readies.flatMap((ready) => ready.entries)).toHaveLength(written);
    expect(solo.applied).toHaveLength(1);
  });

  test('a leader that cannot commit refuses proposals beyond uncommittedBytesMax', () => {
    const solo = new Solo({ limits: { uncommittedBytesMax: 500 } });
    solo.becomeSettledLeader();
    const results: string[] = [];
    solo.run((raft) => {
      for (let i = 0; i < 20; i++) {
        const result = raft.propose(new Uint8Array(76));
        results.push(result.accepted ? 'accepted' : result.reason);
      }
    });
    expect(results.slice(0, 4)).toEqual(Array(4).fill('accepted'));
    expect(results.at(-1)).toBe('overloaded');
    const ack = { term: solo.raft.term, matchIndex: solo.raft.lastIndex };
    solo.receive(accepted({ from: 2n, ...ack }));
    solo.run((raft) => expect(raft.propose(new Uint8Array(76)).accepted).toBe(true));
  });

  test('committed entries are handed out in portions of applyBytesMax', () => {
    const solo = new Solo({ terms: Array(20).fill(1), limits: { applyBytesMax: 100 } });
    solo.receive(appendEntries({ prevLogIndex: 20, prevLogTerm: 1, leaderCommit: 20 }));
    expect(solo.applied).toHaveLength(20);
    const portions = solo.readies.map((ready) => ready.committedEntries.length);
    expect(Math.max(...portions)).toBeLessThanOrEqual(4);
  });
});
