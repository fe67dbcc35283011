import { once } from 'node:events';
import {
  createServer as createHttpServer,
  get,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { createGrpcServer, type GrpcMethod, unaryMethod } from '../grpc/index.ts';
import { TestClient } from '../grpc/testing/client.ts';
import { ManualClock } from '../grpc/testing/manual-clock.ts';
import { type Clock, type Log, silentLog, systemClock } from '../io/index.ts';
import { type Door, type DoorError, openDoor } from './door.ts';
import type { DoorLimits } from './limits.ts';
import { protocolOf } from './sniff.ts';

const opened: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
});

interface Fixture {
  readonly door: Door;
  readonly port: number;
  readonly warnings: string[];
}

const answerAndHangUp: RequestListener = (request, response) => {
  response.setHeader('connection', 'close');
  response.end(`${request.method} ${request.url}`);
};

async function open(
  { clock = systemClock, ...limits }: Partial<DoorLimits> & { readonly clock?: Clock } = {},
  http: RequestListener = answerAndHangUp,
): Promise<Fixture> {
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (message) => void warnings.push(message) };
  const echo: GrpcMethod = unaryMethod(async (request) => request);
  const grpc = createGrpcServer({ methods: new Map([['/t/Echo', echo]]), log: silentLog });
  const door = await openDoor({
    listen: { host: '127.0.0.1', port: 0 },
    grpc,
    http,
    log,
    limits,
    clock,
  });
  opened.push(
    () => grpc.close(),
    () => door.close(),
  );
  return { door, port: door.address.port, warnings };
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  // Being cut off is what some of these tests expect.
  socket.on('error', () => socket.destroy());
  opened.push(async () => void socket.destroy());
  await once(socket, 'connect');
  return socket;
}

/** All that comes back until the server hangs up. */
async function rest(socket: Socket): Promise<string> {
  let received = '';
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
  });
  await new Promise<void>((resolve) => {
    socket.on('end', () => {
      socket.end();
      resolve();
    });
    socket.on('close', () => resolve());
  });
  return received;
}

async function fetchText(port: number, path: string): Promise<string> {
  const [response] = (await once(get({ port, host: '127.0.0.1', path }), 'response')) as [
    IncomingMessage,
  ];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += chunk;
  return text;
}

async function expectAlive(port: number): Promise<void> {
  const client = new TestClient(port);
  const answer = await client.unary('/t/Echo', Uint8Array.of(1));
  expect(answer.status).toBe(0);
  await client.close();
  expect(await fetchText(port, '/alive')).toBe('GET /alive');
}

