import { describe, expect, test } from 'vitest';
import type { Compare } from '../api/index.ts';
import {
  append,
  compare,
  del,
  Harness,
  put,
  rangeOf,
  readable,
  span,
  text,
  txn,
} from './testing/harness.ts';

function holds(kv: Harness, ...compares: Compare[]): boolean {
  const answer = kv.run(txn(compares, []));
  if (answer.type !== 'txn') throw new Error(JSON.stringify(answer));
  return answer.succeeded;
}

describe('compares', () => {
  test('each target and relation is decided on the key as it is', () => {
    const kv = new Harness();
    kv.put('other', '1');
    kv.put('a', 'm'); // created at 3
    kv.put('a', 'm'); // version 2, modified at 4
    const numbers = { version: 2, createRevision: 3, modRevision: 4 } as const;
    for (const [target, value] of Object.entries(numbers)) {
      const name = target as keyof typeof numbers;
      for (const [operand, expected] of [
        [value - 1, { equal: false, notEqual: true, greater: true, less: false }],
        [value, { equal: true, notEqual: false, greater: false, less: false }],
        [value + 1, { equal: false, notEqual: true, greater: false, less: true }],
      ] as const) {
        for (const [relation, result] of Object.entries(expected)) {
          const one = compare('a', name, relation as Compare['relation'], operand);
          expect(holds(kv, one), `${name} ${relation} ${operand}`).toBe(result);
        }
      }
    }
    expect(holds(kv, compare('a', 'value', 'equal', 'm'))).toBe(true);
    expect(holds(kv, compare('a', 'value', 'greater', 'lz'))).toBe(true);
    expect(holds(kv, compare('a', 'value', 'less', 'm\x00'))).toBe(true);
    expect(holds(kv, compare('a', 'value', 'notEqual', 'm'))).toBe(false);
  });

  test('a missing key compares as all zeros, but its value as false in every relation', () => {
    const kv = new Harness();
    expect(holds(kv, compare('a', 'createRevision', 'equal', 0))).toBe(true);
    expect(holds(kv, compare('a', 'version', 'less', 1))).toBe(true);
    expect(holds(kv, compare('a', 'modRevision', 'greater', 0))).toBe(false);
    for (const relation of ['equal', 'notEqual', 'greater', 'less'] as const) {
      expect(holds(kv, compare('a', 'value', relation, ''))).toBe(false);
    }
  });

  test('a range compares every key in it, an empty one as a missing key', () => {
    const kv = new Harness();
    kv.put('a', '1');
    kv.put('b', '1');
    kv.put('b', '1');
    expect(holds(kv, compare(span('a', null), 'version', 'greater', 0))).toBe(true);
    expect(holds(kv, compare(span('a', null), 'version', 'equal', 1))).toBe(false);
    expect(holds(kv, compare(span('a', 'b'), 'version', 'equal', 1))).toBe(true);
    expect(holds(kv, compare(span('x', null), 'createRevision', 'equal', 0))).toBe(true);
    expect(holds(kv, compare(span('x', null), 'value', 'equal', ''))).toBe(false);
  });

  test('all must hold; none holds always', () => {
    const kv = new Harness();
    const yes = compare('a', 'version', 'equal', 0);
    const no = compare('a', 'version', 'equal', 1);
    expect(holds(kv)).toBe(true);
    expect(holds(kv, yes, yes)).toBe(true);
    expect(holds(kv, yes, no)).toBe(false);
  });
});

