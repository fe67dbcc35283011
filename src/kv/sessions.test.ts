import { describe, expect, test } from 'vitest';
import { decodeAnswer, encodeAnswer } from '../api/index.ts';
import {
  append,
  closeSession,
  del,
  Harness,
  inSession,
  openSession,
  put,
  span,
  text,
  txn,
} from './testing/harness.ts';

const ERROR = (code: string) => ({ type: 'error', code });

describe('opening', () => {
  test('ids count from 1 and are never given out again', () => {
    const kv = new Harness();
    expect(kv.open('', 1)).toBe(1);
    expect(kv.open('', 2)).toBe(2);
    kv.one(closeSession(2));
    expect(kv.open('', 3)).toBe(3);
    expect(kv.machine.sessions).toBe(2);
  });

  test('a known name resumes its session under a new incarnation, with the last answer', () => {
    const kv = new Harness();
    const id = kv.open('worker', 1);
    const answer = kv.oneBytes(inSession(append('a', 'x'), id, 1));
    expect(kv.one(openSession('worker', 2, 90_000))).toEqual({
      type: 'openSession',
      sessionId: id,
      incarnation: 2,
      resumed: true,
      lastSeq: 1,
      lastAnswer: answer,
      ttlMs: 90_000,
    });
    expect(kv.machine.sessions).toBe(1);
  });

  test('lastAnswer is null when nothing ran or the answer was acknowledged', () => {
    const kv = new Harness();
    const id = kv.open('worker', 1);
    expect(kv.one(openSession('worker', 2))).toMatchObject({ lastSeq: 0, lastAnswer: null });
    kv.one(inSession(put('a', '1'), id, 1, { incarnation: 2 }));
    kv.one(inSession(put('a', '1'), id, 2, { incarnation: 2, ackedSeq: 1 }));
    const resumed = kv.one(openSession('worker', 3));
    expect(resumed).toMatchObject({ lastSeq: 2, incarnation: 3 });
    expect(resumed.type === 'openSession' && resumed.lastAnswer !== null).toBe(true);
  });

  test.each(['', 'worker'])('the same nonce again gets the same answer (name "%s")', (name) => {
    const kv = new Harness();
    const first = kv.oneBytes(openSession(name, 7));
    const hash = kv.machine.stateHash();
    expect(kv.oneBytes(openSession(name, 7))).toEqual(first);
    expect(kv.machine.sessions).toBe(1);
    expect(kv.machine.stateHash()).toBe(hash);
  });

  test('the nonce of a replaced incarnation is fenced, and fences nobody', () => {
    const kv = new Harness();
    const id = kv.open('worker', 1);
    kv.one(openSession('worker', 2));
    expect(kv.one(openSession('worker', 1))).toMatchObject(ERROR('SESSION_FENCED'));
    expect(kv.one(inSession(put('a', '1'), id, 1, { incarnation: 2 }))).toMatchObject({
      type: 'put',
    });
  });

  test('sixteen old nonces are remembered', () => {
    const kv = new Harness();
    for (let nonce = 1; nonce <= 18; nonce++) kv.open('worker', nonce);
    for (let nonce = 2; nonce <= 17; nonce++) {
      expect(kv.one(openSession('worker', nonce))).toMatchObject(ERROR('SESSION_FENCED'));
    }
    expect(kv.one(openSession('worker', 18))).toMatchObject({ incarnation: 18 });
    expect(kv.one(openSession('worker', 1))).toMatchObject({ incarnation: 19 });
  });

  test('a name is bytes, and no name equals a nonce', () => {
    const kv = new Harness();
    expect(kv.open('\xff\x00', 1)).toBe(1);
    expect(kv.open('\x05'.repeat(16), 1)).toBe(2);
    expect(kv.open('', 5)).toBe(3);
    expect(kv.open('\xff\x00', 2)).toBe(1);
  });

  test('the idle life is clamped to its limits', () => {
    const kv = new Harness({ sessionTtlMsMin: 1000, sessionTtlMsMax: 5000 });
    expect(kv.one(openSession('', 1, 0))).toMatchObject({ ttlMs: 1000 });
    expect(kv.one(openSession('', 2, 3000))).toMatchObject({ ttlMs: 3000 });
    expect(kv.one(openSession('', 3, 9000))).toMatchObject({ ttlMs: 5000 });
  });

  test('beyond the number of sessions: SESSIONS_FULL; known ones still resume', () => {
    const kv = new Harness({ sessionsMax: 2 });
    kv.open('a', 1);
    kv.open('', 2);
    expect(kv.one(openSession('', 3))).toMatchObject(ERROR('SESSIONS_FULL'));
    expect(kv.one(openSession('a', 4))).toMatchObject({ resumed: true });
    kv.one(closeSession(2));
    expect(kv.one(openSession('', 3))).toMatchObject({ sessionId: 3 });
  });

  test('a name too long and a nonce of another length are INVALID_ARGUMENT', () => {
    const kv = new Harness();
    const nonce = new Uint8Array(15);
    const odd = { type: 'openSession', name: text(''), nonce, ttlMs: 1 } as const;
    expect(kv.one(odd)).toMatchObject(ERROR('INVALID_ARGUMENT'));
    expect(kv.one(openSession('n'.repeat(257), 1))).toMatchObject(ERROR('INVALID_ARGUMENT'));
    expect(kv.one(openSession('n'.repeat(256), 1))).toMatchObject({ sessionId: 1 });
  });
});

