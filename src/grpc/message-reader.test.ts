import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes } from '../lib/index.ts';
import { GRPC_STATUS, GrpcError } from './index.ts';
import { MessageReader, messagePrefix } from './message-reader.ts';

const LIMIT = 1000;

function framed(messages: readonly Uint8Array[]): Uint8Array {
  return concatBytes(messages.flatMap((message) => [messagePrefix(message.length), message]));
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
      const reader = new MessageReader(LIMIT);
      const received: Uint8Array[] = [];
      let at = 0;
      for (let i = 0; at < bytes.length; i++) {
        const size = (sizes[i % sizes.length] ?? 0) + (i % sizes.length === 0 ? 1 : 0);
        reader.push(bytes.subarray(at, at + size), (message) => received.push(message));
        at += size;
      }
      reader.end();
      expect(received).toEqual(sent);
    });
    fc.assert(check, { seed: 20_260_110, numRuns: 500 });
  });

  test('a message at the limit passes, one byte more is RESOURCE_EXHAUSTED at its prefix', () => {
    const lengths: number[] = [];
    const note = (message: Uint8Array): void => void lengths.push(message.length);
    new MessageReader(LIMIT).push(framed([new Uint8Array(LIMIT)]), note);
    expect(lengths).toEqual([LIMIT]);
    const refused = codeOf(() => new MessageReader(LIMIT).push(messagePrefix(LIMIT + 1), note));
    expect(refused).toBe(GRPC_STATUS.RESOURCE_EXHAUSTED);
    const huge = codeOf(() => new MessageReader(LIMIT).push(messagePrefix(2 ** 32 - 1), note));
    expect(huge).toBe(GRPC_STATUS.RESOURCE_EXHAUSTED);
  });

  test('messages are plain arrays, of which slice is a copy, also when Buffers come in', () => {
    const received: Uint8Array[] = [];
    const bytes = Buffer.from(framed([Uint8Array.of(1, 2, 3)]));
    new MessageReader(LIMIT).push(bytes, (message) => received.push(message.slice()));
    bytes.fill(9);
    expect(received).toEqual([Uint8Array.of(1, 2, 3)]);
  });

  test('a compressed message is UNIMPLEMENTED', () => {
    const bytes = framed([Uint8Array.of(1, 2, 3)]);
    bytes[0] = 1;
    expect(codeOf(() => new MessageReader(LIMIT).push(bytes, () => {}))).toBe(
      GRPC_STATUS.UNIMPLEMENTED,
    );
  });

  test('an end inside a message or its prefix is INTERNAL, between messages it is none', () => {
    const bytes = framed([Uint8Array.of(1, 2, 3)]);
    for (let length = 0; length <= bytes.length; length++) {
      const reader = new MessageReader(LIMIT);
      reader.push(bytes.subarray(0, length), () => {});
      const whole = length === 0 || length === bytes.length;
      expect(codeOf(() => reader.end())).toBe(whole ? null : GRPC_STATUS.INTERNAL);
    }
  });
});
