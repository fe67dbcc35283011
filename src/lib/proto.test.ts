import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError, hex, InvariantViolation, Prng, ProtoReader, ProtoWriter } from './index.ts';

const CHECK = { seed: 20_260_102, numRuns: 500 };

function written(write: (writer: ProtoWriter) => void): Uint8Array {
  const writer = new ProtoWriter();
  write(writer);
  return writer.finish();
}

/** Bytes of the shortest varint: seven bits in each. */
function lengthBytes(length: number): number {
  return length === 0 ? 1 : Math.ceil(Math.log2(length + 1) / 7);
}

function reader(...bytes: number[]): ProtoReader {
  return new ProtoReader(Uint8Array.from(bytes), 8);
}

describe('ProtoWriter', () => {
  test('writes the examples of the protobuf encoding guide', () => {
    expect(hex(written((w) => w.uint(1, 150)))).toBe('089601');
    expect(hex(written((w) => w.string(2, 'testing')))).toBe('120774657374696e67');
    const inner = written((w) => {
      const start = w.begin(3);
      w.uint(1, 150);
      w.end(start);
    });
    expect(hex(inner)).toBe('1a03089601');
  });

  test("writes 64 bits as a varint: of a negative number, its two's complement", () => {
    const check = fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 64n - 1n }), (value) => {
      const bytes = written((w) => w.uint64Always(1, value));
      const found = new ProtoReader(bytes, 0);
      expect(found.next()).toBe(true);
      expect(found.uint64()).toBe(BigInt.asUintN(64, value));
      expect(found.next()).toBe(false);
      const bits = BigInt.asUintN(64, value).toString(2).length;
      expect(bytes).toHaveLength(1 + Math.ceil(bits / 7));
    });
    fc.assert(check, CHECK);
  });

  test('leaves defaults out, and writes them where Always is in the name', () => {
    const defaults = written((w) => {
      w.uint(1, 0);
      w.bool(2, false);
      w.fixed64(3, 0n);
      w.bytes(4, new Uint8Array(0));
      w.string(5, '');
    });
    expect(defaults).toHaveLength(0);
    const always = written((w) => {
      w.uintAlways(1, 0);
      w.bytesAlways(4, new Uint8Array(0));
      w.stringAlways(5, '');
    });
    expect(hex(always)).toBe('080022002a00');
  });

  test('refuses negative, fractional and unsafe integers', () => {
    for (const value of [-1, 0.5, 2 ** 53, Number.NaN]) {
      expect(() => written((w) => w.uint(1, value))).toThrow(InvariantViolation);
    }
  });

  test('puts the shortest length before a message of any size', () => {
    for (const size of [0, 1, 124, 125, 126, 127, 128, 16_380, 16_384, 300_000, 2_100_000]) {
      const bytes = written((w) => {
        const outer = w.begin(1);
        const inner = w.begin(2);
        w.bytesAlways(3, new Uint8Array(size).fill(7));
        w.end(inner);
        w.uint(4, 9);
        w.end(outer);
      });
      const read = new ProtoReader(bytes, 2);
      read.next();
      const value = read.message((outer) => {
        outer.next();
        const content = outer.message((inner) => {
          inner.next();
          const found = inner.bytes();
          expect(inner.next()).toBe(false);
          return found;
        });
        outer.next();
        expect(outer.uint()).toBe(9);
        expect(outer.next()).toBe(false);
        return content;
      });
      expect(read.next()).toBe(false);
      expect(value).toHaveLength(size);
      const field = (length: number): number => 1 + lengthBytes(length) + length;
      expect(bytes).toHaveLength(field(field(field(size)) + 2));
    }
  });

  test('gives every message memory that later messages do not write to', () => {
    const writer = new ProtoWriter();
    const sizes = new Prng(20_260_103);
    const messages = Array.from({ length: 600 }, (_, i) => {
      // Some are given up, some outgrow what small ones share, or what is kept.
      if (sizes.below(5) === 0) {
        writer.bytes(1, new Uint8Array(sizes.below(20_000)).fill(0xff));
        writer.clear();
      }
      const outer = writer.begin(2);
      writer.bytesAlways(1, new Uint8Array(sizes.below(2 ** (3 + sizes.below(17)))).fill(i));
      writer.end(outer);
      return writer.finish();
    });
    for (const [i, message] of messages.entries()) {
      const read = new ProtoReader(message, 1);
      read.next();
      const bytes = read.message((inner) => {
        inner.next();
        return inner.bytes();
      });
      expect(read.next()).toBe(false);
      expect(bytes.every((byte) => byte === (i & 0xff))).toBe(true);
    }
  });

  test('starts afresh after clear', () => {
    const writer = new ProtoWriter();
    writer.uint(1, 5);
    writer.clear();
    writer.uint(2, 6);
    expect(hex(writer.finish())).toBe('1006');
  });
});

