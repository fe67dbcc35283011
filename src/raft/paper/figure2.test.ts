import { describe, expect, test } from 'vitest';
import {
  accepted,
  appendEntries,
  Cluster,
  ELECTION_TICKS,
  entries,
  heartbeat,
  only,
  rejected,
  requestVote,
  requestVoteReply,
  Solo,
} from '../testing/index.ts';

describe('Fig. 2, State', () => {
  test('State 1: the term survives a crash', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ term: 7 }));
    solo.member.crash();
    solo.member.start();
    expect(solo.raft.term).toBe(7);
  });

  test('State 2: the vote survives a crash, so the term has no second one', () => {
    const solo = new Solo();
    solo.receive(requestVote({ from: 2n, term: 1 }));
    solo.member.crash();
    solo.member.start();
    expect(
      only(solo.receive(requestVote({ from: 3n, term: 1 })), 'requestVoteReply'),
    ).toMatchObject([{ to: 3n, granted: false }]);
    expect(
      only(solo.receive(requestVote({ from: 2n, term: 1 })), 'requestVoteReply'),
    ).toMatchObject([{ to: 2n, granted: true }]);
  });

  test('State 3: the log survives a crash; each entry has its command and its term', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ term: 2, entries: entries([1, 1, 2]), leaderCommit: 3 }));
    solo.member.crash();
    solo.applied.length = 0;
    solo.member.start();
    expect(solo.raft.lastIndex).toBe(3);
    solo.receive(appendEntries({ term: 2, prevLogIndex: 3, prevLogTerm: 2, leaderCommit: 3 }));
    expect(solo.applied).toEqual(entries([1, 1, 2]));
  });

  test('State 4: the first index is 1; without log nothing is committed or applied', () => {
    const solo = new Solo();
    expect(solo.state).toMatchObject({ commitIndex: 0, lastIndex: 0, firstIndex: 1, term: 0 });
    solo.becomeLeader();
    expect(solo.raft.lastIndex).toBe(1);
  });

  test('State 5: commitIndex never decreases, whatever a late message says', () => {
    const solo = new Solo({ terms: [1, 1, 1] });
    const at = { term: 1, prevLogIndex: 3, prevLogTerm: 1 };
    solo.receive(appendEntries({ ...at, leaderCommit: 3 }));
    solo.receive(appendEntries({ ...at, leaderCommit: 1 }), heartbeat({ term: 1, commitIndex: 2 }));
    expect(solo.raft.commitIndex).toBe(3);
  });

  test('State 6: a new leader first tries each follower at its own last index', () => {
    const solo = new Solo({ terms: [1, 1, 2] });
    const sent = only(solo.becomeLeader(), 'appendEntries');
    expect(
      sent.map(({ to, prevLogIndex, prevLogTerm }) => [to, prevLogIndex, prevLogTerm]),
    ).toEqual([
      [2n, 3, 2],
      [3n, 3, 2],
    ]);
  });

  test('State 7: what followers stored in earlier terms counts only once they say so again', () => {
    const solo = new Solo({ terms: [1] });
    solo.becomeSettledLeader();
    const { commitIndex, term } = solo.raft;
    solo.receive(requestVote({ from: 2n, term: term + 1, lastLogIndex: 9, lastLogTerm: term + 1 }));
    solo.tick(2 * ELECTION_TICKS);
    solo.becomeLeader();
    solo.propose();
    expect(solo.raft.commitIndex).toBe(commitIndex);
  });
});

