import { describe, expect, test } from 'vitest';
import { GRPC_LIMITS } from '../index.ts';
import { END_HEADERS, END_STREAM, echoCall, fixture, openCall } from '../testing/fixture.ts';
import {
  frame,
  GREETING,
  headerBlock,
  message,
  request,
  settings,
  u32,
} from '../testing/frames.ts';
import { type MemoryWire, settled } from '../testing/memory-wire.ts';

/* Every bound on what a client can make us do or keep: at the bound, and one beyond. */

const LIMITS = {
  pingsMax: 20,
  settingsMax: 10,
  resetsMax: 30,
  windowUpdatesMax: 40,
  emptyDataMax: 15,
  ignoredMax: 25,
  streamsMax: 5,
};

const PING = frame('PING', 0, 0, Buffer.alloc(8));
const CANCEL = u32(8);

function repeated(count: number, make: (i: number) => Uint8Array): Buffer {
  return Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));
}

/** Stream ids of a client's n-th call. */
const idOf = (n: number): number => 2 * n + 1;

/** Frames of each kind of flood: `count` of them, on a connection with nothing open. */
const FLOODS: Record<string, { max: number; make: (count: number) => Uint8Array; text: string }> = {
  'PING (CVE-2019-9512)': { max: 20, make: (n) => repeated(n, () => PING), text: 'pings' },
  'SETTINGS (CVE-2019-9515)': {
    max: 9, // The greeting has one, too.
    make: (n) => repeated(n, () => settings()),
    text: 'settings',
  },
  'SETTINGS ACK': {
    max: 9,
    make: (n) => repeated(n, () => frame('SETTINGS', 1, 0)),
    text: 'settings',
  },
  'RST_STREAM (CVE-2023-44487)': {
    max: 30,
    make: (n) =>
      repeated(n, (i) =>
        Buffer.concat([openCall(idOf(i)), frame('RST_STREAM', 0, idOf(i), CANCEL)]),
      ),
    text: 'resets',
  },
  'breaches that make us reset (CVE-2025-8671)': {
    max: 30,
    make: (n) =>
      repeated(n, (i) =>
        Buffer.concat([openCall(idOf(i)), frame('WINDOW_UPDATE', 0, idOf(i), u32(0))]),
      ),
    text: 'resets',
  },
  'calls that are refused': {
    max: 35, // The first five are served.
    make: (n) => repeated(n, (i) => openCall(idOf(i))),
    text: 'resets',
  },
  WINDOW_UPDATE: {
    max: 40,
    make: (n) => repeated(n, () => frame('WINDOW_UPDATE', 0, 0, u32(1))),
    text: 'windowUpdates',
  },
  'empty DATA (CVE-2019-9518)': {
    max: 15,
    make: (n) => Buffer.concat([openCall(1), repeated(n, () => frame('DATA', 0, 1))]),
    text: 'emptyData',
  },
  'DATA that is all padding': {
    max: 15,
    make: (n) =>
      Buffer.concat([openCall(1), repeated(n, () => frame('DATA', 8, 1, Buffer.of(2, 0, 0)))]),
    text: 'emptyData',
  },
  PRIORITY: {
    max: 25,
    make: (n) => repeated(n, (i) => frame('PRIORITY', 0, idOf(i), Buffer.alloc(5))),
    text: 'ignored',
  },
  'unknown frames': { max: 25, make: (n) => repeated(n, () => frame(77, 0, 0)), text: 'ignored' },
  'answers to pings that were none': {
    max: 25,
    make: (n) => repeated(n, () => frame('PING', 1, 0, Buffer.alloc(8))),
    text: 'ignored',
  },
};

async function expectCalm(wire: MemoryWire): Promise<void> {
  expect(await wire.failure()).toBeNull();
}

