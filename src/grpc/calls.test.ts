import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { deferred } from '../lib/index.ts';
import {
  GRPC_STATUS,
  type GrpcCall,
  GrpcError,
  type GrpcMethod,
  type GrpcStream,
} from './index.ts';
import { unaryMethod } from './method-adapters.ts';
import { END_HEADERS, END_STREAM, echo, fixture, openCall } from './testing/fixture.ts';
import { frame, framesIn, GREETING, message, request, settings, u32 } from './testing/frames.ts';
import { type MemoryWire, settled } from './testing/memory-wire.ts';

/* gRPC over HTTP/2 beyond the plain unary call: compression, kinds of methods, metadata. */

const GZIP: [string, string][] = [['grpc-encoding', 'gzip']];

/** The payloads of all DATA on a stream, as texts without their prefixes. */
function answers(wire: MemoryWire, stream: number): string[] {
  const data = framesIn(wire.written).filter((f) => f.type === 'DATA' && f.stream === stream);
  const bytes = Buffer.concat(data.map(({ payload }) => payload));
  const texts: string[] = [];
  for (let at = 0; at < bytes.length; at += 5 + bytes.readUInt32BE(at + 1)) {
    texts.push(bytes.toString('latin1', at + 5, at + 5 + bytes.readUInt32BE(at + 1)));
  }
  return texts;
}

/** Waits until all these calls have ended; inflating happens on other threads. */
async function ended(wire: MemoryWire, ...streams: number[]): Promise<Record<number, string>> {
  for (;;) {
    const statuses = await wire.statuses();
    if (streams.every((stream) => statuses[stream] !== undefined)) return statuses;
  }
}

function callOf(
  stream: number,
  messages: readonly Uint8Array[],
  { path = '/t/Echo', headers = [] as [string, string][] } = {},
): Buffer {
  return Buffer.concat([
    frame('HEADERS', END_HEADERS, stream, request(path, headers)),
    ...messages.map((bytes) => frame('DATA', 0, stream, bytes)),
    frame('DATA', END_STREAM, stream),
  ]);
}

describe('a compressed request', () => {
  const zipped = (text: string): Buffer => message(gzipSync(text), true);

  test('is inflated', async () => {
    const client = fixture().wire();
    client.feed(GREETING, callOf(1, [zipped('hello')], { headers: GZIP }));
    expect(await ended(client, 1)).toEqual({ 1: '0' });
    expect(answers(client, 1)).toEqual(['hello']);
  });

  test('may mix with plain ones on a stream; their order stays', async () => {
    const texts = Array.from({ length: 20 }, (_, i) => `${i}`.repeat(i));
    const received: string[] = [];
    const gather: GrpcMethod = {
      type: 'clientStream',
      open: () => ({
        onMessage: (bytes) => void received.push(Buffer.from(bytes).toString()),
        respond: async () => new Uint8Array(0),
        onClosed() {},
        onStopping() {},
      }),
    };
    const client = fixture({}, { '/t/Gather': gather }).wire();
    const bytes = Buffer.concat(
      texts.map((text, i) => (i % 3 === 0 ? message(Buffer.from(text)) : zipped(text))),
    );
    client.feed(GREETING, callOf(1, [bytes], { path: '/t/Gather', headers: GZIP }));
    expect(await ended(client, 1)).toEqual({ 1: '0' });
    expect(received).toEqual(texts);
  });

  test('may inflate to the limit of messages; one byte more is RESOURCE_EXHAUSTED', async () => {
    const client = fixture({ messageBytesMax: 100_000 }).wire();
    client.feed(GREETING, settings([4, 200_000]), frame('WINDOW_UPDATE', 0, 0, u32(200_000)));
    client.feed(
      callOf(1, [zipped('x'.repeat(100_000))], { headers: GZIP }),
      callOf(3, [zipped('x'.repeat(100_001))], { headers: GZIP }),
    );
    expect(await ended(client, 1, 3)).toEqual({ 1: '0', 3: '8' });
  });

  test('that is a bomb costs its call; the number inflated at once is bounded', async () => {
    const client = fixture({ messageBytesMax: 100_000, inflationsMax: 1 }).wire();
    const bomb = zipped('\0'.repeat(10_000_000));
    expect(bomb.length).toBeLessThan(16_384);
    const ids = [1, 3, 5, 7, 9];
    client.feed(GREETING, ...ids.map((id) => callOf(id, [bomb], { headers: GZIP })));
    client.feed(callOf(11, [zipped('fine')], { headers: GZIP }));
    const statuses = await ended(client, ...ids, 11);
    expect(Object.values(statuses)).toEqual(['8', '8', '8', '8', '8', '0']);
  });

  test('that is no gzip, or of no encoding, is INTERNAL, of another UNIMPLEMENTED', async () => {
    const client = fixture().wire();
    const bytes = message(Buffer.from('no gzip'), true);
    client.feed(
      GREETING,
      callOf(1, [bytes], { headers: GZIP }),
      callOf(3, [bytes], { headers: [['grpc-encoding', 'snappy']] }),
      callOf(5, [bytes]),
      callOf(7, [bytes], { headers: [['grpc-encoding', 'identity']] }),
      callOf(9, [message(Buffer.from('plain'))], { headers: [['grpc-encoding', 'snappy']] }),
    );
    const statuses = await ended(client, 1, 3, 5, 7, 9);
    expect(statuses).toEqual({ 1: '13', 3: '12', 5: '13', 7: '13', 9: '0' });
  });

  test('of a client that leaves meanwhile goes nowhere', async () => {
    const { wire, defects } = fixture();
    const client = wire();
    client.feed(GREETING, callOf(1, [zipped('x')], { headers: GZIP }));
    client.cut();
    const other = wire();
    other.feed(GREETING, callOf(1, [zipped('y')], { headers: GZIP }));
    await ended(other, 1);
    expect(answers(client, 1)).toEqual([]);
    expect(defects).toEqual([]);
  });
});

