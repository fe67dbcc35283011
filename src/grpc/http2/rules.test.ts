import { beforeEach, describe, expect, test } from 'vitest';
import { silentLog } from '../../io/index.ts';
import { createGrpcServer, type GrpcMethod } from '../index.ts';
import { unaryMethod } from '../method-adapters.ts';
import {
  frame,
  GREETING,
  headerBlock,
  message,
  request,
  settings,
  u32,
} from '../testing/frames.ts';
import { ManualClock } from '../testing/manual-clock.ts';
import { MemoryWire, settled } from '../testing/memory-wire.ts';
import { PREFACE } from './protocol.ts';

/*
 * Every rule of RFC 9113 that a client can break, with the code it must get: a GOAWAY when it
 * costs the connection, a RST_STREAM when it costs the stream.
 */

const END_STREAM = 1;
const END_HEADERS = 4;
const PADDED = 8;
const PRIORITY = 0x20;
const BOTH = END_STREAM | END_HEADERS;

const echo: GrpcMethod = unaryMethod(async (bytes) => bytes);
const open: GrpcMethod = {
  type: 'bidi',
  open: () => ({ onMessage() {}, onEnd() {}, onClosed() {}, onStopping() {} }),
};

let wire: MemoryWire;
let defects: Error[];

beforeEach(() => {
  wire = new MemoryWire();
  defects = [];
  const server = createGrpcServer({
    methods: new Map<string, GrpcMethod>([
      ['/t/Echo', echo],
      ['/t/Open', open],
    ]),
    log: silentLog,
    clock: new ManualClock(),
    onDefect: (error) => defects.push(error),
  });
  server.handleWire(wire);
});

const REQUEST = request('/t/Echo');
const OPEN = frame('HEADERS', END_HEADERS, 1, request('/t/Open'));
const CALL = Buffer.concat([
  frame('HEADERS', END_HEADERS, 1, REQUEST),
  frame('DATA', END_STREAM, 1, message(Buffer.of(7))),
]);

