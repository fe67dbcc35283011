import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hex } from '../../lib/index.ts';
import { huffmanBytes, huffmanDecode, huffmanEncode } from './huffman.ts';
import {
  HeaderField,
  type HeaderList,
  HpackDecoder,
  HpackEncoder,
  headerList,
  reusedHeaderList,
} from './index.ts';
import { HeaderTable } from './table.ts';

const LIMITS = { tableBytesMax: 4096, listBytesMax: 65_536, pairsMax: 1000 };
const SEED = 20_260_201;

function pairsOf(fields: readonly HeaderField[] | null): [string, string][] | null {
  return fields?.map(({ name, value }) => [name, value]) ?? null;
}

function huffman(text: string): Uint8Array {
  const bytes = new Uint8Array(huffmanBytes(text));
  huffmanEncode(text, bytes, 0);
  return bytes;
}

describe('the Huffman code', () => {
  test('has the codes of Appendix B: shortest, longest, first and last of a length', () => {
    // Codes that fill whole bytes with the padding of ones.
    expect(hex(huffman('0'))).toBe('07');
    expect(hex(huffman('t'))).toBe('4f');
    expect(hex(huffman('\0'))).toBe('ffc7');
    expect(hex(huffman('&'))).toBe('f8');
    expect(hex(huffman('\n'))).toBe('fffffff3');
    expect(hex(huffman('\u0016'))).toBe('fffffffb');
    expect(hex(huffman('\u00ff'))).toBe('fffffbbf');
    expect(hex(huffman('\u00f9'))).toBe('ffffffef');
    expect(hex(huffman('~'))).toBe('ffef');
    expect(hex(huffman('\u0080'))).toBe('fffe6f');
  });

  test('decodes what it encodes, every byte next to every other', () => {
    for (let a = 0; a < 256; a++) {
      for (let b = 0; b < 256; b++) {
        const text = String.fromCharCode(a, b);
        const bytes = huffman(text);
        if (huffmanDecode(bytes, 0, bytes.length) !== text) expect.fail(`bytes ${a} ${b}`);
      }
    }
  });

  test('decodes long texts of any bytes', () => {
    const check = fc.property(fc.array(fc.nat(255), { maxLength: 3000 }), (codes) => {
      const text = codes.map((code) => String.fromCharCode(code)).join('');
      const bytes = huffman(text);
      expect(huffmanDecode(bytes, 0, bytes.length)).toBe(text);
    });
    fc.assert(check, { seed: SEED, numRuns: 100 });
  });

  test('refuses EOS, padding of eight bits or more, and padding that is not of ones', () => {
    const decode = (...bytes: number[]): string | null =>
      huffmanDecode(Uint8Array.from(bytes), 0, bytes.length);
    expect(decode(0xff)).toBeNull();
    expect(decode(0x1f, 0xff)).toBeNull();
    expect(decode(0xff, 0xff, 0xff, 0xff)).toBeNull();
    expect(decode(0xff, 0xff, 0xff, 0xfc)).toBeNull();
    expect(decode(0x00)).toBeNull();
    expect(decode(0x07)).toBe('0');
    expect(decode()).toBe('');
    // ',' has eight bits, so nothing is left over; ':' seven and one bit of padding.
    expect(decode(0xfa)).toBe(',');
    expect(decode(0xb9)).toBe(':');
    expect(decode(0xb8)).toBeNull();
  });
});

