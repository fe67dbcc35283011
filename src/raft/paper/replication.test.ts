import { describe, expect, test } from 'vitest';
import type { AppendEntries, AppendEntriesRejected } from '../index.ts';
import {
  accepted,
  appendEntries,
  Cluster,
  entries,
  heartbeatReply,
  only,
  rejected,
  Solo,
} from '../testing/index.ts';

const THREE = [1n, 2n, 3n];

function elected(voters: readonly bigint[] = THREE): Cluster {
  const cluster = new Cluster({ voters });
  cluster.campaign(1n);
  cluster.stabilize();
  return cluster;
}

describe('§5.3, log replication', () => {
  test('§5.3: a command goes to all followers in parallel and is applied everywhere', () => {
    const cluster = elected();
    cluster.propose(1n, 'a');
    expect(cluster.network.map((message) => message.to)).toEqual([2n, 3n]);
    cluster.stabilize();
    for (const id of THREE) expect(cluster.member(id).applied).toBe(2);
  });

  test('§5.3: a follower that is down stops nobody, and gets everything when it is back', () => {
    const cluster = elected();
    cluster.crash(3n);
    for (const text of ['a', 'b', 'c']) cluster.propose(1n, text);
    cluster.stabilize();
    expect(cluster.raft(1n).commitIndex).toBe(4);
    cluster.restart(3n);
    cluster.tickAll(3);
    cluster.stabilize();
    cluster.tickAll(1);
    cluster.stabilize();
    expect(cluster.member(3n).applied).toBe(4);
  });

  test('§5.3: AppendEntries lost for ever are sent again', () => {
    const cluster = elected();
    cluster.cut(1n, 3n);
    for (const text of ['a', 'b']) cluster.propose(1n, text);
    cluster.stabilize();
    expect(cluster.raft(3n).lastIndex).toBe(1);
    cluster.heal();
    for (let i = 0; i < 3; i++) {
      cluster.tick(1n);
      cluster.stabilize();
    }
    expect(cluster.state(3n)).toMatchObject({ lastIndex: 3, commitIndex: 3 });
  });

  test('§5.3: a follower learns of the commit with the next message, be it a heartbeat', () => {
    const solo = new Solo({ terms: [1, 1] });
    solo.receive(appendEntries({ prevLogIndex: 2, prevLogTerm: 1, leaderCommit: 0 }));
    expect(solo.raft.commitIndex).toBe(0);
    solo.receive(appendEntries({ prevLogIndex: 2, prevLogTerm: 1, leaderCommit: 2 }));
    expect(solo.applied).toEqual(entries([1, 1]));
  });

  test('§5.3: a heartbeat tells a follower no commit beyond what it is known to hold', () => {
    const cluster = elected();
    cluster.propose(1n, 'a');
    cluster.stabilize([1n, 2n]);
    cluster.drop(({ to }) => to === 3n);
    cluster.tick(1n);
    const told = cluster.network.flatMap((message) =>
      message.type === 'heartbeat' ? [[message.to, message.commitIndex]] : [],
    );
    expect(told).toEqual([
      [2n, 2],
      [3n, 1],
    ]);
  });

  test('§5.3: a leader creates one entry per index and never moves it', () => {
    const cluster = elected();
    const results = ['a', 'b', 'c'].map((text) => cluster.propose(1n, text));
    expect(results).toEqual([2, 3, 4].map((index) => ({ accepted: true, index, term: 1 })));
  });

  test('§5.3: a follower takes no commands', () => {
    const cluster = elected();
    expect(cluster.propose(2n, 'a')).toEqual({ accepted: false, reason: 'notLeader' });
  });

  test('§5.3: replies, late and twice, move matchIndex up only', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.propose('a');
    const ack = accepted({ from: 2n, matchIndex: 2 });
    solo.receive(ack, ack, accepted({ from: 2n, matchIndex: 1 }));
    expect(solo.raft.commitIndex).toBe(2);
    expect(only(solo.tick(), 'heartbeat')[0]).toMatchObject({ to: 2n, commitIndex: 2 });
    expect(only(solo.propose('b'), 'appendEntries')[0]).toMatchObject({ to: 2n, prevLogIndex: 2 });
  });

  test('§5.3: a late refusal of what was since accepted changes nothing', () => {
    const solo = new Solo({ terms: [1, 1] });
    solo.becomeSettledLeader();
    const { term } = solo.raft;
    const late = { prevLogIndex: 2, hintIndex: 1, hintTerm: 1 };
    expect(solo.receive(rejected({ from: 2n, term, ...late }))).toEqual([]);
    expect(only(solo.propose('a'), 'appendEntries')[0]).toMatchObject({ prevLogIndex: 3 });
  });

  test('§5.3: a heartbeat answered by a follower that is behind brings it the rest', () => {
    const solo = new Solo();
    solo.becomeSettledLeader();
    solo.propose('a');
    solo.receive(accepted({ from: 3n, matchIndex: 2 }));
    solo.run((raft) => raft.reportUnreachable(2n));
    const sent = solo.receive(heartbeatReply({ from: 2n, term: 1 }));
    expect(only(sent, 'appendEntries')).toMatchObject([{ to: 2n, prevLogIndex: 1 }]);
  });

  test('§5.3: AppendEntries on the way are bounded, and go on as they are acknowledged', () => {
    const solo = new Solo({ limits: { inflightAppendsMax: 3 } });
    solo.becomeSettledLeader();
    const sent = Array.from({ length: 10 }, () => solo.propose()).flat();
    expect(sent.filter((message) => message.to === 2n)).toHaveLength(3);
    const next = solo.receive(accepted({ from: 2n, matchIndex: 2 }));
    expect(only(next, 'appendEntries').some((message) => message.to === 2n)).toBe(true);
  });

  test('§5.3: a message holds at most appendBytesMax, but always one entry', () => {
    const solo = new Solo({ limits: { appendBytesMax: 100, inflightAppendsMax: 1 } });
    solo.becomeSettledLeader();
    solo.propose('first');
    solo.propose('x'.repeat(1000));
    for (let i = 0; i < 3; i++) solo.propose('small');
    const append = (matchIndex: number): number[] => {
      const sent = only(solo.receive(accepted({ from: 2n, matchIndex })), 'appendEntries');
      const toTwo = sent.filter((message) => message.to === 2n);
      return toTwo.flatMap((message) => message.entries.map((entry) => entry.index));
    };
    expect(append(2)).toEqual([3]);
    expect(append(3)).toEqual([4, 5, 6]);
  });
});

