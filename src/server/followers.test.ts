import { beforeEach, describe, expect, test } from 'vitest';
import {
  type Answer,
  type ChangesRequest,
  decodeAnswer,
  type ErrorCode,
  encodeAnswer,
  encodeCommand,
  type KeyRange,
  type Operation,
  prefixRange,
  type StateFeed,
  singleKey,
  type Withdraw,
} from '../api/index.ts';
import { FakeClock } from '../client/testing/fake-clock.ts';
import { KvStateMachine } from '../kv/index.ts';
import { memoryStore } from '../store/index.ts';
import { Followers } from './followers.ts';

const WAIT_MS = 1_000;
const FOLLOWERS_MAX = 10_001;

let clock: FakeClock;
let machine: KvStateMachine;
let followers: Followers;
/** What was asked of the history. */
let reads: ChangesRequest[];
/** Reads to be confirmed. */
let confirming: ((refusal: Uint8Array | null) => void)[];
let listeners: (() => void)[];
let index: number;
/** How the last one who follows stops. */
let leave: Withdraw | undefined;

beforeEach(() => {
  clock = new FakeClock();
  machine = new KvStateMachine({ store: memoryStore() });
  reads = [];
  confirming = [];
  listeners = [];
  index = 0;
  const feed: StateFeed = {
    get revision() {
      return machine.revision;
    },
    compactRevision: 0,
    compacting: false,
    changes(request) {
      reads.push(request);
      return machine.changes(request);
    },
    onApplied(listener) {
      listeners.push(listener);
      return () => {};
    },
  };
  const confirm = (done: (refusal: Uint8Array | null) => void) => void confirming.push(done);
  const refusals = {
    stopped: refusal('STOPPING'),
    overloaded: refusal('OVERLOADED'),
    withdrawn: refusal('CANCELLED_NOT_APPLIED'),
  };
  const limits = { followersMax: FOLLOWERS_MAX };
  followers = new Followers({ feed, clock, confirm, refusals, limits });
});

function refusal(code: ErrorCode): Uint8Array {
  return encodeAnswer({ type: 'error', code, message: 'told so', leader: null });
}