describe('the table', () => {
  test('evicts the oldest until the newest fits, exactly at its limit', () => {
    const table = new HeaderTable(100);
    const field = (name: string, value: string): HeaderField => new HeaderField(name, value);
    table.insert(field('a', 'b'.repeat(17))); // 50
    table.insert(field('c', 'd'.repeat(17))); // 100
    expect([table.entries, table.sizeBytes]).toEqual([2, 100]);
    table.insert(field('e', ''));
    expect([table.entries, table.sizeBytes]).toEqual([2, 83]);
    expect(table.at(62)?.name).toBe('e');
    expect(table.at(63)?.name).toBe('c');
    expect(table.at(64)).toBeNull();
    table.insert(field('x', 'y'.repeat(68))); // 101: fits never, and empties it
    expect([table.entries, table.sizeBytes]).toEqual([0, 0]);
    table.resize(0);
    table.insert(field('a', 'b'));
    expect(table.entries).toBe(0);
  });

  test('finds the same entries as a plain list, after any inserts and resizes', () => {
    const step = fc.oneof(
      fc.tuple(fc.constant('insert' as const), fc.nat(200)),
      fc.tuple(fc.constant('resize' as const), fc.nat(500)),
    );
    const check = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const table = new HeaderTable(500);
      let limit = 500;
      let model: HeaderField[] = [];
      let named = 0;
      for (const [what, size] of steps) {
        if (what === 'resize') {
          limit = size;
          table.resize(size);
        } else {
          const field = new HeaderField(`n${named++}`, 'v'.repeat(size));
          table.insert(field);
          model.unshift(field);
        }
        let bytes = 0;
        const tooOld = model.findIndex((field) => {
          bytes += field.sizeBytes;
          return bytes > limit;
        });
        if (tooOld >= 0) model = model.slice(0, tooOld);
        const entries = Array.from({ length: table.entries }, (_, i) => table.at(62 + i));
        expect(entries).toEqual(model);
        expect(table.at(62 + model.length)).toBeNull();
        expect(table.at(0)).toBeNull();
      }
    });
    fc.assert(check, { seed: SEED, numRuns: 200 });
  });
});

describe('the decoder', () => {
  const decoder = (limits: Partial<typeof LIMITS> = {}): HpackDecoder =>
    new HpackDecoder({ ...LIMITS, ...limits });
  const decode = (...bytes: number[]): unknown => decoder().decode(Uint8Array.from(bytes));

  test('refuses what breaks RFC 7541, each with its reason', () => {
    const cases: [number[], string][] = [
      [[0x80], 'no field has index 0'],
      [[0xbe], 'no field has index 62'],
      [[0x7f, 0x00, 0x00], 'no field has index 63'],
      [[0xff, 0x80, 0x80, 0x80, 0x80, 0x01], 'integer too long'],
      [[0xff], 'block ends inside a field'],
      [[0xff, 0x80], 'block ends inside a field'],
      [[0x40], 'block ends inside a field'],
      [[0x00, 0x01], 'block ends inside a string'],
      [[0x00, 0x01, 0x61, 0x7f, 0xff, 0xff, 0xff, 0x7f], 'block ends inside a string'],
      [[0x00, 0x81, 0xff, 0x00], 'not a Huffman code'],
      [[0x3f, 0xe2, 0x1f], 'table size beyond SETTINGS'],
      [[0x82, 0x20], 'table size changed inside a block'],
    ];
    for (const [bytes, reason] of cases) expect(() => decode(...bytes), reason).toThrow(reason);
  });

  test('takes a table size of exactly what SETTINGS allow, and any number of changes first', () => {
    expect(decode(0x3f, 0xe1, 0x1f, 0x20, 0x3f, 0xe1, 0x1f, 0x82)).toHaveLength(1);
  });

  test('a list is whole at its limits of bytes and pairs, and nothing beyond', () => {
    const block = Uint8Array.of(0x82, 0x82); // :method GET twice, 42 bytes each
    expect(decoder({ listBytesMax: 84 }).decode(block)).toHaveLength(2);
    expect(decoder({ listBytesMax: 83 }).decode(block)).toBeNull();
    expect(decoder({ pairsMax: 2 }).decode(block)).toHaveLength(2);
    expect(decoder({ pairsMax: 1 }).decode(block)).toBeNull();
  });

  test('keeps its table in step also through a list that is too long', () => {
    const small = decoder({ pairsMax: 1 });
    const fields = headerList({ a: '1', b: '2' }).fields;
    const block = new HpackEncoder().encode({ fields, isReused: true });
    expect(small.decode(block)).toBeNull();
    expect(pairsOf(small.decode(Uint8Array.of(0xbf)))).toEqual([['a', '1']]);
  });

  test('a bomb of indexes costs no memory', () => {
    const bomb = decoder({ listBytesMax: 16_384, pairsMax: 64 });
    const value = new Uint8Array(4000).fill(0x61);
    const entry = Uint8Array.of(0x40, 0x01, 0x62, 0x7f, 0xa1, 0x1e, ...value);
    expect(bomb.decode(entry)).toHaveLength(1);
    // 32,000 references to 4,000 bytes each: 128 MB if anybody copied.
    expect(bomb.decode(new Uint8Array(32_000).fill(0xbe))).toBeNull();
    expect(bomb.tableBytes).toBe(4033);
  });
});