/** Fig. 7 of the paper: the leader's log, and the six followers' logs (a) to (f). */
const LEADER = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
const FOLLOWERS: readonly [string, number[]][] = [
  ['a, one entry missing', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
  ['b, six entries missing', [1, 1, 1, 4]],
  ['c, one entry of the last term too many', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
  ['d, two entries of a later term too many', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
  ['e, entries missing and others too many', [1, 1, 1, 4, 4, 4, 4]],
  ['f, terms that nobody else has', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
];

/** Rounds until a follower with `terms` has the whole log of a leader that starts to probe it. */
function roundsToRepair(leaderTerms: readonly number[], terms: readonly number[]): number {
  const leader = new Solo({ terms: leaderTerms, term: 20 });
  const follower = new Solo({ id: 2n, terms, term: 20 });
  let sent = leader.becomeLeader();
  for (let round = 1; round < 10_000; round++) {
    const replies = follower.receive(...sent.filter((message) => message.to === 2n));
    expect(replies.length).toBeGreaterThan(0);
    if (`${follower.terms}` === `${leader.terms}`) return round;
    sent = leader.receive(...replies);
  }
  throw new Error('never repaired');
}

describe('§5.3, repair of followers’ logs', () => {
  test.each(FOLLOWERS)('Fig. 7 (%s): the leader’s log replaces what differs', (_name, terms) => {
    expect(roundsToRepair(LEADER, terms)).toBeLessThanOrEqual(4);
  });

  test('§5.3: the refusal names the highest entry that may still match', () => {
    const hint = (terms: number[], fields: Partial<AppendEntries>): AppendEntriesRejected => {
      const [reply] = new Solo({ terms, term: 9 }).receive(appendEntries({ term: 9, ...fields }));
      return reply as AppendEntriesRejected;
    };
    const short = hint([1, 1, 2], { prevLogIndex: 7, prevLogTerm: 2 });
    expect(short).toMatchObject({ accepted: false, hintIndex: 3, hintTerm: 2 });
    const higher = hint([1, 1, 4, 4, 4], { prevLogIndex: 5, prevLogTerm: 3 });
    expect(higher).toMatchObject({ accepted: false, hintIndex: 2, hintTerm: 1 });
    const lower = hint([1, 1, 1, 2, 2], { prevLogIndex: 5, prevLogTerm: 3 });
    expect(lower).toMatchObject({ accepted: false, hintIndex: 5, hintTerm: 2 });
  });

  test('§5.3: a divergence of a thousand entries in one term costs one round more', () => {
    const common = [1, 1, 1];
    const theirs = [...common, ...Array<number>(1000).fill(2)];
    const ours = [...common, ...Array<number>(1000).fill(3)];
    expect(roundsToRepair(ours, theirs)).toBeLessThanOrEqual(3);
  });

  test('§5.3: k diverging terms cost at most k rounds more, however long they are', () => {
    const terms = (parity: number): number[] => [
      1,
      ...Array.from({ length: 8 }, (_, i) => Array<number>(100).fill(2 + 2 * i + parity)).flat(),
    ];
    expect(roundsToRepair(terms(1), terms(0))).toBeLessThanOrEqual(10);
    expect(roundsToRepair(terms(0), terms(1))).toBeLessThanOrEqual(10);
  });

  test('§5.3: while it seeks the match it sends one message at a time', () => {
    const solo = new Solo({ terms: [1, 2, 3] });
    const first = solo.becomeLeader().filter((message) => message.to === 2n);
    const more = Array.from({ length: 5 }, () => solo.propose()).flat();
    expect(first).toHaveLength(1);
    expect(more.filter((message) => message.to === 2n)).toEqual([]);
  });

  test('§5.3: log matching, an accepted message makes the logs equal up to its last entry', () => {
    const follower = new Solo({ terms: [1, 1, 2, 2], term: 5 });
    const replies = follower.receive(
      appendEntries({ term: 5, prevLogIndex: 2, prevLogTerm: 1, entries: entries([3, 5], 3) }),
    );
    expect(replies).toMatchObject([{ accepted: true, matchIndex: 4 }]);
    expect(follower.terms).toEqual([1, 1, 3, 5]);
  });

  test('§5.3: an AppendEntries below the commit is answered, not obeyed', () => {
    const solo = new Solo({ terms: [1, 1, 1], commitIndex: 3 });
    const sent = solo.receive(appendEntries({ entries: entries([1]) }));
    expect(solo.terms).toEqual([1, 1, 1]);
    const matches = only(sent, 'appendEntriesReply').flatMap((reply) =>
      reply.accepted ? [reply.matchIndex] : [],
    );
    expect(matches).toHaveLength(1);
    expect(matches[0]).toBeGreaterThanOrEqual(1);
    expect(matches[0]).toBeLessThanOrEqual(3);
  });
});
