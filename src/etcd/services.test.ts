import { afterAll, beforeAll, expect, test } from 'vitest';
import { utf8Bytes } from '../lib/index.ts';
import { type Server, startServer } from '../server/index.ts';
import { Caller } from './testing/caller.ts';
import * as call from './testing/exchanges.ts';

/* One member in this process, asked over gRPC by the client library of others. */

const servers: Server[] = [];
const callers: Caller[] = [];

beforeAll(async () => {
  const single = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
    heartbeatIntervalMs: 50,
    electionTimeoutMs: 250,
  });
  servers.push(single);
  await single.ready;
  callers.push(...servers.map(({ clientUrls }) => new Caller(new URL(clientUrls[0] ?? '').host)));
});

afterAll(async () => {
  for (const caller of callers) caller.close();
  for (const server of servers) await server.close();
});

function caller(): Caller {
  return callers[0] as Caller;
}

async function ok<T>(outcome: Promise<{ ok: boolean; response?: T }>): Promise<T> {
  const settled = await outcome;
  expect(settled).toMatchObject({ ok: true });
  return settled.response as T;
}

const key = (name: string): Uint8Array => utf8Bytes(name);

test('a put answers with the revision that it made, and what was there before', async () => {
  const first = await ok(caller().call(call.PUT, { key: key('put'), value: key('one') }));
  expect(first.prev_kv).toBeNull();
  const second = await ok(caller().call(call.PUT, { key: key('put'), prev_kv: true }));
  expect(second.prev_kv?.value).toEqual(key('one'));
  expect(second.header?.revision).toBe((first.header?.revision ?? 0) + 1);
  const { clusterId, memberId } = servers[0] as Server;
  expect(second.header).toMatchObject({ cluster_id: clusterId, member_id: memberId });
});

test('a range cuts at its limit after sorting, and counts what it left out', async () => {
  for (const name of ['r1', 'r3', 'r2']) await ok(caller().call(call.PUT, { key: key(name) }));
  const range = { key: key('r'), range_end: key('s'), limit: 2 };
  const newest = await ok(caller().call(call.RANGE, { ...range, sort_order: 2, sort_target: 3 }));
  expect(newest.kvs.map((kv) => Buffer.from(kv.key).toString())).toEqual(['r2', 'r3']);
  expect(newest).toMatchObject({ more: true, count: 3 });
  const count = await ok(caller().call(call.RANGE, { ...range, count_only: true }));
  expect(count).toMatchObject({ kvs: [], count: 3 });
});

test('a transaction takes the branch that its compares choose, nested ones among it', async () => {
  await ok(caller().call(call.PUT, { key: key('t'), value: key('x') }));
  const nested = { success: [{ request_delete_range: { key: key('t') } }] };
  const { succeeded, responses } = await ok(
    caller().call(call.TXN, {
      compare: [{ target: 3, result: 0, key: key('t'), value: key('x') }],
      success: [{ request_put: { key: key('t2') } }, { request_txn: nested }],
      failure: [{ request_put: { key: key('never') } }],
    }),
  );
  expect(succeeded).toBe(true);
  expect(responses[0]?.response_put?.prev_kv).toBeNull();
  expect(responses[1]?.response_txn?.responses[0]?.response_delete_range?.deleted).toBe(1);
});

test('numbers below zero in compares hold or fail as they do in etcd', async () => {
  const succeeds = async (result: number): Promise<boolean> => {
    const compare = [{ target: 0, result, key: key('none'), version: -1 }];
    return (await ok(caller().call(call.TXN, { compare }))).succeeded;
  };
  const [equal, greater, less, notEqual] = await Promise.all([0, 1, 2, 3].map(succeeds));
  expect({ equal, greater, less, notEqual }).toEqual({
    equal: false,
    greater: true,
    less: false,
    notEqual: true,
  });
});