describe('execution', () => {
  test('all operations share one revision', () => {
    const kv = new Harness();
    const answer = kv.run(txn([], [put('a', '1'), append('b', '2'), put('c', '3')]));
    expect(answer).toMatchObject({ type: 'txn', revision: 2, succeeded: true });
    for (const key of ['a', 'b', 'c']) expect(kv.get(key)).toMatchObject({ modRevision: 2 });
  });

  test('the history orders the changes of one revision by sub-revision', () => {
    const kv = new Harness();
    kv.run(txn([], [put('z', '1'), put('a', '2'), append('m', '3')]));
    const rows = [...kv.store.range('history', { from: text(''), to: null })];
    const keys = rows.map(({ value }) => String.fromCharCode(value[1] ?? 0));
    expect(rows.map(({ key }) => `${key[7]}.${key[11]}`)).toEqual(['2.0', '2.1', '2.2']);
    expect(keys).toEqual(['z', 'a', 'm']);
  });

  test('a transaction that changes nothing makes no revision', () => {
    const kv = new Harness();
    kv.put('a', '1');
    const answer = kv.run(txn([], [rangeOf('a'), del('b')]));
    expect(answer).toMatchObject({ revision: 2, results: [{ count: 1 }, { deleted: 0 }] });
    expect(kv.machine.revision).toBe(2);
  });

  test('the failure branch runs when a compare fails', () => {
    const kv = new Harness();
    const answer = kv.run(
      txn([compare('a', 'version', 'equal', 1)], [put('a', 'yes')], [put('a', 'no')]),
    );
    expect(answer).toMatchObject({ succeeded: false });
    expect(kv.value('a')).toBe('no');
  });

  test('ranges see the earlier writes of the same transaction, and not the later ones', () => {
    const kv = new Harness();
    kv.put('a', 'old');
    const answer = kv.run(
      txn([], [rangeOf('a'), put('a', 'new'), rangeOf('a'), del('b'), rangeOf(span('a', null))]),
    );
    expect(readable(answer)).toMatchObject({
      revision: 3,
      results: [
        { type: 'range', revision: 2, kvs: [{ value: 'old', modRevision: 2 }] },
        { type: 'put', revision: 3 },
        { type: 'range', revision: 3, kvs: [{ value: 'new', modRevision: 3 }] },
        { type: 'delete', deleted: 0 },
        { type: 'range', count: 1 },
      ],
    });
  });

  test('a range at the revision before the transaction does not see its writes', () => {
    const kv = new Harness();
    kv.put('a', 'old');
    const past = { ...rangeOf('a'), revision: 2 };
    const answer = kv.run(txn([], [put('a', 'new'), past]));
    expect(readable(answer)).toMatchObject({ results: [{}, { kvs: [{ value: 'old' }] }] });
  });

  test('nested compares are decided before any write', () => {
    const kv = new Harness();
    const inner = txn(
      [compare('a', 'version', 'equal', 0)],
      [put('b', 'absent')],
      [put('b', 'there')],
    );
    const answer = kv.run(txn([], [put('a', '1'), inner]));
    expect(kv.value('b')).toBe('absent');
    expect(answer).toMatchObject({
      results: [{ type: 'put' }, { type: 'txn', succeeded: true, results: [{ revision: 2 }] }],
    });
  });

  test('a refused part takes back the parts before it', () => {
    const kv = new Harness({ valueBytesMax: 4 });
    kv.put('full', '1234');
    kv.put('b', '1');
    kv.put('gone', '1');
    kv.run(del('gone'));
    const before = { hash: kv.machine.stateHash(), revision: kv.machine.revision };
    const answer = kv.run(
      txn([], [put('a', '1'), put('gone', '2'), del('b'), put('c', '1'), append('full', '5')]),
    );
    expect(answer).toMatchObject({ type: 'error', code: 'TOO_LARGE' });
    expect(kv.machine.revision).toBe(before.revision);
    expect(kv.machine.stateHash()).toBe(before.hash);
    expect(kv.machine.recomputeStateHash()).toBe(before.hash);
    expect([kv.value('a'), kv.value('b'), kv.value('gone')]).toEqual([null, '1', null]);
    expect(kv.put('next', '1')).toMatchObject({ revision: before.revision + 1 });
  });

  test('a read of the future or too much to read fails the whole transaction', () => {
    const kv = new Harness({ answerBytesMax: 200 });
    kv.put('a', 'v'.repeat(120));
    const hash = kv.machine.stateHash();
    const future = { ...rangeOf('a'), revision: 3 };
    expect(kv.run(txn([], [put('b', '1'), future]))).toMatchObject({ code: 'FUTURE_REVISION' });
    expect(kv.run(txn([], [put('b', '1'), rangeOf('a'), rangeOf('a')]))).toMatchObject({
      code: 'TOO_LARGE',
    });
    expect(kv.machine.stateHash()).toBe(hash);
    expect(kv.value('b')).toBeNull();
  });
});

