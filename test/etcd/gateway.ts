import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Posted, PostStream, post } from '../../src/gateway/testing/post.ts';
import { type Server, startServer } from '../../src/server/index.ts';
import { RealEtcd } from './real-etcd.ts';

/*
 * The same requests in JSON to the gateway of a real etcd and to ours: status and body are equal.
 * Left out of the comparison: ids of cluster and member, the term, what etcd says of a request that
 * cannot be read (only that it says so), and what docs/ETCD.md says is different.
 */

let etcd: RealEtcd;
let server: Server;
/** Where each of the two is. */
let sides: readonly string[];

beforeAll(async () => {
  etcd = await RealEtcd.start();
  server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
  });
  await server.ready;
  sides = [`http://${etcd.address}`, server.clientUrls[0] ?? ''];
});

afterAll(async () => {
  await server.close();
  await etcd.stop();
});

const b64 = (text: string): string => Buffer.from(text).toString('base64');
const [a, b, none] = [b64('a'), b64('b'), ''];
const UNREADABLE = 'cannot be read';

type Step = readonly [path: string, body: unknown, note?: typeof UNREADABLE];

async function both(path: string, body: unknown): Promise<readonly [Posted, Posted]> {
  const [theirs, ours] = await Promise.all(sides.map((side) => post(`${side}${path}`, body)));
  return [theirs as Posted, ours as Posted];
}

/** Without what differs from one cluster to another. */
function comparable(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => !ASIDE.has(name));
  return Object.fromEntries(entries.map(([name, inner]) => [name, comparable(inner)]));
}

const ASIDE = new Set(['cluster_id', 'member_id', 'raft_term']);

async function compare(steps: readonly Step[]): Promise<void> {
  for (const [path, body, note] of steps) {
    const [theirs, ours] = await both(`/v3/${path}`, body);
    const what = `${path} ${JSON.stringify(body)}`;
    const parts = ({ status, headers, body: said }: Posted): unknown => [
      status,
      headers['content-type'],
      note === UNREADABLE ? (said as { code: number }).code : comparable(said),
    ];
    expect(parts(ours), what).toEqual(parts(theirs));
  }
}

test('keys', () =>
  compare([
    ['kv/put', { key: a, value: b64('1') }],
    ['kv/put', { key: a, value: b64('2'), prev_kv: true }],
    ['kv/put', { key: a, ignoreValue: true, prevKv: true }],
    ['kv/put', { key: a, value: none }],
    ['kv/put', { key: b, value: '/+8=' }],
    ['kv/range', { key: a }],
    ['kv/range', { key: a, range_end: b64('c'), sort_order: 'DESCEND', sort_target: 'MOD' }],
    ['kv/range', { key: a, rangeEnd: b64('c'), limit: '1' }],
    ['kv/range', { key: a, rangeEnd: b64('c'), limit: 1, keysOnly: true }],
    ['kv/range', { key: 'AA==', range_end: 'AA==', count_only: true }],
    ['kv/range', { key: a, revision: 2 }],
    ['kv/range', { key: a, revision: '2', serializable: true, sort_order: 1 }],
    ['kv/range', { key: b64('none') }],
    ['kv/range', { key: a, colour: 'red' }],
    ['kv/deleterange', { key: a, prev_kv: true }],
    ['kv/deleterange', { key: a }],
    ['kv/compaction', { revision: '3' }],
    ['kv/compaction', { revision: '3' }],
    ['kv/range', { key: a, revision: '2' }],
  ]));

test('transactions', () =>
  compare([
    [
      'kv/txn',
      {
        compare: [{ key: a, target: 'CREATE', result: 'EQUAL', create_revision: '0' }],
        success: [{ request_put: { key: a, value: b64('t') } }, { requestRange: { key: a } }],
        failure: [{ request_range: { key: a } }],
      },
    ],
    [
      'kv/txn',
      {
        compare: [{ key: a, target: 'VALUE', result: 'NOT_EQUAL', value: b64('t') }],
        failure: [
          { request_delete_range: { key: a, prev_kv: true } },
          { request_txn: { success: [{ request_put: { key: b } }] } },
        ],
      },
    ],
    ['kv/txn', { compare: [{ key: b, target: 'VERSION', result: 'GREATER', version: 1 }] }],
    ['kv/txn', {}],
    ['kv/txn', { success: [{ request_put: { key: a } }, { request_put: { key: a } }] }],
  ]));