describe('methods', () => {
  /** Answers each byte of its request as a message; stops when told to. */
  const count: GrpcMethod = {
    type: 'serverStream',
    open(bytes, _call, stream) {
      for (const byte of bytes) stream.send(Uint8Array.of(byte));
      stream.end(null);
      return { onClosed() {}, onStopping() {} };
    },
  };
  const sum: GrpcMethod = {
    type: 'clientStream',
    open() {
      let total = 0;
      return {
        onMessage(bytes) {
          total += bytes[0] ?? 0;
        },
        async respond() {
          if (total > 100) throw new GrpcError('OUT_OF_RANGE', 'too much');
          return Uint8Array.of(total);
        },
        onClosed() {},
        onStopping() {},
      };
    },
  };
  const METHODS = { '/t/Count': count, '/t/Sum': sum };

  test('with streamed answers take one request and send until they end', async () => {
    const client = fixture({}, METHODS).wire();
    client.feed(GREETING, callOf(1, [message(Buffer.from('abc'))], { path: '/t/Count' }));
    expect(await ended(client, 1)).toEqual({ 1: '0' });
    expect(answers(client, 1)).toEqual(['a', 'b', 'c']);
  });

  test('with streamed answers refuse no request and two', async () => {
    const client = fixture({}, METHODS).wire();
    const one = message(Buffer.from('a'));
    client.feed(
      GREETING,
      callOf(1, [], { path: '/t/Count' }),
      callOf(3, [one, one], { path: '/t/Count' }),
    );
    expect(await ended(client, 1, 3)).toEqual({ 1: '12', 3: '12' });
  });

  test('with streamed answers hear of drain, close and stop as soon as they run', async () => {
    const events: string[] = [];
    const held: GrpcStream[] = [];
    const feed: GrpcMethod = {
      type: 'serverStream',
      open(_request, _call, stream) {
        held.push(stream);
        return {
          onDrain: () => void events.push('drain'),
          onClosed: () => void events.push('closed'),
          onStopping: () => void events.push('stopping'),
        };
      },
    };
    const { wire, server, clock } = fixture({}, { '/t/Feed': feed });
    const client = wire();
    client.feed(GREETING, callOf(1, [message(Buffer.of(1))], { path: '/t/Feed' }));
    held[0]?.send(new Uint8Array(65_530));
    held[0]?.send(new Uint8Array(1));
    await settled();
    client.feed(frame('WINDOW_UPDATE', 0, 0, Buffer.of(0, 1, 0, 0)));
    client.feed(frame('WINDOW_UPDATE', 0, 1, Buffer.of(0, 1, 0, 0)));
    const closing = server.close();
    clock.pass(10_000);
    await closing;
    await settled();
    expect(events).toEqual(['drain', 'stopping', 'closed']);
  });

  test('with streamed requests answer once when these have ended, or fail', async () => {
    const client = fixture({}, METHODS).wire();
    const small = [1, 2, 3].map((n) => message(Buffer.of(n)));
    const large = [100, 50].map((n) => message(Buffer.of(n)));
    client.feed(
      GREETING,
      callOf(1, small, { path: '/t/Sum' }),
      callOf(3, large, { path: '/t/Sum' }),
      callOf(5, [], { path: '/t/Sum' }),
    );
    expect(await ended(client, 1, 3, 5)).toEqual({ 1: '0', 3: '11', 5: '0' });
    expect(answers(client, 1)).toEqual(['\x06']);
    expect(answers(client, 3)).toEqual([]);
  });

  test('that end their stream while they open it are closed like others', async () => {
    const events: string[] = [];
    const brief: GrpcMethod = {
      type: 'bidi',
      open(_call, stream) {
        stream.end(new GrpcError('UNAVAILABLE', 'not today'));
        return {
          onMessage: () => void events.push('message'),
          onEnd: () => void events.push('end'),
          onClosed: () => void events.push('closed'),
          onStopping() {},
        };
      },
    };
    const client = fixture({}, { '/t/Brief': brief }).wire();
    client.feed(GREETING, callOf(1, [message(Buffer.of(1))], { path: '/t/Brief' }));
    expect(await ended(client, 1)).toEqual({ 1: '14' });
    expect(events).toEqual(['closed']);
  });

  test('resuming a stream that is not paused changes nothing, and tells its end once', () => {
    const { wire, streams, events } = fixture();
    const client = wire();
    client.feed(GREETING, openCall(1), frame('DATA', END_STREAM, 1, message(Buffer.of(1))));
    streams[0]?.resume();
    streams[0]?.pause();
    streams[0]?.resume();
    expect(events).toEqual(['message of 1', 'end']);
  });
});