describe('commands', () => {
  test('the next seq executes; the same seq again gets the answer byte for byte', () => {
    const kv = new Harness();
    const id = kv.open();
    const first = kv.oneBytes(inSession(append('a', 'x'), id, 1));
    const second = kv.oneBytes(inSession(append('a', 'y'), id, 2));
    expect(kv.oneBytes(inSession(append('a', 'x'), id, 1))).toEqual(first);
    expect(kv.oneBytes(inSession(append('a', 'y'), id, 2))).toEqual(second);
    expect(kv.value('a')).toBe('xy');
    expect(kv.machine.revision).toBe(3);
  });

  test('what is said again counts by its seq, whatever operation it now carries', () => {
    const kv = new Harness();
    const id = kv.open();
    const first = kv.oneBytes(inSession(append('a', 'x'), id, 1));
    expect(kv.oneBytes(inSession(put('b', 'y'), id, 1))).toEqual(first);
    expect(kv.value('b')).toBeNull();
  });

  test('a command twice in one batch executes once', () => {
    const kv = new Harness();
    const id = kv.open();
    const command = inSession(append('a', 'x'), id, 1);
    const [first, second] = kv.apply(command, command);
    expect(second).toEqual(first);
    expect(kv.value('a')).toBe('x');
  });

  test('a gap is OUT_OF_ORDER, not applied, and names the seq that is expected', () => {
    const kv = new Harness();
    const id = kv.open();
    const answer = kv.one(inSession(put('a', '3'), id, 3));
    expect(answer).toMatchObject({ ...ERROR('OUT_OF_ORDER'), message: 'expected seq 1, got 3' });
    expect(kv.value('a')).toBeNull();
    expect(kv.one(inSession(put('a', '1'), id, 1))).toMatchObject({ type: 'put' });
  });

  test('an acknowledged answer is dropped: SESSION_STALE, never executed again', () => {
    const kv = new Harness();
    const id = kv.open();
    kv.one(inSession(append('a', 'x'), id, 1));
    kv.one(inSession(append('a', 'y'), id, 2, { ackedSeq: 1 }));
    expect(kv.one(inSession(append('a', 'x'), id, 1))).toMatchObject(ERROR('SESSION_STALE'));
    expect(kv.value('a')).toBe('xy');
    expect(kv.store.count('answers', { from: text(''), to: null })).toBe(1);
  });

  test('a repeated command acknowledges too; an older acknowledgement takes nothing back', () => {
    const kv = new Harness();
    const id = kv.open();
    for (const seq of [1, 2, 3]) kv.one(inSession(put('a', '1'), id, seq));
    kv.one(inSession(put('a', '1'), id, 3, { ackedSeq: 2 }));
    expect(kv.one(inSession(put('a', '1'), id, 2))).toMatchObject(ERROR('SESSION_STALE'));
    kv.one(inSession(put('a', '1'), id, 3, { ackedSeq: 1 }));
    expect(kv.one(inSession(put('a', '1'), id, 2))).toMatchObject(ERROR('SESSION_STALE'));
  });

  test('a refused operation uses up its seq, and its refusal is the kept answer', () => {
    const kv = new Harness();
    const id = kv.open();
    const refused = kv.oneBytes(inSession(put('', 'v'), id, 1));
    expect(decodeAnswer(refused)).toMatchObject(ERROR('INVALID_ARGUMENT'));
    expect(kv.oneBytes(inSession(put('good', 'v'), id, 1))).toEqual(refused);
    expect(kv.value('good')).toBeNull();
    expect(kv.one(inSession(put('good', 'v'), id, 2))).toMatchObject({ type: 'put' });
  });

  test('skip uses up its seq and does nothing', () => {
    const kv = new Harness();
    const id = kv.open();
    expect(kv.one(inSession({ type: 'skip' }, id, 1))).toEqual({ type: 'skip' });
    expect(kv.one(inSession(put('a', '1'), id, 1))).toEqual({ type: 'skip' });
    expect(kv.machine.revision).toBe(1);
  });

  test('a transaction in a session runs once, with its reads as they were', () => {
    const kv = new Harness();
    const id = kv.open();
    const command = inSession(txn([], [append('a', 'x'), del('b')]), id, 1);
    const first = kv.oneBytes(command);
    kv.put('b', '1');
    expect(kv.oneBytes(command)).toEqual(first);
    expect([kv.value('a'), kv.value('b')]).toEqual(['x', '1']);
  });

  test('without a session a command executes once per appearance', () => {
    const kv = new Harness();
    kv.run(append('a', 'x'));
    kv.run(append('a', 'x'));
    expect(kv.value('a')).toBe('xx');
  });

  test('a reference no client can mean is INVALID_ARGUMENT and uses up nothing', () => {
    const kv = new Harness();
    const id = kv.open();
    for (const [seq, ackedSeq] of [
      [0, 0],
      [1, 1],
      [1, 9],
    ] as const) {
      const answer = kv.one(inSession(put('a', '1'), id, seq, { ackedSeq }));
      expect(answer).toMatchObject(ERROR('INVALID_ARGUMENT'));
    }
    expect(kv.one(inSession(put('a', '1'), id, 1))).toMatchObject({ type: 'put' });
  });
});

