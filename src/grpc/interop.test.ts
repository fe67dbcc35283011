import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type ClientHttp2Session, connect } from 'node:http2';
import { type AddressInfo, createServer } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { silentLog } from '../io/index.ts';
import { Authority } from '../io/testing/authority.ts';
import { createGrpcServer, GrpcError, type GrpcMethod, type GrpcServer } from './index.ts';
import { unaryMethod } from './method-adapters.ts';
import { message } from './testing/frames.ts';

/* Clients that others wrote, on real sockets: node:http2 and @grpc/grpc-js. */

const METHODS: Record<string, GrpcMethod> = {
  '/t/Echo': unaryMethod(async (bytes) => bytes.slice()),
  '/t/Fail': unaryMethod(async () => {
    const trailers = { 'grpc-status-details-bin': Uint8Array.of(8, 5), 'x-why': 'because' };
    throw new GrpcError('NOT_FOUND', 'no “such” thing', { trailers });
  }),
  '/t/Never': unaryMethod(() => new Promise(() => undefined)),
  '/t/Mirror': {
    type: 'bidi',
    open: (_call, stream) => ({
      onMessage: (bytes) => stream.send(bytes.slice()),
      onEnd: () => stream.end(null),
      onClosed() {},
      onStopping() {},
    }),
  },
  '/t/Count': {
    type: 'serverStream',
    open(bytes, _call, stream) {
      for (let i = 0; i < (bytes[0] ?? 0); i++) stream.send(new Uint8Array(10_000).fill(i));
      stream.end(null);
      return { onClosed() {}, onStopping() {} };
    },
  },
  '/t/Gather': {
    type: 'clientStream',
    open() {
      let bytes = 0;
      return {
        onMessage(part) {
          bytes += part.length;
        },
        respond: async () => Uint8Array.of(bytes & 0xff),
        onClosed() {},
        onStopping() {},
      };
    },
  },
};

let grpc: GrpcServer;
let port = 0;
let stop: () => Promise<void>;

beforeEach(async () => {
  grpc = createGrpcServer({ methods: new Map(Object.entries(METHODS)), log: silentLog });
  const listener = createServer((socket) => grpc.handleSocket(socket)).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  port = (listener.address() as AddressInfo).port;
  stop = async () => {
    await grpc.close();
    await new Promise((resolve) => listener.close(resolve));
  };
});

afterEach(() => stop());

describe('node:http2', () => {
  async function withSession(
    settings: { headerTableSize?: number; initialWindowSize?: number },
    run: (session: ClientHttp2Session) => Promise<void>,
  ): Promise<void> {
    const session = connect(`http://127.0.0.1:${port}`, { settings });
    await run(session);
    session.close();
    await once(session, 'close');
  }

  async function echoed(session: ClientHttp2Session, body: Buffer, more = {}): Promise<void> {
    const stream = session.request({
      ':method': 'POST',
      ':path': '/t/Echo',
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      ...more,
    });
    const trailers = once(stream, 'trailers');
    stream.end(message(body));
    const parts: Buffer[] = [];
    for await (const part of stream) parts.push(part as Buffer);
    expect(Buffer.concat(parts).equals(message(body))).toBe(true);
    const [{ 'grpc-status': status }] = await trailers;
    expect(status).toBe('0');
  }

  test('understands our HPACK, and we its, at every table size and over many calls', async () => {
    for (const headerTableSize of [0, 40, 4096, 65_536]) {
      await withSession({ headerTableSize }, async (session) => {
        for (let i = 0; i < 40; i++) {
          const long = `${'ab'.repeat(i * 5)}%~é`;
          await echoed(session, Buffer.of(i), { [`x-${i % 7}`]: long, 'x-same': 'same' });
        }
      });
    }
  });

  test('gets large answers through small windows, many at once', async () => {
    await withSession({ initialWindowSize: 1000 }, async (session) => {
      const sizes = [0, 1, 999, 16_384, 100_000, 400_000];
      const bodies = sizes.map((size) => Buffer.alloc(size, size & 0xff));
      await Promise.all(bodies.map((body) => echoed(session, body)));
    });
  });

  test('makes a thousand calls at once on a hundred streams', async () => {
    await withSession({}, async (session) => {
      const calls = Array.from({ length: 1000 }, (_, i) => echoed(session, Buffer.alloc(i)));
      await Promise.all(calls);
    });
  });
});

