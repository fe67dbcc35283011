import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes, DecodeError, equalBytes, hex, Prng } from '../lib/index.ts';
import {
  decodeFrame,
  type Frame,
  FrameReader,
  FrameWriter,
  HEADER_BYTES,
  KEEP_ALIVE_FRAME,
  messageFrameBytes,
} from './frame.ts';
import { anyPeerMessage, chunk, kept, rawFrame } from './testing/index.ts';
import type { PeerMessage } from './types.ts';

const PAYLOAD_BYTES_MAX = 64 * 1024;

function frameOf(...messages: PeerMessage[]): Uint8Array {
  const bytesMax = messages.reduce((sum, message) => sum + messageFrameBytes(message), 0);
  return new FrameWriter().messages(messages, bytesMax);
}

/** Reads chunks as a connection would. */
function readAll(chunks: readonly Uint8Array[], payloadBytesMax = PAYLOAD_BYTES_MAX): Frame[] {
  const reader = new FrameReader(payloadBytesMax);
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let payload = reader.next(); payload !== null; payload = reader.next()) {
      const frame = decodeFrame(payload);
      frames.push(frame.kind === 'message' ? { ...frame, message: kept(frame.message) } : frame);
    }
  }
  return frames;
}

const VOTE: PeerMessage = { type: 'preVoteReply', from: 1n, to: 2n, term: 3, granted: true };

describe('golden bytes:', () => {
  test('keep-alive', () => {
    expect(hex(KEEP_ALIVE_FRAME)).toBe('010000008def02d2f6f7ee4e00');
  });

  test('a message in its frame', () => {
    expect(hex(frameOf(VOTE))).toBe(
      '1300000004c1ed8419481c8904010000000000000002000000000000000301',
    );
  });
});

test('a chunk’s head and its data are its frame', () => {
  const writer = new FrameWriter();
  const nowhere = new Uint8Array(new ArrayBuffer(0));
  const data = [nowhere, ...[0, 1, 1_000, 20_000].map((length) => new Uint8Array(length))];
  for (const each of data) {
    const message = { ...chunk(1n, 2n, 7), data: each };
    const parts = concatBytes([writer.chunkHead(message), each]);
    expect(equalBytes(parts, frameOf(message)), `${each.length} bytes`).toBe(true);
    expect(readAll([parts], 2 ** 20)).toEqual([{ kind: 'message', message }]);
  }
});

test('messages come back however the stream is cut into chunks', () => {
  const cuts = fc.array(fc.nat(), { maxLength: 20 });
  fc.assert(
    fc.property(fc.array(anyPeerMessage, { maxLength: 10 }), cuts, (messages, at) => {
      const stream = concatBytes([frameOf(...messages), KEEP_ALIVE_FRAME]);
      const places = [0, ...at.map((n) => n % stream.length), stream.length].sort((a, b) => a - b);
      const chunks = places.slice(1).map((end, i) => stream.slice(places[i], end));
      expect(readAll(chunks)).toEqual([
        ...messages.map((message) => ({ kind: 'message', message })),
        { kind: 'keepAlive' },
      ]);
    }),
    { numRuns: 300 },
  );
});

test('messages come back from a stream that arrives byte by byte', () => {
  const stream = concatBytes([frameOf(VOTE), frameOf(VOTE, VOTE)]);
  const frames = readAll(Array.from(stream, (byte) => Uint8Array.of(byte)));
  expect(frames).toEqual(Array(3).fill({ kind: 'message', message: VOTE }));
});

test('every flipped bit in a frame is found', () => {
  const entries = [
    { kind: 'command', index: 8, term: 3, data: new Uint8Array(40).fill(7) },
  ] as const;
  const at = { prevLogIndex: 7, prevLogTerm: 3, leaderCommit: 7 };
  const frame = frameOf({ type: 'appendEntries', from: 1n, to: 2n, term: 3, ...at, entries });
  for (let bit = 0; bit < frame.length * 8; bit++) {
    const damaged = frame.slice();
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    expect(() => readAll([damaged]), `bit ${bit}`).toThrow(/checksum/);
  }
});

