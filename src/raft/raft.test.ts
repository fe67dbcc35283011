import { describe, expect, test } from 'vitest';
import { type Message, RAFT_LIMITS, Raft, type Ready } from './index.ts';
import {
  accepted,
  conf,
  ELECTION_TICKS,
  heartbeatReply,
  only,
  rejected,
  Solo,
} from './testing/index.ts';

function newRaft(voters = [1n, 2n, 3n], electionTimeoutTicks = 10): Raft {
  return new Raft({
    id: 1n,
    confState: conf(voters),
    hardState: null,
    snapshot: null,
    entries: [],
    applied: 0,
    random: { uint32: () => 0 },
    electionTimeoutTicks,
    heartbeatTicks: 1,
    limits: RAFT_LIMITS,
  });
}

/** Takes Readies and confirms them until none is left. */
function settle(raft: Raft): Ready[] {
  const readies: Ready[] = [];
  while (raft.hasReady()) {
    const ready = raft.ready();
    raft.appended(ready);
    readies.push(ready);
  }
  return readies;
}

function leader(): Raft {
  const raft = newRaft();
  raft.campaign();
  settle(raft);
  raft.step({ type: 'preVoteReply', from: 2n, to: 1n, term: 1, granted: true });
  settle(raft);
  raft.step({ type: 'requestVoteReply', from: 2n, to: 1n, term: 1, granted: true });
  settle(raft);
  for (const from of [2n, 3n]) raft.step(accepted({ from, matchIndex: 1 }));
  settle(raft);
  for (const from of [2n, 3n]) raft.step(accepted({ from, matchIndex: 1 }));
  return raft;
}

const BYTES = new Uint8Array([1]);

describe('a Ready gathers what happened since the last one', () => {
  test('many proposals leave in one AppendEntries per follower, at once', () => {
    const raft = leader();
    for (let i = 0; i < 50; i++) raft.propose(BYTES);
    const { messages, entries: written } = raft.ready();
    expect(written).toHaveLength(50);
    expect(only(messages, 'appendEntries').map((each) => [each.to, each.entries.length])).toEqual([
      [2n, 50],
      [3n, 50],
    ]);
  });

  test('a commit is told at once, but only once, and along with new entries if any', () => {
    const raft = leader();
    raft.propose(BYTES);
    settle(raft);
    raft.step(accepted({ from: 2n, matchIndex: 2 }));
    raft.step(accepted({ from: 3n, matchIndex: 2 }));
    const told = settle(raft).flatMap((ready) => only(ready.messages, 'appendEntries'));
    expect(told.map((each) => [each.to, each.leaderCommit, each.entries])).toEqual([
      [2n, 2, []],
      [3n, 2, []],
    ]);
    raft.propose(BYTES);
    settle(raft);
    raft.step(accepted({ from: 2n, matchIndex: 3 }));
    raft.propose(BYTES);
    const [first] = only(raft.ready().messages, 'appendEntries');
    expect(first).toMatchObject({ leaderCommit: 3, entries: [{ index: 4 }] });
  });

  test('an acknowledgement that brings nothing new sends nothing', () => {
    const raft = leader();
    settle(raft);
    raft.step(accepted({ from: 2n, matchIndex: 1 }));
    raft.step(heartbeatReply({ from: 2n }));
    expect(raft.hasReady()).toBe(false);
  });

  test('hasReady says whether there is something, and one Ready takes all of it', () => {
    const raft = newRaft();
    expect(raft.hasReady()).toBe(false);
    raft.campaign();
    expect(raft.hasReady()).toBe(true);
    raft.ready();
    expect(raft.hasReady()).toBe(false);
    expect(raft.ready()).toMatchObject({ softState: null, hardState: null, mustSync: false });
  });

  test('messages go out in the order of the members’ ids', () => {
    const raft = newRaft([1n, 5n, 7n, 40n]);
    raft.campaign();
    expect(raft.ready().messages.map(({ to }) => to)).toEqual([5n, 7n, 40n]);
  });
});

describe('durability', () => {
  test('mustSync is false for a mere commit index', () => {
    const raft = leader();
    settle(raft);
    raft.propose(BYTES);
    expect(raft.ready()).toMatchObject({ mustSync: true });
    raft.step(accepted({ from: 2n, matchIndex: 2 }));
    raft.step(accepted({ from: 3n, matchIndex: 2 }));
    expect(raft.ready()).toMatchObject({ hardState: { commitIndex: 2 }, mustSync: false });
  });

  test('a commit by others’ disks is applied here only when this disk has the entry', () => {
    const raft = leader();
    settle(raft);
    raft.propose(BYTES);
    const write = raft.ready();
    raft.step(accepted({ from: 2n, matchIndex: 2 }));
    raft.step(accepted({ from: 3n, matchIndex: 2 }));
    expect(raft.commitIndex).toBe(2);
    const meanwhile = raft.ready();
    expect(meanwhile.committedEntries).toEqual([]);
    raft.appended(write);
    expect(raft.ready().committedEntries).toMatchObject([{ index: 2 }]);
    raft.appended(meanwhile);
  });

  test('one confirmation covers all Readies before it', () => {
    const raft = leader();
    settle(raft);
    const readies = [1, 2, 3].map(() => {
      raft.propose(BYTES);
      return raft.ready();
    });
    raft.appended(readies[2] as Ready);
    expect(raft.durableIndex).toBe(4);
    expect(() => raft.appended(readies[1] as Ready)).toThrow('confirmed twice');
  });

  test('a group of one leads once its vote is durable, and commits by its own disk', () => {
    const raft = newRaft([1n]);
    raft.campaign();
    const vote = raft.ready();
    expect([raft.role, vote.hardState]).toMatchObject(['candidate', { term: 1, vote: 1n }]);
    raft.appended(vote);
    expect(raft.role).toBe('leader');
    settle(raft);
    expect(raft.commitIndex).toBe(1);
  });
});