describe('ProtoReader', () => {
  test('reads every integer that the writer writes', () => {
    const check = fc.property(fc.maxSafeNat(), (value) => {
      const read = new ProtoReader(
        written((w) => w.uintAlways(1, value)),
        0,
      );
      expect(read.next()).toBe(true);
      expect(read.uint()).toBe(value);
      expect(read.next()).toBe(false);
    });
    fc.assert(check, CHECK);
  });

  test('reads 64 opaque bits exactly', () => {
    for (const value of [1n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
      const read = new ProtoReader(
        written((w) => w.fixed64(1, value)),
        0,
      );
      read.next();
      expect(read.fixed64()).toBe(value);
    }
  });

  test('accepts longer forms of a varint up to ten bytes', () => {
    const read = reader(0x08, 0x85, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00);
    read.next();
    expect(read.uint()).toBe(5);
    const tooLong = reader(0x08, ...new Array(10).fill(0x80), 0x00);
    tooLong.next();
    expect(() => tooLong.uint()).toThrow(DecodeError);
  });

  test('passes over unknown fields of every kind', () => {
    const read = reader(
      ...[0x08, ...new Array(9).fill(0xff), 0x01], // varint of 64 bits
      ...[0x11, 1, 2, 3, 4, 5, 6, 7, 8], // 8 bytes
      ...[0x1a, 2, 9, 9], // length 2
      ...[0x25, 1, 2, 3, 4], // 4 bytes
      ...[0x28, 7],
    );
    for (let field = 1; field <= 4; field++) {
      expect(read.next()).toBe(true);
      expect(read.field).toBe(field);
      read.skip();
    }
    expect(read.next()).toBe(true);
    expect(read.uint()).toBe(7);
    expect(read.next()).toBe(false);
  });

  test('refuses groups, wire types that do not exist, field 0 and tags beyond 32 bits', () => {
    for (const wire of [3, 4, 6, 7]) {
      const read = reader(0x08 | wire, 0);
      read.next();
      expect(() => read.skip()).toThrow(DecodeError);
    }
    expect(() => reader(0x00, 0).next()).toThrow('bad tag');
    expect(() => reader(0x80, 0x80, 0x80, 0x80, 0x10, 0).next()).toThrow('bad tag');
  });

  test('refuses a known field of another wire type', () => {
    const attempts: ((read: ProtoReader) => unknown)[] = [
      (read) => read.bytes(),
      (read) => read.string(),
      (read) => read.fixed64(),
      (read) => read.message(() => null),
    ];
    for (const attempt of attempts) {
      const read = reader(0x08, 0);
      read.next();
      expect(() => attempt(read)).toThrow('wire type 0');
    }
    const read = reader(0x0a, 0);
    read.next();
    expect(() => read.uint()).toThrow('wire type 2');
  });

  test('refuses lengths beyond the message before it allocates anything', () => {
    const huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f];
    for (const attempt of [
      (read: ProtoReader) => read.bytes(),
      (read: ProtoReader) => read.message(() => null),
      (read: ProtoReader) => read.skip(),
    ]) {
      const read = reader(0x0a, ...huge, 1, 2, 3);
      read.next();
      expect(() => attempt(read)).toThrow('bytes wanted');
    }
  });

  test('never reads beyond the end of the inner message', () => {
    const read = reader(0x0a, 2, 0x0a, 3, 1, 2, 3);
    read.next();
    const inner = (): Uint8Array =>
      read.message((message) => {
        message.next();
        return message.bytes();
      });
    expect(inner).toThrow('message ends, 3 bytes wanted');
  });

  test('refuses booleans other than 0 and 1, and text that is not UTF-8', () => {
    const bool = reader(0x08, 2);
    bool.next();
    expect(() => bool.bool()).toThrow('boolean is 2');
    const text = reader(0x0a, 2, 0xc0, 0x80);
    text.next();
    expect(() => text.string()).toThrow('not UTF-8');
  });

  test('refuses messages nested deeper than it was told', () => {
    const read = new ProtoReader(Uint8Array.of(0x0a, 2, 0x0a, 0), 1);
    const dive = (message: ProtoReader): void => {
      while (message.next()) message.message(dive);
    };
    expect(() => dive(read)).toThrow('nested too deep');
  });

  test('gives plain arrays, of which slice is a copy, also when the input is a Buffer', () => {
    const read = new ProtoReader(Buffer.from([0x0a, 1, 7]), 0);
    read.next();
    const bytes = read.bytes();
    expect(bytes).toEqual(Uint8Array.of(7));
    expect(bytes.slice().buffer).not.toBe(bytes.buffer);
  });
});
