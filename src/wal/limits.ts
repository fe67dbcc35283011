import { assert } from '../lib/index.ts';
import { BATCH_HEADER_BYTES, BLOCK_BYTES } from './format.ts';

/** Bounds of the log. */
export interface WalLimits {
  /** Length of a new segment; a multiple of 4096, at least 16 KiB. Default 16 MiB. */
  readonly segmentBytes: number;
  /**
   * Payload after which a batch takes no more; a single longer entry makes a batch of its own.
   * Bounds how long one write keeps the disk. Default 1 MiB.
   */
  readonly batchBytesMax: number;
  /** Rest after the last append before a durable mark is written. Default 10 ms. */
  readonly idleMarkMs: number;
}

/** Defaults. What waits for the disk is bounded by whoever appends (raft's uncommitted bytes). */
export const WAL_LIMITS: WalLimits = {
  segmentBytes: 16 * 1024 * 1024,
  batchBytesMax: 1024 * 1024,
  idleMarkMs: 10,
};

/** Header, preamble, one batch of one block, seal: less makes no segment. */
export const SEGMENT_BLOCKS_MIN = 4;

/**
 * A preamble takes one block, so that every segment has the same room: enough for an initial
 * configuration of 400 members.
 */
export const PREAMBLE_BYTES_MAX = BLOCK_BYTES - BATCH_HEADER_BYTES;

/** The longest payload that fits into an empty segment beside header, preamble and seal. */
export function payloadBytesMax(segmentBytes: number): number {
  return segmentBytes - 3 * BLOCK_BYTES - BATCH_HEADER_BYTES;
}

/** The defaults with `limits` laid over them, checked. */
export function walLimits(limits: Partial<WalLimits> = {}): WalLimits {
  const all = { ...WAL_LIMITS, ...limits };
  assert(
    Number.isSafeInteger(all.segmentBytes) &&
      all.segmentBytes % BLOCK_BYTES === 0 &&
      all.segmentBytes >= SEGMENT_BLOCKS_MIN * BLOCK_BYTES &&
      all.segmentBytes < 2 ** 32,
    'segmentBytes must be a multiple of 4096 from 16 KiB to below 4 GiB',
    { segmentBytes: all.segmentBytes },
  );
  assert(all.batchBytesMax >= 1, 'batchBytesMax must be positive', {
    batchBytesMax: all.batchBytesMax,
  });
  assert(all.idleMarkMs >= 0, 'idleMarkMs must not be negative', { idleMarkMs: all.idleMarkMs });
  return all;
}
