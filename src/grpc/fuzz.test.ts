import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { assert, Prng } from '../lib/index.ts';
import { HpackDecoder, HpackEncoder, HpackError, headerList } from './hpack/index.ts';
import { GrpcError } from './index.ts';
import { MessageReader } from './message-reader.ts';
import { echoCall, type Fixture, fixture } from './testing/fixture.ts';
import { frame, framesIn, GREETING, headerBlock, message, request, u32 } from './testing/frames.ts';
import { settled } from './testing/memory-wire.ts';

/*
 * Seeded inputs, half made by rules and then damaged, against the three parsers that a client can
 * reach. Each input has its own seed: a failure names it, and QUORATE_FUZZ_SEED replays it alone.
 */

const FULL = process.env['QUORATE_TEST_SCALE'] === 'full';
const ONLY = process.env['QUORATE_FUZZ_SEED'];
/** For each of the three parsers; in full more than a million together. */
const INPUTS = FULL ? 400_000 : 7_000;
const FULL_MS = 600_000;
/** CPU time of one input; most take a thousandth of it. */
const INPUT_CPU_MS_MAX = 500;

/** Runs `one` on every seed, which must not take long; a failure tells how to replay it. */
function forEachSeed(one: (prng: Prng, seed: number) => void): void {
  const seeds = ONLY === undefined ? Array.from({ length: INPUTS }, (_, i) => i) : [Number(ONLY)];
  for (const seed of seeds) {
    const before = process.cpuUsage();
    try {
      one(new Prng(seed), seed);
      const { user, system } = process.cpuUsage(before);
      const cpuMs = (user + system) / 1_000;
      assert(cpuMs < INPUT_CPU_MS_MAX, 'an input takes too long', { cpuMs });
    } catch (error) {
      throw new Error(replay(seed), { cause: error });
    }
  }
}

function replay(seed: number): string {
  return `input ${seed}: QUORATE_FUZZ_SEED=${seed} npx vitest run src/grpc/fuzz.test.ts`;
}

function randomBytes(prng: Prng, lengthMax: number): Uint8Array {
  return Uint8Array.from({ length: prng.below(lengthMax + 1) }, () => prng.below(256));
}

/** Flips, drops, repeats or overwrites some of the bytes. */
function damaged(prng: Prng, bytes: Uint8Array): Uint8Array {
  const out = [...bytes];
  for (let i = prng.below(4); i > 0 && out.length > 0; i--) {
    const at = prng.below(out.length);
    const kind = prng.below(4);
    if (kind === 0) out[at] = (out[at] as number) ^ (1 << prng.below(8));
    else if (kind === 1) out.splice(at, 1 + prng.below(4));
    else if (kind === 2) out.splice(at, 0, ...out.slice(at, at + prng.below(20)));
    else out[at] = [0, 1, 0x7f, 0x80, 0xff][prng.below(5)] as number;
  }
  return Uint8Array.from(out);
}

