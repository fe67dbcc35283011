import { describe, expect, test } from 'vitest';
import type { Message } from '../index.ts';
import {
  accepted,
  appendEntries,
  Cluster,
  ELECTION_TICKS,
  entries,
  only,
  preVoteReply,
  requestVote,
  requestVoteReply,
  Solo,
  timeoutNow,
} from '../testing/index.ts';

/** A core whose disk waits for `sync()`. */
function slow(options: ConstructorParameters<typeof Solo>[0] = {}): Solo {
  const solo = new Solo(options);
  solo.member.diskIsSlow = true;
  return solo;
}

const types = (messages: readonly Message[]): string[] => messages.map((message) => message.type);

describe('Fig. 2, "updated on stable storage before responding"', () => {
  test('a vote leaves only after the disk has it', () => {
    const solo = slow();
    expect(types(solo.receive(requestVote({ term: 1 })))).toEqual([]);
    expect(solo.sync()).toMatchObject([{ type: 'requestVoteReply', to: 2n, granted: true }]);
  });

  test('an acknowledgement leaves only after the disk has the entries', () => {
    const solo = slow();
    expect(types(solo.receive(appendEntries({ entries: entries([1, 1]) })))).toEqual([]);
    expect(solo.sync()).toMatchObject([{ type: 'appendEntriesReply', matchIndex: 2 }]);
  });

  test('a repeated AppendEntries is not acknowledged sooner than its entries are durable', () => {
    const solo = slow();
    const append = appendEntries({ entries: entries([1, 1]) });
    expect(types(solo.receive(append))).toEqual([]);
    expect(types(solo.receive(append))).toEqual([]);
    expect(types(solo.sync(1))).not.toEqual([]);
  });

  test('a crash before the disk has the vote takes vote and reply with it', () => {
    const solo = slow();
    solo.receive(requestVote({ from: 2n, term: 1 }));
    solo.member.crash();
    solo.member.diskIsSlow = false;
    solo.member.start();
    const replies = solo.receive(requestVote({ from: 3n, term: 1 }));
    expect(only(replies, 'requestVoteReply')).toMatchObject([{ to: 3n, granted: true }]);
  });

  test('a candidate asks for votes only after term, own vote and log are durable', () => {
    const solo = slow({ terms: [1] });
    solo.receive(
      appendEntries({ prevLogIndex: 1, prevLogTerm: 1, entries: entries([1], 2) }),
      timeoutNow(),
    );
    expect(solo.taken()).toEqual([]);
    expect(only(solo.sync(), 'requestVote')).toMatchObject([
      { to: 2n, term: 2, lastLogIndex: 2, lastLogTerm: 1 },
      { to: 3n, term: 2, lastLogIndex: 2, lastLogTerm: 1 },
    ]);
    expect(solo.member.disk.hardState).toMatchObject({ term: 2, vote: 1n });
  });

  test('a candidate does not lead before its own vote is durable', () => {
    const solo = slow({ voters: [1n, 2n, 3n, 4n, 5n] });
    const asked = solo.run((raft) => raft.campaign());
    solo.receive(...asked.map(({ to }) => preVoteReply({ from: to, term: 1 })));
    const votes = [2n, 3n, 4n, 5n].map((from) => requestVoteReply({ from, term: 1 }));
    expect(only(solo.receive(...votes), 'appendEntries')).toEqual([]);
    solo.sync();
    solo.receive(...votes);
    solo.sync();
    expect(solo.raft.role).toBe('leader');
  });

  test('a group of one elects nobody and commits nothing before its disk is done', () => {
    const solo = slow({ voters: [1n] });
    solo.run((raft) => raft.campaign());
    expect(solo.raft.role).not.toBe('leader');
    solo.sync();
    expect(solo.state).toMatchObject({ role: 'leader', commitIndex: 0 });
    solo.sync();
    expect(solo.raft.commitIndex).toBe(1);
    expect(solo.applied).toHaveLength(1);
  });
});