describe('Fig. 2, AppendEntries', () => {
  test('AppendEntries 1: a lower term is refused, with the term to learn from', () => {
    const solo = new Solo({ terms: [1, 2], term: 3 });
    const sent = solo.receive(
      appendEntries({ term: 2, prevLogIndex: 2, prevLogTerm: 2, entries: entries([2], 3) }),
    );
    expect(solo.terms).toEqual([1, 2]);
    expect(sent).toMatchObject([{ type: 'appendEntriesReply', to: 2n, term: 3, accepted: false }]);
  });

  test('AppendEntries 2: without an entry at prevLogIndex nothing is stored', () => {
    const solo = new Solo({ terms: [1] });
    const sent = solo.receive(
      appendEntries({ prevLogIndex: 2, prevLogTerm: 1, entries: entries([1], 3) }),
    );
    expect(solo.terms).toEqual([1]);
    expect(sent).toMatchObject([{ accepted: false, prevLogIndex: 2 }]);
  });

  test('AppendEntries 2: an entry of another term at prevLogIndex refuses as well', () => {
    const solo = new Solo({ terms: [1, 1] });
    const sent = solo.receive(
      appendEntries({ term: 3, prevLogIndex: 2, prevLogTerm: 2, entries: entries([3], 3) }),
    );
    expect(solo.terms).toEqual([1, 1]);
    expect(sent).toMatchObject([{ accepted: false, prevLogIndex: 2 }]);
  });

  test('AppendEntries 3: a conflicting entry is deleted with all that follow it', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1, 1] });
    const sent = solo.receive(
      appendEntries({ term: 2, prevLogIndex: 2, prevLogTerm: 1, entries: entries([2], 3) }),
    );
    expect(solo.terms).toEqual([1, 1, 2]);
    expect(sent).toMatchObject([{ accepted: true, matchIndex: 3 }]);
  });

  test('AppendEntries 3: without a conflict what follows stays, as the message may be old', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1] });
    const sent = solo.receive(
      appendEntries({ prevLogIndex: 1, prevLogTerm: 1, entries: entries([1], 2) }),
    );
    expect(solo.terms).toEqual([1, 1, 1, 1]);
    expect(sent).toMatchObject([{ accepted: true, matchIndex: 2 }]);
  });

  test('AppendEntries 4: new entries are appended, known ones are not written again', () => {
    const solo = new Solo({ terms: [1, 1] });
    solo.receive(appendEntries({ entries: entries([1, 1, 1, 1]) }));
    expect(solo.terms).toEqual([1, 1, 1, 1]);
    const written = solo.readies.flatMap((ready) => ready.entries.map((entry) => entry.index));
    expect(written).toEqual([3, 4]);
  });

  test('AppendEntries 5: commitIndex follows the leader', () => {
    const solo = new Solo({ terms: [1, 1, 1] });
    solo.receive(appendEntries({ prevLogIndex: 3, prevLogTerm: 1, leaderCommit: 2 }));
    expect(solo.raft.commitIndex).toBe(2);
  });

  test('AppendEntries 5: … but not beyond the last entry that the message vouches for', () => {
    const solo = new Solo({ terms: [1, 1, 1, 1] });
    const fields = { term: 2, prevLogIndex: 1, prevLogTerm: 1, leaderCommit: 4 };
    solo.receive(appendEntries({ ...fields, entries: entries([1], 2) }));
    expect(solo.raft.commitIndex).toBe(2);
  });
});

describe('Fig. 2, RequestVote', () => {
  const granted = (solo: Solo, fields: Parameters<typeof requestVote>[0]): boolean[] =>
    only(solo.receive(requestVote(fields)), 'requestVoteReply').map((reply) => reply.granted);

  test('RequestVote 1: a lower term gets no vote', () => {
    const solo = new Solo({ term: 3 });
    expect(granted(solo, { term: 2, lastLogIndex: 9, lastLogTerm: 2 })).not.toContain(true);
    expect(solo.raft.term).toBe(3);
  });

  test('RequestVote 2: a vote not yet given goes to a candidate with as good a log', () => {
    const solo = new Solo({ terms: [1, 2], term: 2 });
    expect(granted(solo, { term: 3, lastLogIndex: 2, lastLogTerm: 2 })).toEqual([true]);
  });

  test('RequestVote 2: a second candidate of the term gets none', () => {
    const solo = new Solo();
    expect(granted(solo, { from: 2n, term: 1 })).toEqual([true]);
    expect(granted(solo, { from: 3n, term: 1, lastLogIndex: 9, lastLogTerm: 1 })).toEqual([false]);
  });

  test('RequestVote 2: the same candidate gets its vote again, as the reply may be lost', () => {
    const solo = new Solo();
    expect(granted(solo, { from: 2n, term: 1 })).toEqual([true]);
    expect(granted(solo, { from: 2n, term: 1 })).toEqual([true]);
  });

  test('RequestVote 2: a candidate whose log is behind gets none', () => {
    const solo = new Solo({ terms: [1, 2] });
    expect(granted(solo, { term: 3, lastLogIndex: 1, lastLogTerm: 2 })).toEqual([false]);
    expect(granted(solo, { term: 4, lastLogIndex: 9, lastLogTerm: 1 })).toEqual([false]);
  });
});