describe('a flood of', () => {
  for (const [title, { max, make, text }] of Object.entries(FLOODS)) {
    test(`${title} is ENHANCE_YOUR_CALM, one less is none`, async () => {
      const { wire, warnings, defects } = fixture(LIMITS);
      const calm = wire();
      calm.feed(GREETING, make(max));
      await expectCalm(calm);
      const flood = wire();
      flood.feed(GREETING, make(max + 1));
      expect(await flood.failure()).toBe('ENHANCE_YOUR_CALM');
      expect(warnings).toEqual([`connection cut off: flood of ${text}`]);
      expect(defects).toEqual([]);
    });
  }

  test('anything is forgotten after floodWindowMs', async () => {
    const { wire, clock } = fixture(LIMITS);
    const client = wire();
    client.feed(GREETING);
    for (let i = 0; i < 5; i++) {
      client.feed(repeated(20, () => PING));
      clock.pass(GRPC_LIMITS.floodWindowMs + 1);
      // Pings of ours are answered meanwhile.
      client.feed(frame('PING', 1, 0, Buffer.of(0, 0, 0, 0, 0, 0, 0, 1)));
    }
    await expectCalm(client);
  });

  test('pings is none while message bytes move: a client measures its windows', async () => {
    const { wire } = fixture(LIMITS);
    const client = wire();
    client.feed(GREETING, openCall(1));
    for (let i = 0; i < 20; i++) {
      client.feed(
        repeated(10, () => PING),
        frame('DATA', 0, 1, message(Buffer.of(i))),
      );
    }
    await expectCalm(client);
  });

  test('window updates is none for who reads: two are earned by each DATA frame', async () => {
    const { wire } = fixture(LIMITS);
    const client = wire();
    client.feed(GREETING);
    const update = frame('WINDOW_UPDATE', 0, 0, u32(1));
    for (let i = 0; i < 60; i++) {
      client.feed(echoCall(idOf(i)));
      await settled();
    }
    client.feed(repeated(160, () => update));
    await expectCalm(client);
    client.feed(update);
    expect(await client.failure()).toBe('ENHANCE_YOUR_CALM');
  });
});

describe('header bounds', () => {
  test('headers may be as large as announced; one byte more resets their call', async () => {
    const fields = [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':path', '/t/Echo'],
      ['content-type', 'application/grpc'],
    ] as const;
    const bytes = fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
    const { wire } = fixture({ headerBytesMax: bytes + 132 });
    const client = wire();
    const block = (n: number): Buffer => headerBlock([...fields, ['x', 'y'.repeat(n)]]);
    client.feed(GREETING, frame('HEADERS', 5, 1, block(99)), frame('HEADERS', 5, 3, block(100)));
    expect(await client.resets()).toEqual(['3: ENHANCE_YOUR_CALM']);
    expect(await client.statuses()).toEqual({ 1: '12' });
    client.feed(echoCall(5));
    expect((await client.statuses())[5]).toBe('0');
  });

  test('64 headers are served, 65 reset their call', async () => {
    const { wire } = fixture();
    const client = wire();
    const more = (n: number): [string, string][] =>
      Array.from({ length: n - 5 }, (_, i) => [`x-${i}`, '']);
    client.feed(
      GREETING,
      frame('HEADERS', END_HEADERS, 1, request('/t/Echo', more(64))),
      frame('DATA', END_STREAM, 1, message(Buffer.of(1))),
      frame('HEADERS', 5, 3, request('/t/Echo', more(65))),
    );
    expect(await client.statuses()).toEqual({ 1: '0' });
    expect(await client.resets()).toEqual(['3: ENHANCE_YOUR_CALM']);
  });

  test('a bomb of indexes (CVE-2016-6581) resets its call and no more', async () => {
    const { wire } = fixture();
    const client = wire();
    const entry = Buffer.concat([
      Buffer.of(0x40, 0x01, 0x62, 0x7f, 0xa1, 0x1e),
      Buffer.alloc(4000, 0x61),
    ]);
    const bomb = Buffer.concat([entry, Buffer.alloc(12_000, 0xbe)]);
    client.feed(GREETING, frame('HEADERS', 5, 1, bomb));
    expect(await client.resets()).toEqual(['1: ENHANCE_YOUR_CALM']);
    client.feed(echoCall(3));
    expect(await client.statuses()).toEqual({ 3: '0' });
  });

  test('8 CONTINUATION frames are taken, 9 cut the connection (CVE-2024-27316)', async () => {
    for (const [count, code] of [
      [8, null],
      [9, 'ENHANCE_YOUR_CALM'],
    ] as const) {
      const client = fixture().wire();
      client.feed(GREETING, frame('HEADERS', END_STREAM, 1, request('/t/Echo')));
      for (let i = 1; i < count; i++) client.feed(frame('CONTINUATION', 0, 1));
      client.feed(frame('CONTINUATION', END_HEADERS, 1));
      expect(await client.failure()).toBe(code);
    }
  });

  test('a block of 32 KiB is decoded, one byte more cuts the connection', async () => {
    for (const [bytes, code] of [
      [32_768, null],
      [32_769, 'ENHANCE_YOUR_CALM'],
    ] as const) {
      const client = fixture().wire();
      const block = Buffer.concat([request('/t/Echo'), Buffer.alloc(bytes, 0x82)]);
      client.feed(GREETING, frame('HEADERS', END_STREAM, 1, block.subarray(0, 16_384)));
      client.feed(frame('CONTINUATION', 0, 1, block.subarray(16_384, 32_768)));
      client.feed(frame('CONTINUATION', END_HEADERS, 1, block.subarray(32_768, bytes)));
      expect(await client.failure()).toBe(code);
    }
  });

  test('a block in one frame has the same bound', async () => {
    const block = request('/t/Echo');
    for (const [headerBlockBytesMax, code] of [
      [block.length, null],
      [block.length - 1, 'ENHANCE_YOUR_CALM'],
    ] as const) {
      const client = fixture({ headerBlockBytesMax }).wire();
      client.feed(GREETING, frame('HEADERS', END_HEADERS, 1, block));
      expect(await client.failure()).toBe(code);
    }
  });

  test('32 settings in a frame are taken, 33 cut the connection', async () => {
    for (const [count, code] of [
      [32, null],
      [33, 'ENHANCE_YOUR_CALM'],
    ] as const) {
      const client = fixture().wire();
      const entries = Array.from({ length: count }, (): [number, number] => [3, 1]);
      client.feed(GREETING, settings(...entries));
      expect(await client.failure()).toBe(code);
    }
  });
});

