import { once } from 'node:events';
import { constants } from 'node:http2';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { silentLog } from '../io/index.ts';
import { type Deferred, deferred } from '../lib/index.ts';
import {
  createGrpcServer,
  GRPC_STATUS,
  type GrpcCall,
  GrpcError,
  type GrpcLimits,
  type GrpcMethod,
  type GrpcServer,
  type GrpcStream,
} from './index.ts';
import { messagePrefix } from './message-reader.ts';
import { unaryMethod } from './method-adapters.ts';
import { TestClient } from './testing/client.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** What a test opened; closed after it in reverse. */
const opened: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
});

interface Fixture {
  readonly grpc: GrpcServer;
  readonly port: number;
  readonly sockets: Set<Socket>;
  readonly defects: Error[];
  client(settings?: { initialWindowSize?: number }): TestClient;
}

async function serve(
  methods: Readonly<Record<string, GrpcMethod>>,
  limits: Partial<GrpcLimits> = {},
): Promise<Fixture> {
  const defects: Error[] = [];
  const sockets = new Set<Socket>();
  const grpc = createGrpcServer({
    methods: new Map(Object.entries(methods)),
    log: silentLog,
    limits: { closeMs: 200, ...limits },
    onDefect: (error) => defects.push(error),
  });
  const listener: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    grpc.handleSocket(socket);
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as AddressInfo;
  opened.push(async () => {
    await grpc.close();
    await new Promise((resolve) => listener.close(resolve));
    expect(sockets.size).toBe(0);
  });
  return {
    grpc,
    port,
    sockets,
    defects,
    client(settings) {
      const client = new TestClient(port, settings);
      opened.push(() => client.close());
      return client;
    },
  };
}

const echo: GrpcMethod = unaryMethod(async (request) => request);

/** Methods that fail in the two ways there are. */
function failing(error: Error): Record<string, GrpcMethod> {
  const fail = (): never => {
    throw error;
  };
  return {
    '/t/Reject': unaryMethod(async () => fail()),
    '/t/Throw': unaryMethod(fail),
  };
}

/** Sends every message back; ends when the client does. */
const mirror: GrpcMethod = {
  type: 'bidi',
  open: (_call, stream) => ({
    onMessage: (message) => stream.send(message.slice()),
    onEnd: () => stream.end(null),
    onClosed() {},
    onStopping: () => stream.end(new GrpcError('UNAVAILABLE', 'stopping')),
  }),
};

/** A bidirectional method whose stream and events the test holds. */
function held(): { method: GrpcMethod; stream: Promise<GrpcStream>; closed: Promise<string[]> } {
  const stream: Deferred<GrpcStream> = deferred();
  const closed: Deferred<string[]> = deferred();
  const events: string[] = [];
  const method: GrpcMethod = {
    type: 'bidi',
    open(_call, own) {
      stream.resolve(own);
      return {
        onMessage: () => void events.push('message'),
        onEnd: () => void events.push('end'),
        onClosed() {
          events.push('closed');
          closed.resolve(events);
        },
        onStopping: () => void events.push('stopping'),
      };
    },
  };
  return { method, stream: stream.promise, closed: closed.promise };
}

/** The server still answers: what came before did not hurt it. */
async function expectAlive(fixture: Fixture): Promise<void> {
  const answer = await fixture.client().unary('/t/Echo', bytesOf('alive'));
  expect(answer.status).toBe(GRPC_STATUS.OK);
  expect(answer.messages.map(textOf)).toEqual(['alive']);
}

