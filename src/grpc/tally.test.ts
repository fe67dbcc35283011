import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { GRPC_STATUS, GrpcError, type GrpcMethod, type GrpcStatus } from './index.ts';
import { unaryMethod } from './method-adapters.ts';
import { END_HEADERS, END_STREAM, type Fixture, fixture, openCall } from './testing/fixture.ts';
import { frame, GREETING, message, request, u32 } from './testing/frames.ts';
import { settled } from './testing/memory-wire.ts';

type Ends = Partial<Record<GrpcStatus, number>>;

/** What was counted for a method; of the statuses those that there were. */
function counted({ server }: Fixture, path: string) {
  const tally = server.tallies.find((one) => one.path === path);
  if (tally === undefined) throw new Error(`nothing is counted for ${path}`);
  const { handled, path: _path, type: _type, ...counters } = tally;
  const ends: Ends = {};
  for (const [name, code] of Object.entries(GRPC_STATUS) as [GrpcStatus, number][]) {
    const count = handled[code] ?? 0;
    if (count > 0) ends[name] = count;
  }
  return { ...counters, ends };
}

function callOf(path: string, stream: number, messages: Buffer[], more: [string, string][] = []) {
  return Buffer.concat([
    frame('HEADERS', END_HEADERS, stream, request(path, more)),
    ...messages.map((bytes) => frame('DATA', 0, stream, bytes)),
    frame('DATA', END_STREAM, stream),
  ]);
}

const NOTHING = { started: 0, received: 0, receivedBytes: 0, sent: 0, sentBytes: 0, ends: {} };

describe('the calls of a method are counted', () => {
  test('from the first one on, each with its messages and its status', async () => {
    const world = fixture();
    expect(counted(world, '/t/Echo')).toEqual(NOTHING);
    const wire = world.wire();
    wire.feed(GREETING, callOf('/t/Echo', 1, [message(Buffer.from('hello'))]));
    wire.feed(callOf('/t/Echo', 3, [message(Buffer.from('you'))]));
    await settled();
    expect(counted(world, '/t/Echo')).toEqual({
      started: 2,
      received: 2,
      receivedBytes: 8,
      sent: 2,
      sentBytes: 8,
      ends: { OK: 2 },
    });
    expect(counted(world, '/t/Open')).toEqual(NOTHING);
  });

  test('by the status with which the method, or a bug in it, ended them', async () => {
    const failing = (error: Error): GrpcMethod => unaryMethod(() => Promise.reject(error));
    const world = fixture(
      {},
      {
        '/t/Refuse': failing(new GrpcError('NOT_FOUND', 'no such lease')),
        '/t/Newer': failing(new GrpcError(99, 'a status of tomorrow')),
        '/t/Broken': failing(new Error('a bug')),
      },
    );
    const wire = world.wire();
    wire.feed(GREETING);
    for (const [i, path] of ['/t/Refuse', '/t/Newer', '/t/Broken'].entries()) {
      wire.feed(callOf(path, 2 * i + 1, [message(Buffer.of(7))]));
    }
    await settled();
    const one = { started: 1, received: 1, receivedBytes: 1, sent: 0, sentBytes: 0 };
    expect(counted(world, '/t/Refuse')).toEqual({ ...one, ends: { NOT_FOUND: 1 } });
    expect(counted(world, '/t/Newer')).toEqual({ ...one, ends: { UNKNOWN: 1 } });
    expect(counted(world, '/t/Broken')).toEqual({ ...one, ends: { INTERNAL: 1 } });
  });

  test('not at all when there is no such method, or the request is none', async () => {
    const world = fixture();
    const wire = world.wire();
    wire.feed(GREETING, callOf('/t/Nobody', 1, [message(Buffer.of(7))]));
    wire.feed(callOf('/t/Echo', 3, [], [['grpc-timeout', 'soon']]));
    await settled();
    for (const { path } of world.server.tallies) expect(counted(world, path)).toEqual(NOTHING);
  });

  test('with the bytes of a compressed message after it was inflated', async () => {
    const world = fixture();
    const wire = world.wire();
    const zipped = message(gzipSync('x'.repeat(1000)), true);
    wire.feed(GREETING, callOf('/t/Echo', 1, [zipped], [['grpc-encoding', 'gzip']]));
    while ((await wire.statuses())[1] === undefined) await settled();
    expect(counted(world, '/t/Echo')).toMatchObject({ received: 1, receivedBytes: 1000 });
  });
});

describe('an open call is counted once, whoever ends it', () => {
  test('as cancelled when the client resets it or goes', async () => {
    const world = fixture();
    const wire = world.wire();
    wire.feed(GREETING, openCall(1), openCall(3), openCall(5));
    wire.feed(frame('RST_STREAM', 0, 1, u32(8)));
    await settled();
    expect(counted(world, '/t/Open')).toMatchObject({ started: 3, ends: { CANCELLED: 1 } });
    world.streams[1]?.end(null);
    wire.destroy();
    await settled();
    expect(counted(world, '/t/Open').ends).toEqual({ OK: 1, CANCELLED: 2 });
  });

  test('by its deadline, also when the method ends it later', async () => {
    const world = fixture();
    const wire = world.wire();
    const head = request('/t/Open', [['grpc-timeout', '10m']]);
    wire.feed(GREETING, frame('HEADERS', END_HEADERS, 1, head));
    world.clock.pass(11);
    world.streams[0]?.end(null);
    await settled();
    expect(counted(world, '/t/Open').ends).toEqual({ DEADLINE_EXCEEDED: 1 });
  });

  test('as out of resources when it is cut off because nobody reads', async () => {
    const world = fixture({ streamBufferedBytesMax: 1000 });
    const wire = world.wire();
    wire.feed(GREETING, openCall(1));
    const blob = new Uint8Array(900);
    for (let sent = 0; sent < 100; sent++) world.streams[0]?.send(blob);
    await settled();
    const { sent, sentBytes, ends } = counted(world, '/t/Open');
    expect(ends).toEqual({ RESOURCE_EXHAUSTED: 1 });
    expect(sent).toBeLessThan(100);
    expect(sentBytes).toBe(900 * sent);
  });
});
