import { describe, expect, test } from 'vitest';
import {
  appendEntries,
  Cluster,
  conf,
  ELECTION_TICKS,
  heartbeat,
  only,
  preVote,
  preVoteReply,
  requestVote,
  requestVoteReply,
  Solo,
  simple,
  timeoutNow,
} from './testing/index.ts';
import type { Entry } from './types.ts';

/** The log of a member that has stored its own removal. */
function removalOf(memberId: bigint): Entry {
  return { kind: 'confChange', index: 1, term: 1, change: simple('remove', memberId) };
}

describe('who campaigns', () => {
  test('a member removed by a change not known to be committed still does (thesis §4.2.2)', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ entries: [removalOf(1n)] }));
    expect(solo.raft.confState).toEqual(conf([2n, 3n]));
    const asked = only(
      solo.run((raft) => raft.campaign()),
      'preVote',
    );
    expect(asked.map(({ to }) => to)).toEqual([2n, 3n]);
  });

  test('… and does not count itself', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ entries: [removalOf(1n)] }));
    solo.becomeCandidate();
    solo.receive(requestVoteReply({ from: 2n, term: 2 }));
    expect(solo.raft.role).toBe('candidate');
    solo.receive(requestVoteReply({ from: 3n, term: 2 }));
    expect(solo.raft.role).toBe('leader');
  });

  test('… once it knows, nothing makes it campaign', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ entries: [removalOf(1n)], leaderCommit: 1 }));
    expect(solo.run((raft) => raft.campaign())).toEqual([]);
    expect(solo.receive(timeoutNow())).toEqual([]);
    expect(only(solo.tick(100), 'preVote')).toEqual([]);
    expect(solo.raft.role).toBe('follower');
  });

  test('nobody does while its state machine waits for a snapshot', () => {
    const solo = new Solo();
    solo.member.diskIsSlow = true;
    const snapshot = { index: 5, term: 1, confState: conf([1n, 2n, 3n]) };
    solo.receive({ type: 'installSnapshot', from: 2n, to: 1n, term: 1, snapshot });
    expect(only(solo.tick(40), 'preVote')).toEqual([]);
    solo.sync();
    expect(only(solo.tick(40), 'preVote')).not.toEqual([]);
  });
});

describe('counting votes', () => {
  test('the first answer of a voter counts, later ones do not', () => {
    const solo = new Solo({ voters: [1n, 2n, 3n, 4n, 5n] });
    solo.becomeCandidate();
    const refusal = requestVoteReply({ from: 2n, granted: false });
    solo.receive(refusal, requestVoteReply({ from: 2n }), requestVoteReply({ from: 3n }));
    expect(solo.raft.role).toBe('candidate');
    solo.receive(requestVoteReply({ from: 4n }));
    expect(solo.raft.role).toBe('leader');
  });

  test('a grant for another term than the one asked for does not count', () => {
    const solo = new Solo({ term: 3 });
    solo.run((raft) => raft.campaign());
    solo.receive(preVoteReply({ term: 3 }), preVoteReply({ term: 5 }));
    expect(solo.raft).toMatchObject({ role: 'preCandidate', term: 3 });
    solo.receive(preVoteReply({ term: 4 }));
    expect(solo.raft.role).toBe('candidate');
  });

  test('every campaign asks first, also after a won pre-vote and after a transfer', () => {
    const solo = new Solo();
    solo.becomeCandidate();
    solo.tick(20);
    expect(solo.raft).toMatchObject({ role: 'preCandidate', term: 1 });
    const other = new Solo();
    other.receive(heartbeat(), timeoutNow());
    expect(other.raft).toMatchObject({ role: 'candidate', term: 2 });
    other.tick(20);
    expect(other.raft).toMatchObject({ role: 'preCandidate', term: 2 });
  });
});

describe('the election timer', () => {
  test('is not put off by a vote that is refused (Raft §5.2)', () => {
    const solo = new Solo({ terms: [1, 1] });
    const asked: number[] = [];
    for (let tick = 1; tick <= ELECTION_TICKS; tick++) {
      if (only(solo.tick(), 'preVote').length > 0) asked.push(tick);
      solo.receive(requestVote({ term: tick + 1, lastLogIndex: 1, lastLogTerm: 1 }));
    }
    expect(asked).toEqual([ELECTION_TICKS]);
  });

  test('is not put off by a leader of an earlier term', () => {
    const solo = new Solo({ term: 5 });
    for (let i = 0; i < 20 && solo.raft.role === 'follower'; i++) {
      solo.tick();
      solo.receive(heartbeat({ term: 4 }));
    }
    expect(solo.raft.role).toBe('preCandidate');
  });
});