test('refusals', () =>
  compare([
    ['kv/range', {}],
    ['kv/range', ''],
    ['kv/put', { key: a, lease: '123' }],
    ['kv/range', { key: a, revision: '999999' }],
    ['kv/range', 'garbage', UNREADABLE],
    ['kv/range', '[]', UNREADABLE],
    ['kv/range', { key: '!!' }, UNREADABLE],
    ['kv/range', { key: a, limit: 'ten' }, UNREADABLE],
    ['kv/range', { key: a, sort_order: 'NOPE' }, UNREADABLE],
    ['kv/range', { key: a, serializable: 'yes' }, UNREADABLE],
    ['kv/txn', { compare: 5 }, UNREADABLE],
    ['maintenance/transfer-leadership', { targetID: '1' }],
    ['auth/authenticate', { name: 'root', password: 'x' }],
    ['election/leader', { name: b64('nobody') }],
  ]));

test('leases', () =>
  compare([
    ['lease/grant', { TTL: '60', ID: '7' }],
    ['lease/grant', { TTL: 60, ID: 7 }],
    ['lease/grant', { TTL: '-5', ID: '9' }],
    ['lease/grant', { TTL: '9000000001' }],
    ['lease/keepalive', { ID: '7' }],
    ['lease/keepalive', '{"ID":"7"}{"ID":"8"}'],
    ['kv/put', { key: b64('leased'), lease: '7' }],
    ['kv/range', { key: b64('leased') }],
    // Of several leases etcd lists any first.
    ['lease/revoke', { ID: '9' }],
    ['lease/leases', {}],
    ['kv/lease/leases', {}],
    ['lease/timetolive', { ID: '404' }],
    ['lease/revoke', { ID: '7' }],
    ['kv/lease/revoke', { ID: '7' }],
    ['kv/range', { key: b64('leased') }],
  ]));

test('the member', () =>
  compare([
    ['maintenance/alarm', {}],
    ['maintenance/alarm', { action: 'GET', alarm: 'NOSPACE' }],
    ['maintenance/defragment', {}],
  ]));

test('what is no request', async () => {
  for (const path of ['/v3/kv/nope', '/v3/']) {
    const [theirs, ours] = await both(path, {});
    expect(ours.status, path).toBe(theirs.status);
  }
  const answers = await Promise.all(
    sides.map((side) => post(`${side}/v3/kv/range`, '', { method: 'GET' })),
  );
  expect(answers.map(({ status }) => status)).toEqual([405, 405]);
});

test('a watch tells the same, message by message', async () => {
  const key = b64('watched');
  const create = { create_request: { key, prev_kv: true } };
  const watches = await Promise.all(
    sides.map((side) => PostStream.open(`${side}/v3/watch`, create)),
  );
  const next = async (): Promise<void> => {
    const [theirs, ours] = await Promise.all(watches.map((watch) => watch.next()));
    expect(comparable(ours)).toEqual(comparable(theirs));
  };
  await next();
  for (const body of [
    { key, value: b64('1') },
    { key, value: b64('2') },
  ]) {
    await both('/v3/kv/put', body);
    await next();
  }
  await both('/v3/kv/deleterange', { key });
  await next();
  for (const watch of watches) watch.cancel();
});

test('a deadline ends what waits, in the same words', async () => {
  const lock = { name: b64('deadline') };
  await both('/v3/lock/lock', lock);
  const headers = { 'grpc-timeout': '200m' };
  const [theirs, ours] = await Promise.all(
    sides.map((side) => post(`${side}/v3/lock/lock`, lock, { headers })),
  );
  expect([ours?.status, ours?.body]).toEqual([theirs?.status, theirs?.body]);
  expect(ours?.status).toBe(504);
});

test('the pages that tools look at', async () => {
  const pages = await Promise.all(
    sides.map(async (side) => ({
      health: await (await fetch(`${side}/health`)).json(),
      version: await (await fetch(`${side}/version`)).json(),
      metrics: namesOf(await (await fetch(`${side}/metrics`)).text()),
    })),
  );
  const [theirs, ours] = pages;
  expect(ours?.health).toMatchObject(theirs?.health as object);
  expect(ours?.version).toMatchObject(theirs?.version as object);
  const etcdNames = [...(ours?.metrics ?? [])].filter((name) => name.startsWith('etcd_'));
  expect(etcdNames.filter((name) => theirs?.metrics.has(name) !== true)).toEqual([]);
  expect(ours?.metrics.has('process_resident_memory_bytes')).toBe(true);
});

/** Names of the metrics of a page. */
function namesOf(text: string): ReadonlySet<string> {
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Set(lines.map((line) => line.split(/[{ ]/)[0] ?? ''));
}