describe('what is refused', () => {
  test.each([
    ['a message for somebody else', { to: 9n }],
    ['a message from itself', { from: 1n }],
    ['a second leader of the term', { type: 'appendEntries', entries: [] }],
    ['an acknowledgement of what was never sent', { matchIndex: 99 }],
  ])('%s is a bug', (_, fields) => {
    const message = { ...accepted({ from: 2n, matchIndex: 1 }), ...fields } as Message;
    expect(() => leader().step(message)).toThrow('invariant broken');
  });

  test('too many uncommitted bytes: proposals are refused until some are committed', () => {
    const solo = new Solo({ limits: { uncommittedBytesMax: 100 } });
    solo.becomeSettledLeader();
    const results = [1, 2].map(() => solo.raft.propose(new Uint8Array(90)));
    expect(results).toMatchObject([{ accepted: true }, { reason: 'overloaded' }]);
    solo.ackAll(solo.run(() => {}));
    expect(solo.raft.propose(new Uint8Array(500))).toMatchObject({ accepted: true });
  });

  test('options that contradict each other', () => {
    expect(() => newRaft([1n], 1)).toThrow('heartbeats are too rare');
    expect(() => new Solo({ terms: [3], term: 2 })).toThrow('ahead of the term');
  });
});

describe('flow control', () => {
  test('an append carries at most appendBytesMax, and the window bounds what is under way', () => {
    const solo = new Solo({
      terms: Array.from({ length: 20 }, () => 1),
      limits: { appendBytesMax: 60, inflightAppendsMax: 2 },
    });
    solo.becomeSettledLeader();
    const sent = solo.run((raft) => {
      for (let i = 0; i < 10; i++) raft.propose(new Uint8Array(20));
    });
    const toTwo = only(sent, 'appendEntries').filter(({ to }) => to === 2n);
    expect(toTwo.map((each) => each.entries.length)).toEqual([1, 1]);
  });

  test('a follower whose next entry is compacted gets the snapshot, then what follows it', () => {
    const solo = new Solo({ terms: [1, 1, 1], commitIndex: 3 });
    const term = 2;
    solo.becomeLeader();
    solo.receive(accepted({ from: 3n, term, matchIndex: 4 }));
    const snapshot = { index: 3, term: 1, confState: conf([1n, 2n, 3n]) };
    solo.member.compact(3, conf([1n, 2n, 3n]));
    const hint = { prevLogIndex: 3, hintIndex: 0, hintTerm: 0 };
    expect(solo.receive(rejected({ from: 2n, term, ...hint }))).toMatchObject([
      { type: 'installSnapshot', to: 2n, snapshot },
    ]);
    expect(only(solo.propose(), 'appendEntries').map(({ to }) => to)).toEqual([3n]);
    const installed = { type: 'installSnapshotReply', from: 2n, to: 1n, term } as const;
    expect(solo.receive({ ...installed, matchIndex: 3 })).toMatchObject([
      { type: 'appendEntries', to: 2n, prevLogIndex: 3, entries: [{ index: 4 }, { index: 5 }] },
    ]);
  });

  test('the log is needed from the lowest follower on that answers and is fed from it', () => {
    const solo = new Solo({ terms: [1, 1, 1], commitIndex: 3 });
    expect(solo.raft.neededIndex).toBeNull();
    solo.becomeLeader();
    expect(solo.raft.neededIndex).toBe(0);
    solo.receive(accepted({ from: 2n, term: 2, matchIndex: 2 }));
    solo.receive(accepted({ from: 3n, term: 2, matchIndex: 4 }));
    expect(solo.raft.neededIndex).toBe(2);
    // The slower one falls silent.
    for (let i = 0; i < ELECTION_TICKS; i++) {
      solo.tick();
      solo.receive(heartbeatReply({ from: 3n, term: 2 }));
    }
    expect(solo.raft.neededIndex).toBe(4);
    expect(solo.raft.tailAfter(24)).toBe(3);
  });

  test('a snapshot that failed is tried again once the follower is heard, not before', () => {
    const solo = new Solo({ terms: [1, 1, 1], commitIndex: 3 });
    solo.becomeLeader();
    solo.receive(accepted({ from: 3n, term: 2, matchIndex: 4 }));
    solo.member.compact(3, conf([1n, 2n, 3n]));
    const hint = { prevLogIndex: 3, hintIndex: 0, hintTerm: 0 };
    solo.receive(rejected({ from: 2n, term: 2, ...hint }));
    expect(solo.run((raft) => raft.reportSnapshot(2n, false))).toEqual([]);
    expect(solo.receive(heartbeatReply({ from: 2n, term: 2 }))).toMatchObject([
      { type: 'installSnapshot', to: 2n },
    ]);
  });
});