function apply(...operations: Operation[]): void {
  const commands = operations.map((operation) =>
    encodeCommand({ type: 'operation', session: null, operation }),
  );
  machine.apply({ index: ++index, term: 1, timeMs: 0, commands, conf: null });
  for (const listener of listeners) listener();
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const put = (key: string): Operation => ({
  type: 'put',
  key: utf8(key),
  value: utf8(''),
  prevKv: false,
});
const one = (key: string): KeyRange => singleKey(utf8(key));
const many = (prefix: string): KeyRange => prefixRange(utf8(prefix));

/** Follows from a revision on; the answers are gathered in the list that is returned. */
function follow(range: KeyRange, from: number): Answer[] {
  const answers: Answer[] = [];
  const query = { type: 'changes', range, from, skip: 0, prevKv: false, waitMs: WAIT_MS } as const;
  leave = followers.follow(query, (answer) => answers.push(decodeAnswer(answer)));
  return answers;
}

/** The keys of the one answer, and where it leaves its reader. */
function told(answers: readonly Answer[]): { keys: string[]; next: number } {
  const [answer] = answers;
  if (answers.length !== 1 || answer?.type !== 'changes') {
    throw new Error(`no page: ${JSON.stringify(answers)}`);
  }
  const keys = answer.events.map(({ kv }) => new TextDecoder().decode(kv.key));
  return { keys, next: answer.next };
}

describe('a follower', () => {
  test('is answered at once with what there is, in the turn of the question', () => {
    apply(put('a'), put('b'));
    expect(told(follow(one('a'), 1))).toEqual({ keys: ['a'], next: 4 });
  });

  test('is answered with the next change of its keys, and not before', async () => {
    const [a, all, b] = [follow(one('a'), 2), follow(many(''), 2), follow(one('b'), 2)];
    apply(put('a'));
    expect([a, all, b].map(({ length }) => length)).toEqual([0, 0, 0]);
    await clock.advance(0);
    expect([told(a), told(all)]).toEqual([
      { keys: ['a'], next: 3 },
      { keys: ['a'], next: 3 },
    ]);
    expect(b).toEqual([]);
    apply(put('b'));
    await clock.advance(0);
    expect(told(b)).toEqual({ keys: ['b'], next: 4 });
    expect(clock.timerCount).toBe(0);
  });

  test('sees nothing below the revision that it asked for', async () => {
    const answers = follow(one('a'), 4);
    for (let i = 0; i < 2; i++) {
      apply(put('a'));
      await clock.advance(0);
    }
    expect(answers).toEqual([]);
    apply(put('a'));
    await clock.advance(0);
    expect(told(answers)).toEqual({ keys: ['a'], next: 5 });
  });

  test('of quiet keys is not overtaken by compaction: it has seen what is gone', async () => {
    const answers = follow(one('quiet'), 2);
    for (let i = 0; i < 5; i++) apply(put('busy'));
    await clock.advance(0);
    apply({ type: 'compact', revision: 6 });
    apply(put('quiet'));
    await clock.advance(0);
    expect(told(answers)).toEqual({ keys: ['quiet'], next: 8 });
  });

  test('is told COMPACTED and the oldest revision when it asks for what is gone', () => {
    for (let i = 0; i < 5; i++) apply(put('a'));
    apply({ type: 'compact', revision: 5 });
    expect(follow(one('a'), 4)).toMatchObject([
      { type: 'error', code: 'COMPACTED', compactRevision: 5 },
    ]);
  });

  test('is told COMPACTED when that happens in the very turn of the changes', async () => {
    const answers = follow(one('a'), 2);
    apply(put('a'), put('a'), put('a'), { type: 'compact', revision: 4 });
    await clock.advance(0);
    expect(answers).toMatchObject([{ type: 'error', code: 'COMPACTED', compactRevision: 4 }]);
  });

  test('of rare keys is told how far a long history was looked through', () => {
    for (let i = 0; i < 30; i++) apply(...Array.from({ length: 100 }, () => put('busy')));
    const { keys, next } = told(follow(one('rare'), 1));
    expect(keys).toEqual([]);
    expect(next).toBeGreaterThan(900);
    expect(next).toBeLessThan(machine.revision);
    expect(reads.length).toBe(1);
  });

  test('that heard nothing is told so after its time, when a quorum has confirmed it', async () => {
    const answers = follow(one('a'), 2);
    apply(put('other'));
    await clock.advance(WAIT_MS - 1);
    expect(confirming.length).toBe(0);
    await clock.advance(1);
    expect([answers.length, confirming.length]).toEqual([0, 1]);
    confirming[0]?.(null);
    expect(told(answers)).toEqual({ keys: [], next: 3 });
  });

  test('gets what was applied while it was confirmed that there is nothing', async () => {
    const answers = follow(one('a'), 2);
    const other = follow(many('a'), 2);
    await clock.advance(WAIT_MS - 1);
    const later = follow(many('a'), 2);
    await clock.advance(1);
    apply(put('a'));
    await clock.advance(0);
    for (const confirm of confirming) confirm(null);
    expect([answers, other, later].map(told)).toEqual(
      Array.from({ length: 3 }, () => ({ keys: ['a'], next: 3 })),
    );
    await clock.advance(WAIT_MS);
    expect(answers.length).toBe(1);
  });

  test('is sent away when no quorum confirms it: this member may be left behind', async () => {
    const answers = follow(one('a'), 2);
    await clock.advance(WAIT_MS);
    confirming[0]?.(refusal('READ_UNCONFIRMED'));
    expect(answers).toMatchObject([{ type: 'error', code: 'READ_UNCONFIRMED' }]);
  });

  test.each([one('a'), many('a')])(
    'that leaves is refused at once, and no quorum is asked for it',
    async (range) => {
      const answers = follow(range, 2);
      leave?.();
      expect(answers).toMatchObject([{ type: 'error', code: 'CANCELLED_NOT_APPLIED' }]);
      leave?.();
      apply(put('a'));
      await clock.advance(WAIT_MS);
      expect([answers.length, confirming.length, clock.timerCount]).toEqual([1, 0, 0]);
    },
  );

  test('that leaves while a quorum is asked has the answer of that', async () => {
    const answers = follow(one('a'), 2);
    await clock.advance(WAIT_MS);
    leave?.();
    expect(answers).toEqual([]);
    confirming[0]?.(null);
    expect(told(answers)).toEqual({ keys: [], next: 2 });
  });

  test('that was told something has nothing to leave', () => {
    apply(put('a'));
    follow(one('a'), 2);
    expect(leave).toBeUndefined();
  });

  test('is refused when the member stops, and so is who comes later', async () => {
    const answers = [follow(one('a'), 2), follow(many('a'), 2)];
    followers.close();
    followers.close();
    answers.push(follow(one('a'), 2));
    expect(answers.map(([first]) => first)).toMatchObject(
      answers.map(() => ({ type: 'error', code: 'STOPPING' })),
    );
    apply(put('a'));
    await clock.advance(WAIT_MS);
    expect([answers.flat().length, clock.timerCount]).toEqual([3, 0]);
  });
});

test('ten thousand followers of other keys cost one read of the history a turn', async () => {
  for (let i = 0; i < 10_000; i++) follow(one(`quiet${i}`), 2);
  const answers = follow(one('busy'), 2);
  reads = [];
  apply(put('busy'), put('other'));
  await clock.advance(0);
  expect(told(answers).keys).toEqual(['busy']);
  expect(reads.length).toBe(2);
});

test('there are only so many followers; more are refused, answers make room', async () => {
  for (let i = 0; i < FOLLOWERS_MAX; i++) follow(one('a'), 2);
  expect(follow(many('a'), 2)).toMatchObject([{ type: 'error', code: 'OVERLOADED' }]);
  apply(put('a'));
  await clock.advance(0);
  expect(follow(one('a'), 3)).toEqual([]);
});