describe('bounds on what is kept', () => {
  test('100 calls are open at once, the next is refused, and a place becomes free', async () => {
    const { wire, streams } = fixture();
    const client = wire();
    client.feed(
      GREETING,
      repeated(101, (i) => openCall(idOf(i))),
    );
    expect(streams).toHaveLength(100);
    expect(await client.resets()).toEqual(['201: REFUSED_STREAM']);
    client.feed(frame('RST_STREAM', 0, 1, CANCEL), openCall(203));
    expect(streams).toHaveLength(101);
  });

  test('a message too long is refused at its prefix: nothing of it was kept', async () => {
    const { wire } = fixture({ messageBytesMax: 1000 });
    const client = wire();
    client.feed(GREETING, echoCall(1, Buffer.alloc(1000)), openCall(3));
    client.feed(frame('DATA', 0, 3, Buffer.concat([Buffer.of(0), u32(1001)])));
    expect(await client.statuses()).toEqual({ 1: '0', 3: '8' });
  });

  test('unfinished messages of a connection are kept up to its bound', async () => {
    const { wire } = fixture({ connectionHeldBytesMax: 40_000 });
    const client = wire();
    const half = message(Buffer.alloc(40_000)).subarray(0, 16_384);
    client.feed(GREETING, openCall(1), openCall(3), openCall(5));
    for (const stream of [1, 3, 5]) client.feed(frame('DATA', 0, stream, half));
    expect(await client.statuses()).toEqual({ 5: '8' });
    // What one lets go the next may use.
    client.feed(frame('RST_STREAM', 0, 1, CANCEL), openCall(7), frame('DATA', 0, 7, half));
    expect(await client.statuses()).toEqual({ 5: '8' });
  });

  test('a paused stream takes its window, and one byte more is FLOW_CONTROL_ERROR', async () => {
    const { wire, streams } = fixture({ streamWindowBytes: 70_000 });
    const client = wire();
    client.feed(GREETING, openCall(1));
    streams[0]?.pause();
    for (let i = 0; i < 7; i++) client.feed(frame('DATA', 0, 1, Buffer.alloc(10_000)));
    expect(await client.resets()).toEqual([]);
    client.feed(frame('DATA', 0, 1, Buffer.alloc(1)));
    expect(await client.resets()).toEqual(['1: FLOW_CONTROL_ERROR']);
  });

  test('a million tiny pieces for a paused stream cost their bytes, not a million objects', () => {
    const { wire, streams } = fixture({ emptyDataMax: 1e9 });
    const client = wire();
    client.feed(GREETING, openCall(1));
    streams[0]?.pause();
    const pieces = repeated(10_000, () => frame('DATA', 0, 1, Buffer.of(0)));
    const before = process.memoryUsage();
    for (let i = 0; i < 100; i++) client.feed(pieces);
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.external - before.heapUsed - before.external;
    expect(grown).toBeLessThan(64 * 1024 * 1024);
  });

  test('answers wait for who opens no window up to the bound, then his call is cut', async () => {
    const { wire, streams, warnings } = fixture({ streamBufferedBytesMax: 1000 });
    const client = wire();
    client.feed(GREETING, settings([4, 0]), openCall(1));
    streams[0]?.send(Buffer.alloc(995));
    expect(streams[0]?.bufferedBytes).toBe(1000);
    expect(await client.resets()).toEqual([]);
    streams[0]?.send(Buffer.alloc(0));
    expect(await client.resets()).toEqual(['1: ENHANCE_YOUR_CALM']);
    expect(streams[0]?.bufferedBytes).toBe(0);
    expect(warnings).toEqual(['slow reader cut off']);
  });

  test('answers of all calls of a connection together have a bound, too', async () => {
    const { wire, streams } = fixture({ connectionBufferedBytesMax: 2000 });
    const client = wire();
    client.feed(GREETING, settings([4, 0]), openCall(1), openCall(3), openCall(5));
    streams[0]?.send(Buffer.alloc(995));
    streams[1]?.send(Buffer.alloc(995));
    expect(await client.resets()).toEqual([]);
    streams[2]?.send(Buffer.alloc(0));
    expect(await client.resets()).toEqual(['5: ENHANCE_YOUR_CALM']);
    // The bound counts what is there, not what was.
    client.feed(frame('RST_STREAM', 0, 1, CANCEL), openCall(7));
    streams[3]?.send(Buffer.alloc(995));
    expect(await client.resets()).toHaveLength(1);
  });

  test('who makes us answer and does not read is cut off at wireBytesMax', async () => {
    const { wire, warnings } = fixture({ wireBytesMax: 20_000 });
    const client = wire();
    client.isStuck = true;
    client.feed(GREETING);
    let calls = 0;
    while (!client.isDestroyed && calls < 2000) {
      client.feed(frame('HEADERS', 5, idOf(calls++), request('/t/Nothing')));
      await settled();
      expect(client.bufferedBytes).toBeLessThanOrEqual(20_000);
    }
    expect(client.isDestroyed).toBe(true);
    expect(client.bufferedBytes).toBeGreaterThan(19_000);
    expect(warnings).toEqual(['connection cut off: it does not read']);
  });
});