describe('metadata', () => {
  async function seen(headers: [string, string][], look: (call: GrpcCall) => unknown) {
    const found = deferred<unknown>();
    const spy: GrpcMethod = unaryMethod(async (bytes, call) => {
      found.resolve(look(call));
      return bytes;
    });
    const client = fixture({}, { '/t/Spy': spy }).wire();
    client.feed(GREETING, callOf(1, [message(Buffer.of(1))], { path: '/t/Spy', headers }));
    return await found.promise;
  }

  test('is read by name: the first value, all of them, and bytes', async () => {
    const headers: [string, string][] = [
      ['x-a', '1'],
      ['x-b-bin', 'AQI='],
      ['x-a', '2'],
      ['x-b-bin', 'Aw,BA'],
    ];
    const found = await seen(headers, (call) => [
      call.metadata('x-a'),
      call.metadataAll('x-a'),
      call.metadataBytes('x-b-bin'),
      call.metadata('x-none'),
      call.metadataAll('x-none'),
      call.path,
      call.remote,
    ]);
    const bytes = [Uint8Array.of(1, 2), Uint8Array.of(3), Uint8Array.of(4)];
    expect(found).toEqual(['1', ['1', '2'], bytes, null, [], '/t/Spy', 'test']);
  });

  test('that claims to be bytes and is not ends the call with INVALID_ARGUMENT', async () => {
    const strict: GrpcMethod = unaryMethod(async (_request, call) => {
      return call.metadataBytes('x-bin')[0] ?? new Uint8Array(0);
    });
    const client = fixture({}, { '/t/Strict': strict }).wire();
    const headers: [string, string][] = [['x-bin', '%%%']];
    client.feed(GREETING, callOf(1, [message(Buffer.of(1))], { path: '/t/Strict', headers }));
    expect((await ended(client, 1))[1]).toBe(String(GRPC_STATUS.INVALID_ARGUMENT));
  });

  test('does not leak from one call into the next, though their headers are the same', async () => {
    const { wire } = fixture({}, { '/t/Other': { ...echo } });
    const client = wire();
    const block = request('/t/Echo');
    const other = request('/t/Nothing');
    for (const [id, headers] of [
      [1, block],
      [3, block],
      [5, other],
      [7, block],
      [9, other],
    ] as const) {
      client.feed(...(id === 1 ? [GREETING] : []), frame('HEADERS', END_HEADERS, id, headers));
      client.feed(frame('DATA', END_STREAM, id, message(Buffer.of(id))));
    }
    expect(await client.statuses()).toEqual({ 1: '0', 3: '0', 5: '12', 7: '0', 9: '12' });
    expect(answers(client, 7)).toEqual(['\x07']);
  });

  test('follows the compression table: the same bytes may mean another value later', async () => {
    const values: (string | null)[] = [];
    const spy: GrpcMethod = unaryMethod(async (bytes, call) => {
      values.push(call.metadata('a'));
      return bytes;
    });
    const client = fixture({}, { '/t/Spy': spy }).wire();
    const path = request('/t/Spy');
    const insert = (digit: string) => Buffer.concat([path, Buffer.from(`\x40\x01a\x01${digit}`)]);
    const newest = Buffer.concat([path, Buffer.of(0xbe)]);
    client.feed(GREETING);
    for (const [i, block] of [insert('1'), newest, newest, insert('2'), newest].entries()) {
      client.feed(
        frame('HEADERS', END_HEADERS, 2 * i + 1, block),
        frame('DATA', END_STREAM, 2 * i + 1, message(Buffer.of(1))),
      );
    }
    await settled();
    expect(values).toEqual(['1', '1', '1', '2', '2']);
  });
});
