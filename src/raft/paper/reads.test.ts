import { describe, expect, test } from 'vitest';
import type { Message } from '../index.ts';
import {
  appendEntries,
  Cluster,
  ELECTION_TICKS,
  entries,
  heartbeat,
  heartbeatReply,
  only,
  readIndex,
  Solo,
} from '../testing/index.ts';

const THREE = [1n, 2n, 3n];

function settled(voters: readonly bigint[] = THREE): Solo {
  const solo = new Solo({ voters });
  solo.becomeSettledLeader();
  return solo;
}

/** Asks for a read; returns the attempt that its heartbeats carry. */
function ask(solo: Solo, requestId: number): number {
  const beats = only(
    solo.run((raft) => raft.readIndex(requestId)),
    'heartbeat',
  );
  expect(beats.length).toBeGreaterThan(0);
  const [attempt] = new Set(beats.map((message) => message.readAttempt));
  expect(typeof attempt).toBe('number');
  return attempt ?? 0;
}

function elected(): Cluster {
  const cluster = new Cluster({ voters: THREE });
  cluster.campaign(1n);
  cluster.stabilize();
  return cluster;
}

describe('Thesis §6.4, read-only queries without the log', () => {
  test('§6.4 step 1: without a committed entry of its term a leader has no read index', () => {
    const solo = new Solo({ terms: [1, 1], commitIndex: 1 });
    const first = solo.becomeLeader();
    solo.run((raft) => raft.readIndex(7));
    const { term } = solo.raft;
    for (const from of [2n, 3n]) solo.receive(heartbeatReply({ from, term }));
    expect(solo.reads.filter((state) => state.readIndex !== null)).toEqual([]);
    solo.ackAll(first);
    expect(solo.raft.commitIndex).toBe(3);
  });

  test('§6.4 step 1: … a read asked before that is served after it, at or above its commit', () => {
    const cluster = new Cluster({ voters: THREE });
    cluster.campaign(1n);
    cluster.stabilize();
    cluster.propose(1n, 'a');
    cluster.stabilize();
    cluster.crash(1n);
    cluster.tickAll(ELECTION_TICKS);
    cluster.drop(() => true);
    cluster.campaign(2n);
    while (cluster.raft(2n).role !== 'leader') {
      const [next] = cluster.network;
      if (next === undefined) throw new Error('no election');
      cluster.deliver(next);
    }
    cluster.readIndex(2n, 1);
    cluster.stabilize();
    cluster.tickAll(2);
    cluster.stabilize();
    expect(cluster.oracle.openReads()).toEqual([]);
  });

  test('§6.4 step 2: the read index is the commit index at the time of the request', () => {
    const solo = settled();
    const attempt = ask(solo, 1);
    const sent = solo.propose();
    solo.ackAll(sent);
    expect(solo.raft.commitIndex).toBe(2);
    solo.receive(heartbeatReply({ from: 2n, readAttempt: attempt }));
    expect(solo.reads).toEqual([{ requestId: 1, readIndex: 1 }]);
  });

  test('§6.4 step 3: it waits for a majority of heartbeat answers', () => {
    const solo = settled([1n, 2n, 3n, 4n, 5n]);
    const attempt = ask(solo, 1);
    solo.receive(heartbeatReply({ from: 2n, readAttempt: attempt }));
    solo.receive(heartbeatReply({ from: 2n, readAttempt: attempt }));
    expect(solo.reads).toEqual([]);
    solo.receive(heartbeatReply({ from: 3n, readAttempt: attempt }));
    expect(solo.reads).toEqual([{ requestId: 1, readIndex: 1 }]);
  });

  test('§6.4 step 3: answers to heartbeats from before the request prove nothing', () => {
    const solo = settled();
    solo.tick();
    solo.run((raft) => raft.readIndex(1));
    for (const from of [2n, 3n]) solo.receive(heartbeatReply({ from, readAttempt: null }));
    expect(solo.reads).toEqual([]);
  });

  test('§6.4 step 3: each round has a fresh id, and late answers confirm only older reads', () => {
    const solo = settled();
    const first = ask(solo, 1);
    const second = ask(solo, 2);
    const third = ask(solo, 3);
    expect(new Set([first, second, third]).size).toBe(3);
    for (const from of [2n, 3n]) solo.receive(heartbeatReply({ from, readAttempt: first }));
    expect(solo.reads.map((state) => state.requestId)).toEqual([1]);
    solo.receive(heartbeatReply({ from: 3n, readAttempt: third }));
    expect(solo.reads.map((state) => state.requestId)).toEqual([1, 2, 3]);
  });

  test('§6.4 step 3: a request with an id used before still needs its own round', () => {
    const solo = settled();
    const first = ask(solo, 1);
    solo.receive(heartbeatReply({ from: 2n, readAttempt: first }));
    const second = ask(solo, 1);
    expect(second).not.toBe(first);
    solo.receive(heartbeatReply({ from: 3n, readAttempt: first }));
    expect(solo.reads).toHaveLength(1);
    solo.receive(heartbeatReply({ from: 3n, readAttempt: second }));
    expect(solo.reads).toHaveLength(2);
  });

  test('§6.4: learners and strangers do not confirm', () => {
    const solo = new Solo({ learners: [4n] });
    solo.becomeSettledLeader();
    const attempt = ask(solo, 1);
    for (const from of [4n, 9n]) solo.receive(heartbeatReply({ from, readAttempt: attempt }));
    expect(solo.reads).toEqual([]);
  });

  test('§6.4: answers of an earlier term do not confirm', () => {
    const solo = settled();
    solo.receive(appendEntries({ from: 3n, term: 2 }));
    solo.tick(2 * ELECTION_TICKS);
    const first = solo.becomeLeader();
    solo.ackAll(first);
    const attempt = ask(solo, 1);
    for (const from of [2n, 3n]) {
      solo.receive(heartbeatReply({ from, term: 1, readAttempt: attempt }));
    }
    expect(solo.reads).toEqual([]);
  });

  test('§6.4: many reads asked together share one round', () => {
    const solo = settled();
    const beats = solo.run((raft) => {
      for (let requestId = 1; requestId <= 100; requestId++) raft.readIndex(requestId);
    });
    expect(only(beats, 'heartbeat')).toHaveLength(2);
    const attempt = only(beats, 'heartbeat')[0]?.readAttempt ?? null;
    solo.receive(heartbeatReply({ from: 2n, readAttempt: attempt }));
    expect(solo.reads.map((state) => state.requestId)).toEqual(
      Array.from({ length: 100 }, (_, i) => i + 1),
    );
  });

  test('§6.4: a group of one needs nobody’s confirmation', () => {
    const solo = settled([1n]);
    solo.run((raft) => raft.readIndex(1));
    expect(solo.reads).toEqual([{ requestId: 1, readIndex: 1 }]);
  });

  test('§6.4: a leader deposed meanwhile answers that it can’t confirm', () => {
    const solo = settled();
    const attempt = ask(solo, 1);
    solo.receive(appendEntries({ from: 3n, term: 2 }));
    expect(solo.reads).toEqual([{ requestId: 1, readIndex: null }]);
    solo.receive(heartbeatReply({ from: 2n, readAttempt: attempt }));
    expect(solo.reads).toHaveLength(1);
  });

  test('§6.4: a leader cut off from the majority confirms no read, and says so in the end', () => {
    const cluster = elected();
    cluster.isolate(1n);
    cluster.tick(2n, 2 * ELECTION_TICKS);
    cluster.tick(3n, 2 * ELECTION_TICKS);
    cluster.campaign(2n);
    cluster.stabilize();
    cluster.propose(2n, 'newer');
    cluster.stabilize();
    cluster.readIndex(1n, 1);
    cluster.tick(1n, 3 * ELECTION_TICKS);
    expect(cluster.oracle.openReads()).toEqual([]);
  });
});