test('TLS carries it as any other stream of bytes', async () => {
  const authority = new Authority();
  const { certFile, keyFile } = authority.issue();
  const ca = readFileSync(authority.caFile);
  const listener = createTlsServer(
    { cert: readFileSync(certFile), key: readFileSync(keyFile), ALPNProtocols: ['h2'] },
    (socket) => grpc.handleSocket(socket),
  ).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const session = connect(`https://127.0.0.1:${(listener.address() as AddressInfo).port}`, { ca });
  const stream = session.request({
    ':method': 'POST',
    ':path': '/t/Echo',
    'content-type': 'application/grpc',
  });
  const body = message(Buffer.alloc(300_000, 5));
  stream.end(body);
  const parts: Buffer[] = [];
  for await (const part of stream) parts.push(part as Buffer);
  expect(Buffer.concat(parts).equals(body)).toBe(true);
  session.close();
  await once(session, 'close');
  await new Promise((resolve) => listener.close(resolve));
  authority.remove();
});

/** What a method is to grpc-js: its path, and bytes as they are. */
function at(name: string): [string, (value: Buffer) => Buffer, (value: Buffer) => Buffer] {
  return [`/t/${name}`, (value) => value, (value) => value];
}

describe('@grpc/grpc-js', () => {
  async function withClient(options: object, run: (client: Client) => Promise<void>) {
    const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), options);
    await run(client);
    client.close();
  }

  function unary(client: Client, name: string, body: Buffer, options = {}) {
    return new Promise<Buffer | ServiceError | undefined>((resolve) => {
      client.makeUnaryRequest(...at(name), body, options, (error, value) =>
        resolve(error ?? value),
      );
    });
  }

  test('makes unary calls, plain and compressed', async () => {
    for (const options of [{}, { 'grpc.default_compression_algorithm': 2 }]) {
      await withClient(options, async (client) => {
        for (const size of [0, 5, 100_000]) {
          const body = Buffer.alloc(size, 7);
          expect(await unary(client, 'Echo', body)).toEqual(body);
        }
      });
    }
  });

  test('reads status, message, details and trailers', async () => {
    await withClient({}, async (client) => {
      const error = (await unary(client, 'Fail', Buffer.of())) as ServiceError;
      expect([error.code, error.details]).toEqual([5, 'no “such” thing']);
      expect(error.metadata.get('grpc-status-details-bin')).toEqual([Buffer.of(8, 5)]);
      expect(error.metadata.get('x-why')).toEqual(['because']);
      expect(await unary(client, 'Nothing', Buffer.of())).toMatchObject({ code: 12 });
    });
  });

  test('has its deadline kept', async () => {
    await withClient({}, async (client) => {
      const options = { deadline: Date.now() + 50 };
      expect(await unary(client, 'Never', Buffer.of(), options)).toMatchObject({ code: 4 });
    });
  });

  test('streams in every direction', async () => {
    await withClient({}, async (client) => {
      const counted: Buffer[] = [];
      for await (const part of client.makeServerStreamRequest(...at('Count'), Buffer.of(100))) {
        counted.push(part);
      }
      expect(counted.map((part) => part[0])).toEqual(Array.from({ length: 100 }, (_, i) => i));

      const gathered = new Promise<Buffer | ServiceError | undefined>((resolve) => {
        const call = client.makeClientStreamRequest(...at('Gather'), (error, value) =>
          resolve(error ?? value),
        );
        for (let i = 0; i < 10; i++) call.write(Buffer.alloc(i));
        call.end();
      });
      expect(await gathered).toEqual(Buffer.of(45));

      const mirror = client.makeBidiStreamRequest(...at('Mirror'));
      for (let i = 0; i < 50; i++) mirror.write(Buffer.alloc(i, i));
      mirror.end();
      const mirrored: number[] = [];
      for await (const part of mirror) mirrored.push(part.length);
      expect(mirrored).toEqual(Array.from({ length: 50 }, (_, i) => i));
    });
  });
});
