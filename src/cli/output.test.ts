import { describe, expect, test } from 'vitest';
import { KvError, type MemberStatus } from '../client/index.ts';
import {
  formatBatch,
  formatKeys,
  formatResolution,
  formatResult,
  type RangeResult,
  type Result,
  statusJson,
  statusLine,
} from './output.ts';

const text = (value: string): Uint8Array => Buffer.from(value);

const ENTRY = {
  key: text('foo'),
  value: text('bar'),
  createRevision: 2,
  modRevision: 5,
  version: 4,
};
const RANGE: RangeResult = { type: 'range', revision: 7, entries: [ENTRY], more: false, count: 1 };
const PUT: Result = { type: 'put', revision: 5, prev: null };
const APPEND: Result = { type: 'append', revision: 6, valueBytes: 14 };
const DELETE: Result = { type: 'delete', revision: 7, deleted: 2, prev: [] };
const TXN: Result = {
  type: 'txn',
  revision: 8,
  succeeded: true,
  results: [PUT, RANGE, DELETE, APPEND],
};
const KV_JSON = { key: 'Zm9v', create_revision: 2, mod_revision: 5, version: 4, value: 'YmFy' };

describe('a result', () => {
  test.each<[Result, string]>([
    [PUT, 'OK\n'],
    [APPEND, '14\n'],
    [DELETE, '2\n'],
    [RANGE, 'foo\nbar\n'],
    [TXN, 'SUCCESS\nOK\nfoo\nbar\n2\n14\n'],
    [{ ...TXN, succeeded: false, results: [] }, 'FAILURE\n'],
  ])('is written for people and pipes: $type', (result, expected) => {
    expect(Buffer.from(formatResult(result, 'simple')).toString()).toBe(expected);
  });

  test.each<[Result, object]>([
    [PUT, { header: { revision: 5 } }],
    [
      { ...PUT, prev: ENTRY },
      { header: { revision: 5 }, prev_kv: KV_JSON },
    ],
    [APPEND, { header: { revision: 6 }, value_bytes: 14 }],
    [DELETE, { header: { revision: 7 }, deleted: 2 }],
    [RANGE, { header: { revision: 7 }, kvs: [KV_JSON], more: false, count: 1 }],
    [
      TXN,
      {
        header: { revision: 8 },
        succeeded: true,
        responses: [
          { response_put: { header: { revision: 5 } } },
          { response_range: { header: { revision: 7 }, kvs: [KV_JSON], more: false, count: 1 } },
          { response_delete_range: { header: { revision: 7 }, deleted: 2 } },
          { response_append: { header: { revision: 6 }, value_bytes: 14 } },
        ],
      },
    ],
  ])('is written as one line of JSON with base64 bytes: $type', (result, expected) => {
    const line = Buffer.from(formatResult(result, 'json')).toString();
    expect(line.endsWith('\n') && line.indexOf('\n') === line.length - 1).toBe(true);
    expect(JSON.parse(line)).toEqual(expected);
  });

  test('keeps bytes that are no text', () => {
    const value = new Uint8Array([0, 0xff, 0x0a]);
    const range: RangeResult = { ...RANGE, entries: [{ ...ENTRY, value }] };
    expect([...formatResult(range, 'simple')]).toEqual([...text('foo\n'), ...value, 0x0a]);
    expect(Buffer.from(formatKeys(range)).toString()).toBe('foo\n');
  });
});

test('what became of a command is its state, and its answer as first printed', () => {
  const simple = (resolution: Parameters<typeof formatResolution>[0]): string =>
    Buffer.from(formatResolution(resolution, 'simple')).toString();
  expect(simple({ state: 'executed', result: APPEND })).toBe('executed\n14\n');
  expect(simple({ state: 'notExecuted' })).toBe('not executed\n');
  expect(simple({ state: 'acknowledged' })).toBe('executed, its answer is no longer kept\n');
  expect(simple({ state: 'skipped' })).toBe('skipped, it will never be executed\n');
  const error = new KvError('TOO_LARGE', 'too large');
  expect(simple({ state: 'refused', error })).toBe('refused, nothing was changed: too large\n');
  const json = formatResolution({ state: 'executed', result: PUT }, 'json');
  expect(JSON.parse(Buffer.from(json).toString())).toEqual({
    state: 'executed',
    result: { header: { revision: 5 } },
  });
});

test('a status has its ids in hexadecimal, and a name cannot break its line', () => {
  const status: MemberStatus = {
    clusterId: 0xffn,
    memberId: 0xdeadbeefcafef00dn,
    name: 'm1\nx',
    version: '0.1.0',
    role: 'leader',
    leader: { memberId: 0xdeadbeefcafef00dn, clientUrls: [] },
    term: 3,
    commitIndex: 9,
    appliedIndex: 8,
    revision: 7,
    stateHash: 'abc',
    sessions: 1,
    logBytes: 100,
  };
  expect(statusLine('127.0.0.1:2379', status)).toBe(
    '127.0.0.1:2379  member=deadbeefcafef00d  name=m1 x  role=leader  leader=deadbeefcafef00d  ' +
      'term=3  applied=8  revision=7  hash=abc  version=0.1.0',
  );
  expect(statusJson({ ...status, leader: null })).toMatchObject({
    cluster_id: '00000000000000ff',
    member_id: 'deadbeefcafef00d',
    leader: null,
    raft_term: 3,
  });
});

describe('what a watch has seen', () => {
  const batch = {
    revision: 9,
    events: [
      { type: 'put', entry: { ...ENTRY, lease: 0xabcn }, prev: null },
      { type: 'delete', key: text('foo'), revision: 9, prev: ENTRY },
    ],
  } as const;

  test('is written as etcdctl does, an empty value after a deletion', () => {
    expect(Buffer.from(formatBatch(batch, 'simple')).toString()).toBe(
      'PUT\nfoo\nbar\nDELETE\nfoo\nbar\nfoo\n\n',
    );
  });

  test('is one line of JSON', () => {
    const line = Buffer.from(formatBatch(batch, 'json')).toString();
    expect(line).toMatch(/^[^\n]+\n$/);
    expect(JSON.parse(line)).toEqual({
      header: { revision: 9 },
      events: [
        { type: 'PUT', kv: { ...KV_JSON, lease: '0000000000000abc' } },
        { type: 'DELETE', kv: { key: 'Zm9v', mod_revision: 9 }, prev_kv: KV_JSON },
      ],
    });
  });
});