describe('Thesis §6.4, reads on followers', () => {
  const sentTo = (messages: readonly Message[], type: Message['type']): bigint[] =>
    messages.flatMap((message) => (message.type === type ? [message.to] : []));

  test('§6.4: a follower asks the leader, and serves the read itself', () => {
    const cluster = elected();
    cluster.propose(1n, 'a');
    cluster.stabilize();
    cluster.readIndex(2n, 9);
    expect(sentTo(cluster.network, 'readIndex')).toEqual([1n]);
    cluster.stabilize();
    expect(cluster.oracle.openReads()).toEqual([]);
  });

  test('§6.4: the leader confirms itself before it answers a follower', () => {
    const solo = settled();
    const sent = solo.receive(readIndex({ from: 2n, requestId: 5 }));
    expect(only(sent, 'readIndexReply')).toEqual([]);
    const attempt = only(sent, 'heartbeat')[0]?.readAttempt ?? null;
    const replies = solo.receive(heartbeatReply({ from: 3n, readAttempt: attempt }));
    expect(only(replies, 'readIndexReply')).toMatchObject([{ to: 2n, requestId: 5, readIndex: 1 }]);
  });

  test('§6.4: who is no leader refuses at once', () => {
    const solo = new Solo();
    const replies = solo.receive(readIndex({ from: 2n, term: 0, requestId: 5 }));
    for (const reply of only(replies, 'readIndexReply')) expect(reply.readIndex).toBeNull();
    solo.run((raft) => raft.readIndex(1));
    expect(solo.reads).toEqual([{ requestId: 1, readIndex: null }]);
  });

  test('§6.4: a follower whose question or answer is lost is told in the end', () => {
    const cluster = elected();
    cluster.readIndex(2n, 9);
    cluster.drop(({ type }) => type === 'readIndex');
    for (let i = 0; i < 2 * ELECTION_TICKS; i++) {
      cluster.tickAll();
      cluster.stabilize();
    }
    expect(cluster.oracle.openReads()).toEqual([]);
  });

  test('§6.4: an answer that comes twice answers one read', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ entries: entries([1]), leaderCommit: 1 }));
    const [question] = only(
      solo.run((raft) => raft.readIndex(3)),
      'readIndex',
    );
    const answer: Message = {
      type: 'readIndexReply',
      from: 2n,
      to: 1n,
      term: 1,
      requestId: question?.requestId ?? 0,
      readIndex: 1,
    };
    solo.receive(answer, answer);
    expect(solo.reads).toEqual([{ requestId: 3, readIndex: 1 }]);
  });

  test('§6.4: the answer of an earlier term’s leader does not count for a later question', () => {
    const solo = new Solo();
    solo.receive(appendEntries({ entries: entries([1]), leaderCommit: 1 }));
    const [question] = only(
      solo.run((raft) => raft.readIndex(3)),
      'readIndex',
    );
    solo.receive(heartbeat({ from: 3n, term: 2 }));
    solo.run((raft) => raft.readIndex(4));
    const requestId = question?.requestId ?? 0;
    solo.receive({ type: 'readIndexReply', from: 2n, to: 1n, term: 1, requestId, readIndex: 1 });
    expect(solo.reads.filter((state) => state.readIndex !== null)).toEqual([]);
  });

  test('§8: read indices never run behind what a leader has acknowledged', () => {
    const cluster = elected();
    for (let i = 1; i <= 20; i++) {
      cluster.propose(1n, `c${i}`);
      cluster.readIndex(BigInt((i % 3) + 1), i);
      cluster.stabilize();
    }
    expect(cluster.oracle.openReads()).toEqual([]);
    expect(cluster.oracle.commitIndex).toBe(21);
  });
});
