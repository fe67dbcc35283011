import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { hex } from '../lib/index.ts';
import {
  type Answer,
  type Command,
  decodeAnswer,
  decodeCommand,
  decodeExecuteReply,
  decodeExecuteRequests,
  decodeStatus,
  ERRORS,
  type ErrorCode,
  encodeAnswer,
  encodeCommand,
  encodeExecuteReplies,
  encodeExecuteRequests,
  encodeHello,
  encodeStatus,
  type KeyValue,
  keyRange,
  type Operation,
} from './index.ts';

/*
 * One line for each message: its name and its bytes. Commands stand in logs on disk and answers in
 * snapshots, so these bytes are for ever. UPDATE_GOLDEN=1 adds lines of new messages; a line that
 * changes is a break of the format.
 */
const GOLDEN = fileURLToPath(new URL('./golden/quorate-v1.txt', import.meta.url));

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

const KEY = utf8('key');
const VALUE = utf8('value');
const PREFIX = keyRange(utf8('a'), utf8('b'));
const SESSION = { sessionId: 300, incarnation: 2, seq: 70_000, ackedSeq: 69_999 };
const KV: KeyValue = { key: KEY, value: VALUE, createRevision: 7, modRevision: 300, version: 2 };
const LEADER = { memberId: 0xfedc_ba98_7654_3210n, clientUrls: ['http://10.0.0.1:2379'] };

const PUT = { type: 'put', key: KEY, value: VALUE, prevKv: true } as const;
const APPEND = { type: 'append', key: KEY, value: VALUE } as const;
const DELETE = { type: 'delete', range: PREFIX, prevKv: true } as const;
const RANGE = {
  type: 'range',
  range: PREFIX,
  limit: 10,
  revision: 2 ** 53 - 1,
  keysOnly: true,
  countOnly: true,
} as const;
const RANGE_ORDERED = {
  ...RANGE,
  order: { target: 'modRevision', descending: true },
  bounds: {
    minModRevision: 1,
    maxModRevision: 2,
    minCreateRevision: null,
    maxCreateRevision: 300,
  },
} as const;
const LEASE = 0xfedc_ba98_7654_3210n;
const NESTED = { type: 'txn', compares: [], success: [], failure: [APPEND] } as const;
const TXN = {
  type: 'txn',
  compares: [
    { range: PREFIX, relation: 'equal', operand: { target: 'version', value: 0 } },
    { range: PREFIX, relation: 'notEqual', operand: { target: 'createRevision', value: 1 } },
    { range: PREFIX, relation: 'greater', operand: { target: 'modRevision', value: 2 } },
    { range: PREFIX, relation: 'less', operand: { target: 'value', value: utf8('') } },
  ],
  success: [PUT, DELETE],
  failure: [RANGE, NESTED],
} as const;

const operation = (body: Operation): Command => ({
  type: 'operation',
  session: SESSION,
  operation: body,
});

const COMMANDS: Readonly<Record<string, Command>> = {
  put: operation(PUT),
  putWithoutSession: { type: 'operation', session: null, operation: PUT },
  append: operation(APPEND),
  delete: operation(DELETE),
  txn: operation(TXN),
  putWithLease: operation({ ...PUT, lease: LEASE }),
  putIgnoring: operation({ ...PUT, value: utf8(''), ignoreValue: true, ignoreLease: true }),
  txnOfEtcd: operation({
    type: 'txn',
    compares: [
      { range: PREFIX, relation: 'equal', operand: { target: 'lease', value: LEASE } },
      { range: PREFIX, relation: 'equal', operand: { target: 'lease', value: 0n } },
    ],
    success: [RANGE_ORDERED],
    failure: [],
  }),
  leaseGrant: operation({ type: 'leaseGrant', lease: LEASE, ttlMs: 60_000 }),
  leaseKeepAlive: operation({ type: 'leaseKeepAlive', lease: LEASE }),
  leaseRevoke: operation({ type: 'leaseRevoke', lease: LEASE }),
  skip: operation({ type: 'skip' }),
  compact: operation({ type: 'compact', revision: 301 }),
  openSession: {
    type: 'openSession',
    name: utf8('worker-7'),
    nonce: new Uint8Array(16).fill(9),
    ttlMs: 60_000,
  },
  closeSession: { type: 'closeSession', sessionId: 300, incarnation: 2 },
};

