import { once } from 'node:events';
import { type ClientHttp2Session, type ClientHttp2Stream, connect } from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Server, startServer } from '../server/index.ts';

/* The gateway and the pages over HTTP/2, where browsers, curl and probes are on a TLS port. */

let server: Server;
let session: ClientHttp2Session;

beforeAll(async () => {
  server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
  });
  await server.ready;
  session = connect(server.clientUrls[0] ?? '');
});

afterAll(async () => {
  session.destroy();
  await server.close();
});

const b64 = (text: string): string => Buffer.from(text).toString('base64');

function send(path: string, body: string, method = 'POST'): ClientHttp2Stream {
  const stream = session.request({ ':path': path, ':method': method });
  // Of others it ends the request by itself.
  if (method === 'POST') stream.end(body);
  return stream;
}

async function ask(path: string, body = '', method = 'POST') {
  const stream = send(path, body, method);
  const [headers] = (await once(stream, 'response')) as [Record<string, unknown>];
  let text = '';
  for await (const chunk of stream.setEncoding('utf8')) text += chunk;
  return { status: headers[':status'], headers, text };
}

test('a put is read again', async () => {
  const put = await ask('/v3/kv/put', JSON.stringify({ key: b64('h2'), value: b64('v') }));
  expect([put.status, put.headers['content-type']]).toEqual([200, 'application/json']);
  const range = await ask('/v3/kv/range', JSON.stringify({ key: b64('h2') }));
  expect(JSON.parse(range.text)).toMatchObject({ kvs: [{ value: b64('v') }] });
});

test('a refusal has its status', async () => {
  const refused = await ask('/v3/kv/range', '{}');
  expect([refused.status, JSON.parse(refused.text).code]).toEqual([400, 3]);
  expect((await ask('/v3/kv/nope', '{}')).status).toBe(404);
});

test('a watch streams, and ends with its client', async () => {
  const stream = send('/v3/watch', JSON.stringify({ create_request: { key: b64('w2') } }));
  const messages: unknown[] = [];
  stream.setEncoding('utf8').on('data', (text: string) => messages.push(JSON.parse(text)));
  await once(stream, 'data');
  await ask('/v3/kv/put', JSON.stringify({ key: b64('w2') }));
  while (messages.length < 2) await once(stream, 'data');
  expect(messages).toMatchObject([{ result: { created: true } }, { result: { events: [{}] } }]);
  stream.close();
  expect((await ask('/health', '', 'GET')).status).toBe(200);
});

test('an answer larger than the windows of the client comes whole', async () => {
  const value = 'A'.repeat(400_000);
  await ask('/v3/kv/put', JSON.stringify({ key: b64('large'), value }));
  const { text } = await ask('/v3/kv/range', JSON.stringify({ key: b64('large') }));
  expect(JSON.parse(text)).toMatchObject({ kvs: [{ value }] });
});

test('the pages are there, too', async () => {
  const health = await ask('/health', '', 'GET');
  expect([health.status, health.text]).toEqual([200, '{"health":"true","reason":""}\n']);
  const head = await ask('/version', '', 'HEAD');
  expect([head.status, head.text]).toEqual([200, '']);
  expect((await ask('/metrics', '', 'GET')).text).toContain('etcd_server_has_leader 1');
});