describe('a unary call', () => {
  test('answers with one message, status OK and the headers that gRPC asks for', async () => {
    const { client } = await serve({ '/t/Echo': echo });
    const answer = await client().unary('/t/Echo', bytesOf('hello'));
    expect(answer).toMatchObject({ httpStatus: 200, status: 0, rstCode: 0 });
    expect(answer.headers['content-type']).toBe('application/grpc');
    expect(answer.messages.map(textOf)).toEqual(['hello']);
  });

  test('carries messages of any size up to the limit', async () => {
    const { client } = await serve({ '/t/Echo': echo }, { messageBytesMax: 3_000_000 });
    const c = client();
    for (const size of [0, 1, 16_384, 70_000, 3_000_000]) {
      const answer = await c.unary('/t/Echo', new Uint8Array(size).fill(7));
      expect(answer.status).toBe(0);
      expect(answer.messages[0]).toHaveLength(size);
    }
    const tooLong = await c.unary('/t/Echo', new Uint8Array(3_000_001));
    expect(tooLong.status).toBe(GRPC_STATUS.RESOURCE_EXHAUSTED);
  });

  test('ends with the status, message and trailers of a GrpcError', async () => {
    const error = new GrpcError('FAILED_PRECONDITION', 'nö', { trailers: { 'x-more': 'this' } });
    const { client, defects } = await serve(failing(error));
    for (const path of ['/t/Reject', '/t/Throw']) {
      const answer = await client().unary(path, bytesOf(''));
      expect(answer).toMatchObject({ status: 9, grpcMessage: 'nö', messages: [] });
      expect(answer.trailers['x-more']).toBe('this');
    }
    expect(defects).toEqual([]);
  });

  test('hides any other failure behind INTERNAL and reports it as a defect', async () => {
    const { client, defects } = await serve(failing(new TypeError('secret')));
    for (const path of ['/t/Reject', '/t/Throw']) {
      const answer = await client().unary(path, bytesOf(''));
      expect(answer).toMatchObject({ status: 13, grpcMessage: 'internal error' });
    }
    expect(defects.map((error) => error.message)).toEqual(['secret', 'secret']);
  });

  test('needs exactly one request', async () => {
    const { client } = await serve({ '/t/Echo': echo });
    const none = client().open('/t/Echo');
    none.stream.end();
    expect((await none.finished).status).toBe(GRPC_STATUS.UNIMPLEMENTED);
    const two = client().open('/t/Echo');
    two.send(bytesOf('a'));
    two.send(bytesOf('b'));
    two.stream.end();
    expect((await two.finished).status).toBe(GRPC_STATUS.UNIMPLEMENTED);
  });

  test('has one response, whatever a method gives to it afterwards', async () => {
    const talkative: GrpcMethod = {
      type: 'unary',
      handle(request, _call, reply) {
        reply.answer(request);
        reply.answer(bytesOf('again'));
        reply.fail(new GrpcError('ABORTED', 'never mind'));
      },
    };
    const { client } = await serve({ '/t/Talkative': talkative });
    const answer = await client().unary('/t/Talkative', bytesOf('once'));
    expect(answer.messages.map(textOf)).toEqual(['once']);
    expect(answer.status).toBe(GRPC_STATUS.OK);
  });

  test('tells the method path, metadata and timeout', async () => {
    const calls: (string | number | null)[][] = [];
    const spy: GrpcMethod = unaryMethod(async (request, call) => {
      calls.push([call.path, call.metadata('x-a'), call.metadata('x-b'), call.timeoutMs]);
      return request;
    });
    const { client } = await serve({ '/t/Spy': spy });
    await client().unary('/t/Spy', bytesOf(''), { 'x-a': '1', 'grpc-timeout': '5S' });
    expect(calls).toEqual([['/t/Spy', '1', null, 5000]]);
  });

  test('is DEADLINE_EXCEEDED when its timeout passes, and the method is aborted', async () => {
    const aborted = deferred<string>();
    const slow: GrpcMethod = unaryMethod(
      (request, call: GrpcCall) =>
        new Promise((resolve) => {
          call.signal.addEventListener('abort', () => {
            aborted.resolve('aborted');
            resolve(request);
          });
        }),
    );
    const { client } = await serve({ '/t/Slow': slow });
    const answer = await client().unary('/t/Slow', bytesOf('x'), { 'grpc-timeout': '20m' });
    expect(answer).toMatchObject({ status: GRPC_STATUS.DEADLINE_EXCEEDED, messages: [] });
    expect(await aborted.promise).toBe('aborted');
  });

  test('that is reset before its end never reaches the method', async () => {
    const requests: string[] = [];
    const spy: GrpcMethod = unaryMethod(async (request) => {
      requests.push(textOf(request));
      return request;
    });
    const { client } = await serve({ '/t/Spy': spy });
    const c = client();
    const call = c.open('/t/Spy');
    call.send(bytesOf('half'));
    await new Promise((resolve) => c.session.ping(resolve));
    call.stream.close(constants.NGHTTP2_CANCEL);
    await call.finished;
    await c.unary('/t/Spy', bytesOf('whole'));
    expect(requests).toEqual(['whole']);
  });

  test('that the client cancels aborts the signal, and the late answer goes nowhere', async () => {
    const begun = deferred<void>();
    const late = deferred<Uint8Array>();
    const slow: GrpcMethod = unaryMethod((_request, call) => {
      call.signal.addEventListener('abort', () => late.resolve(bytesOf('late')));
      begun.resolve();
      return late.promise;
    });
    const fixture = await serve({ '/t/Slow': slow, '/t/Echo': echo });
    const call = fixture.client().open('/t/Slow');
    call.send(bytesOf('x'));
    call.stream.end();
    await begun.promise;
    call.stream.close(constants.NGHTTP2_CANCEL);
    await late.promise;
    await expectAlive(fixture);
    expect(fixture.defects).toEqual([]);
  });
});