/** What the client sends after the greeting, and the code of the GOAWAY it gets. */
const CONNECTION_ERRORS: Record<string, [Uint8Array | Uint8Array[], string]> = {
  'DATA on stream 0 (6.1)': [frame('DATA', 0, 0), 'PROTOCOL_ERROR'],
  'DATA on an idle stream (5.1)': [frame('DATA', 0, 1), 'PROTOCOL_ERROR'],
  'DATA on a stream of the server (5.1.1)': [frame('DATA', 0, 2), 'PROTOCOL_ERROR'],
  'DATA whose padding has no length (6.1)': [[OPEN, frame('DATA', PADDED, 1)], 'FRAME_SIZE_ERROR'],
  'DATA with more padding than frame (6.1)': [
    [OPEN, frame('DATA', PADDED, 1, Buffer.of(2, 0))],
    'PROTOCOL_ERROR',
  ],
  'HEADERS on stream 0 (6.2)': [frame('HEADERS', BOTH, 0, REQUEST), 'PROTOCOL_ERROR'],
  'HEADERS on an even stream (5.1.1)': [frame('HEADERS', BOTH, 2, REQUEST), 'PROTOCOL_ERROR'],
  'HEADERS with more padding than frame (6.2)': [
    frame('HEADERS', BOTH | PADDED, 1, Buffer.of(9, 0x82)),
    'PROTOCOL_ERROR',
  ],
  'HEADERS too short for its priority (4.2)': [
    frame('HEADERS', BOTH | PRIORITY, 1, Buffer.alloc(4)),
    'FRAME_SIZE_ERROR',
  ],
  'HEADERS on a stream that was used and closed (5.1)': [[CALL, CALL], 'STREAM_CLOSED'],
  'HEADERS with an id lower than before (5.1.1)': [
    [frame('HEADERS', END_HEADERS, 5, REQUEST), frame('HEADERS', BOTH, 3, REQUEST)],
    'STREAM_CLOSED',
  ],
  'a frame inside a header block (4.3)': [
    [frame('HEADERS', END_STREAM, 1, REQUEST), frame('PING', 0, 0, Buffer.alloc(8))],
    'PROTOCOL_ERROR',
  ],
  'CONTINUATION of another stream (6.10)': [
    [frame('HEADERS', 0, 1, REQUEST), frame('CONTINUATION', END_HEADERS, 3)],
    'PROTOCOL_ERROR',
  ],
  'CONTINUATION of nothing (6.10)': [frame('CONTINUATION', END_HEADERS, 1), 'PROTOCOL_ERROR'],
  'CONTINUATION behind END_HEADERS (6.10)': [
    [OPEN, frame('CONTINUATION', END_HEADERS, 1)],
    'PROTOCOL_ERROR',
  ],
  'a header block that is no HPACK (4.3)': [
    frame('HEADERS', BOTH, 1, Buffer.of(0x80)),
    'COMPRESSION_ERROR',
  ],
  'trailers that are no HPACK (4.3)': [
    [OPEN, frame('HEADERS', BOTH, 1, Buffer.of(0xff))],
    'COMPRESSION_ERROR',
  ],
  'PRIORITY on stream 0 (6.3)': [frame('PRIORITY', 0, 0, Buffer.alloc(5)), 'PROTOCOL_ERROR'],
  'PRIORITY of another length (6.3)': [frame('PRIORITY', 0, 1, u32(0)), 'FRAME_SIZE_ERROR'],
  'RST_STREAM on stream 0 (6.4)': [frame('RST_STREAM', 0, 0, u32(8)), 'PROTOCOL_ERROR'],
  'RST_STREAM on an idle stream (6.4)': [frame('RST_STREAM', 0, 1, u32(8)), 'PROTOCOL_ERROR'],
  'RST_STREAM of another length (6.4)': [
    [OPEN, frame('RST_STREAM', 0, 1, Buffer.alloc(3))],
    'FRAME_SIZE_ERROR',
  ],
  'SETTINGS on a stream (6.5)': [frame('SETTINGS', 0, 1), 'PROTOCOL_ERROR'],
  'SETTINGS of an odd length (6.5)': [frame('SETTINGS', 0, 0, u32(0)), 'FRAME_SIZE_ERROR'],
  'SETTINGS ACK with entries (6.5)': [frame('SETTINGS', 1, 0, Buffer.alloc(6)), 'FRAME_SIZE_ERROR'],
  'ENABLE_PUSH that is neither 0 nor 1 (6.5.2)': [settings([2, 2]), 'PROTOCOL_ERROR'],
  'INITIAL_WINDOW_SIZE beyond 2^31-1 (6.5.2)': [settings([4, 2 ** 31]), 'FLOW_CONTROL_ERROR'],
  'MAX_FRAME_SIZE too small (6.5.2)': [settings([5, 16_383]), 'PROTOCOL_ERROR'],
  'MAX_FRAME_SIZE too large (6.5.2)': [settings([5, 2 ** 24]), 'PROTOCOL_ERROR'],
  'INITIAL_WINDOW_SIZE that lifts a window beyond 2^31-1 (6.9.2)': [
    [OPEN, frame('WINDOW_UPDATE', 0, 1, u32(2 ** 31 - 1 - 65_535)), settings([4, 65_536])],
    'FLOW_CONTROL_ERROR',
  ],
  'PUSH_PROMISE (8.4)': [[OPEN, frame('PUSH_PROMISE', 4, 1, u32(2))], 'PROTOCOL_ERROR'],
  'PING on a stream (6.7)': [frame('PING', 0, 1, Buffer.alloc(8)), 'PROTOCOL_ERROR'],
  'PING of another length (6.7)': [frame('PING', 0, 0, Buffer.alloc(7)), 'FRAME_SIZE_ERROR'],
  'GOAWAY on a stream (6.8)': [frame('GOAWAY', 0, 1, Buffer.alloc(8)), 'PROTOCOL_ERROR'],
  'GOAWAY too short (6.8)': [frame('GOAWAY', 0, 0, Buffer.alloc(7)), 'FRAME_SIZE_ERROR'],
  'WINDOW_UPDATE of nothing on the connection (6.9)': [
    frame('WINDOW_UPDATE', 0, 0, u32(0)),
    'PROTOCOL_ERROR',
  ],
  'WINDOW_UPDATE on an idle stream (5.1)': [frame('WINDOW_UPDATE', 0, 1, u32(1)), 'PROTOCOL_ERROR'],
  'WINDOW_UPDATE of another length (6.9)': [
    frame('WINDOW_UPDATE', 0, 0, Buffer.alloc(3)),
    'FRAME_SIZE_ERROR',
  ],
  'a connection window beyond 2^31-1 (6.9.1)': [
    frame('WINDOW_UPDATE', 0, 0, u32(2 ** 31 - 65_535)),
    'FLOW_CONTROL_ERROR',
  ],
  'a frame longer than 16,384 bytes (4.2)': [
    frame('DATA', 0, 1, Buffer.alloc(16_385)),
    'FRAME_SIZE_ERROR',
  ],
  'an unknown frame that is too long (4.2)': [
    frame(99, 0, 0, Buffer.alloc(16_385)),
    'FRAME_SIZE_ERROR',
  ],
};

