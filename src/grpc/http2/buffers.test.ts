import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { concatBytes } from '../../lib/index.ts';
import { framesIn } from '../testing/frames.ts';
import { ByteQueue } from './byte-queue.ts';
import { Outbox } from './outbox.ts';
import { FRAME, FRAME_BYTES_MAX } from './protocol.ts';

const SEED = 20_260_202;
const SIZES = fc.oneof(fc.nat(40), fc.integer({ min: 2000, max: 2100 }), fc.nat(50_000));

describe('ByteQueue', () => {
  test('gives back what was pushed, in order, however it is taken', () => {
    const step = fc.record({ isPush: fc.boolean(), size: SIZES });
    const check = fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const queue = new ByteQueue();
      const pushed: Uint8Array[] = [];
      const taken: Uint8Array[] = [];
      let next = 0;
      for (const { isPush, size } of steps) {
        if (isPush) {
          const bytes = Uint8Array.from({ length: size }, () => next++);
          pushed.push(bytes);
          queue.push(bytes);
        } else {
          const piece = queue.take(size + 1);
          if (piece !== null) expect(piece.length).toBeLessThanOrEqual(size + 1);
          if (piece !== null) taken.push(piece);
        }
      }
      const all = concatBytes(pushed);
      const soFar = taken.reduce((sum, { length }) => sum + length, 0);
      expect(queue.length).toBe(all.length - soFar);
      for (let piece = queue.take(1e9); piece !== null; piece = queue.take(1e9)) taken.push(piece);
      // Pieces taken early must not have changed since.
      expect(Buffer.from(concatBytes(taken)).equals(all)).toBe(true);
      expect(queue.length).toBe(0);
    });
    fc.assert(check, { seed: SEED, numRuns: 150 });
  });

  test('copies short pieces: whoever pushed them may use their array again', () => {
    const queue = new ByteQueue();
    const scratch = Uint8Array.of(1, 2);
    queue.push(scratch);
    scratch.fill(9);
    queue.push(scratch);
    expect(queue.take(10)).toEqual(Uint8Array.of(1, 2, 9, 9));
  });
});

describe('Outbox', () => {
  test('puts DATA into full frames, one after the other for a stream, never across streams', () => {
    const piece = fc.record({ stream: fc.constantFrom(1, 3), size: SIZES });
    const check = fc.property(fc.array(piece, { maxLength: 30 }), fc.nat(30), (pieces, cut) => {
      const outbox = new Outbox();
      const taken: Uint8Array[] = [];
      const sent = new Map<number, Uint8Array[]>([
        [1, []],
        [3, []],
      ]);
      for (const [i, { stream, size }] of pieces.entries()) {
        const bytes = Uint8Array.from({ length: size }, (_, at) => at + i);
        sent.get(stream)?.push(bytes);
        outbox.data(stream, bytes);
        if (i === cut) taken.push(outbox.take());
      }
      taken.push(outbox.take());
      expect(outbox.length).toBe(0);
      const frames = framesIn(concatBytes(taken));
      for (const [stream, parts] of sent) {
        const payloads = frames.filter((f) => f.stream === stream).map((f) => f.payload);
        expect(Buffer.concat(payloads).equals(concatBytes(parts))).toBe(true);
      }
      for (const { payload } of frames) expect(payload.length).toBeLessThanOrEqual(FRAME_BYTES_MAX);
    });
    fc.assert(check, { seed: SEED, numRuns: 100 });
  });

  test('cuts a header block that is too long into CONTINUATION, flags where they belong', () => {
    const outbox = new Outbox();
    const block = Uint8Array.from({ length: 2 * FRAME_BYTES_MAX + 1 }, (_, i) => i);
    outbox.headers(5, block, true);
    outbox.frame(FRAME.PING, 0, 0, new Uint8Array(8));
    const frames = framesIn(outbox.take());
    expect(frames.map(({ type, flags, stream }) => [type, flags, stream])).toEqual([
      ['HEADERS', 1, 5],
      ['CONTINUATION', 0, 5],
      ['CONTINUATION', 4, 5],
      ['PING', 0, 0],
    ]);
    const payloads = frames.slice(0, 3).map(({ payload }) => payload);
    expect(Buffer.concat(payloads).equals(block)).toBe(true);
  });
});
