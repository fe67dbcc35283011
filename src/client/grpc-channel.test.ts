import net from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type ExecuteRequest, encodeCommand, KvError } from '../api/index.ts';
import { systemClock } from '../io/index.ts';
import { deferred } from '../lib/index.ts';
import { Clerk } from './clerk.ts';
import { parseEndpoint } from './endpoint.ts';
import { grpcChannels } from './grpc-channel.ts';
import { frameOf } from './grpc-frames.ts';
import { CLERK_LIMITS } from './limits.ts';
import { FakeClock } from './testing/fake-clock.ts';
import { GrpcServer, STATUS } from './testing/grpc-server.ts';
import { Relay } from './testing/relay.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function serverOf(...args: Parameters<typeof GrpcServer.start>): Promise<GrpcServer> {
  const server = await GrpcServer.start(...args);
  closers.push(() => server.close());
  return server;
}

async function clerkOf(server: GrpcServer, session?: string): Promise<Clerk> {
  const options = { endpoints: server.address, ...(session === undefined ? {} : { session }) };
  const clerk = await Clerk.connect(options);
  closers.push(() => clerk.close());
  return clerk;
}

/** Opens a channel and returns the error that it ends with. */
async function endOf(address: string): Promise<KvError> {
  const end = deferred<KvError>();
  const channel = grpcChannels(systemClock).open(parseEndpoint(address), {
    onHello: () => {},
    onReplies: () => {},
    onClose: end.resolve,
  });
  closers.push(async () => channel.close());
  return await end.promise;
}

describe('a clerk on real sockets', () => {
  it('writes, reads, asks for the status, and is gone after close', async () => {
    const server = await serverOf();
    const clerk = await clerkOf(server, 'job');
    await clerk.put('k', 'a');
    const calls = Array.from({ length: 1_000 }, (_, index) => clerk.append('k', `,${index}`));
    expect((await Promise.all(calls)).map(({ seq }) => seq)).toEqual(calls.map((_, i) => i + 2));
    expect((await clerk.get('k'))?.split(',')).toHaveLength(1_001);
    expect(await clerk.status()).toEqual(STATUS);
    expect(await clerk.status(`http://${server.address}`)).toEqual(STATUS);
    await clerk.close();
    await expect.poll(() => server.openSockets).toBe(0);
  });

  it('carries values of a mebibyte both ways', async () => {
    const server = await serverOf();
    const clerk = await clerkOf(server);
    const value = Uint8Array.from({ length: 1024 * 1024 }, (_, index) => index % 251);
    await Promise.all(['a', 'b', 'c', 'd'].map((key) => clerk.put(key, value)));
    const { entries } = await clerk.range({ prefix: '' }, { as: 'bytes' });
    expect(entries.map((entry) => Buffer.compare(entry.value, value))).toEqual([0, 0, 0, 0]);
  });

  it('goes on after its connection was cut in the middle of a pipeline', async () => {
    const server = await serverOf();
    const clerk = await clerkOf(server);
    await clerk.put('k', '');
    for (let round = 0; round < 5; round++) {
      const calls = Array.from({ length: 50 }, (_, index) => clerk.append('k', `${index},`));
      setImmediate(() => server.cut());
      await Promise.all(calls);
    }
    const once = Array.from({ length: 50 }, (_, index) => `${index},`).join('');
    expect(server.store.text('k')).toBe(once.repeat(5));
    expect(server.connections).toBeGreaterThan(1);
  });
});