/** What the client sends on stream 1, and the code of the RST_STREAM it gets. */
const STREAM_ERRORS: Record<string, [Uint8Array | Uint8Array[], string]> = {
  'DATA behind END_STREAM (5.1)': [
    [frame('HEADERS', BOTH, 1, request('/t/Open')), frame('DATA', 0, 1, Buffer.of(1))],
    'STREAM_CLOSED',
  ],
  'DATA on a closed stream (5.1)': [[CALL, frame('DATA', 0, 1, Buffer.of(1))], 'STREAM_CLOSED'],
  'HEADERS behind END_STREAM (5.1)': [
    [frame('HEADERS', BOTH, 1, request('/t/Open')), frame('HEADERS', BOTH, 1)],
    'STREAM_CLOSED',
  ],
  'trailers without END_STREAM (8.1)': [
    [OPEN, frame('HEADERS', END_HEADERS, 1, headerBlock([['a', 'b']]))],
    'PROTOCOL_ERROR',
  ],
  'trailers with a pseudo-header (8.1)': [
    [OPEN, frame('HEADERS', BOTH, 1, headerBlock([[':path', 'b']]))],
    'PROTOCOL_ERROR',
  ],
  'WINDOW_UPDATE of nothing (6.9)': [
    [OPEN, frame('WINDOW_UPDATE', 0, 1, u32(0))],
    'PROTOCOL_ERROR',
  ],
  'a stream window beyond 2^31-1 (6.9.1)': [
    [OPEN, frame('WINDOW_UPDATE', 0, 1, u32(2 ** 31 - 65_535))],
    'FLOW_CONTROL_ERROR',
  ],
  'more DATA than content-length (8.1.1)': [
    [
      frame('HEADERS', END_HEADERS, 1, request('/t/Open', [['content-length', '5']])),
      frame('DATA', 0, 1, Buffer.alloc(6)),
    ],
    'PROTOCOL_ERROR',
  ],
  'less DATA than content-length (8.1.1)': [
    [
      frame('HEADERS', END_HEADERS, 1, request('/t/Open', [['content-length', '7']])),
      frame('DATA', END_STREAM, 1, Buffer.alloc(6)),
    ],
    'PROTOCOL_ERROR',
  ],
};

const PSEUDO = [
  [':method', 'POST'],
  [':scheme', 'http'],
  [':path', '/t/Echo'],
] as const;

