import { afterAll, beforeAll, expect, test } from 'vitest';
import { utf8Bytes } from '../lib/index.ts';
import { type Server, startServer } from '../server/index.ts';
import type { Draft } from './codec.ts';
import type { RequestOp } from './messages/kv.ts';
import { Caller } from './testing/caller.ts';
import * as call from './testing/exchanges.ts';

let server: Server;
let caller: Caller;

beforeAll(async () => {
  server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
    heartbeatIntervalMs: 50,
    electionTimeoutMs: 250,
  });
  await server.ready;
  caller = new Caller(new URL(server.clientUrls[0] ?? '').host);
});

afterAll(async () => {
  caller.close();
  await server.close();
});

const key = utf8Bytes;

function get(name: string): Draft<RequestOp> {
  return { request_range: { key: key(name) } };
}

function put(name: string, value: string): Draft<RequestOp> {
  return { request_put: { key: key(name), value: key(value) } };
}

/** What a transaction read, as text. */
async function read(success: readonly Draft<RequestOp>[]): Promise<string[]> {
  const outcome = await caller.call(call.TXN, { success });
  if (!outcome.ok) throw new Error(outcome.text);
  return outcome.response.responses.flatMap(({ response_range }) =>
    (response_range?.kvs ?? []).map(({ value }) => Buffer.from(value).toString()),
  );
}

test('a transaction that changes nothing has no entry in the log', async () => {
  await caller.call(call.TXN, { success: [put('here', 'yes')] });
  const { appliedIndex } = server.status();
  expect(await read([get('here'), get('here')])).toEqual(['yes', 'yes']);
  const nested = { request_txn: { compare: [{ key: key('here') }], failure: [get('here')] } };
  const outcome = await caller.call(call.TXN, { success: [nested] });
  expect(outcome).toMatchObject({
    response: { responses: [{ response_txn: { succeeded: false, responses: [{}] } }] },
  });
  expect(server.status().appliedIndex).toBe(appliedIndex);
  await caller.call(call.TXN, { success: [put('here', 'still')] });
  expect(server.status().appliedIndex).toBeGreaterThan(appliedIndex);
});

test('all that it reads is of one revision, however fast that changes', async () => {
  await caller.call(call.TXN, { success: [put('one', '0'), put('other', '0')] });
  let writes = 0;
  const write = async (): Promise<void> => {
    for (let i = 1; i <= 200; i++) {
      await caller.call(call.TXN, { success: [put('one', `${i}`), put('other', `${i}`)] });
      writes++;
    }
  };
  let reads = 0;
  const look = async (): Promise<void> => {
    while (writes < 200) {
      const before = writes;
      const [one, other] = await read([get('one'), get('other')]);
      expect(one).toBe(other);
      expect(Number(one), 'older than what was answered before').toBeGreaterThanOrEqual(before);
      reads++;
    }
  };
  await Promise.all([write(), look(), look()]);
  expect(reads).toBeGreaterThan(20);
});

test('one that is too large, or badly formed, is refused like any other', async () => {
  const value = new Uint8Array(1024 * 1024);
  await caller.call(call.PUT, { key: key('large'), value });
  const refused = await caller.call(call.TXN, { success: Array(9).fill(get('large')) });
  expect(refused).toMatchObject({ ok: false, trailers: { 'quorate-code': 'TOO_LARGE' } });
  const empty = await caller.call(call.TXN, { success: [get('')] });
  expect(empty).toMatchObject({ ok: false, text: 'etcdserver: key is not provided' });
  const future = { request_range: { key: key('k'), revision: 1_000_000 } };
  const ahead = await caller.call(call.TXN, { success: [future] });
  expect(ahead).toMatchObject({ trailers: { 'quorate-code': 'FUTURE_REVISION' } });
});
