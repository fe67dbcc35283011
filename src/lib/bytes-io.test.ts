import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, copyBytes, DecodeError } from './index.ts';

const CHECK = { seed: 20_261_123, numRuns: 500 };
const U32_MAX = 2 ** 32 - 1;

describe('ByteReader and ByteWriter', () => {
  test('whatever was written is read again', () => {
    const rows = fc.record({
      u8: fc.nat(255),
      u32: fc.nat(U32_MAX),
      u64: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      count: fc.maxSafeNat(),
      bytes: fc.uint8Array({ maxLength: 60 }),
    });
    const check = fc.property(fc.array(rows, { maxLength: 5 }), (all) => {
      const writer = new ByteWriter();
      for (const { u8, u32, u64, count, bytes } of all) {
        writer.u8(u8);
        writer.u32(u32);
        writer.u64(u64);
        writer.varint(count);
        writer.bytes(bytes);
      }
      const reader = new ByteReader(writer.finish());
      const read = all.map(() => ({
        u8: reader.u8(),
        u32: reader.u32(),
        u64: reader.u64(),
        count: reader.varint(),
        bytes: reader.bytes().slice(),
      }));
      reader.end();
      expect(read).toEqual(all);
    });
    fc.assert(check, CHECK);
  });

  test('numbers around every power of two are varints of seven bits a byte', () => {
    for (let bits = 1; bits <= 53; bits++) {
      for (const value of [2 ** bits - 1, 2 ** (bits - 1)]) {
        const writer = new ByteWriter();
        writer.varint(value);
        const written = writer.finish();
        expect([written.length, new ByteReader(written).varint()]).toEqual([
          Math.ceil(bits / 7),
          value,
        ]);
      }
    }
  });

  test('an input that ends is refused by every kind of read, at any place', () => {
    const reads = [
      (reader: ByteReader) => reader.u8(),
      (reader: ByteReader) => reader.u32(),
      (reader: ByteReader) => reader.u64(),
      (reader: ByteReader) => reader.varint(),
      (reader: ByteReader) => reader.bytes(),
    ];
    const lengths = [1, 4, 8, 2, 3];
    for (const [kind, read] of reads.entries()) {
      const whole = Uint8Array.of(...(kind === 4 ? [2] : []), ...new Array(8).fill(0x80));
      for (let length = 0; length < (lengths[kind] ?? 0); length++) {
        expect(() => read(new ByteReader(whole.subarray(0, length)))).toThrow(DecodeError);
      }
    }
  });

  test('views of a larger buffer are read within their bounds', () => {
    const buffer = Uint8Array.of(9, 1, 2, 3, 4, 9);
    const reader = new ByteReader(buffer.subarray(1, 5));
    expect(reader.u32()).toBe(0x0403_0201);
    expect(() => reader.u8()).toThrow(DecodeError);
    expect(() => new ByteReader(buffer.subarray(1, 1)).varint()).toThrow(DecodeError);
  });
});

test('copyBytes copies short and long pieces to their place, and nothing beside it', () => {
  for (let length = 0; length <= 60; length++) {
    const source = Uint8Array.from({ length }, (_, i) => i + 1);
    const target = new Uint8Array(length + 4).fill(0xff);
    copyBytes(target, 2, source);
    expect([...target]).toEqual([0xff, 0xff, ...source, 0xff, 0xff]);
  }
});
