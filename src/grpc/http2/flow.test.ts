import { describe, expect, test } from 'vitest';
import { END_HEADERS, END_STREAM, echoCall, fixture, openCall } from '../testing/fixture.ts';
import type { PlainFrame } from '../testing/frames.ts';
import { frame, GREETING, message, request, settings, u32 } from '../testing/frames.ts';
import type { MemoryWire } from '../testing/memory-wire.ts';

/* Flow control both ways, and the end of a connection: RFC 9113, sections 5.2, 6.8, 6.9. */

function dataOf(frames: readonly PlainFrame[]): [stream: number, bytes: number][] {
  return frames
    .filter(({ type }) => type === 'DATA')
    .map(({ stream, payload }) => [stream, payload.length]);
}

function windowUpdates(frames: readonly PlainFrame[]): [stream: number, bytes: number][] {
  return frames
    .filter(({ type }) => type === 'WINDOW_UPDATE')
    .map(({ stream, payload }) => [stream, Buffer.from(payload).readUInt32BE(0)]);
}

const bodyOf = async (wire: MemoryWire): Promise<[number, number][]> => dataOf(await wire.frames());

describe('what we send', () => {
  test('stays within the stream’s window and goes on as it opens, trailers last', async () => {
    const { wire } = fixture();
    const client = wire();
    client.feed(GREETING, settings([4, 10]), echoCall(1, Buffer.alloc(30)));
    expect(await bodyOf(client)).toEqual([[1, 10]]);
    client.feed(frame('WINDOW_UPDATE', 0, 1, u32(24)));
    expect(await bodyOf(client)).toEqual([[1, 24]]);
    expect(await client.statuses()).toEqual({});
    client.feed(frame('WINDOW_UPDATE', 0, 1, u32(1)));
    expect(await bodyOf(client)).toEqual([[1, 1]]);
    expect(await client.statuses()).toEqual({ 1: '0' });
  });

  test('stays within the connection’s window, streams taking turns', async () => {
    const { wire, streams } = fixture();
    const client = wire();
    client.feed(GREETING, settings([4, 2 ** 20]), openCall(1), openCall(3));
    for (const stream of streams) stream.send(Buffer.alloc(100_000));
    const first = await bodyOf(client);
    expect(first.reduce((sum, [, bytes]) => sum + bytes, 0)).toBe(65_535);
    expect(new Set(first.map(([stream]) => stream)).size).toBe(1);
    client.feed(frame('WINDOW_UPDATE', 0, 0, u32(65_536)));
    expect((await bodyOf(client)).map(([stream]) => stream)).toEqual([1, 3, 1, 3, 1, 3]);
  });

  test('follows the settings: a window may become negative, and all windows open', async () => {
    const { wire } = fixture();
    const client = wire();
    client.feed(GREETING, settings([4, 20]), echoCall(1, Buffer.alloc(95)));
    expect(await bodyOf(client)).toEqual([[1, 20]]);
    client.feed(settings([4, 0])); // −20
    client.feed(frame('WINDOW_UPDATE', 0, 1, u32(20)));
    expect(await bodyOf(client)).toEqual([]);
    client.feed(settings([4, 50]));
    expect(await bodyOf(client)).toEqual([[1, 50]]);
    client.feed(settings([4, 1000]));
    expect(await bodyOf(client)).toEqual([[1, 30]]);
    expect(await client.statuses()).toEqual({ 1: '0' });
  });

  test('is the whole answer, byte for byte, through any windows', async () => {
    const { wire } = fixture();
    const client = wire();
    const sent = Uint8Array.from({ length: 50_000 }, (_, i) => (i * 31) >> 3);
    client.feed(GREETING, settings([4, 0]));
    client.feed(frame('HEADERS', END_HEADERS, 1, request('/t/Echo')));
    const body = message(sent);
    for (let at = 0; at < body.length; at += 10_000) {
      const piece = body.subarray(at, at + 10_000);
      client.feed(frame('DATA', at + 10_000 >= body.length ? END_STREAM : 0, 1, piece));
    }
    const received: Uint8Array[] = [];
    for (let i = 0; i < 400; i++) {
      const frames = await client.frames();
      received.push(...frames.filter(({ type }) => type === 'DATA').map(({ payload }) => payload));
      client.feed(frame('WINDOW_UPDATE', 0, 1, u32(1 + ((i * 37) % 400))));
    }
    expect(Buffer.concat(received).equals(body)).toBe(true);
    expect(await client.statuses()).toEqual({ 1: '0' });
  });

  test('of one turn leaves in one piece, small messages of a stream in one frame', async () => {
    const { wire, streams } = fixture();
    const client = wire();
    client.feed(GREETING, openCall(1), openCall(3));
    await client.frames();
    const before = client.writes.length;
    for (let i = 0; i < 50; i++) streams[0]?.send(Buffer.alloc(5));
    for (let i = 0; i < 50; i++) streams[1]?.send(Buffer.alloc(5));
    expect(await bodyOf(client)).toEqual([
      [1, 500],
      [3, 500],
    ]);
    expect(client.writes.length).toBe(before + 1);
  });

  test('waits in its stream while the wire is full; streams are served in turn', async () => {
    const { wire, streams, events } = fixture({ wireBytesHigh: 30_000 });
    const client = wire();
    client.feed(
      GREETING,
      settings([4, 2 ** 20]),
      frame('WINDOW_UPDATE', 0, 0, u32(2 ** 20)),
      openCall(1),
      openCall(3),
    );
    await client.frames();
    client.isStuck = true;
    streams[0]?.send(Buffer.alloc(100_000));
    streams[1]?.send(Buffer.alloc(10));
    await client.frames();
    expect(client.bufferedBytes).toBeLessThan(31_000);
    expect(streams[0]?.bufferedBytes).toBeGreaterThan(70_000);
    client.unstick();
    await client.frames();
    expect([streams[0]?.bufferedBytes, streams[1]?.bufferedBytes]).toEqual([0, 0]);
    expect(events.sort()).toEqual(['drain', 'drain']);
  });
});

