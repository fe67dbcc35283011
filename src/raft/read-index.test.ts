import { describe, expect, test } from 'vitest';
import type { Message } from './message.ts';
import {
  appendEntries,
  ELECTION_TICKS,
  heartbeat,
  heartbeatReply,
  only,
  Solo,
} from './testing/index.ts';

function leader(): Solo {
  const solo = new Solo();
  solo.becomeSettledLeader();
  return solo;
}

function follower(): Solo {
  const solo = new Solo();
  solo.receive(heartbeat());
  return solo;
}

function answers(solo: Solo): [number, number | null][] {
  return solo.reads.map(({ requestId, readIndex }) => [requestId, readIndex]);
}

function askAll(solo: Solo, requestIds: readonly number[]): Message[] {
  return solo.run((raft) => {
    for (const requestId of requestIds) raft.readIndex(requestId);
  });
}

describe('on the leader', () => {
  test('reads of one Ready share a round, of voters only', () => {
    const solo = new Solo({ learners: [4n] });
    solo.becomeSettledLeader();
    const sent = only(askAll(solo, [1, 2, 3]), 'heartbeat');
    expect(sent.map(({ to }) => to)).toEqual([2n, 3n]);
    expect(new Set(sent.map(({ readAttempt }) => readAttempt)).size).toBe(1);
    solo.receive(heartbeatReply({ from: 3n, readAttempt: sent[0]?.readAttempt ?? null }));
    expect(answers(solo)).toEqual([
      [1, 1],
      [2, 1],
      [3, 1],
    ]);
  });

  test('an answer to a later round confirms the earlier, each at its own index', () => {
    const solo = leader();
    askAll(solo, [1]);
    solo.ackAll(solo.propose());
    const [later] = only(askAll(solo, [2]), 'heartbeat');
    solo.receive(heartbeatReply({ from: 2n, readAttempt: later?.readAttempt ?? null }));
    expect(answers(solo)).toEqual([
      [1, 1],
      [2, 2],
    ]);
  });

  test('a round whose heartbeats were lost is confirmed by the next heartbeats', () => {
    const solo = leader();
    askAll(solo, [1]);
    const [beat] = only(solo.tick(), 'heartbeat');
    solo.receive(heartbeatReply({ from: 2n, readAttempt: beat?.readAttempt ?? null }));
    expect(answers(solo)).toEqual([[1, 1]]);
    expect(only(solo.tick(), 'heartbeat').map(({ readAttempt }) => readAttempt)).toEqual([
      null,
      null,
    ]);
  });

  test('more reads than may wait are refused at once', () => {
    const solo = new Solo({ limits: { pendingReadsMax: 2 } });
    solo.becomeSettledLeader();
    askAll(solo, [1, 2, 3]);
    expect(answers(solo)).toEqual([[3, null]]);
  });

  test('nobody waits longer than an election timeout for the first commit of the term', () => {
    const solo = new Solo();
    solo.becomeLeader();
    askAll(solo, [1]);
    for (let i = 0; i < ELECTION_TICKS; i++) {
      solo.tick();
      solo.receive(heartbeatReply({ from: 2n }));
    }
    expect([solo.raft.role, answers(solo)]).toEqual(['leader', [[1, null]]]);
  });
});

describe('on a follower', () => {
  test('reads of one Ready are forwarded as one', () => {
    const solo = follower();
    const [question, ...more] = only(askAll(solo, [1, 2]), 'readIndex');
    expect(more).toEqual([]);
    const { requestId } = question as { requestId: number };
    solo.receive({ type: 'readIndexReply', from: 2n, to: 1n, term: 1, requestId, readIndex: 0 });
    expect(answers(solo)).toEqual([
      [1, 0],
      [2, 0],
    ]);
  });

  test('an answer to an earlier life of this member is no answer to this one', () => {
    const draws = [0, 7, 0, 9].values();
    const random = { uint32: () => draws.next().value ?? 0 };
    const ask = (solo: Solo) => only(askAll(solo, [1]), 'readIndex')[0]?.requestId;
    const solo = new Solo({ random });
    solo.receive(heartbeat());
    const before = ask(solo) as number;
    solo.member.crash();
    solo.member.start();
    solo.reads.length = 0;
    solo.receive(heartbeat());
    expect(ask(solo)).not.toBe(before);
    const late = { requestId: before, readIndex: 0 };
    solo.receive({ type: 'readIndexReply', from: 2n, to: 1n, term: 1, ...late });
    expect(solo.reads).toEqual([]);
  });

  test.each<[string, (solo: Solo) => void]>([
    ['a new leader shows up', (solo) => solo.receive(appendEntries({ from: 3n, term: 2 }))],
    ['it campaigns', (solo) => solo.run((raft) => raft.campaign())],
    ['no answer comes within an election timeout', (solo) => solo.tick(ELECTION_TICKS)],
  ])('a read is refused, once, when %s', (_, happens) => {
    const solo = follower();
    askAll(solo, [1]);
    happens(solo);
    expect(answers(solo)).toEqual([[1, null]]);
    solo.tick(50);
    expect(answers(solo)).toEqual([[1, null]]);
  });
});