test.each([
  [call.PUT, {}, 3, 'key is not provided'],
  [call.PUT, { key: key('k'), value: key('v'), ignore_value: true }, 3, 'value is provided'],
  [call.PUT, { key: key('k'), lease: 1n, ignore_lease: true }, 3, 'lease is provided'],
  [call.PUT, { key: key('gone'), ignore_value: true }, 3, 'key not found'],
  [call.PUT, { key: key('k'), lease: 404n }, 5, 'requested lease not found'],
  [call.RANGE, { key: key('k'), sort_target: 9 }, 3, 'invalid sort option'],
  [
    call.RANGE,
    { key: key('k'), revision: 1e9 },
    11,
    'mvcc: required revision is a future revision',
  ],
  [call.TXN, { success: [{}] }, 3, 'key not found'],
  [call.TXN, manyPuts(129), 3, 'too many operations in txn request'],
  [call.TXN, twice(), 3, 'duplicate key given in txn request'],
  [call.COMPACT, { revision: 1e9 }, 11, 'mvcc: required revision is a future revision'],
  [call.COMPACT, { revision: -1 }, 11, 'mvcc: required revision has been compacted'],
  [call.GRANT, { TTL: 9_000_000_001 }, 11, 'too large lease TTL'],
  [call.REVOKE, { ID: 404n }, 5, 'requested lease not found'],
  [call.MOVE_LEADER, { targetID: 404n }, 9, 'bad leader transferee'],
  [call.AUTHENTICATE, {}, 9, 'authentication is not enabled'],
] as const)(
  'refusals have the codes and texts of etcd (%#)',
  async (exchange, value, code, text) => {
    const outcome = await caller().call(exchange as typeof call.PUT, value as object);
    expect(outcome).toMatchObject({ ok: false, code, text: `etcdserver: ${text}` });
  },
);

function manyPuts(count: number) {
  const success = Array.from({ length: count }, (_, i) => ({ request_put: { key: key(`${i}`) } }));
  return { success };
}

function twice() {
  return { success: [{ request_put: { key: key('d') } }, { request_put: { key: key('d') } }] };
}

test('a refusal by the store says whether the request happened', async () => {
  const outcome = await caller().call(call.PUT, { key: key('k'), lease: 404n });
  expect(outcome).toMatchObject({
    trailers: { 'quorate-code': 'LEASE_NOT_FOUND', 'quorate-outcome': 'notApplied' },
  });
});

test('bytes that are no message are refused, and the member lives on', async () => {
  const broken = { ...call.PUT, request: { encode: () => Uint8Array.of(0x0a, 9) } };
  const outcome = await caller().call(broken as unknown as typeof call.PUT, {});
  expect(outcome).toMatchObject({ ok: false, code: 13 });
  await ok(caller().call(call.PUT, { key: key('alive') }));
});

test('a lease keeps its keys until it is revoked, and then they are gone', async () => {
  const { ID, TTL } = await ok(caller().call(call.GRANT, { TTL: 100 }));
  expect({ isChosen: ID > 0n, TTL }).toEqual({ isChosen: true, TTL: 100 });
  await ok(caller().call(call.PUT, { key: key('leased'), lease: ID }));
  const life = await ok(caller().call(call.TIME_TO_LIVE, { ID, keys: true }));
  expect(life).toMatchObject({ grantedTTL: 100, keys: [key('leased')] });
  expect((await ok(caller().call(call.LEASES, {}))).leases).toContainEqual({ ID });
  await ok(caller().call(call.REVOKE, { ID }));
  expect((await ok(caller().call(call.RANGE, { key: key('leased') }))).count).toBe(0);
  expect((await ok(caller().call(call.TIME_TO_LIVE, { ID }))).TTL).toBe(-1);
});

test('what a lease has left is counted down, also while nothing else happens', async () => {
  const { ID } = await ok(caller().call(call.GRANT, { TTL: 100 }));
  const left = async () => (await ok(caller().call(call.TIME_TO_LIVE, { ID }))).TTL;
  const first = await left();
  await expect.poll(left, { timeout: 5_000 }).toBeLessThan(first);
});