describe('what we take', () => {
  test('opens the windows again when half of them is used', async () => {
    const { wire } = fixture({ streamWindowBytes: 100_000, connectionWindowBytes: 200_000 });
    const client = wire();
    client.feed(GREETING, openCall(1));
    expect(windowUpdates(await client.frames())).toEqual([[0, 200_000 - 65_535]]);
    const half = Buffer.alloc(10_000, 0);
    for (let i = 0; i < 4; i++) client.feed(frame('DATA', 0, 1, half));
    expect(windowUpdates(await client.frames())).toEqual([]);
    client.feed(frame('DATA', 0, 1, half));
    expect(windowUpdates(await client.frames())).toEqual([[1, 50_000]]);
    for (let i = 0; i < 5; i++) client.feed(frame('DATA', 0, 1, half));
    expect(windowUpdates(await client.frames())).toEqual([
      [0, 100_000],
      [1, 50_000],
    ]);
  });

  test('padding and the DATA of dead streams give their window back, too', async () => {
    const { wire } = fixture({ connectionWindowBytes: 200_000 });
    const client = wire();
    client.feed(GREETING, openCall(1), frame('WINDOW_UPDATE', 0, 1, u32(0)));
    await client.frames();
    const padded = frame('DATA', 8, 1, Buffer.concat([Buffer.of(255), Buffer.alloc(10_255)]));
    for (let i = 0; i < 10; i++) client.feed(padded);
    expect(windowUpdates(await client.frames())).toEqual([[0, 10 * 10_256]]);
  });

  test('waits while the application has paused, in order, the end last', async () => {
    const { wire, streams, events } = fixture({ streamWindowBytes: 70_000 });
    const client = wire();
    client.feed(GREETING, openCall(1), frame('DATA', 0, 1, message(Buffer.alloc(1))));
    streams[0]?.pause();
    for (let n = 2; n <= 4; n++) client.feed(frame('DATA', 0, 1, message(Buffer.alloc(n * 4000))));
    client.feed(frame('DATA', END_STREAM, 1));
    expect(events).toEqual(['message of 1']);
    expect(windowUpdates(await client.frames())).toEqual([[0, 4 * 1024 * 1024 - 65_535]]);
    streams[0]?.resume();
    expect(events).toEqual([1, 8000, 12_000, 16_000].map((n) => `message of ${n}`).concat('end'));
  });

  test('pausing within a message’s arrival stops the ones behind it in the same frame', () => {
    const { wire, streams, events } = fixture();
    const client = wire();
    client.feed(GREETING, openCall(1));
    const three = Buffer.concat([1, 2, 3].map((n) => message(Buffer.alloc(n))));
    const stream = streams[0];
    events.push = (...items: string[]) => {
      stream?.pause();
      return Array.prototype.push.apply(events, items);
    };
    client.feed(frame('DATA', 0, 1, three), frame('DATA', END_STREAM, 1));
    expect([...events]).toEqual(['message of 1']);
    stream?.resume();
    expect([...events]).toEqual(['message of 1', 'message of 2']);
    stream?.resume();
    stream?.resume();
    expect([...events]).toEqual(['message of 1', 'message of 2', 'message of 3', 'end']);
  });
});