test('a frame cut short yields nothing, and nothing is thrown', () => {
  const frame = frameOf(VOTE);
  for (let length = 0; length < frame.length; length++) {
    expect(readAll([frame.subarray(0, length)])).toEqual([]);
  }
});

describe('right checksums do not help', () => {
  test.each([
    ['an unknown kind', [99]],
    ['trailing bytes after a keep-alive', [0, 0]],
    ['an unknown handshake kind', [0xff, 0x51, 0x52, 0x54, 0x50]],
    ['a handshake without magic', [0x81, 0, 0, 0, 0]],
  ])('%s', (_name, payload) => {
    expect(() => readAll([rawFrame(Uint8Array.from(payload))])).toThrow(DecodeError);
  });

  test('trailing bytes after a message', () => {
    const payload = concatBytes([frameOf(VOTE).subarray(HEADER_BYTES), Uint8Array.of(0)]);
    expect(() => readAll([rawFrame(payload)])).toThrow('1 bytes too many');
  });
});

test('an empty frame is refused', () => {
  expect(() => readAll([rawFrame(new Uint8Array(0))])).toThrow('empty frame');
});

test('a payload of the limit is accepted and one byte more is not', () => {
  const reader = new FrameReader(1000);
  reader.push(rawFrame(new Uint8Array(1000)));
  expect(reader.next()?.length).toBe(1000);
  reader.push(rawFrame(new Uint8Array(1001)).subarray(0, HEADER_BYTES));
  expect(() => reader.next()).toThrow('frame of 1001 bytes, at most 1000');
});

test('garbage is refused at its first header', () => {
  const prng = new Prng(7);
  for (let run = 0; run < 2000; run++) {
    const garbage = Uint8Array.from({ length: 12 + prng.below(100) }, () => prng.below(256));
    expect(() => readAll([garbage]), `run ${run} of seed 7`).toThrow(DecodeError);
  }
});

test('a frame in many chunks is joined in one buffer of at most twice its size', () => {
  const payload = new Uint8Array(4 * 1024 * 1024).fill(5);
  const stream = rawFrame(payload);
  const reader = new FrameReader(payload.length);
  let whole: Uint8Array | null = null;
  for (let at = 0; at < stream.length; at += 1024) {
    expect(whole).toBe(null);
    reader.push(stream.slice(at, at + 1024));
    whole = reader.next();
  }
  expect(equalBytes(whole as unknown as Uint8Array, payload)).toBe(true);
  expect((whole as unknown as Uint8Array).buffer.byteLength).toBeLessThan(2 * payload.length);
});

test('a joined buffer is used again for the next frames that span chunks', () => {
  const reader = new FrameReader(1000);
  const frame = rawFrame(new Uint8Array(400).fill(1));
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 10; i++) {
    reader.push(frame.slice(0, 300));
    expect(reader.next()).toBe(null);
    reader.push(frame.slice(300));
    const payload = reader.next();
    if (payload !== null) buffers.add(payload.buffer);
    expect(reader.next()).toBe(null);
  }
  expect(buffers.size).toBe(1);
});

test('so is that of frames as long as a chunk of a snapshot', () => {
  const reader = new FrameReader(2 ** 20);
  const frame = rawFrame(new Uint8Array(240 * 1024).fill(1));
  const buffers = new Set<ArrayBufferLike>();
  for (let i = 0; i < 20; i++) {
    for (let at = 0; at < frame.length; at += 60_000) reader.push(frame.slice(at, at + 60_000));
    const payload = reader.next();
    if (payload !== null) buffers.add(payload.buffer);
    expect(reader.next()).toBe(null);
  }
  expect(buffers.size).toBeLessThan(4);
});

test('the buffer of a large joined frame is given back after it', () => {
  const reader = new FrameReader(4 * 1024 * 1024);
  const join = (payloadBytes: number) => {
    const frame = rawFrame(new Uint8Array(payloadBytes));
    reader.push(frame.slice(0, 20));
    expect(reader.next()).toBe(null);
    reader.push(frame.slice(20));
    const bufferBytes = reader.next()?.buffer.byteLength;
    expect(reader.next()).toBe(null);
    return bufferBytes;
  };
  expect(join(4 * 1024 * 1024)).toBeGreaterThan(4 * 1024 * 1024);
  expect(join(100)).toBeLessThan(1024);
});