function usedBytes(): number {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const GROWTH_BYTES_MAX = 24 * 1024 * 1024;

describe('HPACK', () => {
  test('any bytes are fields or an HpackError, within all bounds', { timeout: FULL_MS }, () => {
    const before = usedBytes();
    const limits = { tableBytesMax: 4096, listBytesMax: 2000, pairsMax: 30 };
    let decoder = new HpackDecoder(limits);
    const encoder = new HpackEncoder();
    forEachSeed((prng) => {
      const pairs = Array.from({ length: prng.below(6) }, (_, i) => [
        `x-${prng.below(9)}${i}`,
        'v'.repeat(prng.below(300)),
      ]);
      const list = { ...headerList(Object.fromEntries(pairs)), isReused: prng.chance(0.5) };
      const made = prng.chance(0.7) ? encoder.encode(list).slice() : randomBytes(prng, 80);
      try {
        const fields = decoder.decode(damaged(prng, made));
        if (fields === null) return;
        const bytes = fields.reduce((sum, field) => sum + field.sizeBytes, 0);
        assert(fields.length <= limits.pairsMax, 'too many fields');
        assert(bytes <= limits.listBytesMax, 'list too long');
        assert(decoder.tableBytes <= limits.tableBytesMax, 'table too large');
      } catch (error) {
        if (!(error instanceof HpackError)) throw error;
        decoder = new HpackDecoder(limits);
      }
    });
    expect(usedBytes() - before).toBeLessThan(GROWTH_BYTES_MAX);
  });
});

describe('gRPC framing', () => {
  test('any bytes are messages or a GrpcError, however they are cut', { timeout: FULL_MS }, () => {
    const before = usedBytes();
    const read = (bytes: Uint8Array, cut: (rest: number) => number): string => {
      let heldBytes = 0;
      const reader = new MessageReader(500, {
        hold(count) {
          heldBytes += count;
          return heldBytes <= 100_000;
        },
        release(count) {
          heldBytes -= count;
        },
      });
      const out: string[] = [];
      try {
        for (let at = 0; at < bytes.length; ) {
          const size = cut(bytes.length - at);
          reader.push(bytes.subarray(at, at + size));
          at += size;
          for (let found = reader.next(); found !== null; found = reader.next()) {
            assert(found.length <= 500, 'message too long');
            out.push(`${reader.isCompressed} ${found.join()}`);
          }
          assert(heldBytes <= 1024, 'too much held');
        }
        reader.end();
      } catch (error) {
        if (!(error instanceof GrpcError)) throw error;
        out.push(error.message);
      }
      return out.join('\n');
    };
    forEachSeed((prng) => {
      const made = Array.from({ length: prng.below(5) }, () =>
        message(randomBytes(prng, 40), prng.chance(0.1)),
      );
      const bytes = damaged(prng, prng.chance(0.8) ? Buffer.concat(made) : randomBytes(prng, 60));
      const whole = read(bytes, (rest) => rest);
      const pieces = read(bytes, (rest) => 1 + prng.below(Math.min(rest, 9)));
      assert(pieces === whole, 'cut otherwise, read otherwise', { pieces, whole });
    });
    expect(usedBytes() - before).toBeLessThan(GROWTH_BYTES_MAX);
  });
});

const FRAME_TYPES = [
  'DATA',
  'DATA',
  'HEADERS',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
  77,
] as const;
const PATHS = ['/t/Echo', '/t/Open', '/t/Nothing', ''];

function randomFrame(prng: Prng): Uint8Array {
  const type = FRAME_TYPES[prng.below(FRAME_TYPES.length)] ?? 'DATA';
  const stream = prng.chance(0.9) ? 2 * prng.below(6) + 1 : prng.below(8);
  const flags = [0, 1, 4, 5, 8, 0x20, 0x2d, prng.below(256)][prng.below(8)] ?? 0;
  return frame(type, flags, stream, randomPayload(prng, type));
}

function randomPayload(prng: Prng, type: (typeof FRAME_TYPES)[number]): Uint8Array {
  if (prng.chance(0.1)) return randomBytes(prng, 40);
  switch (type) {
    case 'HEADERS': {
      const more = prng.chance(0.5) ? [] : [['grpc-timeout', `${prng.below(9)}S`] as const];
      const path = PATHS[prng.below(PATHS.length)] ?? '';
      return prng.chance(0.8) ? request(path, more) : headerBlock([['x', 'y']]);
    }
    case 'DATA':
      return prng.chance(0.8) ? message(randomBytes(prng, 30), prng.chance(0.1)) : Buffer.of();
    case 'SETTINGS':
      return Buffer.concat([Buffer.of(0, prng.below(7)), u32(prng.below(70_000))]);
    case 'PING':
      return Buffer.alloc(8);
    case 'GOAWAY':
      return u32(0, prng.below(14));
    case 'PRIORITY':
      return Buffer.alloc(5);
    case 'RST_STREAM':
    case 'WINDOW_UPDATE':
      return u32(prng.below(prng.chance(0.5) ? 100 : 2 ** 31));
    default:
      return Buffer.of();
  }
}

/** One connection's worth of bytes. */
function conversation(seed: number): Uint8Array {
  const prng = new Prng(seed);
  if (prng.chance(0.03)) return randomBytes(prng, 200);
  const frames = Array.from({ length: 1 + prng.below(12) }, () => randomFrame(prng));
  const bytes = Buffer.concat(frames);
  return Buffer.concat([GREETING, prng.chance(0.5) ? damaged(prng, bytes) : bytes]);
}

/** Feeds conversations, all in one turn, and returns what the server said to each. */
async function converse(
  parts: Fixture,
  seeds: readonly number[],
  cut: (seed: number) => number,
): Promise<Buffer[]> {
  const wires = seeds.map((seed) => {
    const wire = parts.wire();
    const bytes = conversation(seed);
    const size = cut(seed);
    for (let at = 0; at < bytes.length; at += size) wire.feed(bytes.subarray(at, at + size));
    return wire;
  });
  await settled();
  parts.clock.pass(1000);
  await settled();
  for (const wire of wires) wire.cut();
  await settled();
  return wires.map((wire) => wire.written);
}

describe('HTTP/2', () => {
  const BATCH = 50;

  test('any frames leave a server that works, holds nothing, and answers alike however cut', {
    timeout: FULL_MS,
  }, async () => {
    const parts = fixture({ lingerMs: 50 });
    const inputs = ONLY === undefined ? INPUTS : 1;
    await converse(parts, [0, 1, 2], () => 1e9);
    const before = usedBytes();
    for (let first = 0; first < inputs; first += BATCH) {
      const start = ONLY === undefined ? first : Number(ONLY);
      const seeds = Array.from({ length: Math.min(BATCH, inputs) }, (_, i) => start + i);
      const whole = await converse(parts, seeds, () => 1e9);
      const pieces = await converse(parts, seeds, (seed) => 1 + (seed % 23));
      for (const [i, seed] of seeds.entries()) {
        const said = whole[i] ?? Buffer.of();
        const length = framesIn(said).reduce((sum, { payload }) => sum + 9 + payload.length, 0);
        if (length !== said.length || pieces[i]?.equals(said) !== true) expect.fail(replay(seed));
      }
      const range = `one of the inputs ${start} to ${start + BATCH - 1}`;
      expect(parts.defects, range).toEqual([]);
      expect(parts.clock.timers, range).toBe(0);
      parts.events.length = 0;
      parts.streams.length = 0;
      parts.warnings.length = 0;
    }
    expect(usedBytes() - before).toBeLessThan(GROWTH_BYTES_MAX);
    const client = parts.wire();
    client.feed(GREETING, echoCall(1));
    expect(await client.statuses()).toEqual({ 1: '0' });
    client.cut();
    await parts.server.close();
  });
});