describe('time limits', () => {
  const lastTimers = async (client: MemoryWire, timers: () => number): Promise<void> => {
    client.cut();
    await settled();
    expect(timers()).toBe(0);
  };

  test('a connection without a call in time is told and cut, however slowly it talks', async () => {
    const { wire, clock } = fixture({ firstCallMs: 1000, lingerMs: 100 });
    const client = wire();
    const bytes = Buffer.concat([GREETING, echoCall(1)]);
    for (let i = 0; i < 10; i++) {
      client.feed(bytes.subarray(i, i + 1));
      clock.pass(99);
    }
    expect(client.isDestroyed).toBe(false);
    clock.pass(10);
    expect((await client.frames()).map(({ type }) => type)).toContain('GOAWAY');
    clock.pass(100);
    expect(client.isDestroyed).toBe(true);
    await lastTimers(client, () => clock.timers);
  });

  test('a header block that never ends is cut when no ping is answered in it', async () => {
    const { wire, clock } = fixture({ keepaliveMs: 500 });
    const client = wire();
    client.feed(GREETING, echoCall(1), frame('HEADERS', 0, 3, request('/t/Echo')));
    clock.pass(999);
    expect(client.isDestroyed).toBe(false);
    clock.pass(1);
    expect(client.isDestroyed).toBe(true);
    await lastTimers(client, () => clock.timers);
  });

  test('an open call keeps a connection whose pings are answered', async () => {
    const { wire, clock } = fixture({ keepaliveMs: 500, idleMs: 700, firstCallMs: 600 });
    const client = wire();
    client.feed(GREETING, openCall(1));
    for (let i = 0; i < 20; i++) {
      clock.pass(400);
      const pings = (await client.frames()).filter(({ type }) => type === 'PING');
      for (const { payload } of pings) client.feed(frame('PING', 1, 0, payload));
    }
    expect(client.hasEnded).toBe(false);
    client.feed(frame('RST_STREAM', 0, 1, CANCEL));
    clock.pass(699);
    expect((await client.frames()).map(({ type }) => type)).not.toContain('GOAWAY');
    clock.pass(1);
    expect((await client.frames()).map(({ type }) => type)).toContain('GOAWAY');
    await lastTimers(client, () => clock.timers);
  });

  test('a client that goes on sending after its answer is reset after lingerMs', async () => {
    const { wire, clock, streams } = fixture({ lingerMs: 100 });
    const client = wire();
    client.feed(GREETING, openCall(1));
    streams[0]?.end(null);
    client.feed(frame('DATA', 0, 1, message(Buffer.of(1))));
    clock.pass(99);
    expect(await client.resets()).toEqual([]);
    clock.pass(1);
    expect(await client.resets()).toEqual(['1: NO_ERROR']);
    // What was on its way is no breach.
    client.feed(frame('DATA', 0, 1, message(Buffer.of(1))));
    expect(await client.resets()).toHaveLength(1);
    await lastTimers(client, () => clock.timers);
  });

  test('a client that ends its side in time is not reset, and no timer is left', async () => {
    const { wire, clock, streams } = fixture({ lingerMs: 100 });
    const client = wire();
    client.feed(GREETING, openCall(1));
    const timers = clock.timers;
    streams[0]?.end(null);
    expect(clock.timers).toBe(timers + 1);
    client.feed(frame('DATA', END_STREAM, 1));
    expect(clock.timers).toBe(timers);
    clock.pass(200);
    expect(await client.resets()).toEqual([]);
    await lastTimers(client, () => clock.timers);
  });
});