test('a short or negative time to live is raised to two seconds', async () => {
  expect((await ok(caller().call(call.GRANT, { TTL: 1 }))).TTL).toBe(2);
  expect((await ok(caller().call(call.GRANT, { TTL: -5 }))).TTL).toBe(2);
});

test('keep-alives are answered in order, with 0 for a lease that is gone', async () => {
  const { ID } = await ok(caller().call(call.GRANT, { TTL: 50 }));
  const stream = caller().stream(call.KEEP_ALIVE);
  for (const each of [ID, 404n, ID]) stream.send({ ID: each });
  stream.finish();
  const answers = [await stream.next(), await stream.next(), await stream.next()];
  expect(answers.map((answer) => [answer.ID, answer.TTL])).toEqual([
    [ID, 50],
    [404n, 0],
    [ID, 50],
  ]);
  expect(await stream.ended).toMatchObject({ ok: true });
});

test('compaction makes the past unreadable, and `physical` waits until it is removed', async () => {
  for (let i = 0; i < 5; i++) await ok(caller().call(call.PUT, { key: key('c') }));
  const { header } = await ok(caller().call(call.PUT, { key: key('c') }));
  const revision = header?.revision ?? 0;
  await ok(caller().call(call.COMPACT, { revision, physical: true }));
  const past = await caller().call(call.RANGE, { key: key('c'), revision: revision - 1 });
  expect(past).toMatchObject({ code: 11 });
  expect((await ok(caller().call(call.RANGE, { key: key('c'), revision }))).count).toBe(1);
});

test('a watch sees a put through gRPC', async () => {
  const stream = caller().stream(call.WATCH);
  stream.send({ create_request: { key: key('seen') } });
  expect(await stream.next()).toMatchObject({ created: true });
  await ok(caller().call(call.PUT, { key: key('seen'), value: key('v') }));
  const { events } = await stream.next();
  expect(events[0]?.kv?.value).toEqual(key('v'));
  stream.cancel();
});

test('status, members, alarms and health describe the member', async () => {
  const { memberId } = servers[0] as Server;
  const status = await ok(caller().call(call.STATUS, {}));
  expect(status).toMatchObject({ leader: memberId, version: '3.4.23', errors: [] });
  expect(status.raftAppliedIndex).toBeGreaterThan(0);
  const { members, header } = await ok(caller().call(call.MEMBER_LIST, {}));
  expect(members).toMatchObject([{ ID: memberId, name: 'default', isLearner: false }]);
  expect(header?.revision).toBe(0);
  expect((await ok(caller().call(call.ALARM, {}))).alarms).toEqual([]);
  expect(await ok(caller().call(call.HEALTH_CHECK, {}))).toEqual({ status: 1 });
  expect(await caller().call(call.HEALTH_CHECK, { service: 'x' })).toMatchObject({ code: 5 });
});

test('hashes change with what is written, and with nothing else', async () => {
  const hashes = async (): Promise<number[]> => {
    const [all, keys] = [
      await ok(caller().call(call.HASH, {})),
      await ok(caller().call(call.HASH_KV, {})),
    ];
    expect(all.header?.revision).toBe(keys.header?.revision);
    return [all.hash, keys.hash];
  };
  const before = await hashes();
  await ok(caller().call(call.RANGE, { key: key('hashed') }));
  expect(await hashes()).toEqual(before);
  await ok(caller().call(call.GRANT, { ID: 77n, TTL: 100 }));
  const [all, keys] = await hashes();
  expect(all).not.toBe(before[0]);
  expect(keys).toBe(before[1]);
  await ok(caller().call(call.PUT, { key: key('hashed') }));
  expect((await hashes())[1]).not.toBe(keys);
  await ok(caller().call(call.REVOKE, { ID: 77n }));
});
