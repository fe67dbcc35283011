import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteReader, ByteWriter, DecodeError, hex } from '../lib/index.ts';
import {
  decodeConfState,
  decodeEntry,
  decodeHardState,
  encodeConfState,
  encodeEntry,
  encodeHardState,
  entryBytes,
} from './codec.ts';
import type { ConfChange, ConfState, Entry, HardState, MemberChange } from './types.ts';

function encoded<T>(encode: (writer: ByteWriter, value: T) => void, value: T): Uint8Array {
  const writer = new ByteWriter();
  encode(writer, value);
  return writer.finish();
}

/** Decodes all of it; trailing bytes are an error. */
function decoded<T>(decode: (reader: ByteReader) => T, bytes: Uint8Array): T {
  const reader = new ByteReader(bytes);
  const value = decode(reader);
  reader.end();
  return value;
}

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const positive = number.map((value) => Math.max(1, value));
const memberId = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });
const bytes = fc.uint8Array({ maxLength: 300 });
const change: fc.Arbitrary<MemberChange> = fc.record({
  action: fc.constantFrom('addVoter', 'addLearner', 'remove'),
  memberId,
});
const confChange: fc.Arbitrary<ConfChange> = fc.oneof(
  fc.record({ type: fc.constant('simple'), change, context: bytes }),
  fc.record({
    type: fc.constant('enterJoint'),
    changes: fc.array(change),
    autoLeave: fc.boolean(),
    context: bytes,
  }),
  fc.record({ type: fc.constant('leaveJoint'), context: bytes }),
);
const place = { index: positive, term: positive };
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ kind: fc.constant('command'), ...place, data: bytes }),
  fc.record({ kind: fc.constant('empty'), ...place }),
  fc.record({ kind: fc.constant('confChange'), ...place, change: confChange }),
);
const hardState: fc.Arbitrary<HardState> = fc.record({
  term: number,
  vote: fc.option(memberId),
  commitIndex: number,
});
const ids = fc.uniqueArray(memberId).map((list) => list.sort((a, b) => (a < b ? -1 : 1)));
const confState: fc.Arbitrary<ConfState> = fc.record({
  voters: ids,
  outgoingVoters: ids,
  learners: ids,
  learnersNext: ids,
  autoLeave: fc.boolean(),
});

describe('what is encoded comes back equal', () => {
  test('entries, within the size that entryBytes foretells', () => {
    fc.assert(
      fc.property(entry, (value) => {
        const wire = encoded(encodeEntry, value);
        expect(decoded(decodeEntry, wire)).toEqual(value);
        expect(wire.length).toBeLessThanOrEqual(entryBytes(value));
      }),
    );
  });

  test('hard states and configurations', () => {
    fc.assert(
      fc.property(hardState, confState, (hard, conf) => {
        expect(decoded(decodeHardState, encoded(encodeHardState, hard))).toEqual(hard);
        expect(decoded(decodeConfState, encoded(encodeConfState, conf))).toEqual(conf);
      }),
    );
  });

  test('an entry does not hold on to the buffer it came in', () => {
    const wire = encoded(encodeEntry, { kind: 'command', index: 1, term: 1, data: bytesOf('a') });
    const back = decoded(decodeEntry, wire);
    wire.fill(0xff);
    expect(back).toMatchObject({ data: bytesOf('a') });
  });
});

describe('golden bytes: what older versions wrote stays readable', () => {
  const context = bytesOf('c');
  const golden: [Entry, string][] = [
    [{ kind: 'command', index: 300, term: 2, data: bytesOf('hi') }, '00ac0202026869'],
    [{ kind: 'empty', index: 1, term: 128 }, '01018001'],
    [
      {
        kind: 'confChange',
        index: 7,
        term: 3,
        change: { type: 'simple', change: { action: 'addLearner', memberId: 9n }, context },
      },
      '0207030001630109000000000000' + '00',
    ],
    [
      {
        kind: 'confChange',
        index: 7,
        term: 3,
        change: {
          type: 'enterJoint',
          changes: [
            { action: 'addVoter', memberId: 4n },
            { action: 'remove', memberId: 1n },
          ],
          autoLeave: true,
          context,
        },
      },
      '02070301016301' + '02' + '000400000000000000' + '020100000000000000',
    ],
    [
      { kind: 'confChange', index: 7, term: 3, change: { type: 'leaveJoint', context } },
      '020703020163',
    ],
  ];

  test.each(golden)('entry %#', (value, wire) => {
    expect(hex(encoded(encodeEntry, value))).toBe(wire);
    expect(decoded(decodeEntry, unhex(wire))).toEqual(value);
  });

  test('hard states', () => {
    const voted: HardState = { term: 5, vote: 258n, commitIndex: 200 };
    expect(hex(encoded(encodeHardState, voted))).toBe('0501' + '0201000000000000' + 'c801');
    expect(hex(encoded(encodeHardState, { term: 5, vote: null, commitIndex: 0 }))).toBe('050000');
  });

  test('configurations', () => {
    const joint: ConfState = {
      voters: [2n],
      outgoingVoters: [1n],
      learners: [],
      learnersNext: [1n],
      autoLeave: true,
    };
    expect(hex(encoded(encodeConfState, joint))).toBe(
      '010200000000000000' + '010100000000000000' + '00' + '010100000000000000' + '01',
    );
  });
});

describe('bytes that follow no format are refused', () => {
  test('any cut and any flipped bit gives a value or a DecodeError, never anything else', () => {
    fc.assert(
      fc.property(entry, fc.nat(), fc.nat(7), (value, at, bit) => {
        const wire = encoded(encodeEntry, value);
        const place = at % wire.length;
        expect(() => decoded(decodeEntry, wire.subarray(0, place))).toThrow(DecodeError);
        wire[place] = (wire[place] as number) ^ (1 << bit);
        try {
          decoded(decodeEntry, wire);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
        }
      }),
    );
  });

  test.each([
    ['an unknown kind', '03010100'],
    ['an entry without index', '010001'],
    ['an entry without term', '010100'],
    ['a huge count of changes', '020703' + '0100' + '01' + 'ffffff7f'],
  ])('%s', (_, wire) => {
    expect(() => decoded(decodeEntry, unhex(wire))).toThrow(DecodeError);
  });

  test.each([
    ['unsorted members', '02' + '0200000000000000' + '0100000000000000' + '000000' + '00'],
    ['a member twice', '02' + '0100000000000000' + '0100000000000000' + '000000' + '00'],
    ['member 0', '01' + '0000000000000000' + '000000' + '00'],
    ['a flag that is no boolean', '00000000' + '02'],
  ])('%s', (_, wire) => {
    expect(() => decoded(decodeConfState, unhex(wire))).toThrow(DecodeError);
  });
});

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

function unhex(text: string): Uint8Array {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}