describe('PreVote changes nothing at who is asked', () => {
  test('neither term nor vote nor timer, granted or not', () => {
    const solo = new Solo({ terms: [1] });
    const before = solo.readies.length;
    const up = { lastLogIndex: 1, lastLogTerm: 1 };
    const replies = solo.receive(preVote({ term: 9, ...up }), preVote({ term: 9 }));
    expect(only(replies, 'preVoteReply')).toMatchObject([
      { term: 9, granted: true },
      { term: 1, granted: false },
    ]);
    expect(solo.raft.term).toBe(1);
    expect(solo.readies.slice(before).every(({ hardState }) => hardState === null)).toBe(true);
  });
});

test('a term in the air grows by at most one per election, however often one is cut off', () => {
  const cluster = new Cluster({ voters: [1n, 2n, 3n] });
  cluster.campaign(1n);
  cluster.stabilize();
  for (let i = 0; i < 50; i++) {
    cluster.isolate(3n);
    for (let tick = 0; tick < 25; tick++) {
      cluster.tickAll();
      cluster.stabilize();
    }
    cluster.heal();
    cluster.tickAll();
    cluster.stabilize();
  }
  expect([1n, 2n, 3n].map((id) => cluster.raft(id).term)).toEqual([1, 1, 1]);
});

describe('a leader whose connection broke (the process died)', () => {
  function follower(): Solo {
    const solo = new Solo({ term: 1 });
    solo.receive(heartbeat({ from: 2n, term: 1 }));
    return solo;
  }

  test('the follower campaigns within half an election timeout', () => {
    const solo = follower();
    solo.run((raft) => raft.reportUnreachable(2n));
    expect(only(solo.tick(ELECTION_TICKS / 2 + 1), 'preVote')).toHaveLength(2);
    expect(solo.raft.term).toBe(1);
  });

  test('after a false alarm the follower waits for a whole timeout again', () => {
    const solo = follower();
    solo.run((raft) => raft.reportUnreachable(2n));
    solo.receive(heartbeat({ from: 2n, term: 1 }));
    expect(solo.raft.leader).toBe(2n);
    expect(only(solo.tick(ELECTION_TICKS - 1), 'preVote')).toEqual([]);
  });

  test('another peer that cannot be reached changes nothing', () => {
    const solo = follower();
    solo.run((raft) => raft.reportUnreachable(3n));
    expect(solo.raft.leader).toBe(2n);
    expect(only(solo.tick(ELECTION_TICKS - 1), 'preVote')).toEqual([]);
  });
});

describe('a member that may have lost what it promised up to a term', () => {
  const lost = { term: 6, rejoinFloorTerm: 5 } as const;

  test('refuses votes, however good the candidate', () => {
    const solo = new Solo(lost);
    const [poll] = solo.receive(preVote({ term: 8, lastLogIndex: 9, lastLogTerm: 7 }));
    expect(poll).toMatchObject({ type: 'preVoteReply', granted: false });
    const [vote] = solo.receive(requestVote({ term: 8, lastLogIndex: 9, lastLogTerm: 7 }));
    expect(vote).toMatchObject({ type: 'requestVoteReply', term: 8, granted: false });
  });

  test('never campaigns, not even when it is asked to', () => {
    const solo = new Solo(lost);
    expect(only(solo.tick(10 * ELECTION_TICKS), 'preVote')).toEqual([]);
    solo.receive(heartbeat({ term: 6 }));
    expect(solo.receive(timeoutNow({ term: 6 }))).toEqual([]);
  });

  test('makes a leader step down that may count what is lost', () => {
    const solo = new Solo(lost);
    const sent = solo.receive(appendEntries({ term: 5, entries: [] }));
    expect(sent).toMatchObject([{ type: 'appendEntriesReply', term: 6, accepted: false }]);
    expect(solo.raft.leader).toBeNull();
  });

  test('votes again once its log ends in a later term', () => {
    const solo = new Solo(lost);
    const old: Entry = { kind: 'empty', index: 1, term: 4 };
    const first: Entry = { kind: 'empty', index: 2, term: 7 };
    solo.receive(appendEntries({ term: 7, entries: [old] }));
    const early = solo.receive(requestVote({ term: 8, lastLogIndex: 9, lastLogTerm: 7 }));
    expect(early).toEqual([]); // it hears its leader
    solo.receive(appendEntries({ term: 7, prevLogIndex: 1, prevLogTerm: 4, entries: [first] }));
    solo.tick(2 * ELECTION_TICKS);
    const request = requestVote({ term: 9, lastLogIndex: 9, lastLogTerm: 8 });
    expect(only(solo.receive(request), 'requestVoteReply')).toMatchObject([{ granted: true }]);
  });
});