describe('Fig. 2, Rules for Servers: all', () => {
  const having = (step: (solo: Solo) => unknown): Solo => {
    const solo = new Solo({ terms: [1] });
    step(solo);
    return solo;
  };

  test('All servers 1: what is committed is applied, in order, each entry once', () => {
    const solo = new Solo({ terms: [1, 1, 1] });
    const at = { prevLogIndex: 3, prevLogTerm: 1 };
    solo.receive(appendEntries({ ...at, leaderCommit: 1 }));
    solo.receive(appendEntries({ ...at, leaderCommit: 3 }));
    solo.receive(appendEntries({ ...at, leaderCommit: 3 }));
    expect(solo.applied).toEqual(entries([1, 1, 1]));
  });

  test.each([
    ['follower', (): Solo => new Solo({ terms: [1] })],
    ['candidate', (): Solo => having((solo) => solo.becomeCandidate())],
    ['leader', (): Solo => having((solo) => solo.becomeLeader())],
  ])('All servers 2: a higher term makes a %s a follower of that term', (_role, make) => {
    for (const message of [
      appendEntries({ term: 9 }),
      heartbeat({ term: 9 }),
      requestVoteReply({ term: 9, granted: false }),
      rejected({ term: 9 }),
    ]) {
      const solo = make();
      solo.receive(message);
      expect([message.type, solo.raft.term, solo.raft.role]).toEqual([message.type, 9, 'follower']);
      expect(solo.member.disk.hardState).toMatchObject({ term: 9, vote: null });
    }
  });
});

describe('Fig. 2, Rules for Servers: followers', () => {
  test('Followers 1: they answer, and by themselves send nothing', () => {
    const solo = new Solo({ terms: [1] });
    expect(solo.tick(ELECTION_TICKS - 1)).toEqual([]);
    expect(solo.receive(appendEntries({ prevLogIndex: 1, prevLogTerm: 1 }))).toHaveLength(1);
    expect(solo.receive(heartbeat())).toMatchObject([{ type: 'heartbeatReply', to: 2n }]);
  });

  test('Followers 2: an election timeout without a leader starts a campaign', () => {
    const solo = new Solo();
    solo.tick(2 * ELECTION_TICKS);
    expect(solo.raft.role).not.toBe('follower');
  });

  test('Followers 2: the leader’s AppendEntries and heartbeats put it off', () => {
    const solo = new Solo();
    for (let i = 0; i < 5; i++) {
      solo.tick(ELECTION_TICKS - 1);
      solo.receive(i % 2 === 0 ? appendEntries() : heartbeat());
    }
    expect(solo.raft.role).toBe('follower');
  });

  test('Followers 2: a message of an earlier leader does not put it off', () => {
    const solo = new Solo({ term: 3 });
    for (let i = 0; i < 2 * ELECTION_TICKS; i++) {
      solo.tick();
      solo.receive(heartbeat({ term: 2 }));
    }
    expect(solo.raft.role).not.toBe('follower');
  });

  test('Followers 2: a vote given puts it off, a vote refused does not', () => {
    const giver = new Solo();
    giver.tick(ELECTION_TICKS - 1);
    giver.receive(requestVote({ term: 1 }));
    giver.tick(ELECTION_TICKS - 1);
    expect(giver.raft.role).toBe('follower');

    const refuser = new Solo({ terms: [1] });
    refuser.tick(ELECTION_TICKS - 1);
    refuser.receive(requestVote({ term: 2 }));
    refuser.tick(ELECTION_TICKS);
    expect(refuser.raft.role).not.toBe('follower');
  });
});