/** Requests that are malformed: PROTOCOL_ERROR of their stream. */
const MALFORMED: Record<string, (readonly [string, string])[]> = {
  'no :method (8.3.1)': PSEUDO.slice(1),
  'no :path (8.3.1)': PSEUDO.slice(0, 2),
  'no :scheme (8.3.1)': [PSEUDO[0], PSEUDO[2]],
  'an empty :path (8.3.1)': [PSEUDO[0], PSEUDO[1], [':path', '']],
  'a pseudo-header twice (8.3)': [...PSEUDO, PSEUDO[2]],
  'a pseudo-header that does not exist (8.3)': [...PSEUDO, [':x', 'y']],
  'a response’s pseudo-header (8.3)': [...PSEUDO, [':status', '200']],
  'a pseudo-header behind another header (8.3)': [PSEUDO[0], ['a', 'b'], PSEUDO[1], PSEUDO[2]],
  'a capital letter in a name (8.2)': [...PSEUDO, ['Content-Type', 'application/grpc']],
  'an empty name (8.2.1)': [...PSEUDO, ['', 'x']],
  'a line break in a value (8.2.1)': [...PSEUDO, ['a', 'x\r\ny']],
  'a line break in :path (8.2.1)': [PSEUDO[0], PSEUDO[1], [':path', '/a\nb']],
  'a blank around a value (8.2.1)': [...PSEUDO, ['a', ' x']],
  'connection (8.2.2)': [...PSEUDO, ['connection', 'close']],
  'keep-alive (8.2.2)': [...PSEUDO, ['keep-alive', '1']],
  'proxy-connection (8.2.2)': [...PSEUDO, ['proxy-connection', '1']],
  'transfer-encoding (8.2.2)': [...PSEUDO, ['transfer-encoding', 'chunked']],
  'upgrade (8.2.2)': [...PSEUDO, ['upgrade', 'h2c']],
  'te other than trailers (8.2.2)': [...PSEUDO, ['te', 'gzip']],
  'a content-length that is no number': [...PSEUDO, ['content-length', '1x']],
  'two content-lengths': [...PSEUDO, ['content-length', '1'], ['content-length', '2']],
};

/** Each part in a turn of its own: calls that it makes are answered before the next. */
async function feedInTurns(parts: readonly Uint8Array[]): Promise<void> {
  for (const part of parts) {
    wire.feed(part);
    await settled();
  }
}

async function expectServes(stream: number): Promise<void> {
  wire.feed(
    frame('HEADERS', END_HEADERS, stream, REQUEST),
    frame('DATA', END_STREAM, stream, message(Buffer.of(1))),
  );
  expect((await wire.statuses())[stream]).toBe('0');
}