describe('encoder and decoder', () => {
  const name = fc.string({ minLength: 1, maxLength: 12 }).map((text) => text.replace(/\W/g, '_'));
  const value = fc
    .array(fc.nat(255), { maxLength: 60 })
    .map((codes) => codes.map((code) => String.fromCharCode(code)).join(''));
  const list: fc.Arbitrary<HeaderList> = fc.record({
    fields: fc.array(
      fc.tuple(name, value).map((pair) => new HeaderField(...pair)),
      { maxLength: 8 },
    ),
    isReused: fc.boolean(),
  });

  test('agree on every list, in any order, again and again, at every table size', () => {
    const step = fc.oneof(
      fc.nat(30),
      fc.integer({ min: 0, max: 6000 }).map((n) => -n - 1),
    );
    const scenario = fc.tuple(
      fc.array(list, { minLength: 1, maxLength: 8 }),
      fc.array(step, { maxLength: 40 }),
    );
    const check = fc.property(scenario, ([lists, steps]) => {
      const encoder = new HpackEncoder();
      const decoder = new HpackDecoder(LIMITS);
      for (const step of steps) {
        if (step < 0) {
          encoder.setTableBytesMax(-step - 1);
          continue;
        }
        const sent = lists[step % lists.length] as HeaderList;
        expect(pairsOf(decoder.decode(encoder.encode(sent).slice()))).toEqual(pairsOf(sent.fields));
      }
    });
    fc.assert(check, { seed: SEED, numRuns: 300 });
  });

  test('a reused list shrinks to one byte a field, and others do not push it out', () => {
    const encoder = new HpackEncoder();
    const reused = reusedHeaderList({ ':status': '200', 'x-own': 'text' });
    expect(encoder.encode(reused).length).toBeGreaterThan(2);
    expect(hex(encoder.encode(reused))).toBe('88be');
    for (let i = 0; i < 200; i++) encoder.encode(headerList({ [`x-${i}`]: 'y'.repeat(100) }));
    expect(hex(encoder.encode(reused))).toBe('88be');
  });

  test('a limit that went down and up again is announced with both', () => {
    const encoder = new HpackEncoder();
    const reused = reusedHeaderList({ ':status': '200', 'x-own': 'text' });
    encoder.encode(reused);
    encoder.setTableBytesMax(0);
    encoder.setTableBytesMax(100);
    expect(hex(encoder.encode(reused)).startsWith('203f4588')).toBe(true);
    expect(hex(encoder.encode(reused))).toBe('88be');
    encoder.setTableBytesMax(1e9);
    expect(hex(encoder.encode(reused))).toBe('3fe11f88be');
  });
});

describe('a header field', () => {
  test('is legal or not as RFC 9113, section 8.2.1 says', () => {
    const legal = (name: string, value: string): boolean => new HeaderField(name, value).isLegal;
    for (const name of ['a', 'x-y_z.9', ':path', "!#$%&'*+-.^_`|~"]) {
      expect(legal(name, 'v'), name).toBe(true);
    }
    for (const name of ['', ':', 'A', 'a b', 'a:b', 'ä', 'a\0', '::a', 'a\x7f']) {
      expect(legal(name, 'v'), name).toBe(false);
    }
    for (const value of ['', 'v', 'a b', 'ä', '\x01', 'a\tb']) {
      expect(legal('n', value), value).toBe(true);
    }
    for (const value of [' v', 'v ', '\tv', 'v\t', 'a\0', 'a\rb', 'a\nb', ' ']) {
      expect(legal('n', value), value).toBe(false);
    }
  });
});
