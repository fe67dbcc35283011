import { Agent } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Server, startServer } from '../server/index.ts';
import { type Posted, type PostOptions, PostStream, post } from './testing/post.ts';

/* One member in this process, asked in JSON over HTTP/1.1. */

let server: Server;

beforeAll(async () => {
  server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
  });
  await server.ready;
});

afterAll(() => server.close());

const b64 = (text: string): string => Buffer.from(text).toString('base64');

function ask(path: string, body?: unknown, options?: PostOptions): Promise<Posted> {
  return post(`${server.clientUrls[0]}/v3/${path}`, body, options);
}

function stream(path: string, body: unknown, isWhole = true): Promise<PostStream> {
  return PostStream.open(`${server.clientUrls[0]}/v3/${path}`, body, isWhole);
}

describe('keys', () => {
  test('are put, read and deleted; integers are strings, and defaults are left out', async () => {
    const put = await ask('kv/put', { key: b64('k'), value: b64('v') });
    const { memberId, clusterId } = server;
    expect(put.status).toBe(200);
    expect(put.headers['content-type']).toBe('application/json');
    expect(put.body).toEqual({
      header: {
        cluster_id: `${clusterId}`,
        member_id: `${memberId}`,
        revision: '2',
        raft_term: `${server.status().term}`,
      },
    });
    const range = await ask('kv/range', { key: b64('k') });
    expect(range.body).toMatchObject({
      kvs: [
        { key: b64('k'), create_revision: '2', mod_revision: '2', version: '1', value: b64('v') },
      ],
      count: '1',
    });
    const deleted = await ask('kv/deleterange', { key: b64('k'), prev_kv: true });
    expect(deleted.body).toMatchObject({ deleted: '1', prev_kvs: [{ value: b64('v') }] });
    expect(await ask('kv/deleterange', { key: b64('k') })).not.toHaveProperty('body.deleted');
  });

  test('are changed together in a transaction, in either spelling', async () => {
    const txn = {
      compare: [{ key: b64('t'), target: 'CREATE', result: 'EQUAL', createRevision: '0' }],
      success: [{ requestPut: { key: b64('t'), value: b64('1') } }],
      failure: [{ request_range: { key: b64('t') } }],
    };
    expect((await ask('kv/txn', txn)).body).toMatchObject({
      succeeded: true,
      responses: [{ response_put: { header: {} } }],
    });
    const { body } = await ask('kv/txn', txn);
    expect(body).not.toHaveProperty('succeeded');
    expect(body).toMatchObject({ responses: [{ response_range: { count: '1' } }] });
  });

  test('of the whole store are counted by the zero byte', async () => {
    const { body } = await ask('kv/range', { key: 'AA==', range_end: 'AA==', count_only: true });
    expect(body).not.toHaveProperty('kvs');
    expect(body).toHaveProperty('count');
  });
});

describe('a refusal', () => {
  test('has the words and code of gRPC, the status of HTTP, and tells its outcome', async () => {
    const refused = await ask('kv/put', { key: b64('k'), lease: '99' });
    expect([refused.status, refused.body]).toEqual([
      404,
      {
        error: 'etcdserver: requested lease not found',
        message: 'etcdserver: requested lease not found',
        code: 5,
      },
    ]);
    expect(refused.headers).toMatchObject({
      'quorate-code': 'LEASE_NOT_FOUND',
      'quorate-outcome': 'notApplied',
    });
  });

  test.each([
    ['of no key', 'kv/range', {}, 400, 3],
    ['of no body', 'kv/range', '', 400, 3],
    ['of what is no JSON', 'kv/range', 'garbage', 400, 3],
    ['of half an object', 'kv/range', '{"key":"', 400, 3],
    ['of an enum that does not exist', 'kv/range', { key: 'AA==', sort_order: 'NO' }, 400, 3],
    ['of a revision to come', 'kv/range', { key: 'AA==', revision: '999999' }, 400, 11],
    ['of a lease that is there', 'lease/grant', { ID: '5', TTL: 60 }, 412, 9],
    ['of a password', 'auth/authenticate', { name: 'root' }, 412, 9],
    ['of what is not made yet', 'auth/user/add', { name: 'root' }, 501, 12],
    ['of a request that is too large', 'kv/put', `{"key":"${'A'.repeat(4_000_000)}`, 400, 3],
  ])('%s', async (_what, path, body, status, code) => {
    await ask('lease/grant', { ID: '5', TTL: 60 });
    const refused = await ask(path, body);
    expect([refused.status, (refused.body as { code: number }).code]).toEqual([status, code]);
  });

  test('of an unknown path is 404, of another method 405', async () => {
    expect(await ask('kv/nope')).toMatchObject({ status: 404, body: 'Not Found\n' });
    const get = await ask('kv/range', '', { method: 'GET' });
    expect([get.status, get.headers.allow]).toEqual([405, 'POST']);
  });

  test('meets a page of another site in a browser, and not one of ours', async () => {
    const from = (origin: string) => ask('kv/range', { key: 'AA==' }, { headers: { origin } });
    for (const origin of ['http://evil.example', 'null']) {
      expect((await from(origin)).status).toBe(403);
    }
    expect((await from(server.clientUrls[0] ?? '')).status).toBe(200);
  });
});