describe('Fig. 2, Rules for Servers: candidates', () => {
  test('Candidates 1: a campaign raises the term, votes for itself and asks all others', () => {
    const solo = new Solo({ terms: [1, 1] });
    const sent = solo.becomeCandidate();
    expect(solo.raft.role).toBe('candidate');
    expect(solo.member.disk.hardState).toMatchObject({ term: 2, vote: 1n });
    expect(sent).toMatchObject([
      { type: 'requestVote', to: 2n, term: 2, lastLogIndex: 2, lastLogTerm: 1 },
      { type: 'requestVote', to: 3n, term: 2, lastLogIndex: 2, lastLogTerm: 1 },
    ]);
  });

  test('Candidates 1: a campaign starts a fresh election timeout', () => {
    const solo = new Solo();
    solo.tick(ELECTION_TICKS - 1);
    solo.becomeCandidate();
    expect(solo.tick(ELECTION_TICKS - 1)).toEqual([]);
    expect(solo.state).toMatchObject({ role: 'candidate', term: 1 });
  });

  test('Candidates 2: votes of a majority make it leader, and not before', () => {
    const solo = new Solo({ voters: [1n, 2n, 3n, 4n, 5n] });
    solo.becomeCandidate();
    solo.receive(requestVoteReply({ from: 2n, term: 1 }));
    expect(solo.raft.role).toBe('candidate');
    solo.receive(requestVoteReply({ from: 3n, term: 1 }));
    expect(solo.state).toMatchObject({ role: 'leader', leader: 1n, term: 1 });
  });

  test('Candidates 2: the same vote twice is one vote', () => {
    const solo = new Solo({ voters: [1n, 2n, 3n, 4n, 5n] });
    solo.becomeCandidate();
    const vote = requestVoteReply({ from: 2n, term: 1 });
    solo.receive(vote, vote, vote);
    expect(solo.raft.role).toBe('candidate');
  });

  test('Candidates 3: AppendEntries of the term’s leader makes it a follower', () => {
    const solo = new Solo();
    solo.becomeCandidate();
    solo.receive(appendEntries({ from: 3n, term: 1 }));
    expect(solo.state).toMatchObject({ role: 'follower', leader: 3n, term: 1 });
    expect(solo.member.disk.hardState).toMatchObject({ term: 1, vote: 1n });
  });

  test('Candidates 4: an election timeout without outcome starts over', () => {
    const solo = new Solo();
    solo.becomeCandidate();
    const sent = solo.tick(2 * ELECTION_TICKS);
    expect(only(sent, 'preVote').map((message) => message.term)).toContain(2);
  });
});

describe('Fig. 2, Rules for Servers: leaders', () => {
  test('Leaders 1: on election every peer hears of it at once, and again while idle', () => {
    const solo = new Solo();
    const first = solo.becomeLeader();
    expect(new Set(first.map((message) => message.to))).toEqual(new Set([2n, 3n]));
    expect(first.every((message) => message.type === 'appendEntries')).toBe(true);
    solo.ackAll(first);
    for (let i = 0; i < 3; i++) {
      expect(solo.tick()).toMatchObject([
        { type: 'heartbeat', to: 2n, term: 1 },
        { type: 'heartbeat', to: 3n, term: 1 },
      ]);
    }
  });

  test('Leaders 2: a command is appended and is applied only when it is committed', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.applied.length = 0;
    const sent = solo.propose('a');
    expect(solo.raft.lastIndex).toBe(2);
    expect(solo.applied).toEqual([]);
    solo.ackAll(sent);
    expect(solo.applied).toMatchObject([{ kind: 'command', index: 2, term: 1 }]);
  });

  test('Leaders 3: a follower gets the entries from its nextIndex on', () => {
    const solo = new Solo({ terms: [1, 1] });
    solo.becomeSettledLeader();
    expect(solo.propose('a')).toMatchObject([
      { type: 'appendEntries', to: 2n, prevLogIndex: 3, entries: [{ index: 4 }] },
      { type: 'appendEntries', to: 3n, prevLogIndex: 3, entries: [{ index: 4 }] },
    ]);
  });

  test('Leaders 3: a refusal moves nextIndex back and is answered with a new try', () => {
    const solo = new Solo({ terms: [1, 1, 2] });
    solo.becomeLeader();
    const hint = { prevLogIndex: 3, hintIndex: 2, hintTerm: 1 };
    const sent = solo.receive(rejected({ from: 2n, term: solo.raft.term, ...hint }));
    expect(sent).toMatchObject([
      { type: 'appendEntries', to: 2n, prevLogIndex: 2, prevLogTerm: 1 },
    ]);
  });

  test('Leaders 4: an entry of its term on a majority is committed, and all before it', () => {
    const solo = new Solo({ terms: [1, 1, 2] });
    solo.becomeLeader();
    expect(solo.raft.commitIndex).toBe(0);
    solo.receive(accepted({ from: 2n, term: solo.raft.term, matchIndex: 4 }));
    expect(solo.raft.commitIndex).toBe(4);
  });

  test('Leaders 4: an entry of an earlier term on a majority is not', () => {
    const solo = new Solo({ terms: [1, 1, 2] });
    solo.becomeLeader();
    const ack = { term: solo.raft.term, matchIndex: 3 };
    solo.receive(accepted({ from: 2n, ...ack }), accepted({ from: 3n, ...ack }));
    expect(solo.raft.commitIndex).toBe(0);
  });

  test('Leaders 4: a group of one commits by its own disk', () => {
    const cluster = new Cluster({ voters: [1n] });
    cluster.campaign(1n);
    cluster.propose(1n, 'a');
    expect(cluster.state(1n)).toMatchObject({ role: 'leader', commitIndex: 2 });
  });
});
