import { crc32 } from 'node:zlib';
import {
  BATCH_HEADER_BYTES,
  type BatchHeader,
  BLOCK_BYTES,
  batchBytes,
  batchPayload,
  decodeBatchHeader,
  isZero,
  payloadSectors,
  SECTOR_BYTES,
} from './format.ts';

/** One segment's bytes and what makes them valid only there. */
export interface SegmentBytes {
  /** The whole file; its length is a multiple of 4096. */
  readonly bytes: Uint8Array;
  readonly salt: number;
}

/** Between two batches: where the next one is expected and what it must continue. */
export interface Position {
  /** In the segment; a multiple of 4096. */
  readonly offset: number;
  /** Of the batch before. */
  readonly sequence: number;
  readonly chain: number;
}

/** What stands at a position. */
export type Judgement =
  /** A valid batch; `next` is the position behind it. */
  | {
      readonly kind: 'batch';
      readonly header: BatchHeader;
      readonly payload: Uint8Array;
      readonly next: Position;
    }
  /** Zeros up to the end of the segment. */
  | { readonly kind: 'end' }
  /**
   * A batch that was being written when the machine stopped: never synced, so never acknowledged.
   */
  | { readonly kind: 'torn'; readonly bytes: number }
  /** Damage, or something that can't be told from it. */
  | { readonly kind: 'corrupt'; readonly reason: string };

/**
 * Tells a batch from the end of the log, a torn batch and damage. A bad batch counts as torn only
 * if nothing valid stands behind it (a later batch proves that this one was synced), one of its
 * sectors is unwritten, and there is nothing else that a crash does not explain. What later
 * segments hold is for the caller to look at.
 */
export function judgeBatch(segment: SegmentBytes, at: Position): Judgement {
  const { bytes, salt } = segment;
  if (at.offset === bytes.length) return { kind: 'end' };
  if (isZero(bytes, at.offset, at.offset + SECTOR_BYTES)) return judgeUnwritten(segment, at);
  const header = decodeBatchHeader(bytes, at.offset, salt);
  if (header === null) return corrupt("the batch's header is damaged");
  const end = at.offset + batchBytes(header.payloadBytes);
  if (
    header.sequence !== at.sequence + 1 ||
    header.previousChain !== at.chain ||
    end > bytes.length
  ) {
    return corrupt('a batch stands here that does not continue the log');
  }
  const batch = bytes.subarray(at.offset, end);
  if (crc32(batch.subarray(BATCH_HEADER_BYTES), at.chain) === header.chain) {
    const next = { offset: end, sequence: header.sequence, chain: header.chain };
    return { kind: 'batch', header, payload: batchPayload(batch, header), next };
  }
  return judgeDamaged(segment, { offset: at.offset, end, header });
}

/**
 * The valid batch that begins at `offset`, whatever stands before it; null when there is none.
 * For who looks for what damage has left: reading a log in order asks `judgeBatch`.
 */
export function readBatchAt(
  { bytes, salt }: SegmentBytes,
  offset: number,
): { header: BatchHeader; payload: Uint8Array; end: number } | null {
  const header = decodeBatchHeader(bytes, offset, salt);
  if (header === null) return null;
  const end = offset + batchBytes(header.payloadBytes);
  if (end > bytes.length) return null;
  const batch = bytes.subarray(offset, end);
  if (crc32(batch.subarray(BATCH_HEADER_BYTES), header.previousChain) !== header.chain) return null;
  return { header, payload: batchPayload(batch, header), end };
}

/** The first sector is zero: the log ends here, or a torn batch has lost its header. */
function judgeUnwritten(segment: SegmentBytes, at: Position): Judgement {
  const { bytes } = segment;
  if (isZero(bytes, at.offset, bytes.length)) return { kind: 'end' };
  const later = findBatch(segment, at.offset + BLOCK_BYTES);
  if (later !== null) {
    return corrupt(`the batch here is gone (a valid one follows at byte ${later})`);
  }
  return { kind: 'torn', bytes: writtenBytes(bytes, at.offset) };
}

/** The header is good and the rest is not. */
function judgeDamaged(
  { bytes }: SegmentBytes,
  batch: { offset: number; end: number; header: BatchHeader },
): Judgement {
  if (!isZero(bytes, batch.end, bytes.length)) {
    return corrupt('the batch is damaged, and it is not the last thing that was written');
  }
  if (!hasUnwrittenSector(bytes, batch.offset, batch.header)) {
    return corrupt('the batch is damaged, although all of it was written');
  }
  return { kind: 'torn', bytes: writtenBytes(bytes, batch.offset) };
}

function corrupt(reason: string): Judgement {
  return { kind: 'corrupt', reason };
}

function hasUnwrittenSector(bytes: Uint8Array, offset: number, header: BatchHeader): boolean {
  const sectors = payloadSectors(header.payloadBytes);
  for (let sector = 1; sector < sectors; sector++) {
    const start = offset + sector * SECTOR_BYTES;
    if (isZero(bytes, start, start + SECTOR_BYTES)) return true;
  }
  return false;
}

/** Where the first valid batch header at or behind `from` stands; null when there is none. */
function findBatch({ bytes, salt }: SegmentBytes, from: number): number | null {
  for (let offset = from; offset < bytes.length; offset += BLOCK_BYTES) {
    if (decodeBatchHeader(bytes, offset, salt) !== null) return offset;
  }
  return null;
}

/** Bytes from `offset` to the end of the last block that is not all zeros. */
function writtenBytes(bytes: Uint8Array, offset: number): number {
  let end = bytes.length;
  while (end > offset && isZero(bytes, end - BLOCK_BYTES, end)) end -= BLOCK_BYTES;
  return end - offset;
}
