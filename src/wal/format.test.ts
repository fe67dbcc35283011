import { expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import {
  BATCH_HEADER_BYTES,
  BLOCK_BYTES,
  batchBytes,
  batchPayload,
  decodeBatchHeader,
  isZero,
  parseSegmentName,
  payloadSectors,
  SECTOR_BYTES,
  sealBatch,
  segmentName,
  segmentSalt,
} from './format.ts';
import { IDENTITY } from './testing/fixture.ts';

const SALT = segmentSalt(IDENTITY, 1);

/** The payload as a batch at the start of a file. */
function batchOf(payload: Uint8Array): Uint8Array {
  const batch = new Uint8Array(batchBytes(payload.length));
  batch.set(payload, BATCH_HEADER_BYTES);
  const header = { kind: 'data', sequence: 1, offset: 0, previousChain: 5 } as const;
  sealBatch(batch, { ...header, payloadBytes: payload.length }, SALT);
  return batch;
}

test('no written payload sector is all zeros, whatever the payload, and it reads back', () => {
  const seed = 7;
  const random = new Prng(seed);
  let masked = 0;
  for (let round = 0; round < 500; round++) {
    const payload = new Uint8Array(random.below(8 * SECTOR_BYTES));
    // Sectors of one repeated small word: the masks that would be tried first are taken.
    const view = new DataView(payload.buffer);
    for (let sector = 1; sector <= payload.length / SECTOR_BYTES; sector++) {
      const word = random.below(6);
      const start = sector * SECTOR_BYTES - BATCH_HEADER_BYTES;
      for (let at = start; at + 4 <= payload.length && at < start + SECTOR_BYTES; at += 4) {
        view.setUint32(at, word, true);
      }
    }
    const batch = batchOf(payload);
    const header = decodeBatchHeader(batch, 0, SALT);
    if (header === null) throw new Error(`seed ${seed} round ${round}: header unreadable`);
    if (header.mask !== 0) masked += 1;
    for (let sector = 0; sector < payloadSectors(payload.length); sector++) {
      const start = sector * SECTOR_BYTES;
      expect(isZero(batch, start, start + SECTOR_BYTES), `seed ${seed} round ${round}`).toBe(false);
    }
    expect(Buffer.compare(batchPayload(batch, header), payload)).toBe(0);
  }
  expect(masked).toBeGreaterThan(100);
});

test('a batch is valid at its own place only', () => {
  const batch = batchOf(new Uint8Array(10));
  const moved = new Uint8Array(2 * BLOCK_BYTES);
  moved.set(batch, BLOCK_BYTES);
  expect(decodeBatchHeader(batch, 0, SALT)).not.toBeNull();
  expect(decodeBatchHeader(moved, BLOCK_BYTES, SALT)).toBeNull();
  const others = [
    segmentSalt(IDENTITY, 2),
    segmentSalt({ ...IDENTITY, memberId: 0xa2n }, 1),
    segmentSalt({ ...IDENTITY, clusterId: 0xc2n }, 1),
  ];
  for (const salt of others) expect(decodeBatchHeader(batch, 0, salt)).toBeNull();
});

test('a batch takes whole blocks', () => {
  const lengths = [0, 1, BLOCK_BYTES - 64, BLOCK_BYTES - 63, 2 * BLOCK_BYTES - 64];
  expect(lengths.map(batchBytes)).toEqual([4096, 4096, 4096, 8192, 8192]);
});

test('segment names are 16 hexadecimal digits, and nothing else is one', () => {
  expect(segmentName(0x1f)).toBe('000000000000001f.wal');
  expect(parseSegmentName('000000000000001f.wal')).toBe(0x1f);
  const others = [
    '1.wal',
    '000000000000001F.wal',
    '0000000000000001.wal.new',
    '0000000000000000.wal',
  ];
  for (const name of [...others, 'ffffffffffffffff.wal']) expect(parseSegmentName(name)).toBeNull();
});