describe('a rule broken costs the connection', () => {
  for (const [title, [bytes, code]] of Object.entries(CONNECTION_ERRORS)) {
    test(`${title}: ${code}`, async () => {
      await feedInTurns([GREETING, bytes].flat());
      expect(await wire.failure()).toBe(code);
      expect(wire.hasEnded).toBe(true);
      expect(defects).toEqual([]);
    });
  }

  test('another preface, or SETTINGS that are not first (3.4): PROTOCOL_ERROR', async () => {
    wire.feed(PREFACE, frame('PING', 0, 0, Buffer.alloc(8)));
    expect(await wire.failure()).toBe('PROTOCOL_ERROR');
    const second = new MemoryWire();
    createGrpcServer({ methods: new Map(), log: silentLog }).handleWire(second);
    second.feed(Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'));
    expect(await second.failure()).toBe('PROTOCOL_ERROR');
  });
});

describe('a rule broken costs the stream', () => {
  for (const [title, [bytes, code]] of Object.entries(STREAM_ERRORS)) {
    test(`${title}: ${code}`, async () => {
      await feedInTurns([GREETING, bytes].flat());
      expect(await wire.resets()).toEqual([`1: ${code}`]);
      await expectServes(3);
      expect(await wire.failure()).toBeNull();
    });
  }

  for (const [title, headers] of Object.entries(MALFORMED)) {
    test(`a request with ${title}: PROTOCOL_ERROR`, async () => {
      wire.feed(GREETING, frame('HEADERS', BOTH, 1, headerBlock(headers)));
      expect(await wire.resets()).toEqual(['1: PROTOCOL_ERROR']);
      await expectServes(3);
    });
  }
});

describe('no rule is broken by', () => {
  const HARMLESS: Record<string, Uint8Array[]> = {
    'a frame of unknown type (4.1)': [frame(99, 255, 7, Buffer.alloc(20))],
    'PRIORITY on any stream (5.3.2)': [frame('PRIORITY', 0, 9, Buffer.alloc(5))],
    'an unknown setting, and all known ones at their bounds (6.5.2)': [
      settings([99, 1], [1, 0], [2, 1], [3, 0], [4, 2 ** 31 - 1], [5, 16_384], [6, 0]),
      settings([2, 0], [4, 65_535], [5, 2 ** 24 - 1]),
    ],
    'WINDOW_UPDATE and RST_STREAM on a closed stream (5.1)': [
      CALL,
      frame('WINDOW_UPDATE', 0, 1, u32(1)),
      frame('RST_STREAM', 0, 1, u32(8)),
    ],
    'a window of exactly 2^31-1 (6.9.1)': [
      frame('WINDOW_UPDATE', 0, 0, u32(2 ** 31 - 1 - 65_535)),
      OPEN,
      frame('WINDOW_UPDATE', 0, 1, u32(2 ** 31 - 1 - 65_535)),
    ],
    'padding and priority in HEADERS and DATA (6.1, 6.2)': [
      frame(
        'HEADERS',
        END_HEADERS | PADDED | PRIORITY,
        1,
        Buffer.concat([Buffer.of(3), Buffer.alloc(5), REQUEST, Buffer.alloc(3)]),
      ),
      frame(
        'DATA',
        END_STREAM | PADDED,
        1,
        Buffer.concat([Buffer.of(200), message(Buffer.of(5)), Buffer.alloc(200)]),
      ),
    ],
    'trailers (8.1)': [OPEN, frame('HEADERS', BOTH, 1, headerBlock([['a', 'b']]))],
    'a content-length that is kept (8.1.1)': [
      frame('HEADERS', END_HEADERS, 1, request('/t/Echo', [['content-length', '6']])),
      frame('DATA', END_STREAM, 1, message(Buffer.of(5))),
    ],
    'an answer to a ping that was none (6.7)': [frame('PING', 1, 0, Buffer.alloc(8))],
    'bits that are reserved (4.1)': [
      frame('WINDOW_UPDATE', 0xfe, 2 ** 31, u32(2 ** 31 + 1)),
      frame('HEADERS', BOTH | 0xd2, 2 ** 31 + 1, request('/t/Open')),
    ],
    'a header block in pieces, some of them empty (6.10)': [
      frame('HEADERS', 0, 1, REQUEST.subarray(0, 3)),
      frame('CONTINUATION', 0, 1),
      frame('CONTINUATION', 0, 1, REQUEST.subarray(3, 40)),
      frame('CONTINUATION', END_HEADERS, 1, REQUEST.subarray(40)),
      frame('DATA', END_STREAM, 1, message(Buffer.of(5))),
    ],
    'a frame of exactly 16,384 bytes (4.2)': [
      OPEN,
      frame('DATA', 0, 1, Buffer.concat([Buffer.of(0), u32(16_379), Buffer.alloc(16_379)])),
    ],
  };

  for (const [title, bytes] of Object.entries(HARMLESS)) {
    test(title, async () => {
      wire.feed(GREETING, ...bytes);
      expect(await wire.failure()).toBeNull();
      expect(await wire.resets()).toEqual([]);
      await expectServes(11);
    });
  }

  test('any way to cut the bytes', async () => {
    const bytes = Buffer.concat([GREETING, CALL]);
    for (let size = 1; size < bytes.length; size++) {
      const cut = new MemoryWire();
      const methods = new Map([['/t/Echo', echo]]);
      createGrpcServer({ methods, log: silentLog, clock: new ManualClock() }).handleWire(cut);
      for (let at = 0; at < bytes.length; at += size) cut.feed(bytes.subarray(at, at + size));
      expect(await cut.statuses()).toEqual({ 1: '0' });
    }
  });
});