describe('fencing', () => {
  test('an old incarnation is refused for ever: new commands, old ones, and closing', () => {
    const kv = new Harness();
    const id = kv.open('worker', 1);
    kv.one(inSession(put('a', '1'), id, 1));
    kv.one(openSession('worker', 2));
    for (const seq of [1, 2, 3]) {
      expect(kv.one(inSession(put('a', '2'), id, seq))).toMatchObject(ERROR('SESSION_FENCED'));
    }
    expect(kv.one(closeSession(id, 1))).toMatchObject(ERROR('SESSION_FENCED'));
    expect(kv.value('a')).toBe('1');
  });

  test('the new incarnation goes on after the last seq and can ask for old answers', () => {
    const kv = new Harness();
    const id = kv.open('worker', 1);
    const first = kv.oneBytes(inSession(append('a', 'x'), id, 1));
    kv.one(openSession('worker', 2));
    const again = kv.oneBytes(inSession(append('a', 'x'), id, 1, { incarnation: 2 }));
    expect(again).toEqual(first);
    kv.one(inSession(append('a', 'y'), id, 2, { incarnation: 2, ackedSeq: 1 }));
    expect(kv.value('a')).toBe('xy');
  });

  test('an incarnation that was never given out is SESSION_UNKNOWN', () => {
    const kv = new Harness();
    const id = kv.open();
    const answer = kv.one(inSession(put('a', '1'), id, 1, { incarnation: 2 }));
    expect(answer).toMatchObject(ERROR('SESSION_UNKNOWN'));
  });
});