describe('the end of a connection', () => {
  const goaways = (frames: readonly PlainFrame[]): number[] =>
    frames
      .filter(({ type }) => type === 'GOAWAY')
      .map(({ payload }) => Buffer.from(payload).readUInt32BE(0));

  test('refuses nothing until the client can know it, then lets open calls finish', async () => {
    const { wire, server, streams, events } = fixture();
    const client = wire();
    client.feed(GREETING, openCall(1));
    await client.frames();
    const closing = server.close();
    const first = await client.frames();
    expect(goaways(first)).toEqual([2 ** 31 - 1]);
    expect(events).toEqual(['stopping']);
    // Sent before the client saw it: served.
    client.feed(echoCall(3));
    const ping = first.find(({ type }) => type === 'PING')?.payload;
    client.feed(frame('PING', 1, 0, ping));
    expect(goaways(await client.frames())).toEqual([3]);
    client.feed(openCall(5));
    expect(await client.resets()).toEqual(['5: REFUSED_STREAM']);
    expect(client.hasEnded).toBe(false);
    streams[0]?.end(null);
    client.feed(frame('DATA', END_STREAM, 1));
    expect(await client.statuses()).toEqual({ 1: '0', 3: '0' });
    expect(client.hasEnded).toBe(true);
    client.cut();
    await closing;
  });

  test('waits for answers that still wait for a window', async () => {
    const { wire, server } = fixture();
    const client = wire();
    client.feed(GREETING, settings([4, 0]), echoCall(1));
    await client.frames();
    const closing = server.close();
    const ping = (await client.frames()).find(({ type }) => type === 'PING')?.payload;
    client.feed(frame('PING', 1, 0, ping));
    expect(client.hasEnded).toBe(false);
    client.feed(settings([4, 100]));
    expect(await client.statuses()).toEqual({ 1: '0' });
    expect(client.hasEnded).toBe(true);
    client.cut();
    await closing;
  });

  test('is cut after closeMs, and nothing is left running', async () => {
    const { wire, server, clock, events } = fixture({ closeMs: 500 });
    const client = wire();
    client.feed(GREETING, openCall(1));
    const closing = server.close();
    clock.pass(499);
    expect(client.isDestroyed).toBe(false);
    clock.pass(1);
    expect(client.isDestroyed).toBe(true);
    await closing;
    await client.frames();
    expect(events).toEqual(['stopping', 'closed']);
    expect(clock.timers).toBe(0);
  });

  test('comes when a client has said GOAWAY and its calls are over', async () => {
    const { wire, streams } = fixture();
    const client = wire();
    client.feed(GREETING, openCall(1), frame('GOAWAY', 0, 0, u32(0, 0)));
    client.feed(openCall(3));
    expect(await client.resets()).toEqual(['3: REFUSED_STREAM']);
    streams[0]?.end(null);
    client.feed(frame('DATA', END_STREAM, 1));
    expect(await client.statuses()).toEqual({ 1: '0' });
    expect(client.hasEnded).toBe(true);
  });

  test('a connection that is lost closes its calls, and late answers go nowhere', async () => {
    const { wire, streams, events, defects } = fixture();
    const client = wire();
    client.feed(GREETING, openCall(1), frame('DATA', 0, 1, message(Buffer.of(1))));
    client.cut();
    await client.frames();
    expect(events).toEqual(['message of 1', 'closed']);
    const written = client.writes.length;
    streams[0]?.send(Buffer.of(1));
    streams[0]?.end(null);
    streams[0]?.resume();
    await client.frames();
    expect(client.writes.length).toBe(written);
    expect(defects).toEqual([]);
  });

  test('after a breach nothing that arrives is served, and our last word is kept', async () => {
    const { wire, clock, events } = fixture({ lingerMs: 100 });
    const client = wire();
    client.feed(GREETING, openCall(1), frame('DATA', 0, 0), echoCall(3));
    client.feed(echoCall(5));
    expect(await client.statuses()).toEqual({});
    expect(events).toEqual(['closed']);
    expect([client.hasEnded, client.isDestroyed]).toEqual([true, false]);
    clock.pass(100);
    expect(client.isDestroyed).toBe(true);
  });
});