describe('a request that is no call', () => {
  test('to an unknown method is UNIMPLEMENTED, as trailers only', async () => {
    const { client } = await serve({ '/t/Echo': echo });
    const answer = await client().unary('/t/Nothing', bytesOf(''));
    expect(answer).toMatchObject({ httpStatus: 200, status: 12, grpcMessage: 'unknown method' });
    expect(answer.headers['grpc-status']).toBe('12');
  });

  test('of another content type is HTTP 415, of another HTTP method 405', async () => {
    const { client } = await serve({ '/t/Echo': echo });
    const json = { 'content-type': 'application/json' };
    expect((await client().unary('/t/Echo', bytesOf('{}'), json)).httpStatus).toBe(415);
    const get = client().open('/t/Echo', { ':method': 'GET' });
    expect((await get.finished).httpStatus).toBe(405);
  });

  test('with a malformed timeout is INVALID_ARGUMENT', async () => {
    const { client } = await serve({ '/t/Echo': echo });
    const answer = await client().unary('/t/Echo', bytesOf(''), { 'grpc-timeout': 'soon' });
    expect(answer.status).toBe(GRPC_STATUS.INVALID_ARGUMENT);
  });

  test('that ends inside a message is INTERNAL', async () => {
    const { client } = await serve({ '/t/Echo': echo });
    const call = client().open('/t/Echo');
    call.stream.end(Buffer.from([0, 0, 0, 0, 9, 1]));
    expect((await call.finished).status).toBe(GRPC_STATUS.INTERNAL);
  });

  test('with more headers than allowed is refused and hurts nobody else', async () => {
    const fixture = await serve({ '/t/Echo': echo }, { headerPairsMax: 16, headerBytesMax: 4096 });
    const many = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`x-${i}`, 'v']));
    expect((await fixture.client().unary('/t/Echo', bytesOf(''), many)).rstCode).not.toBe(0);
    const long = { 'x-long': 'v'.repeat(5000) };
    const client = fixture.client();
    expect((await client.unary('/t/Echo', bytesOf(''))).status).toBe(0);
    expect((await client.unary('/t/Echo', bytesOf(''), long)).rstCode).not.toBe(0);
    await expectAlive(fixture);
  });
});