describe('window', () => {
  test('a full window refuses new commands, not repeated ones, until acknowledged', () => {
    const kv = new Harness({ sessionAnswersMax: 3 });
    const id = kv.open();
    for (const seq of [1, 2, 3]) kv.one(inSession(append('a', 'x'), id, seq));
    expect(kv.one(inSession(append('a', 'x'), id, 4))).toMatchObject(ERROR('SESSION_WINDOW_FULL'));
    expect(kv.one(inSession(append('a', 'x'), id, 1))).toMatchObject({ type: 'append' });
    expect(kv.value('a')).toBe('xxx');
    const acknowledging = inSession(append('a', 'x'), id, 4, { ackedSeq: 1 });
    expect(kv.one(acknowledging)).toMatchObject({ type: 'append', valueBytes: 4 });
  });

  test('bytes of answers are bounded as well', () => {
    const kv = new Harness({ sessionAnswerBytesMax: 100 });
    const id = kv.open();
    kv.put('a', 'v'.repeat(120));
    kv.one(inSession(put('a', '1', true), id, 1));
    expect(kv.one(inSession(put('a', '2'), id, 2))).toMatchObject(ERROR('SESSION_WINDOW_FULL'));
    expect(kv.one(inSession(put('a', '2'), id, 2, { ackedSeq: 1 }))).toMatchObject({ type: 'put' });
  });
});

describe('expiry', () => {
  test('a session idle for its ttl of log time is over, one millisecond less and it is not', () => {
    const kv = new Harness();
    const id = kv.open('', 1, 10_000);
    kv.timeMs += 9_999;
    expect(kv.one(inSession(put('a', '1'), id, 1))).toMatchObject({ type: 'put' });
    kv.timeMs += 10_000;
    expect(kv.one(inSession(put('a', '2'), id, 2))).toMatchObject(ERROR('SESSION_EXPIRED'));
    expect(kv.value('a')).toBe('1');
    expect(kv.machine.sessions).toBe(0);
  });

  test('executed and answered commands and reopening keep it alive, refused ones do not', () => {
    const kv = new Harness();
    const id = kv.open('s', 1, 10_000);
    kv.one(inSession(put('a', '1'), id, 1));
    for (let i = 0; i < 3; i++) {
      kv.timeMs += 9_000;
      expect(kv.one(inSession(put('a', '1'), id, 1))).toMatchObject({ type: 'put' });
    }
    kv.timeMs += 9_000;
    expect(kv.one(openSession('s', 1, 10_000))).toMatchObject({ sessionId: id });
    kv.timeMs += 9_000;
    expect(kv.one(inSession(put('a', '1'), id, 9))).toMatchObject(ERROR('OUT_OF_ORDER'));
    kv.timeMs += 1_000;
    expect(kv.one(inSession(put('a', '1'), id, 2))).toMatchObject(ERROR('SESSION_EXPIRED'));
  });

  test('nothing of an expired session stays in any table', () => {
    const kv = new Harness();
    const id = kv.open('s', 1, 10_000);
    kv.one(inSession(put('a', '1'), id, 1));
    kv.timeMs += 10_000;
    kv.apply();
    for (const table of ['sessions', 'names', 'answers']) {
      expect(kv.store.count(table, { from: text(''), to: null })).toBe(0);
    }
  });

  test('the name of an expired session opens a new one, with a new id', () => {
    const kv = new Harness();
    kv.open('s', 1, 10_000);
    kv.timeMs += 10_000;
    expect(kv.one(openSession('s', 2))).toMatchObject({ sessionId: 2, incarnation: 1, lastSeq: 0 });
  });

  test('a resumed session with a shorter ttl ends by that', () => {
    const kv = new Harness();
    kv.open('s', 1, 1_000_000);
    kv.open('s', 2, 2_000);
    kv.timeMs += 2_000;
    kv.apply();
    expect(kv.machine.sessions).toBe(0);
  });

  test('log time that runs back does not bring anything back', () => {
    const kv = new Harness();
    const id = kv.open('', 1, 10_000);
    kv.timeMs += 10_000;
    kv.apply();
    kv.timeMs -= 10_000;
    expect(kv.one(inSession(put('a', '1'), id, 1))).toMatchObject(ERROR('SESSION_EXPIRED'));
    expect(kv.machine.logTimeMs).toBe(kv.timeMs + 10_000);
  });

  test('many that end at once are refused at once and swept a part at a time, oldest first', () => {
    const kv = new Harness({ expiryRowsPerBatchMax: 4 });
    for (let nonce = 1; nonce <= 6; nonce++) kv.open('', nonce, 10_000);
    kv.open('named', 7, 10_000);
    kv.timeMs += 10_000;
    expect(kv.one(inSession(put('a', '1'), 6, 1))).toMatchObject(ERROR('SESSION_EXPIRED'));
    expect(kv.machine.sessions).toBe(5);
    expect(kv.resolve(6, 1)).toMatchObject(ERROR('SESSION_EXPIRED'));
    expect(kv.one(openSession('named', 8))).toMatchObject({ sessionId: 8, incarnation: 1 });
    expect(kv.machine.sessions).toBe(3);
    kv.apply();
    kv.apply();
    expect(kv.machine.sessions).toBe(1);
    expect(kv.machine.recomputeStateHash()).toBe(kv.machine.stateHash());
  });

  test('an id below the counter is SESSION_EXPIRED, one above it SESSION_UNKNOWN', () => {
    const kv = new Harness();
    const id = kv.open();
    kv.one(closeSession(id));
    expect(kv.one(inSession(put('a', '1'), id, 1))).toMatchObject(ERROR('SESSION_EXPIRED'));
    expect(kv.one(closeSession(id))).toMatchObject(ERROR('SESSION_EXPIRED'));
    for (const unknown of [0, id + 1]) {
      const answer = kv.one(inSession(put('a', '1'), unknown, 1));
      expect(answer).toMatchObject(ERROR('SESSION_UNKNOWN'));
      expect(kv.one(closeSession(unknown))).toMatchObject(ERROR('SESSION_UNKNOWN'));
      expect(kv.resolve(unknown, 1)).toMatchObject(ERROR('SESSION_UNKNOWN'));
    }
  });

  test('sessions opened and closed leave nothing behind, in the heap of deadlines neither', () => {
    const kv = new Harness();
    const empty = kv.machine.recomputeStateHash();
    for (let nonce = 1; nonce <= 5_000; nonce++) kv.one(closeSession(kv.open('', nonce)));
    expect(kv.machine.sessions).toBe(0);
    expect([...kv.store.range('sessions', span('', null))]).toEqual([]);
    expect(kv.machine.recomputeStateHash()).not.toBe(empty);
  });
});

