import { describe, expect, test } from 'vitest';
import { prefixRange, type Range, type RangeOrder, type RevisionBounds } from '../api/index.ts';
import { append, del, Harness, put, readable, span, string, text } from './testing/harness.ts';

describe('revisions', () => {
  test('an empty store is at revision 1 and its first write makes 2', () => {
    const kv = new Harness();
    expect(kv.machine.revision).toBe(1);
    expect(kv.put('a', '1')).toMatchObject({ type: 'put', revision: 2 });
    expect(kv.machine.revision).toBe(2);
  });

  test('every command that changes something makes exactly one revision', () => {
    const kv = new Harness();
    kv.put('a', '1');
    kv.run(append('a', '2'));
    kv.put('a', '1');
    expect(kv.machine.revision).toBe(4);
    expect(kv.run(del(prefixRange(text(''))))).toMatchObject({ revision: 5, deleted: 1 });
  });

  test('deleting nothing makes no revision', () => {
    const kv = new Harness();
    kv.put('a', '1');
    expect(kv.run(del('b'))).toMatchObject({ revision: 2, deleted: 0 });
    expect(kv.run(del(span('z', 'a')))).toMatchObject({ revision: 2, deleted: 0 });
    expect(kv.machine.revision).toBe(2);
  });

  test('a delete of many keys is one revision', () => {
    const kv = new Harness();
    for (const key of ['a', 'b', 'c']) kv.put(key, '1');
    expect(kv.run(del(span('a', 'c')))).toMatchObject({ revision: 5, deleted: 2 });
    expect(kv.value('c')).toBe('1');
  });
});

describe('versions', () => {
  test('a create has version 1, each change adds one, the create revision stays', () => {
    const kv = new Harness();
    kv.put('a', '1');
    expect(kv.get('a')).toMatchObject({ version: 1, createRevision: 2, modRevision: 2 });
    kv.put('a', '1');
    kv.run(append('a', '2'));
    expect(kv.get('a')).toMatchObject({ version: 3, createRevision: 2, modRevision: 4 });
  });

  test('a key created again starts with version 1 and a new create revision', () => {
    const kv = new Harness();
    kv.put('a', '1');
    kv.put('a', '2');
    kv.run(del('a'));
    kv.put('a', '3');
    expect(kv.get('a')).toMatchObject({ version: 1, createRevision: 5, modRevision: 5 });
  });
});

describe('put, append, delete', () => {
  test('prevKv answers with what the key held before', () => {
    const kv = new Harness();
    expect(kv.run(put('a', '1', true))).toMatchObject({ prevKv: null });
    expect(readable(kv.run(put('a', '2', true)))).toMatchObject({
      prevKv: { key: 'a', value: '1', version: 1, createRevision: 2, modRevision: 2 },
    });
    kv.put('b', '3');
    expect(readable(kv.run(del(span('a', null), true)))).toMatchObject({
      deleted: 2,
      prevKvs: [
        { key: 'a', value: '2' },
        { key: 'b', value: '3' },
      ],
    });
    expect(kv.run(del('a', true))).toMatchObject({ prevKvs: [] });
  });

  test('an append adds to the end; a missing key acts as an empty one', () => {
    const kv = new Harness();
    expect(kv.run(append('a', 'x'))).toMatchObject({ type: 'append', revision: 2, valueBytes: 1 });
    expect(kv.run(append('a', 'yz'))).toMatchObject({ revision: 3, valueBytes: 3 });
    expect(kv.value('a')).toBe('xyz');
    expect(kv.run(append('a', ''))).toMatchObject({ revision: 4, valueBytes: 3 });
  });

  test('an append beyond the limit of a value is TOO_LARGE and changes nothing', () => {
    const kv = new Harness({ valueBytesMax: 5 });
    kv.run(append('a', '12345'));
    const hash = kv.machine.stateHash();
    expect(kv.run(append('a', '6'))).toMatchObject({ type: 'error', code: 'TOO_LARGE' });
    expect(kv.value('a')).toBe('12345');
    expect(kv.machine.revision).toBe(2);
    expect(kv.machine.stateHash()).toBe(hash);
  });

  test('a delete whose answer would be too large changes nothing', () => {
    const kv = new Harness({ answerBytesMax: 300 });
    for (const key of ['a', 'b', 'c']) kv.put(key, 'v'.repeat(100));
    expect(kv.run(del(span('a', null), true))).toMatchObject({ code: 'TOO_LARGE' });
    expect(kv.machine.revision).toBe(4);
    expect(kv.run(del(span('a', null)))).toMatchObject({ deleted: 3 });
  });
});