describe('a bidirectional stream', () => {
  test('carries messages both ways, merged and split at will, and ends with OK', async () => {
    const { client } = await serve({ '/t/Mirror': mirror });
    const call = client().open('/t/Mirror');
    const texts = Array.from({ length: 50 }, (_, i) => 'm'.repeat(i));
    const frames = texts.flatMap((text) => [messagePrefix(text.length), bytesOf(text)]);
    const bytes = Buffer.concat(frames);
    for (let at = 0; at < bytes.length; at += 13) call.stream.write(bytes.subarray(at, at + 13));
    call.stream.end();
    const answer = await call.finished;
    expect(answer.messages.map(textOf)).toEqual(texts);
    expect(answer.status).toBe(0);
  });

  test('sends of one turn leave as one DATA frame', async () => {
    const { method, stream } = held();
    const { client } = await serve({ '/t/Held': method });
    const call = client().open('/t/Held');
    const chunks: number[] = [];
    call.stream.on('data', (chunk: Uint8Array) => chunks.push(chunk.length));
    const own = await stream;
    for (let i = 0; i < 10; i++) own.send(bytesOf('abc'));
    await call.received(10);
    expect(chunks).toEqual([80]);
  });

  test('that the server ends is over for a client that never ends its own side', async () => {
    const { method, stream, closed } = held();
    const { client } = await serve({ '/t/Held': method }, { lingerMs: 20 });
    const call = client().open('/t/Held');
    const own = await stream;
    own.send(bytesOf('one'));
    own.end(new GrpcError('ABORTED', 'enough'));
    own.end(null);
    own.send(bytesOf('ignored'));
    const answer = await call.finished;
    expect(answer).toMatchObject({
      status: GRPC_STATUS.ABORTED,
      grpcMessage: 'enough',
      rstCode: 0,
    });
    expect(answer.messages.map(textOf)).toEqual(['one']);
    expect(await closed).toEqual(['closed']);
  });

  test('may be ended before anything was sent: trailers only', async () => {
    const { method, stream } = held();
    const { client } = await serve({ '/t/Held': method }, { lingerMs: 20 });
    const call = client().open('/t/Held');
    (await stream).end(new GrpcError('UNAVAILABLE', 'not now'));
    expect(await call.finished).toMatchObject({ httpStatus: 200, status: 14 });
  });

  test('tells its handlers of the end, and once that it is closed', async () => {
    const { method, stream, closed } = held();
    const { client } = await serve({ '/t/Held': method });
    const call = client().open('/t/Held');
    call.send(bytesOf('a'));
    call.stream.end();
    const own = await stream;
    own.send(bytesOf('b'));
    await call.received(1);
    call.stream.close(constants.NGHTTP2_CANCEL);
    expect(await closed).toEqual(['message', 'end', 'closed']);
  });

  test('whose handler throws ends with INTERNAL, reported; the connection lives on', async () => {
    const broken: GrpcMethod = {
      type: 'bidi',
      open: () => ({
        onMessage() {
          throw new Error('bug');
        },
        onEnd() {},
        onClosed() {
          throw new Error('bug in onClosed');
        },
        onStopping() {},
      }),
    };
    const { client, defects } = await serve(
      { '/t/Broken': broken, '/t/Echo': echo },
      { lingerMs: 20 },
    );
    const c = client();
    const call = c.open('/t/Broken');
    call.send(bytesOf('x'));
    expect((await call.finished).status).toBe(GRPC_STATUS.INTERNAL);
    expect((await c.unary('/t/Echo', bytesOf('y'))).status).toBe(0);
    expect(defects.map((error) => error.message)).toEqual(['bug', 'bug in onClosed']);
  });

  test('of a reader that does not read is reset once its buffer is full', async () => {
    const { method, stream, closed } = held();
    const limits = { streamBufferedBytesMax: 100_000 };
    const { client } = await serve({ '/t/Held': method, '/t/Echo': echo }, limits);
    const c = client({ initialWindowSize: 1000 });
    const call = c.open('/t/Held');
    call.stream.pause();
    const own = await stream;
    for (let i = 0; i < 20; i++) {
      expect(own.bufferedBytes).toBeLessThanOrEqual(100_000);
      own.send(new Uint8Array(10_000));
    }
    expect((await call.finished).rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    expect(await closed).toEqual(['closed']);
    expect((await c.unary('/t/Echo', bytesOf('y'))).status).toBe(0);
  });
});

describe('close', () => {
  test('lets calls in progress finish', async () => {
    const release = deferred<Uint8Array>();
    const begun = deferred<void>();
    const slow: GrpcMethod = unaryMethod(() => {
      begun.resolve();
      return release.promise;
    });
    const { grpc, client } = await serve({ '/t/Slow': slow }, { closeMs: 10_000 });
    const answer = client().unary('/t/Slow', bytesOf(''));
    await begun.promise;
    const closing = grpc.close();
    release.resolve(bytesOf('done'));
    expect((await answer).messages.map(textOf)).toEqual(['done']);
    await closing;
  });

  test('tells open streams, which may end themselves', async () => {
    const { grpc, client } = await serve(
      { '/t/Mirror': mirror },
      { closeMs: 10_000, lingerMs: 20 },
    );
    const call = client().open('/t/Mirror');
    call.send(bytesOf('x'));
    await call.received(1);
    await grpc.close();
    expect((await call.finished).status).toBe(GRPC_STATUS.UNAVAILABLE);
  });

  test('cuts after its time what does not end, and is safe to call twice', async () => {
    const { method, stream, closed } = held();
    const { grpc, client, sockets } = await serve({ '/t/Held': method }, { closeMs: 30 });
    const call = client().open('/t/Held');
    (await stream).send(bytesOf('x'));
    await call.received(1);
    await Promise.all([grpc.close(), grpc.close()]);
    expect(await closed).toEqual(['stopping', 'closed']);
    await call.finished;
    expect([...sockets].every((socket) => socket.destroyed)).toBe(true);
  });

  test('of an unused server resolves', async () => {
    const { grpc } = await serve({});
    await grpc.close();
  });
});

describe('a quiet connection', () => {
  test('with an open call lives as long as it answers pings', async () => {
    const { method, stream } = held();
    const { client } = await serve({ '/t/Held': method }, { keepaliveMs: 5, idleMs: 5 });
    const c = client();
    const call = c.open('/t/Held');
    const own = await stream;
    const pings = deferred<void>();
    let count = 0;
    c.session.on('ping', () => {
      if (++count === 5) pings.resolve();
    });
    await pings.promise;
    own.send(bytesOf('still here'));
    expect((await call.received(1)).map(textOf)).toEqual(['still here']);
  });
});

describe('idle connections', () => {
  test('that never make a call are closed', async () => {
    const { client } = await serve({}, { firstCallMs: 20 });
    await client().closed;
  });

  test('are closed some time after their last call', async () => {
    const { client } = await serve({ '/t/Echo': echo }, { idleMs: 20 });
    const c = client();
    expect((await c.unary('/t/Echo', bytesOf('x'))).status).toBe(0);
    await c.closed;
  });
});
