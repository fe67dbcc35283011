import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { utf8Bytes, utf8String } from './index.ts';

const CHECK = { seed: 20_260_103, numRuns: 2000 };

describe('UTF-8', () => {
  test('bytes are those of TextEncoder, also for lone surrogates', () => {
    const check = fc.property(
      fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('\ud800', 'a\udc00b', '\u{10ffff}')),
      (text) => {
        expect(utf8Bytes(text)).toEqual(new TextEncoder().encode(text));
      },
    );
    fc.assert(check, CHECK);
  });

  test('text is that of a strict TextDecoder, and null where that throws', () => {
    const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
    const strict = (bytes: Uint8Array): string | null => {
      try {
        return decoder.decode(bytes);
      } catch (error) {
        if (error instanceof TypeError) return null;
        throw error;
      }
    };
    const lead = fc.constantFrom(0xc0, 0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xf8, 0x41);
    const tail = fc.constantFrom(0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0x7f);
    const crafted = fc
      .array(fc.oneof(fc.tuple(lead, tail, tail, tail), fc.tuple(lead, tail), fc.tuple(lead)))
      .map((parts) => Uint8Array.from(parts.flat()));
    const check = fc.property(fc.oneof(fc.uint8Array(), crafted), (bytes) => {
      expect(utf8String(bytes)).toBe(strict(bytes));
    });
    fc.assert(check, CHECK);
    for (const text of ['', 'plain', 'ä€😀\u{10ffff}\u{feff}']) {
      expect(utf8String(new TextEncoder().encode(text))).toBe(text);
    }
  });
});