describe('range', () => {
  test('gives keys in the order of their bytes', () => {
    const kv = new Harness();
    const keys = ['\xff', 'a', '\x00', 'a\x00', '__proto__', 'Z', '\xc3(', 'a\xff', 'constructor'];
    for (const key of keys) kv.put(key, key);
    const answer = kv.read({ from: text(''), to: null });
    const inOrder = answer.type === 'range' ? answer.kvs.map((each) => string(each.key)) : [];
    expect(inOrder).toEqual([...keys].sort());
    for (const key of keys) expect(kv.value(key)).toBe(key);
  });

  test('counts all keys of the range before the limit, and says when there are more', () => {
    const kv = new Harness();
    for (const key of ['a', 'b', 'c']) kv.put(key, '1');
    const all = { from: text('a'), to: null };
    expect(kv.read(all, { limit: 2 })).toMatchObject({ count: 3, more: true });
    expect(kv.read(all, { limit: 3 })).toMatchObject({ count: 3, more: false });
    expect(kv.read(all, { limit: 1, revision: 3 })).toMatchObject({ count: 2, more: true });
    expect(kv.read(span('b', 'b'))).toMatchObject({ count: 0, more: false, kvs: [] });
  });

  test('keysOnly leaves values out, countOnly everything but the count', () => {
    const kv = new Harness();
    for (const key of ['a', 'b']) kv.put(key, '1');
    for (const revision of [null, 3]) {
      const keys = kv.read(span('a', null), { keysOnly: true, revision });
      expect(readable(keys)).toMatchObject({ kvs: [{ key: 'a', value: '' }, { key: 'b' }] });
      const count = kv.read(span('a', null), { countOnly: true, revision });
      expect(count).toMatchObject({ kvs: [], count: 2, more: false });
    }
    expect(kv.read(span('a', 'a\x00'), { countOnly: true })).toMatchObject({ kvs: [], count: 1 });
  });

  test('orders by any target in either direction, equal ones by key, and cuts afterwards', () => {
    const kv = new Harness();
    kv.put('c', '2'); // created 2
    kv.put('a', '3'); // created 3
    kv.put('b', '1'); // created 4
    kv.put('c', '2'); // modified 5, version 2
    const keys = (order: RangeOrder, more: Partial<Range> = {}): string => {
      const answer = kv.read(span('a', null), { order, ...more });
      if (answer.type !== 'range') throw new Error(JSON.stringify(answer));
      return answer.kvs.map((each) => string(each.key)).join('') + (answer.more ? '…' : '');
    };
    const both = (target: RangeOrder['target']): string[] => [
      keys({ target, descending: false }),
      keys({ target, descending: true }),
    ];
    expect(both('key')).toEqual(['abc', 'cba']);
    expect(both('version')).toEqual(['abc', 'cab']);
    expect(both('createRevision')).toEqual(['cab', 'bac']);
    expect(both('modRevision')).toEqual(['abc', 'cba']);
    expect(both('value')).toEqual(['bca', 'acb']);
    expect(keys({ target: 'value', descending: true }, { limit: 2 })).toBe('ac…');
    expect(keys({ target: 'createRevision', descending: false }, { limit: 3 })).toBe('cab');
    expect(keys({ target: 'key', descending: true }, { revision: 3 })).toBe('ca');
  });

  test('bounds on revisions are inclusive, come before the limit, and are not in the count', () => {
    const kv = new Harness();
    for (const key of ['a', 'b', 'c', 'd']) kv.put(key, key); // created 2 to 5
    kv.put('a', 'again'); // 6
    const none = {
      minModRevision: null,
      maxModRevision: null,
      minCreateRevision: null,
      maxCreateRevision: null,
    };
    const found = (bounds: Partial<RevisionBounds>, more: Partial<Range> = {}): unknown => {
      const answer = kv.read(span('a', null), { bounds: { ...none, ...bounds }, ...more });
      if (answer.type !== 'range') return answer;
      return [answer.kvs.map((each) => string(each.key)).join(''), answer.more, answer.count];
    };
    expect(found({ minModRevision: 4 })).toEqual(['acd', false, 4]);
    expect(found({ maxModRevision: 4 })).toEqual(['bc', false, 4]);
    expect(found({ minCreateRevision: 3, maxCreateRevision: 4 })).toEqual(['bc', false, 4]);
    expect(found({ minModRevision: 4 }, { limit: 2 })).toEqual(['ac', true, 4]);
    expect(found({ minModRevision: 4 }, { limit: 3 })).toEqual(['acd', false, 4]);
    expect(found({ minModRevision: 4 }, { countOnly: true })).toEqual(['', false, 4]);
    expect(found({ maxModRevision: 2 }, { revision: 5 })).toEqual(['a', false, 4]);
    const order = { target: 'createRevision', descending: true } as const;
    expect(found({ maxCreateRevision: 3 }, { order, limit: 1 })).toEqual(['b', true, 4]);
  });

  test('answers with the current revision, also for a read in the past', () => {
    const kv = new Harness();
    kv.put('a', '1');
    kv.put('a', '2');
    expect(kv.read(span('a', null), { revision: 2 })).toMatchObject({ revision: 3 });
  });

  test('reads any revision as it was', () => {
    const kv = new Harness();
    kv.put('a', '1'); // 2
    kv.put('b', '1'); // 3
    kv.put('a', '2'); // 4
    kv.run(del('a')); // 5
    kv.put('a', '3'); // 6
    kv.run(del(span('a', null))); // 7
    const at = (revision: number): unknown => {
      const answer = kv.read(span('\x00', null), { revision });
      if (answer.type !== 'range') return answer;
      return answer.kvs.map((each) => [string(each.key), string(each.value), each.version]);
    };
    expect(at(1)).toEqual([]);
    expect(at(2)).toEqual([['a', '1', 1]]);
    expect(at(3)).toEqual([['a', '1', 1], ['b', '1', 1]]); // biome-ignore format: one line each
    expect(at(4)).toEqual([['a', '2', 2], ['b', '1', 1]]); // biome-ignore format: one line each
    expect(at(5)).toEqual([['b', '1', 1]]);
    expect(at(6)).toEqual([['a', '3', 1], ['b', '1', 1]]); // biome-ignore format: one line each
    expect(at(7)).toEqual([]);
  });

  test('a revision that is not there yet is FUTURE_REVISION', () => {
    const kv = new Harness();
    kv.put('a', '1');
    expect(kv.read(span('a', null), { revision: 2 })).toMatchObject({ type: 'range' });
    expect(kv.read(span('a', null), { revision: 3 })).toMatchObject({
      type: 'error',
      code: 'FUTURE_REVISION',
    });
  });

  test('an answer beyond its limit is TOO_LARGE, a page of it is not', () => {
    const kv = new Harness({ answerBytesMax: 1000 });
    for (let i = 0; i < 10; i++) kv.put(`k${i}`, 'v'.repeat(200));
    expect(kv.read(span('k', null))).toMatchObject({ type: 'error', code: 'TOO_LARGE' });
    expect(kv.read(span('k', null), { limit: 3 })).toMatchObject({ count: 10, more: true });
    expect(kv.read(span('k', null), { countOnly: true })).toMatchObject({ count: 10 });
  });
});

describe('validation at apply', () => {
  test('an empty key is refused: key is not provided', () => {
    const kv = new Harness();
    for (const refused of [put('', 'v'), append('', 'v'), del('')]) {
      expect(kv.run(refused)).toMatchObject({
        code: 'INVALID_ARGUMENT',
        message: 'key is not provided',
      });
    }
    expect(kv.read(span('', '\x00'))).toMatchObject({ message: 'key is not provided' });
    expect(kv.machine.revision).toBe(1);
  });

  test('skip outside a session does nothing', () => {
    const kv = new Harness();
    expect(kv.run({ type: 'skip' })).toEqual({ type: 'skip' });
    expect(kv.machine.revision).toBe(1);
  });
});