const PUT_RESULT = { type: 'put', revision: 301, prevKv: KV } as const;
const APPEND_RESULT = { type: 'append', revision: 302, valueBytes: 1024 } as const;
const DELETE_RESULT = { type: 'delete', revision: 303, deleted: 1, prevKvs: [KV] } as const;
const RANGE_RESULT = { type: 'range', revision: 304, kvs: [KV], more: true, count: 2 } as const;

const ANSWERS: Readonly<Record<string, Answer>> = {
  put: PUT_RESULT,
  append: APPEND_RESULT,
  delete: DELETE_RESULT,
  range: RANGE_RESULT,
  txn: {
    type: 'txn',
    revision: 305,
    succeeded: true,
    results: [
      PUT_RESULT,
      APPEND_RESULT,
      DELETE_RESULT,
      RANGE_RESULT,
      { type: 'txn', revision: 305, succeeded: false, results: [] },
    ],
  },
  rangeWithLease: { ...RANGE_RESULT, kvs: [{ ...KV, lease: LEASE }] },
  leaseGrant: { type: 'leaseGrant', revision: 307, ttlMs: 60_000 },
  leaseKeepAlive: { type: 'leaseKeepAlive', revision: 307, ttlMs: 60_000 },
  leaseRevoke: { type: 'leaseRevoke', revision: 308, deleted: 2 },
  leaseTimeToLive: {
    type: 'leaseTimeToLive',
    revision: 308,
    remainingMs: 59_999,
    ttlMs: 60_000,
    keys: [KEY, VALUE],
  },
  leases: { type: 'leases', revision: 308, leases: [1n, LEASE] },
  changes: {
    type: 'changes',
    revision: 310,
    events: [
      { type: 'put', kv: KV, prevKv: { ...KV, modRevision: 299, version: 1 } },
      {
        type: 'delete',
        kv: { key: KEY, value: utf8(''), createRevision: 0, modRevision: 309, version: 0 },
        prevKv: null,
      },
    ],
    next: 309,
    skip: 1,
  },
  skip: { type: 'skip' },
  compact: { type: 'compact', revision: 306 },
  openSession: {
    type: 'openSession',
    sessionId: 300,
    incarnation: 3,
    resumed: true,
    lastSeq: 70_000,
    lastAnswer: Uint8Array.of(0x32, 0),
    ttlMs: 60_000,
  },
  closeSession: { type: 'closeSession' },
  resolve: { type: 'resolve', state: 'executed', answer: Uint8Array.of(0x32, 0) },
  resolveNotExecuted: { type: 'resolve', state: 'notExecuted', answer: null },
  resolveAcknowledged: { type: 'resolve', state: 'acknowledged', answer: null },
  compacted: {
    type: 'error',
    code: 'COMPACTED',
    message: 'gone',
    leader: null,
    compactRevision: 300,
  },
  ...Object.fromEntries(
    Object.keys(ERRORS).map((code) => [
      `error.${code}`,
      { type: 'error', code: code as ErrorCode, message: 'why ✓', leader: LEADER } as const,
    ]),
  ),
};

