import { expect, test } from 'vitest';
import { validateCommand, validateOperation, validateQuery } from './index.ts';
import { prefixRange, singleKey } from './key-range.ts';
import { API_LIMITS } from './limits.ts';

const MAX = API_LIMITS.requestBytesMax;
const KEY = new Uint8Array(1);
const TOO_LARGE = { code: 'TOO_LARGE', message: 'request is too large' };

test('key and value together are bounded by the request size, exactly', () => {
  const put = (valueBytes: number) =>
    ({ type: 'put', key: KEY, value: new Uint8Array(valueBytes), prevKv: false }) as const;
  expect(validateOperation(put(MAX - 1))).toBeNull();
  expect(validateOperation(put(MAX))).toEqual(TOO_LARGE);
});

test('a transaction is bounded by the bytes of all its parts together', () => {
  const put = (key: number) =>
    ({
      type: 'put',
      key: Uint8Array.of(key),
      value: new Uint8Array(MAX / 2 - 1),
      prevKv: false,
    }) as const;
  const txn = (...success: ReturnType<typeof put>[]) =>
    ({ type: 'txn', compares: [], success, failure: [] }) as const;
  expect(validateOperation(txn(put(1), put(2)))).toBeNull();
  const compare = {
    range: singleKey(KEY),
    relation: 'equal',
    operand: { target: 'value', value: KEY },
  } as const;
  expect(validateOperation({ ...txn(put(1), put(2)), compares: [compare] })).toEqual(TOO_LARGE);
});

test('transactions nest to their depth and no deeper', () => {
  const nested = (depth: number): Parameters<typeof validateOperation>[0] & { type: 'txn' } => {
    const success = depth === 1 ? [] : [nested(depth - 1)];
    return { type: 'txn', compares: [], success, failure: [] };
  };
  expect(validateOperation(nested(API_LIMITS.txnDepthMax))).toBeNull();
  expect(validateOperation(nested(API_LIMITS.txnDepthMax + 1))).toMatchObject({
    code: 'INVALID_ARGUMENT',
  });
});

test('every key is a range that starts with the empty key; the empty key alone is none', () => {
  const query = (range: ReturnType<typeof singleKey>) =>
    validateQuery({
      serializable: false,
      query: {
        type: 'range',
        range,
        limit: null,
        revision: null,
        keysOnly: false,
        countOnly: false,
      },
    });
  expect(query(prefixRange(new Uint8Array(0)))).toBeNull();
  expect(query(singleKey(KEY))).toBeNull();
  expect(query(singleKey(new Uint8Array(0)))).toMatchObject({ message: 'key is not provided' });
});

test('a key has its longest length, and bounds of a range go one byte beyond it', () => {
  const { keyBytesMax } = API_LIMITS;
  const refusal = { code: 'INVALID_ARGUMENT', message: `key is longer than ${keyBytesMax} bytes` };
  const key = (bytes: number) => new Uint8Array(bytes).fill(1);
  const put = (bytes: number) =>
    ({ type: 'put', key: key(bytes), value: KEY, prevKv: false }) as const;
  const del = (range: ReturnType<typeof singleKey>) =>
    ({ type: 'delete', range, prevKv: false }) as const;
  const compare = (range: ReturnType<typeof singleKey>) => ({
    type: 'txn' as const,
    compares: [{ range, relation: 'equal', operand: { target: 'version', value: 0 } } as const],
    success: [],
    failure: [],
  });
  expect(validateOperation(put(keyBytesMax))).toBeNull();
  expect(validateOperation(put(keyBytesMax + 1))).toEqual(refusal);
  expect(validateOperation({ ...put(keyBytesMax + 1), type: 'append' })).toEqual(refusal);
  for (const operation of [del, compare]) {
    expect(validateOperation(operation(singleKey(key(keyBytesMax))))).toBeNull();
    expect(validateOperation(operation(singleKey(key(keyBytesMax + 1))))).toEqual(refusal);
    const bounds = (from: number, to: number | null) =>
      operation({ from: key(from), to: to === null ? null : key(to) });
    expect(validateOperation(bounds(keyBytesMax + 1, null))).toBeNull();
    expect(validateOperation(bounds(keyBytesMax + 2, null))).toEqual(refusal);
    expect(validateOperation(bounds(1, keyBytesMax + 1))).toBeNull();
    expect(validateOperation(bounds(1, keyBytesMax + 2))).toEqual(refusal);
  }
});

test('names and nonces of sessions have their lengths', () => {
  const open = (nameBytes: number, nonceBytes: number) =>
    validateCommand({
      type: 'openSession',
      name: new Uint8Array(nameBytes),
      nonce: new Uint8Array(nonceBytes),
      ttlMs: 0,
    });
  expect(open(0, 16)).toBeNull();
  expect(open(256, 16)).toBeNull();
  expect(open(257, 16)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(open(0, 15)).toMatchObject({ code: 'INVALID_ARGUMENT' });
  expect(open(0, 17)).toMatchObject({ code: 'INVALID_ARGUMENT' });
});