describe('Thesis §10.2.1, the leader writes in parallel with its followers', () => {
  function leaderWithSlowDisk(): Solo {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.applied.length = 0;
    solo.member.diskIsSlow = true;
    return solo;
  }

  test('AppendEntries leave before the leader’s own disk is done', () => {
    const solo = leaderWithSlowDisk();
    expect(types(solo.propose())).toEqual(['appendEntries', 'appendEntries']);
  });

  test('the leader counts itself only after its own disk is done', () => {
    const solo = leaderWithSlowDisk();
    solo.propose();
    solo.receive(accepted({ from: 2n, matchIndex: 2 }));
    expect(solo.raft.commitIndex).toBe(1);
    solo.sync();
    expect(solo.raft.commitIndex).toBe(2);
  });

  test('a majority of followers commits without the leader’s disk', () => {
    const solo = leaderWithSlowDisk();
    solo.propose();
    const acks = [2n, 3n].map((from) => accepted({ from, matchIndex: 2 }));
    solo.receive(...acks);
    expect(solo.raft.commitIndex).toBe(2);
  });

  test('… but is applied here only once it is durable here', () => {
    const solo = leaderWithSlowDisk();
    solo.propose();
    solo.receive(...[2n, 3n].map((from) => accepted({ from, matchIndex: 2 })));
    expect(solo.applied).toEqual([]);
    solo.sync();
    expect(solo.applied).toMatchObject([{ index: 2 }]);
  });

  test('a follower applies only what is durable here, whatever is committed', () => {
    const solo = slow({ terms: [1] });
    const append = { prevLogIndex: 1, prevLogTerm: 1, entries: entries([1, 1], 2) };
    solo.receive(appendEntries({ ...append, leaderCommit: 3 }));
    expect(solo.applied.map((entry) => entry.index)).toEqual([1]);
    solo.sync();
    expect(solo.applied.map((entry) => entry.index)).toEqual([1, 2, 3]);
  });

  test('several Readies may wait for the disk; each releases only its own', () => {
    const solo = slow();
    solo.receive(appendEntries({ entries: entries([1]) }));
    solo.receive(appendEntries({ prevLogIndex: 1, prevLogTerm: 1, entries: entries([1], 2) }));
    expect(solo.raft.durableIndex).toBe(0);
    expect(solo.sync(1)).toMatchObject([{ matchIndex: 1 }]);
    expect(solo.raft.durableIndex).toBe(1);
    expect(solo.sync(1)).toMatchObject([{ matchIndex: 2 }]);
    expect(solo.raft.durableIndex).toBe(2);
  });
});