test('a connection serves one request after the other', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  for (let i = 1; i <= 3; i++) {
    const { body, headers } = await ask('kv/put', { key: b64('alive') }, { agent });
    expect(body).toHaveProperty('header.revision');
    expect(headers.connection).toBe('keep-alive');
  }
  const sockets = Object.values(agent.freeSockets).flat();
  expect(sockets).toHaveLength(1);
  agent.destroy();
});

test('requests without a content type, or with that of a form, are taken', async () => {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  expect((await ask('kv/range', { key: 'AA==' }, { headers })).status).toBe(200);
});

describe('leases', () => {
  test('are granted, listed, asked for and revoked, by either path', async () => {
    const granted = await ask('lease/grant', { TTL: 60, ID: '-7' });
    expect(granted.body).toMatchObject({ ID: '-7', TTL: '60' });
    const listed = await ask('kv/lease/leases');
    expect(listed.body).toHaveProperty('leases');
    const left = (await ask('kv/lease/timetolive', { ID: '-7' })).body;
    expect(left).toMatchObject({ ID: '-7', grantedTTL: '60' });
    expect((await ask('kv/lease/revoke', { ID: '-7' })).status).toBe(200);
    expect((await ask('lease/timetolive', { ID: '-7' })).body).toMatchObject({ TTL: '-1' });
  });

  test('are kept alive one after the other; the stream ends with the requests', async () => {
    await ask('lease/grant', { TTL: 60, ID: '8' });
    const { status, body } = await ask('lease/keepalive', '{"ID":"8"}\n{"ID":"404"}');
    expect(status).toBe(200);
    expect(body).toMatchObject([{ result: { ID: '8', TTL: '60' } }, { result: { ID: '404' } }]);
    expect((body as { result: object }[])[1]?.result).not.toHaveProperty('TTL');
  });
});

describe('a watch', () => {
  test('tells of changes, each in a chunk, and goes on when the request is complete', async () => {
    const watch = await stream('watch', { create_request: { key: b64('w'), prev_kv: true } });
    expect(await watch.next()).toMatchObject({ result: { created: true } });
    await ask('kv/put', { key: b64('w'), value: b64('1') });
    await ask('kv/deleterange', { key: b64('w') });
    expect(await watch.next()).toMatchObject({
      result: { events: [{ kv: { key: b64('w'), value: b64('1'), version: '1' } }] },
    });
    expect(await watch.next()).toMatchObject({
      result: { events: [{ type: 'DELETE', prev_kv: { value: b64('1') } }] },
    });
    watch.cancel();
  });

  test('takes more requests while it goes on', async () => {
    const watch = await stream('watch', { create_request: { key: b64('w'), watch_id: 1 } }, false);
    expect(await watch.next()).toMatchObject({ result: { created: true, watch_id: '1' } });
    watch.send({ cancel_request: { watch_id: '1' } });
    expect(await watch.next()).toMatchObject({ result: { canceled: true } });
    watch.send({ create_request: { key: '!' } });
    expect(await watch.next()).toEqual({
      error: {
        grpc_code: 3,
        http_code: 400,
        message: 'WatchCreateRequest.key is not base64',
        http_status: 'Bad Request',
      },
    });
    expect(await watch.next()).toBeNull();
  });

  test('whose client leaves is forgotten', async () => {
    const watch = await stream('watch', { create_request: { key: b64('gone') } });
    await watch.next();
    watch.cancel();
    expect(await watch.next()).toBeNull();
    expect((await ask('kv/put', { key: b64('gone') })).status).toBe(200);
  });
});