describe('a channel ends with an error that names endpoint and reason', () => {
  it('when nobody listens', async () => {
    const server = await GrpcServer.start();
    const { address } = server;
    await server.close();
    const error = await endOf(address);
    expect([error.code, error.outcome]).toEqual(['UNREACHABLE', 'notApplied']);
    expect(error.message).toMatch(new RegExp(`^${address}: .*ECONNREFUSED`));
    expect(error.cause).toBeInstanceOf(Error);
  });

  it('when something else listens', async () => {
    const other = net.createServer((socket) => {
      socket.resume().end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    closers.push(() => new Promise((resolve) => other.close(() => resolve())));
    const address = `127.0.0.1:${(other.address() as net.AddressInfo).port}`;
    const error = await endOf(address);
    expect(error.code).toBe('UNREACHABLE');
    expect(error.message).toContain(address);
  });

  it.each<[string, Parameters<typeof GrpcServer.start>[0], string, RegExp]>([
    [
      'when HTTP, but not gRPC is served',
      (stream) => {
        stream.respond({ ':status': 404, 'content-type': 'text/html' });
        stream.end();
      },
      'BAD_PEER',
      /HTTP status 404 and text\/html/,
    ],
    [
      'when gRPC, but not this service is served',
      (stream) =>
        stream.respond(
          {
            ':status': 200,
            'content-type': 'application/grpc',
            'grpc-status': '12',
            'grpc-message': 'no%20such%20service',
          },
          { endStream: true },
        ),
      'BAD_PEER',
      /does not serve Quorate: gRPC status 12: no such service/,
    ],
    [
      'when the server ends the stream with a status',
      (stream) => {
        stream.respond(
          { ':status': 200, 'content-type': 'application/grpc' },
          { waitForTrailers: true },
        );
        stream.on('wantTrailers', () =>
          stream.sendTrailers({ 'grpc-status': '14', 'grpc-message': 'stopping 100%' }),
        );
        stream.end();
      },
      'CONNECTION_LOST',
      /gRPC status 14: stopping 100%/,
    ],
    [
      'when the message is no message',
      (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        stream.write(frameOf(Uint8Array.of(0x0a, 0x7f)));
      },
      'BAD_PEER',
      /unreadable message/,
    ],
    [
      'when a message is announced that is too large',
      (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        stream.write(Uint8Array.of(0, 0xff, 0xff, 0xff, 0xff));
      },
      'BAD_PEER',
      /a message of 4294967295 bytes/,
    ],
    [
      'when the connection breaks',
      (stream) => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' });
        setImmediate(() => stream.session?.destroy());
      },
      'CONNECTION_LOST',
      /closed|ECONNRESET|hang up/,
    ],
  ])('%s', async (_title, handle, code, message) => {
    const server = await serverOf(handle);
    const error = await endOf(server.address);
    expect(error.code).toBe(code);
    expect(error.message.startsWith(`${server.address}: `)).toBe(true);
    expect(error.message).toMatch(message);
    await expect.poll(() => server.openSockets).toBe(0);
  });

  it('when pings are not answered any more, also while nothing is asked', async () => {
    const server = await serverOf();
    const relay = await Relay.start(parseEndpoint(server.address));
    closers.push(() => relay.close());
    const clock = new FakeClock();
    const hello = deferred<void>();
    const seen: KvError[] = [];
    const channel = grpcChannels(clock).open(parseEndpoint(relay.address), {
      onHello: () => hello.resolve(),
      onReplies: () => seen.push(new KvError('BAD_PEER', 'nothing was asked')),
      onClose: (error) => seen.push(error),
    });
    closers.push(async () => channel.close());
    await hello.promise;
    // Answered pings: the channel lives on, whatever the clock says.
    for (let ping = 1; ping <= 3; ping++) {
      const timers = clock.timerCount;
      await clock.advance(CLERK_LIMITS.pingIntervalMs);
      expect(clock.timerCount).toBe(timers);
      await expect.poll(() => clock.nextTimerMs).toBe((ping + 1) * CLERK_LIMITS.pingIntervalMs);
    }
    relay.freeze();
    await clock.advance(CLERK_LIMITS.pingIntervalMs + CLERK_LIMITS.pingTimeoutMs - 1);
    expect(seen).toEqual([]);
    await clock.advance(1);
    expect(seen.map(({ code, message }) => [code, message])).toEqual([
      ['CONNECTION_LOST', `${relay.address}: no answer to a ping within 2000 ms`],
    ]);
    expect(clock.timerCount).toBe(0);
  });
});

describe('a closed channel', () => {
  it('says nothing any more, in whatever state it was closed; twice is safe', async () => {
    const server = await serverOf();
    const seen: string[] = [];
    const request: ExecuteRequest = {
      id: 1,
      body: {
        type: 'command',
        command: encodeCommand({
          type: 'openSession',
          name: new Uint8Array(0),
          nonce: new Uint8Array(16),
          ttlMs: 1_000,
        }),
      },
    };
    for (const state of ['connecting', 'hello', 'asked']) {
      const hello = deferred<void>();
      let isClosed = false;
      const channel = grpcChannels(systemClock).open(parseEndpoint(server.address), {
        onHello: () => (isClosed ? seen.push('hello') : hello.resolve()),
        onReplies: () => isClosed && seen.push('replies'),
        onClose: () => seen.push('close'),
      });
      if (state !== 'connecting') await hello.promise;
      if (state === 'asked') channel.send([request]);
      channel.close();
      channel.close();
      isClosed = true;
    }
    await expect.poll(() => server.openSockets).toBe(0);
    expect(seen).toEqual([]);
  });
});

it('a status that cannot be had is an error with a reason', async () => {
  const server = await GrpcServer.start();
  await server.close();
  const clerk = await Clerk.connect({ endpoints: server.address });
  closers.push(() => clerk.close());
  const error = await clerk.status().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(KvError);
  expect((error as KvError).message).toMatch(/ECONNREFUSED/);
});
