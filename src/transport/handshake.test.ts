import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, DecodeError, hex } from '../lib/index.ts';
import {
  answerHello,
  checkInfo,
  checkWelcome,
  decodeHandshake,
  encodeHandshake,
  type HandshakeFrame,
  type Hello,
  helloOf,
  REJECT_ADVICE,
  type RejectCode,
  type Welcome,
} from './handshake.ts';

function encode(frame: HandshakeFrame): Uint8Array {
  const writer = new ByteWriter();
  encodeHandshake(writer, frame);
  return writer.finish();
}

const decode = (bytes: Uint8Array): HandshakeFrame => decodeHandshake(new ByteReader(bytes));

const INFO = { name: 'n1', clientUrls: ['http://a:1'] };
const ONE = { clusterId: 0xc1n, memberId: 1n, incarnation: 0x11n, info: INFO };
const TWO = { clusterId: 0xc1n, memberId: 2n, incarnation: 0x22n, info: { ...INFO, name: 'n2' } };
const HELLO = helloOf(ONE, 2n, 'append');
const WELCOME = answerHello(HELLO, TWO, 'known') as Welcome;

describe('golden bytes:', () => {
  const u64 = (byte: string) => `${byte}00000000000000`;
  const url = `01${'0a'}687474703a2f2f613a31`;

  test('hello', () => {
    const ids = `${u64('c1')}${u64('01')}${u64('02')}${u64('11')}`;
    expect(hex(encode(HELLO))).toBe(`81${'51525450'}010102${ids}026e31${url}`);
  });

  test.each([
    ['control', '01'],
    ['append', '02'],
    ['bulk', '03'],
  ] as const)('lane %s has code %s', (lane, code) => {
    expect(hex(encode({ ...HELLO, lane })).slice(14, 16)).toBe(code);
  });

  test('welcome', () => {
    const ids = `${u64('c1')}${u64('02')}${u64('01')}${u64('22')}`;
    expect(hex(encode(WELCOME))).toBe(`82${'51525450'}01${ids}026e32${url}`);
  });

  test('reject', () => {
    const reject = { kind: 'reject', versionMin: 1, versionMax: 3, code: 'wrongMember' } as const;
    expect(hex(encode({ ...reject, text: 'no' }))).toBe('8351525450010303026e6f');
  });
});

test('handshake frames come back as they were sent', () => {
  const id = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
  const text = fc.stringMatching(/^[a-zäöü€😀 :/.-]{0,40}$/u);
  const identity = {
    clusterId: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    from: id,
    to: id,
    incarnation: id,
    info: fc.record({ name: text, clientUrls: fc.array(text, { maxLength: 16 }) }),
  };
  const u8 = fc.integer({ min: 0, max: 255 });
  const codes = Object.keys(REJECT_ADVICE) as RejectCode[];
  const frames = fc.oneof(
    fc.record({
      kind: fc.constant('hello'),
      versionMin: u8,
      versionMax: u8,
      lane: fc.constantFrom('control', 'append', 'bulk'),
      ...identity,
    }),
    fc.record({ kind: fc.constant('welcome'), version: u8, ...identity }),
    fc.record({
      kind: fc.constant('reject'),
      versionMin: u8,
      versionMax: u8,
      code: fc.constantFrom(...codes),
      text,
    }),
  ) as fc.Arbitrary<HandshakeFrame>;
  fc.assert(
    fc.property(frames, (frame) => {
      expect(decode(encode(frame))).toEqual(frame);
    }),
  );
});

test('fields that a later version appends are skipped', () => {
  expect(decode(Uint8Array.of(...encode(HELLO), 1, 2, 3))).toEqual(HELLO);
});

test('a handshake frame cut short anywhere is refused', () => {
  for (const frame of [HELLO, WELCOME]) {
    const bytes = encode(frame);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decode(bytes.subarray(0, length))).toThrow(DecodeError);
    }
  }
});

describe('a hello is answered', () => {
  const reply = (changes: Partial<Hello>, standing: Parameters<typeof answerHello>[2] = 'known') =>
    answerHello({ ...HELLO, ...changes }, TWO, standing);

  test('with a welcome when everything fits', () => {
    expect(reply({})).toEqual({
      kind: 'welcome',
      version: 1,
      clusterId: 0xc1n,
      from: 2n,
      to: 1n,
      incarnation: 0x22n,
      info: TWO.info,
    });
    expect(reply({}, 'guest').kind).toBe('welcome');
  });

  test('with the highest version that both speak', () => {
    expect(reply({ versionMin: 1, versionMax: 9 })).toMatchObject({ version: 1 });
  });

  test.each<[RejectCode, Partial<Hello>, Parameters<typeof answerHello>[2]]>([
    ['version', { versionMin: 2, versionMax: 9 }, 'known'],
    ['version', { versionMin: 0, versionMax: 0 }, 'known'],
    ['wrongCluster', { clusterId: 0xc2n }, 'known'],
    ['wrongMember', { to: 3n }, 'known'],
    ['wrongMember', { from: 2n }, 'known'],
    ['removedMember', {}, 'removed'],
    ['unknownMember', {}, 'crowded'],
    ['wrongCertificate', {}, 'unproven'],
  ])('with reject %s for %o of a %s member', (code, changes, standing) => {
    expect(reply(changes, standing)).toMatchObject({ kind: 'reject', code });
  });
});

test.each<[RejectCode | null, Partial<Welcome>]>([
  [null, {}],
  ['version', { version: 0 }],
  ['version', { version: 2 }],
  ['wrongCluster', { clusterId: 0xc2n }],
  ['wrongMember', { from: 3n }],
  ['wrongMember', { to: 3n }],
])('a dialler finds %s with a welcome of %o', (wrong, changes) => {
  expect(checkWelcome({ ...WELCOME, ...changes }, ONE, 2n)).toBe(wrong);
});

describe('member info is bounded:', () => {
  const urls = (count: number) => Array.from({ length: count }, () => 'u');
  test.each([
    ['a name of 256 bytes', { name: 'ü'.repeat(128), clientUrls: [] }],
    ['a URL of 512 bytes', { name: '', clientUrls: ['u'.repeat(512)] }],
    ['16 URLs', { name: '', clientUrls: urls(16) }],
  ])('%s passes', (_name, info) => {
    checkInfo(info);
    expect(decode(encode({ ...HELLO, info }))).toMatchObject({ info });
  });

  test.each([
    ['a name of 257 bytes', { name: `${'ü'.repeat(128)}x`, clientUrls: [] }],
    ['a URL of 513 bytes', { name: '', clientUrls: ['u'.repeat(513)] }],
    ['17 URLs', { name: '', clientUrls: urls(17) }],
    ['a name with a line break', { name: 'a\nb', clientUrls: [] }],
    ['a name with an escape sequence', { name: '\u009b2J', clientUrls: [] }],
  ])('%s is refused at both ends', (_name, info) => {
    expect(() => checkInfo(info)).toThrow(RangeError);
    expect(() => decode(encode({ ...HELLO, info }))).toThrow(DecodeError);
  });

  test('a name that is no Unicode is refused', () => {
    expect(() => checkInfo({ name: '\ud800', clientUrls: [] })).toThrow('not plain text');
    const bytes = encode({ ...HELLO, info: { name: 'ab', clientUrls: [] } });
    bytes[41] = 0xff;
    expect(() => decode(bytes)).toThrow('text is not plain');
  });
});

test.each(['from', 'to'] as const)('member id 0 in %s is refused', (field) => {
  expect(() => decode(encode({ ...HELLO, [field]: 0n }))).toThrow('member id 0');
});
