import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes } from '../lib/index.ts';
import { GRPC_STATUS, GrpcError } from './index.ts';
import { type HeldBytes, MessageReader, messagePrefix } from './message-reader.ts';

const LIMIT = 1000;

function framed(messages: readonly Uint8Array[]): Uint8Array {
  return concatBytes(messages.flatMap((message) => [messagePrefix(message.length), message]));
}

/** Messages held and not released, bytes. */
class Held implements HeldBytes {
  bytes = 0;
  readonly bytesMax: number;

  constructor(bytesMax = 1e9) {
    this.bytesMax = bytesMax;
  }

  hold(bytes: number): boolean {
    if (this.bytes + bytes > this.bytesMax) return false;
    this.bytes += bytes;
    return true;
  }

  release(bytes: number): void {
    this.bytes -= bytes;
  }
}

function newReader(held = new Held()): MessageReader {
  return new MessageReader(LIMIT, held);
}

function read(reader: MessageReader, bytes: Uint8Array): Uint8Array[] {
  const messages: Uint8Array[] = [];
  reader.push(bytes);
  for (let message = reader.next(); message !== null; message = reader.next()) {
    messages.push(message);
  }
  return messages;
}

function codeOf(run: () => void): number | null {
  try {
    run();
    return null;
  } catch (error) {
    if (error instanceof GrpcError) return error.code;
    throw error;
  }
}

describe('MessageReader', () => {
  test('finds the messages, however the bytes are cut', () => {
    const messages = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 });
    const cuts = fc.array(fc.nat(15), { minLength: 1, maxLength: 60 });
    const check = fc.property(messages, cuts, (sent, sizes) => {
      const bytes = framed(sent);
      const held = new Held();
      const reader = newReader(held);
      const received: Uint8Array[] = [];
      let at = 0;
      for (let i = 0; at < bytes.length; i++) {
        const size = (sizes[i % sizes.length] ?? 0) + (i % sizes.length === 0 ? 1 : 0);
        received.push(...read(reader, bytes.subarray(at, at + size)));
        at += size;
      }
      reader.end();
      expect(received).toEqual(sent);
      expect(held.bytes).toBe(0);
    });
    fc.assert(check, { seed: 20_260_110, numRuns: 500 });
  });

  test('a message at the limit passes, one byte more is RESOURCE_EXHAUSTED at its prefix', () => {
    const [message] = read(newReader(), framed([new Uint8Array(LIMIT)]));
    expect(message).toHaveLength(LIMIT);
    for (const length of [LIMIT + 1, 2 ** 31, 2 ** 32 - 1]) {
      const refused = codeOf(() => read(newReader(), messagePrefix(length)));
      expect(refused).toBe(GRPC_STATUS.RESOURCE_EXHAUSTED);
    }
  });

  test('a message that is announced costs nothing, and one that comes at most twice itself', () => {
    const held = new Held();
    const reader = new MessageReader(2 ** 30, held);
    read(reader, messagePrefix(2 ** 30));
    expect(held.bytes).toBe(0);
    for (let sent = 1; sent <= 100_000; sent++) {
      read(reader, Uint8Array.of(1));
      if (held.bytes > Math.max(1024, 2 * sent)) expect.fail(`${held.bytes} held for ${sent}`);
    }
    expect(held.bytes).toBeGreaterThanOrEqual(100_000);
  });

  test('what may be held is held, one byte more is RESOURCE_EXHAUSTED', () => {
    const part = framed([new Uint8Array(600)]).subarray(0, 500);
    expect(read(newReader(new Held(600)), part)).toEqual([]);
    expect(codeOf(() => read(newReader(new Held(599)), part))).toBe(GRPC_STATUS.RESOURCE_EXHAUSTED);
  });

  test('messages are plain arrays, of which slice is a copy, also when Buffers come in', () => {
    const bytes = Buffer.from(framed([Uint8Array.of(1, 2, 3)]));
    const copies = read(newReader(), bytes).map((message) => message.slice());
    bytes.fill(9);
    expect(copies).toEqual([Uint8Array.of(1, 2, 3)]);
  });

  test('tells compressed messages from others; a flag that is neither is INTERNAL', () => {
    const bytes = framed([Uint8Array.of(1), Uint8Array.of(2)]);
    bytes[0] = 1;
    const reader = newReader();
    reader.push(bytes);
    expect([reader.next(), reader.isCompressed]).toEqual([Uint8Array.of(1), true]);
    expect([reader.next(), reader.isCompressed]).toEqual([Uint8Array.of(2), false]);
    bytes[0] = 2;
    expect(codeOf(() => read(newReader(), bytes))).toBe(GRPC_STATUS.INTERNAL);
  });

  test('an end inside a message or its prefix is INTERNAL, between messages it is none', () => {
    const bytes = framed([Uint8Array.of(1, 2, 3)]);
    for (let length = 0; length <= bytes.length; length++) {
      const reader = newReader();
      read(reader, bytes.subarray(0, length));
      const whole = length === 0 || length === bytes.length;
      expect(codeOf(() => reader.end())).toBe(whole ? null : GRPC_STATUS.INTERNAL);
    }
  });
});