describe('the door', () => {
  test('serves gRPC and HTTP/1.1 on the same port', async () => {
    const { port } = await open();
    await expectAlive(port);
  });

  test('loses no byte, however the first ones are cut', async () => {
    const { port } = await open();
    for (const size of [1, 2, 3, 5, 17]) {
      const socket = await dial(port);
      socket.setNoDelay(true);
      const request = Buffer.from('POST /cut HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n');
      for (let at = 0; at < request.length; at += size) {
        socket.write(request.subarray(at, at + size));
        await new Promise((resolve) => setImmediate(resolve));
      }
      expect(await rest(socket)).toContain('POST /cut');
    }
    await expectAlive(port);
  });

  test('waits for the rest of an HTTP/2 preface that comes byte by byte', async () => {
    const { port } = await open();
    const socket = await dial(port);
    socket.setNoDelay(true);
    const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
    for (const byte of preface) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [settings] = (await once(socket, 'data')) as [Buffer];
    expect(settings[3]).toBe(4);
  });

  test('answers a client that sends its request together with its end', async () => {
    const { port } = await open();
    const socket = await dial(port);
    socket.end('GET /half HTTP/1.1\r\nhost: x\r\n\r\n');
    expect(await rest(socket)).toContain('GET /half');
  });

  test('refuses what speaks neither, and TLS, with one line each and few log lines', async () => {
    const { port, warnings } = await open();
    for (const hello of ['SSH-2.0-x\r\n', '\0\0\0', 'get / http/1.1\r\n', '\x16\x03\x01\x02\0']) {
      const socket = await dial(port);
      socket.write(hello, 'latin1');
      expect(await rest(socket)).toMatch(/^HTTP\/1\.1 400 [\s\S]*this port speaks/);
    }
    expect(warnings).toEqual(['a client speaks neither HTTP/1.1 nor HTTP/2']);
    await expectAlive(port);
  });

  test('refuses malformed HTTP/1.1 with 400', async () => {
    const { port } = await open();
    const socket = await dial(port);
    socket.write('GET / HTTP/9.9\r\nbroken\r\n\r\n');
    expect(await rest(socket)).toMatch(/^HTTP\/1\.1 400 /);
    await expectAlive(port);
  });

  test('cuts off who says nothing, or not enough, in time', async () => {
    const { port } = await open({ firstBytesMs: 30 });
    const silent = await dial(port);
    const slow = await dial(port);
    slow.write('GE');
    expect(await Promise.all([rest(silent), rest(slow)])).toEqual(['', '']);
    await expectAlive(port);
  });

  test('cuts off an HTTP/1.1 request that never completes', async () => {
    const { port } = await open({ httpRequestMs: 30 });
    const socket = await dial(port);
    socket.write('GET / HTTP/1.1\r\nhost: x\r\nx-slow: ');
    expect(await rest(socket)).toBe('');
  });

  test('cuts off an HTTP/1.1 request whose body never completes', async () => {
    const { port } = await open({ httpRequestMs: 30 }, () => {});
    const socket = await dial(port);
    socket.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhe');
    expect(await rest(socket)).toBe('');
  });

  test('lets an answer that has begun take its time, also while the request goes on', async () => {
    const clock = new ManualClock();
    const responses: ServerResponse[] = [];
    const { port } = await open({ httpRequestMs: 30, clock }, (request, response) => {
      response.setHeader('connection', 'close');
      response.write('begun;');
      request.resume();
      responses.push(response);
    });
    const whole = await dial(port);
    whole.write('POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n');
    await once(whole, 'data');
    const endless = await dial(port);
    endless.write('POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n');
    await once(endless, 'data');
    clock.pass(1_000_000);
    const answers = [whole, endless].map(rest);
    for (const response of responses) response.end('done');
    for (const answer of await Promise.all(answers)) expect(answer).toContain('done');
  });

  test('serves several requests on a connection, and cuts it when it was idle long', async () => {
    const clock = new ManualClock();
    const http: RequestListener = (request, response) => response.end(`${request.url};`);
    const { port } = await open({ httpRequestMs: 30, httpIdleMs: 100, clock }, http);
    const socket = await dial(port);
    for (const path of ['/1', '/2']) {
      socket.write(`GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`);
      expect(String(await once(socket, 'data'))).toContain(`${path};`);
      clock.pass(99);
    }
    clock.pass(1);
    expect(await rest(socket)).toBe('');
  });

  test('lets go of clients that end or reset before they said who they are', async () => {
    const { port } = await open();
    const ended = await dial(port);
    ended.end('GE');
    expect(await rest(ended)).toBe('');
    const reset = await dial(port);
    reset.write('GE');
    reset.resetAndDestroy();
    await once(reset, 'close');
    await expectAlive(port);
  });

  test('refuses connections beyond its limit and says so', async () => {
    const { port, warnings } = await open({ connectionsMax: 2 });
    await dial(port);
    await dial(port);
    const third = await dial(port);
    expect(await rest(third)).toBe('');
    expect(warnings).toEqual(['too many connections']);
  });

  test('closes: connections that are not gRPC are cut, and the port is free again', async () => {
    const { door, port } = await open();
    const undecided = await dial(port);
    const http = await dial(port);
    http.write('GET / HTTP/1.1\r\n');
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([door.close(), door.close()]);
    await Promise.all([rest(undecided), rest(http)]);
    const again = createHttpServer().listen(port, '127.0.0.1');
    await once(again, 'listening');
    await new Promise((resolve) => again.close(resolve));
  });

  test('that cannot listen says where, why and what to do, in one line', async () => {
    const { port } = await open();
    const second = openDoor({
      listen: { host: '127.0.0.1', port },
      grpc: createGrpcServer({ methods: new Map(), log: silentLog }),
      http: () => {},
      log: silentLog,
    });
    const error = await second.then(
      () => null,
      (reason: DoorError) => reason,
    );
    expect(error?.code).toBe('EADDRINUSE');
    expect(error?.message).toBe(
      `cannot listen for clients on 127.0.0.1:${port}: the address is in use: ` +
        'stop the other process, or choose another port',
    );
  });
});

describe('the first bytes', () => {
  const of = (text: string): string | null => protocolOf(Buffer.from(text, 'latin1'));

  test('tell HTTP/2 by PRI, HTTP/1.1 by a method, TLS by its record', () => {
    expect(of('PRI * HTTP/2.0')).toBe('http2');
    for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS', 'M-SEARCH']) {
      expect(of(`${method} / HTTP/1.1`)).toBe('http1');
    }
    expect(of('\x16\x03\x01')).toBe('tls');
  });

  test('are waited for while they may still become a method, and no longer', () => {
    for (const text of ['', 'P', 'PR', 'PRI', 'GET', 'OPTIO']) expect(of(text)).toBeNull();
    for (const text of ['PRIX ', ' ', 'get ', 'NOSUCH ', 'X'.repeat(100), '\0', 'GET\t']) {
      expect(of(text), text).toBe('unknown');
    }
  });
});