test('the cluster and its members are told of', async () => {
  const { body } = await ask('cluster/member/list');
  expect(body).toMatchObject({ members: [{ ID: `${server.memberId}`, name: 'default' }] });
  expect((await ask('maintenance/status')).body).toMatchObject({ leader: `${server.memberId}` });
  expect((await ask('maintenance/alarm')).body).toEqual({});
  const { hash } = (await ask('maintenance/hash')).body as { hash: unknown };
  expect(typeof hash).toBe('number');
});

test('a lock is held until it is let go', async () => {
  const held = (await ask('lock/lock', { name: b64('lock') })).body as { key: string };
  const other = ask('lock/lock', { name: b64('lock') });
  await ask('lock/unlock', { key: held.key });
  expect((await other).body).toHaveProperty('key');
});

test('an election has a leader that can be observed', async () => {
  await ask('lease/grant', { TTL: 60, ID: '77' });
  const won = await ask('election/campaign', { name: b64('e'), value: b64('me'), lease: '77' });
  const { leader } = won.body as { leader: object };
  expect(leader).toMatchObject({ name: b64('e'), lease: '77' });
  const observed = await stream('election/observe', { name: b64('e') });
  expect(await observed.next()).toMatchObject({ result: { kv: { value: b64('me') } } });
  await ask('election/proclaim', { leader, value: b64('still me') });
  expect(await observed.next()).toMatchObject({ result: { kv: { value: b64('still me') } } });
  observed.cancel();
  expect((await ask('election/leader', { name: b64('e') })).status).toBe(200);
  await ask('election/resign', { leader });
  expect((await ask('election/leader', { name: b64('e') })).body).toMatchObject({ code: 2 });
});

describe('a deadline', () => {
  const within = (timeout: string) => ({ headers: { 'grpc-timeout': timeout } });

  test('ends a call that waits, with 504, and the waiting', async () => {
    const held = (await ask('lock/lock', { name: b64('slow') })).body as { key: string };
    const late = await ask('lock/lock', { name: b64('slow') }, within('50m'));
    expect([late.status, late.body]).toEqual([
      504,
      { error: 'context deadline exceeded', message: 'context deadline exceeded', code: 4 },
    ]);
    // Who gave up has left the queue.
    const queued = { key: b64('slow/'), range_end: b64('slow0'), count_only: true };
    await expect
      .poll(async () => (await ask('kv/range', queued)).body)
      .toMatchObject({ count: '1' });
    await ask('lock/unlock', { key: held.key });
  });

  test('ends a stream with an error behind what was said', async () => {
    const headers = { 'grpc-timeout': '100m' };
    const watch = await ask('watch', { create_request: { key: b64('w') } }, { headers });
    expect(watch.body).toMatchObject([
      { result: { created: true } },
      { error: { grpc_code: 4, http_code: 504, message: 'context deadline exceeded' } },
    ]);
  });

  test('that is far away changes nothing, and one that is none is refused', async () => {
    expect((await ask('kv/range', { key: b64('k') }, within('1H'))).status).toBe(200);
    expect((await ask('kv/range', { key: b64('k') }, within('soon'))).status).toBe(400);
  });
});

test('a session is closed by a header', async () => {
  const opened = await ask('maintenance/status', {}, { headers: { 'quorate-session-open': 'x' } });
  const token = `${opened.headers['quorate-session']}`;
  const closed = await ask(
    'maintenance/status',
    {},
    { headers: { 'quorate-session-close': token } },
  );
  expect([closed.status, closed.headers['quorate-session-close']]).toEqual([200, token]);
  const headers = { 'quorate-session': token, 'quorate-seq': '1' };
  const late = await ask('kv/put', { key: b64('late') }, { headers });
  expect(late.headers['quorate-code']).toBe('SESSION_EXPIRED');
});

test('writes of a session are executed once, by headers', async () => {
  const opened = await ask(
    'maintenance/status',
    {},
    { headers: { 'quorate-session-open': 'json' } },
  );
  const session = opened.headers['quorate-session'];
  const put = (prefix: string) =>
    ask(
      'kv/put',
      { key: b64('once') },
      { headers: { [`${prefix}quorate-session`]: `${session}`, [`${prefix}quorate-seq`]: '1' } },
    );
  const [first, again] = [await put(''), await put('grpc-metadata-')];
  expect(first.headers['quorate-seq']).toBe('1');
  expect(again).toMatchObject({ status: 200, body: first.body });
  const { body } = await ask('kv/range', { key: b64('once') });
  expect(body).toMatchObject({ kvs: [{ version: '1' }] });
});
