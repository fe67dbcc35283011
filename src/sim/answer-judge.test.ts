import { describe, expect, test } from 'vitest';
import { type Answer, encodeCommand, type Operation, singleKey } from '../api/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import { encodeBatch } from '../replica/index.ts';
import { judgeAnswer, judgeDelete, judgeWrite } from './answer-judge.ts';
import { Replay } from './replay.ts';

const RANGE = { limit: null, revision: null, keysOnly: false, countOnly: false } as const;
const FALSE = 'an answer tells what was done';

function put(key: string, value: string): Extract<Operation, { type: 'put' }> {
  return { type: 'put', key: utf8Bytes(key), value: utf8Bytes(value), prevKv: false };
}

function append(key: string, value: string): Extract<Operation, { type: 'append' }> {
  return { type: 'append', key: utf8Bytes(key), value: utf8Bytes(value) };
}

function deleteOf(key: string): Extract<Operation, { type: 'delete' }> {
  return { type: 'delete', range: singleKey(utf8Bytes(key)), prevKv: false };
}

/** What this log makes: a = "1" at 2, "12" at 3, gone at 4; b = "3" at 5. */
function replayed(): Replay {
  const replay = new Replay();
  const operations = [put('a', '1'), append('a', '2'), deleteOf('a'), put('b', '3')];
  for (const [i, operation] of operations.entries()) {
    const command = encodeCommand({ type: 'operation', session: null, operation });
    const data = encodeBatch({ timeMs: 0, commands: [command] }).slice();
    replay.apply({ kind: 'command', index: i + 1, term: 1, data });
  }
  return replay;
}

describe('who wrote', () => {
  test.each([
    ['a put', { key: 'a', value: '1', revision: 2, valueBytes: null }],
    ['an append', { key: 'a', value: '2', revision: 3, valueBytes: 2 }],
  ])('is told of its own revision: %s', (_, { value, ...told }) => {
    judgeWrite(replayed(), 'c1', { ...told, value: utf8Bytes(value) });
  });

  test.each([
    ['another revision', { key: 'a', value: '1', revision: 3, valueBytes: null }],
    ['a revision that is not there', { key: 'a', value: '1', revision: 9, valueBytes: null }],
    ['what became of another key', { key: 'b', value: '1', revision: 2, valueBytes: null }],
    ['what somebody else wrote', { key: 'b', value: '4', revision: 5, valueBytes: null }],
    ['another length', { key: 'a', value: '2', revision: 3, valueBytes: 3 }],
    ['a deletion', { key: 'a', value: '', revision: 4, valueBytes: null }],
  ])('is not told of %s', (_, { value, ...told }) => {
    const judged = (): void => judgeWrite(replayed(), 'c1', { ...told, value: utf8Bytes(value) });
    expect(judged).toThrow(FALSE);
  });

  test('is told of a deletion only where there was one', () => {
    const replay = replayed();
    judgeDelete(replay, 'c1', { key: 'a', revision: 4 });
    expect(() => judgeDelete(replay, 'c1', { key: 'a', revision: 3 })).toThrow(FALSE);
    expect(() => judgeDelete(replay, 'c1', { key: 'b', revision: 4 })).toThrow(FALSE);
  });
});

describe('a client of etcd', () => {
  const putAnswer = (revision: number): Answer => ({ type: 'put', revision, prevKv: null });
  const kv = (key: string, value: string, modRevision: number) => ({
    ...{ key: utf8Bytes(key), value: utf8Bytes(value) },
    ...{ createRevision: 2, modRevision, version: 1 },
  });
  const rangeAnswer = (...kvs: ReturnType<typeof kv>[]): Answer => ({
    ...{ type: 'range', revision: 5, kvs, more: false, count: kvs.length },
  });
  const range = { type: 'range', range: singleKey(utf8Bytes('a')), ...RANGE } as const;
  const txn = (...success: ReturnType<typeof put>[]): Operation => ({
    ...{ type: 'txn', compares: [], success, failure: [] },
  });
  const deleted = (count: number, revision: number): Answer => ({
    ...{ type: 'delete', revision, deleted: count, prevKvs: [] },
  });
  const txnAnswer = (...revisions: number[]): Answer => {
    const results = revisions.map((revision) => ({ type: 'put', revision, prevKv: null }) as const);
    return { type: 'txn', revision: 5, succeeded: true, results };
  };

  test.each([
    ['a put', put('a', '1'), putAnswer(2)],
    ['a delete', deleteOf('a'), deleted(1, 4)],
    ['a delete of nothing', deleteOf('a'), deleted(0, 5)],
    ['a read', range, rangeAnswer(kv('a', '12', 3))],
    ['a read of nothing', range, rangeAnswer()],
    ['a transaction', txn(put('b', '3')), txnAnswer(5)],
  ])('gets the answer to %s', (_, asked, answer) => {
    judgeAnswer(replayed(), 'e1', { asked, answer });
  });

  test.each([
    ['of another kind', put('a', '1'), deleted(1, 4)],
    ['to another put', put('a', '1'), putAnswer(5)],
    ['to another delete', deleteOf('b'), deleted(1, 4)],
    ['about another key', range, rangeAnswer(kv('b', '3', 5))],
    ['about two keys', range, rangeAnswer(kv('a', '12', 3), kv('b', '3', 5))],
    ['with a value that was never there', range, rangeAnswer(kv('a', '2', 3))],
    ['to another transaction', txn(put('a', '1')), txnAnswer(5)],
    ['without the answer to a step', txn(put('b', '3')), txnAnswer()],
  ])('does not get one %s', (_, asked, answer) => {
    expect(() => judgeAnswer(replayed(), 'e1', { asked, answer })).toThrow(FALSE);
  });
});
