import { describe, expect, test } from 'vitest';
import { hex } from '../../lib/index.ts';
import { HpackDecoder, HpackEncoder, reusedHeaderList } from './index.ts';

/* The examples of RFC 7541, Appendix C, byte by byte. */

const GENEROUS = { listBytesMax: 65_536, pairsMax: 1000 };

function bytesOf(text: string): Uint8Array {
  const digits = text.replaceAll(/\s/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) =>
    Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16),
  );
}

interface Step {
  readonly block: string;
  readonly fields: readonly string[];
  /** The dynamic table afterwards, newest first. */
  readonly table: readonly string[];
  readonly tableBytes: number;
}

function decoded(decoder: HpackDecoder, block: string): string[] {
  const fields = decoder.decode(bytesOf(block)) ?? [];
  return fields.map(({ name, value }) => `${name}: ${value}`);
}

function expectSteps(tableBytesMax: number, steps: readonly Step[]): void {
  const decoder = new HpackDecoder({ ...GENEROUS, tableBytesMax });
  for (const { block, fields, table, tableBytes } of steps) {
    expect(decoded(decoder, block)).toEqual(fields);
    expect(decoder.tableBytes).toBe(tableBytes);
    const indexes = table.map((_, i) => (0x80 + 62 + i).toString(16)).join('');
    expect(decoded(decoder, indexes)).toEqual(table);
    const beyond = (0x80 + 62 + table.length).toString(16);
    expect(() => decoded(decoder, beyond)).toThrow('no field has index');
  }
}

const REQUESTS = [
  [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'],
  [
    ':method: GET',
    ':scheme: http',
    ':path: /',
    ':authority: www.example.com',
    'cache-control: no-cache',
  ],
  [
    ':method: GET',
    ':scheme: https',
    ':path: /index.html',
    ':authority: www.example.com',
    'custom-key: custom-value',
  ],
] as const;

/** Blocks of the three requests, and the tables they leave. */
function requestSteps(blocks: readonly [string, string, string]): Step[] {
  const authority = ':authority: www.example.com';
  const tables = [
    [authority],
    ['cache-control: no-cache', authority],
    ['custom-key: custom-value', 'cache-control: no-cache', authority],
  ];
  return blocks.map((block, i) => ({
    block,
    fields: REQUESTS[i] ?? [],
    table: tables[i] ?? [],
    tableBytes: [57, 110, 164][i] ?? 0,
  }));
}

const DATE_21 = 'date: Mon, 21 Oct 2013 20:13:21 GMT';
const DATE_22 = 'date: Mon, 21 Oct 2013 20:13:22 GMT';
const LOCATION = 'location: https://www.example.com';
const COOKIE = 'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1';
const PRIVATE = 'cache-control: private';

function responseSteps(blocks: readonly [string, string, string]): Step[] {
  return [
    {
      block: blocks[0],
      fields: [':status: 302', PRIVATE, DATE_21, LOCATION],
      table: [LOCATION, DATE_21, PRIVATE, ':status: 302'],
      tableBytes: 222,
    },
    {
      block: blocks[1],
      fields: [':status: 307', PRIVATE, DATE_21, LOCATION],
      table: [':status: 307', LOCATION, DATE_21, PRIVATE],
      tableBytes: 222,
    },
    {
      block: blocks[2],
      fields: [':status: 200', PRIVATE, DATE_22, LOCATION, 'content-encoding: gzip', COOKIE],
      table: [COOKIE, 'content-encoding: gzip', DATE_22],
      tableBytes: 215,
    },
  ];
}

const HUFFMAN_REQUESTS = [
  '8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff',
  '8286 84be 5886 a8eb 1064 9cbf',
  '8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf',
] as const;

describe('RFC 7541, Appendix C', () => {
  test('C.2.1: a literal with indexing', () => {
    expectSteps(4096, [
      {
        block: '400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572',
        fields: ['custom-key: custom-header'],
        table: ['custom-key: custom-header'],
        tableBytes: 55,
      },
    ]);
  });

  test('C.2.2 to C.2.4: literals without indexing, never indexed, and an indexed field', () => {
    const cases: [string, string][] = [
      ['040c 2f73 616d 706c 652f 7061 7468', ':path: /sample/path'],
      ['1008 7061 7373 776f 7264 0673 6563 7265 74', 'password: secret'],
      ['82', ':method: GET'],
    ];
    for (const [block, field] of cases) {
      expectSteps(4096, [{ block, fields: [field], table: [], tableBytes: 0 }]);
    }
  });

  test('C.3: requests without Huffman', () => {
    const steps = requestSteps([
      '8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d',
      '8286 84be 5808 6e6f 2d63 6163 6865',
      '8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65',
    ]);
    expectSteps(4096, steps);
  });

  test('C.4: requests with Huffman, decoded and encoded', () => {
    expectSteps(4096, requestSteps(HUFFMAN_REQUESTS));
    const encoder = new HpackEncoder();
    for (const [i, fields] of REQUESTS.entries()) {
      const pairs = fields.map((field) => [
        field.slice(0, field.indexOf(': ')),
        field.slice(field.indexOf(': ') + 2),
      ]);
      const block = encoder.encode(reusedHeaderList(Object.fromEntries(pairs)));
      expect(hex(block)).toBe(HUFFMAN_REQUESTS[i]?.replaceAll(' ', ''));
    }
  });

  test('C.5: responses without Huffman, in a table of 256 bytes', () => {
    const steps = responseSteps([
      `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
       2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
       6c65 2e63 6f6d`,
      '4803 3330 37c1 c0bf',
      `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
       54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
       5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
       3d31`,
    ]);
    expectSteps(256, steps);
  });

  test('C.6: responses with Huffman, in a table of 256 bytes', () => {
    const steps = responseSteps([
      `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
       2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3`,
      '4883 640e ffc1 c0bf',
      `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
       77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
       9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
    ]);
    expectSteps(256, steps);
  });
});
