import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DecodeError, hex, Prng } from '../lib/index.ts';
import {
  decodeAnswer,
  decodeCloseSession,
  decodeCommand,
  decodeExecuteReply,
  decodeExecuteRequests,
  decodeOpenSession,
  decodeResolve,
  decodeStatus,
  encodeAnswer,
  encodeCommand,
  encodeExecuteReplies,
  encodeExecuteRequests,
  encodeStatus,
} from './index.ts';
import {
  arbAnswer,
  arbCommand,
  arbExecuteRequest,
  arbIdentifiedAnswer,
  arbMemberStatus,
} from './testing/arbitraries.ts';

const SEED = 20_260_104;
const MUTATIONS_PER_SAMPLE = 40;
const INPUT_BYTES_MAX = 4096;

const DECODERS = [
  decodeCommand,
  decodeAnswer,
  decodeExecuteRequests,
  decodeExecuteReply,
  decodeStatus,
  decodeOpenSession,
  decodeCloseSession,
  decodeResolve,
];

/** Valid encodings of everything. */
function corpus(): Uint8Array[] {
  const sample = <T>(arbitrary: fc.Arbitrary<T>, encode: (value: T) => Uint8Array): Uint8Array[] =>
    fc.sample(arbitrary, { seed: SEED, numRuns: 100 }).map(encode);
  return [
    ...sample(arbCommand, encodeCommand),
    ...sample(arbAnswer, encodeAnswer),
    ...sample(fc.array(arbExecuteRequest, { maxLength: 4 }), encodeExecuteRequests),
    ...sample(fc.array(arbIdentifiedAnswer, { maxLength: 4 }), encodeExecuteReplies),
    ...sample(arbMemberStatus, encodeStatus),
  ].filter((bytes) => bytes.length > 0 && bytes.length <= INPUT_BYTES_MAX);
}

/** One to three of: a flipped bit, a random byte, a cut, a doubled piece, a huge varint. */
function mutated(bytes: Uint8Array, prng: Prng): Uint8Array {
  let out = bytes.slice();
  for (let i = prng.below(3); i >= 0; i--) {
    const at = prng.below(Math.max(out.length, 1));
    const rest = out.subarray(at);
    switch (prng.below(5)) {
      case 0:
        out[at] = (out[at] ?? 0) ^ (1 << prng.below(8));
        break;
      case 1:
        out[at] = prng.below(256);
        break;
      case 2:
        out = out.slice(0, at);
        break;
      case 3:
        out = Uint8Array.from([...out.subarray(0, at), ...rest, ...rest]).subarray(
          0,
          INPUT_BYTES_MAX,
        );
        break;
      default:
        out = Uint8Array.from([...out.subarray(0, at), 0xff, 0xff, 0xff, 0xff, 0x7f, ...rest]);
    }
  }
  return out;
}

/** Words of our own in a decoded value: shared constants, no memory of the input's making. */
const CONSTANTS = new Set(['type', 'state', 'role', 'target', 'relation', 'code']);
/** Text that we put before the text of the input ("error 4000: …"). */
const FIXED_TEXT_BYTES_MAX = 64;

/** Bytes of all arrays and texts that a decoded value holds outside the input's memory. */
function copiedBytes(value: unknown, input: Uint8Array): number {
  if (value instanceof Uint8Array) return value.buffer === input.buffer ? 0 : value.length;
  if (typeof value === 'string') return value.length;
  if (typeof value !== 'object' || value === null) return 0;
  return Object.entries(value)
    .filter(([name]) => !CONSTANTS.has(name))
    .reduce((sum, [, each]) => sum + copiedBytes(each, input), 0);
}

function attack(input: Uint8Array, origin: string): 'decoded' | 'refused' {
  let verdict: 'decoded' | 'refused' = 'refused';
  for (const decode of DECODERS) {
    try {
      const value = decode(input);
      expect(copiedBytes(value, input), `${decode.name} ${hex(input)}`).toBeLessThanOrEqual(
        2 * input.length + FIXED_TEXT_BYTES_MAX,
      );
      verdict = 'decoded';
    } catch (error) {
      if (error instanceof DecodeError) continue;
      throw new Error(`${origin}: ${decode.name} on ${hex(input)}`, { cause: error });
    }
  }
  return verdict;
}

describe('bytes of an enemy', () => {
  test('mutated messages are decoded or refused; neither copies twice their size', () => {
    const prng = new Prng(SEED);
    const tally = { decoded: 0, refused: 0 };
    for (const [i, sample] of corpus().entries()) {
      for (let round = 0; round < MUTATIONS_PER_SAMPLE; round++) {
        tally[attack(mutated(sample, prng), `seed ${SEED}, sample ${i}, round ${round}`)]++;
      }
    }
    expect(tally.decoded).toBeGreaterThan(1000);
    expect(tally.refused).toBeGreaterThan(1000);
  });

  test('random bytes are decoded or refused with DecodeError', () => {
    const prng = new Prng(SEED + 1);
    for (let round = 0; round < 20_000; round++) {
      const input = Uint8Array.from({ length: prng.below(40) }, () => prng.below(256));
      attack(input, `seed ${SEED + 1}, round ${round}`);
    }
  });

  test('what decodes has a canonical form, which decodes and encodes to itself', () => {
    const prng = new Prng(SEED + 2);
    let decoded = 0;
    for (const sample of corpus()) {
      for (let round = 0; round < 10; round++) {
        const input = mutated(sample, prng);
        let command: ReturnType<typeof decodeCommand>;
        try {
          command = decodeCommand(input);
        } catch (error) {
          expect(error).toBeInstanceOf(DecodeError);
          continue;
        }
        decoded++;
        const canonical = encodeCommand(command);
        expect(encodeCommand(decodeCommand(canonical)), hex(input)).toEqual(canonical);
      }
    }
    expect(decoded).toBeGreaterThan(100);
  });
});