describe('form', () => {
  test.each([
    ['two puts', [put('a', '1'), put('a', '2')]],
    ['put and append', [put('a', '1'), append('a', '2')]],
    ['put inside a deleted range', [del(span('a', 'c')), put('b', '1')]],
    ['put before a delete of it', [put('b', '1'), del(span('a', 'c'))]],
    ['put here and in a nested one', [txn([], [put('a', '1')]), put('a', '2')]],
    ['nested ones side by side', [txn([], [put('a', '1')]), txn([], [], [del('a')])]],
  ])('%s of one key: duplicate key given in txn request', (_title, success) => {
    const kv = new Harness();
    for (const refused of [txn([], success), txn([], [], success)]) {
      expect(kv.run(refused)).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: 'duplicate key given in txn request',
      });
    }
    expect(kv.machine.revision).toBe(1);
  });

  test.each([
    ['two deletes', txn([], [del('a'), del(span('a', 'c'))])],
    ['both branches', txn([], [put('a', '1')], [put('a', '2')])],
    ['both branches of a nested one', txn([], [txn([], [put('a', '1')], [put('a', '2')])])],
    ['ranges', txn([], [rangeOf('a'), put('a', '1'), rangeOf('a')])],
    ['the end of a deleted range', txn([], [del(span('a', 'b')), put('b', '1')])],
  ])('%s may name one key twice', (_title, allowed) => {
    const kv = new Harness();
    expect(kv.run(allowed)).toMatchObject({ type: 'txn', succeeded: true });
  });

  test('128 operations are allowed and 129 are too many, in each list, nested ones counted', () => {
    const puts = (count: number, prefix: string) =>
      Array.from({ length: count }, (_, i) => put(`${prefix}${i}`, '1'));
    const compares = (count: number) =>
      Array.from({ length: count }, () => compare('x', 'version', 'equal', 0));
    const kv = new Harness();
    const message = { message: 'too many operations in txn request' };
    expect(kv.run(txn(compares(128), puts(128, 'a'), puts(128, 'b')))).toMatchObject({
      type: 'txn',
    });
    expect(kv.run(txn([], puts(129, 'a')))).toMatchObject(message);
    expect(kv.run(txn([], [], puts(129, 'a')))).toMatchObject(message);
    expect(kv.run(txn(compares(129), []))).toMatchObject(message);
    expect(kv.run(txn([], [...puts(100, 'a'), txn([], puts(28, 'b'))]))).toMatchObject(message);
    expect(kv.run(txn([], [...puts(100, 'a'), txn([], puts(27, 'b'))]))).toMatchObject({
      type: 'txn',
    });
  });

  test('an empty key anywhere is refused before anything is written', () => {
    const kv = new Harness();
    for (const bad of [
      put('', '1'),
      append('', '1'),
      del(''),
      rangeOf(''),
      txn([], [put('', '1')]),
    ]) {
      expect(kv.run(txn([], [put('a', '1'), bad]))).toMatchObject({
        message: 'key is not provided',
      });
    }
    expect(kv.run(txn([compare('', 'version', 'equal', 0)], []))).toMatchObject({
      message: 'key is not provided',
    });
    expect(kv.machine.revision).toBe(1);
  });
});