describe('resolve', () => {
  test('tells what became of a command: its answer, not executed, or acknowledged', () => {
    const kv = new Harness();
    const id = kv.open();
    const first = kv.oneBytes(inSession(append('a', 'x'), id, 1));
    expect(kv.resolve(id, 1)).toEqual({ type: 'resolve', state: 'executed', answer: first });
    expect(kv.resolve(id, 2)).toEqual({ type: 'resolve', state: 'notExecuted', answer: null });
    kv.one(inSession(append('a', 'y'), id, 2, { ackedSeq: 1 }));
    expect(kv.resolve(id, 1)).toEqual({ type: 'resolve', state: 'acknowledged', answer: null });
    expect(kv.resolve(id, 0)).toMatchObject(ERROR('INVALID_ARGUMENT'));
  });

  test('changes nothing', () => {
    const kv = new Harness();
    const id = kv.open('', 1, 10_000);
    kv.timeMs += 9_000;
    const hash = kv.machine.stateHash();
    kv.resolve(id, 1);
    expect(kv.machine.stateHash()).toBe(hash);
    kv.timeMs += 1_000;
    kv.apply();
    expect(kv.resolve(id, 1)).toMatchObject(ERROR('SESSION_EXPIRED'));
  });
});

test('the kept answer is what encodeAnswer gives for the result, no more', () => {
  const kv = new Harness();
  const id = kv.open();
  const bytes = kv.oneBytes(inSession(put('a', '1'), id, 1));
  expect(bytes).toEqual(encodeAnswer({ type: 'put', revision: 2, prevKv: null }));
});
