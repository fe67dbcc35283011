import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { nodeExchange } from '../gateway/index.ts';
import { createHttpHandler } from './http.ts';
import { testStatus } from './testing/service.ts';

let server: Server | null = null;

afterEach(async () => {
  await new Promise((resolve) => server?.close(resolve));
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

async function ask(
  path: string,
  options: {
    method?: string;
    leaderless?: boolean;
    isFull?: boolean;
    metrics?: () => Promise<string>;
  } = {},
): Promise<Answer & { defects: string[] }> {
  const defects: string[] = [];
  const status = options.leaderless ? { ...testStatus(), leader: null } : testStatus();
  const handler = createHttpHandler({
    status: () => status,
    isOutOfSpace: () => options.isFull ?? false,
    version: '1.2.3',
    metrics: options.metrics ?? (async () => 'quorate_up 1\n'),
    onDefect: (error) => defects.push(error.message),
  });
  server = createServer((request, response) => handler(nodeExchange(request, response)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const method = options.method ?? 'GET';
  const sent = request({ port, host: '127.0.0.1', path, method, agent: false });
  sent.end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  let body = '';
  for await (const chunk of response.setEncoding('utf8')) body += chunk;
  return { status: response.statusCode, headers: response.headers, body, defects };
}

describe('HTTP/1.1', () => {
  test('/health is what etcd says while a leader is known', async () => {
    const answer = await ask('/health');
    expect(answer).toMatchObject({ status: 200, body: '{"health":"true","reason":""}\n' });
    expect(answer.headers['content-type']).toBe('application/json');
  });

  test('/health is 503 with the reason while none is known', async () => {
    const body = '{"health":"false","reason":"RAFT NO LEADER"}\n';
    expect(await ask('/health?serializable=false', { leaderless: true })).toMatchObject({
      status: 503,
      body,
    });
  });

  test('/livez is ok as long as the process answers, /readyz only with a leader', async () => {
    expect(await ask('/livez', { leaderless: true })).toMatchObject({ status: 200, body: 'ok\n' });
    await new Promise((resolve) => server?.close(resolve));
    expect(await ask('/readyz')).toMatchObject({ status: 200, body: 'ok\n' });
    await new Promise((resolve) => server?.close(resolve));
    expect(await ask('/readyz', { leaderless: true })).toMatchObject({
      status: 503,
      body: 'no leader\n',
    });
  });

  test('/health of a member alone needs no leader', async () => {
    expect(await ask('/health?serializable=true', { leaderless: true })).toMatchObject({
      status: 200,
    });
  });

  test('/health is 503 when the quota is reached, unless that is not asked for', async () => {
    const body = '{"health":"false","reason":"ALARM NOSPACE"}\n';
    expect(await ask('/health', { isFull: true })).toMatchObject({ status: 503, body });
    await new Promise((resolve) => server?.close(resolve));
    expect(await ask('/health?exclude=NOSPACE', { isFull: true })).toMatchObject({ status: 200 });
  });

  test('/readyz?verbose tells of every check', async () => {
    const done = '[+]data_corruption ok\n[+]serializable_read ok\n';
    expect(await ask('/readyz?verbose')).toMatchObject({
      status: 200,
      body: `${done}[+]linearizable_read ok\nok\n`,
    });
    await new Promise((resolve) => server?.close(resolve));
    expect(await ask('/readyz?verbose', { leaderless: true })).toMatchObject({
      status: 503,
      body: `${done}[-]linearizable_read failed: no leader\nno leader\n`,
    });
  });

  test('/version names the version of etcd that this is like, and the own one', async () => {
    const body = '{"etcdserver":"3.4.23","etcdcluster":"3.4.0","quorate":"1.2.3"}\n';
    expect(await ask('/version')).toMatchObject({ status: 200, body });
  });

  test('/metrics is Prometheus text', async () => {
    const answer = await ask('/metrics');
    expect(answer).toMatchObject({ status: 200, body: 'quorate_up 1\n' });
    expect(answer.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  });

  test('HEAD has the headers and no body', async () => {
    const answer = await ask('/health', { method: 'HEAD' });
    expect(answer).toMatchObject({ status: 200, body: '' });
    expect(answer.headers['content-length']).toBe('30');
  });

  test('an unknown path is 404, another method 405, each with a line of JSON', async () => {
    expect(await ask('/nothing')).toMatchObject({ status: 404, body: '{"error":"not found"}\n' });
    await new Promise((resolve) => server?.close(resolve));
    const post = await ask('/health', { method: 'POST' });
    expect(post).toMatchObject({ status: 405, body: '{"error":"method not allowed"}\n' });
    expect(post.headers.allow).toBe('GET, HEAD');
  });

  test('a page that fails is 500 without the reason, which is reported', async () => {
    const answer = await ask('/metrics', {
      metrics: async () => {
        throw new Error('secret');
      },
    });
    expect(answer).toMatchObject({
      status: 500,
      body: '{"error":"internal error"}\n',
      defects: ['secret'],
    });
  });
});