const REQUESTS = [
  { id: 1, body: { type: 'command', command: Uint8Array.of(0x32, 0) } },
  { id: 2, body: { type: 'query', query: { serializable: true, query: RANGE } } },
  {
    id: 3,
    body: {
      type: 'query',
      query: { serializable: false, query: { type: 'resolve', sessionId: 300, seq: 70_000 } },
    },
  },
] as const;
const WITHDRAWALS = [{ id: 300, body: { type: 'withdrawal' } }] as const;
const LEASE_QUERIES = [
  { type: 'leaseTimeToLive', lease: LEASE, keys: true },
  { type: 'leases' },
] as const;
const LEASE_REQUESTS = LEASE_QUERIES.map((query, i) => ({
  id: i + 1,
  body: { type: 'query', query: { serializable: false, query } } as const,
}));
const READ_TXN = { ...TXN, success: [RANGE], failure: [] } as const;
const TXN_REQUESTS = [
  { id: 1, body: { type: 'query', query: { serializable: false, query: READ_TXN } } },
] as const;
const CHANGES = { range: PREFIX, from: 300, skip: 2, prevKv: true, waitMs: 5_000 } as const;
const CHANGES_QUERIES = [
  { type: 'changes', ...CHANGES },
  { type: 'changes', ...CHANGES, from: null, skip: 0, waitMs: 0 },
] as const;
const CHANGES_REQUESTS = CHANGES_QUERIES.map((query, i) => ({
  id: i + 1,
  body: { type: 'query', query: { serializable: false, query } } as const,
}));
const REPLIES = [
  { id: 1, answer: Uint8Array.of(0x32, 0) },
  { id: 300, answer: Uint8Array.of(0x42, 0) },
];
const HELLO = { clusterId: 0x0123_4567_89ab_cdefn, memberId: 2n ** 64n - 1n };
const STATUS = {
  ...HELLO,
  name: 'node-1',
  version: '1.2.3',
  role: 'leader',
  leader: LEADER,
  term: 4,
  commitIndex: 1000,
  appliedIndex: 999,
  revision: 305,
  stateHash: '00ff',
  sessions: 12,
  logBytes: 2 ** 40,
} as const;

function lines(): Map<string, string> {
  const all = new Map<string, string>();
  for (const [name, each] of Object.entries(COMMANDS))
    all.set(`command.${name}`, hex(encodeCommand(each)));
  for (const [name, each] of Object.entries(ANSWERS))
    all.set(`answer.${name}`, hex(encodeAnswer(each)));
  all.set('executeRequest', hex(encodeExecuteRequests(REQUESTS)));
  all.set('executeRequest.leases', hex(encodeExecuteRequests(LEASE_REQUESTS)));
  all.set('executeRequest.changes', hex(encodeExecuteRequests(CHANGES_REQUESTS)));
  all.set('executeRequest.txn', hex(encodeExecuteRequests(TXN_REQUESTS)));
  all.set('executeRequest.withdrawal', hex(encodeExecuteRequests(WITHDRAWALS)));
  all.set('executeReply.replies', hex(encodeExecuteReplies(REPLIES)));
  all.set('executeReply.hello', hex(encodeHello(HELLO)));
  all.set('status', hex(encodeStatus(STATUS)));
  return all;
}

function golden(): Map<string, string> {
  const text = readFileSync(GOLDEN, 'utf8').trim();
  return new Map(text.split('\n').map((line) => line.split(' ') as [string, string]));
}

describe('golden bytes', () => {
  test('every message has the bytes it always had', () => {
    const now = lines();
    if (process.env['UPDATE_GOLDEN'] === '1') {
      const kept = [...now].map(([name, bytes]) => `${name} ${bytes}\n`);
      writeFileSync(GOLDEN, kept.join(''));
    }
    expect(now).toEqual(golden());
  });

  test('the bytes of old say what they always said', () => {
    const old = (name: string): Uint8Array => Buffer.from(golden().get(name) ?? '', 'hex');
    for (const [name, each] of Object.entries(COMMANDS)) {
      expect(decodeCommand(old(`command.${name}`))).toEqual(each);
    }
    for (const [name, each] of Object.entries(ANSWERS)) {
      expect(decodeAnswer(old(`answer.${name}`))).toEqual(each);
    }
    expect(decodeExecuteRequests(old('executeRequest'))).toEqual(REQUESTS);
    expect(decodeExecuteRequests(old('executeRequest.leases'))).toEqual(LEASE_REQUESTS);
    expect(decodeExecuteRequests(old('executeRequest.changes'))).toEqual(CHANGES_REQUESTS);
    expect(decodeExecuteRequests(old('executeRequest.txn'))).toEqual(TXN_REQUESTS);
    expect(decodeExecuteRequests(old('executeRequest.withdrawal'))).toEqual(WITHDRAWALS);
    expect(decodeExecuteReply(old('executeReply.replies'))).toEqual({
      type: 'replies',
      replies: REPLIES,
    });
    expect(decodeExecuteReply(old('executeReply.hello'))).toEqual({ type: 'hello', ...HELLO });
    expect(decodeStatus(old('status'))).toEqual(STATUS);
  });
});