describe('an entry that was overwritten while on its way to the disk (ABA)', () => {
  /** [1@1] is durable; 2@1 is on its way; a leader of term 2 replaces it by 2@2. */
  function overwritten(): Solo {
    const solo = slow({ terms: [1] });
    const at = { prevLogIndex: 1, prevLogTerm: 1 };
    solo.receive(appendEntries({ ...at, from: 2n, term: 1, entries: entries([1, 1], 2) }));
    solo.receive(appendEntries({ ...at, from: 3n, term: 2, entries: entries([2], 2) }));
    return solo;
  }

  test('the end of the old write does not make the new entry durable', () => {
    const solo = overwritten();
    solo.sync(1);
    expect(solo.raft.durableIndex).toBe(1);
    expect(solo.terms).toEqual([1, 2]);
    solo.sync(1);
    expect(solo.raft.durableIndex).toBe(2);
  });

  test('… nor is the new entry applied by it', () => {
    const solo = overwritten();
    const at = { term: 2, from: 3n, prevLogIndex: 2, prevLogTerm: 2 };
    solo.receive(appendEntries({ ...at, leaderCommit: 2 }));
    solo.sync(1);
    expect(solo.applied.map((entry) => entry.index)).toEqual([1]);
    solo.sync();
    expect(solo.applied.map((entry) => [entry.index, entry.term])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test('removed and written again, an entry still waits for its second write', () => {
    const solo = slow({ terms: [1] });
    const at = { prevLogIndex: 1, prevLogTerm: 1 };
    solo.receive(appendEntries({ ...at, from: 2n, term: 2, entries: entries([2], 2) }));
    solo.receive(appendEntries({ ...at, from: 3n, term: 3, entries: entries([3], 2) }));
    solo.receive(appendEntries({ ...at, from: 2n, term: 4, entries: entries([2, 4], 2) }));
    solo.sync(1);
    expect(solo.raft.durableIndex).toBe(1);
    solo.sync(1);
    expect(solo.raft.durableIndex).toBe(1);
    solo.sync(1);
    expect(solo.raft.durableIndex).toBe(3);
  });

  test('the own write of a deposed leader does not count for its successor', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.member.diskIsSlow = true;
    solo.propose('mine');
    const at = { from: 3n, term: 2, prevLogIndex: 1, prevLogTerm: 1, leaderCommit: 2 };
    solo.receive(appendEntries({ ...at, entries: entries([2], 2) }));
    solo.sync(1);
    expect(solo.applied.map((entry) => entry.index)).toEqual([1]);
    solo.sync();
    expect(solo.applied.map((entry) => [entry.index, entry.term])).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });
});

describe('Ready', () => {
  test('sequences count up by one', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.propose();
    const sequences = solo.readies.map((ready) => ready.sequence);
    const first = sequences[0] ?? 0;
    expect(sequences).toEqual(sequences.map((_, i) => first + i));
  });

  test('a mere commitIndex asks for no sync', () => {
    const solo = new Solo({ terms: [1] });
    solo.receive(appendEntries({ prevLogIndex: 1, prevLogTerm: 1 }));
    solo.readies.length = 0;
    solo.receive(appendEntries({ prevLogIndex: 1, prevLogTerm: 1, leaderCommit: 1 }));
    expect(solo.readies.length).toBeGreaterThan(0);
    expect(solo.readies.some((ready) => ready.mustSync)).toBe(false);
    expect(solo.readies.some((ready) => ready.hardState?.commitIndex === 1)).toBe(true);
  });

  test('a vote asks for a sync, also in a term already durable', () => {
    const solo = new Solo({ term: 1 });
    solo.receive(requestVote({ term: 1 }));
    expect(solo.readies.map((ready) => [ready.hardState?.vote, ready.mustSync])).toEqual([
      [2n, true],
    ]);
  });

  test('nothing to do, no Ready', () => {
    const solo = new Solo({ terms: [1] });
    expect(solo.raft.hasReady()).toBe(false);
    solo.tick(ELECTION_TICKS / 2);
    expect(solo.raft.hasReady()).toBe(false);
  });

  test('a group whose disks lose all that was not synced loses no committed entry', () => {
    const cluster = new Cluster({ voters: [1n, 2n, 3n] });
    cluster.campaign(1n);
    cluster.stabilize();
    cluster.member(3n).diskIsSlow = true;
    cluster.propose(1n, 'a');
    cluster.stabilize();
    const { commitIndex } = cluster.oracle;
    expect(commitIndex).toBe(2);
    for (const id of [1n, 2n, 3n]) cluster.crash(id);
    cluster.member(3n).diskIsSlow = false;
    for (const id of [1n, 2n, 3n]) cluster.restart(id);
    expect(cluster.raft(3n).lastIndex).toBe(1);
    for (let i = 0; i < 10 * ELECTION_TICKS; i++) {
      cluster.tickAll();
      cluster.stabilize();
    }
    for (const id of [1n, 2n, 3n]) {
      expect(cluster.member(id).log.entryAt(2)).toEqual(cluster.oracle.entryAt(2));
    }
  });
});
