import { crc32 } from 'node:zlib';
import type { WalIdentity } from './types.ts';

/*
 * The bytes of segment headers and batches: docs/STORAGE.md has the tables. What is written here
 * must still be readable by every later version: change nothing without a new version number and a
 * golden file of the old one.
 */

/**
 * What is written. Version 1 knew no preambles, and is still read.
 */
export const FORMAT_VERSION = 2;
const FORMAT_VERSIONS = [1, 2] as const;
export type FormatVersion = (typeof FORMAT_VERSIONS)[number];
/** What a disk writes wholly or not at all. */
export const SECTOR_BYTES = 512;
/** What batches are aligned to: no write touches the bytes of another batch. */
export const BLOCK_BYTES = 4096;
export const BATCH_HEADER_BYTES = 64;

/** `QUORWAL\n` as two little-endian words. */
const SEGMENT_MAGIC = [0x524f5551, 0x0a4c4157] as const;
/** `QBAT`. */
const BATCH_MAGIC = 0x54414251;
const BATCH_KINDS = ['data', 'mark', 'seal', 'preamble'] as const;

/**
 * `preamble` begins a segment with all that is known without entries; `data` has records; `mark`
 * proves what is before it; `seal` ends a segment.
 */
export type BatchKind = (typeof BATCH_KINDS)[number];

/** What the header of a segment says. */
export interface SegmentHeader {
  readonly identity: WalIdentity;
  /** 1 for the first. */
  readonly segment: number;
  /** Length of the file. */
  readonly segmentBytes: number;
  /** Sequence of the last batch before this segment; 0 where a log begins. */
  readonly previousSequence: number;
  /** Chain after that batch; 0 where a log begins. */
  readonly previousChain: number;
  /** The log's last entry before this segment, or its base; both 0 when there is none. */
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** What the header of a batch says. */
export interface BatchHeader {
  readonly kind: BatchKind;
  /** Counts batches through all segments, from 1. */
  readonly sequence: number;
  /** Where the batch begins in its file. */
  readonly offset: number;
  readonly payloadBytes: number;
  /** Checksum of everything before this batch. */
  readonly previousChain: number;
  /** The same with this batch. */
  readonly chain: number;
  /** What payload sectors are XORed with; 0 for nothing. */
  readonly mask: number;
}

/** The name of a segment's file: 16 hexadecimal digits. */
export function segmentName(segment: number): string {
  return `${segment.toString(16).padStart(16, '0')}.wal`;
}

/** The segment's number, or null when the name is not one of ours. */
export function parseSegmentName(name: string): number | null {
  if (!/^[0-9a-f]{16}\.wal$/.test(name)) return null;
  const segment = Number.parseInt(name.slice(0, 16), 16);
  return Number.isSafeInteger(segment) && segment > 0 ? segment : null;
}

/** Seeds the checksums of a segment's batches, so that they are valid nowhere else. */
export function segmentSalt(identity: WalIdentity, segment: number): number {
  const view = new DataView(new ArrayBuffer(24));
  view.setBigUint64(0, identity.clusterId, true);
  view.setBigUint64(8, identity.memberId, true);
  view.setBigUint64(16, BigInt(segment), true);
  return crc32(new Uint8Array(view.buffer));
}

/** The block that a segment begins with, and the chain that its first batch continues. */
export function encodeSegmentHeader(header: SegmentHeader): { block: Uint8Array; chain: number } {
  const block = new Uint8Array(BLOCK_BYTES);
  const view = viewOf(block);
  view.setUint32(0, SEGMENT_MAGIC[0], true);
  view.setUint32(4, SEGMENT_MAGIC[1], true);
  view.setUint32(8, FORMAT_VERSION, true);
  view.setBigUint64(16, header.identity.clusterId, true);
  view.setBigUint64(24, header.identity.memberId, true);
  setInteger(view, 32, header.segment);
  setInteger(view, 40, header.segmentBytes);
  setInteger(view, 48, header.previousSequence);
  view.setUint32(56, header.previousChain, true);
  setInteger(view, 64, header.lastIndex);
  setInteger(view, 72, header.lastTerm);
  const chain = segmentChecksum(block);
  view.setUint32(12, chain, true);
  return { block, chain };
}

/** A segment's header, or what keeps it from being read. */
export type SegmentHeaderReading =
  | {
      readonly kind: 'header';
      readonly header: SegmentHeader;
      readonly version: FormatVersion;
      readonly chain: number;
    }
  | { readonly kind: 'version'; readonly version: number }
  | { readonly kind: 'corrupt'; readonly reason: string };

/** Reads block 0 of a segment. */
export function decodeSegmentHeader(block: Uint8Array): SegmentHeaderReading {
  const view = viewOf(block);
  if (
    view.getUint32(0, true) !== SEGMENT_MAGIC[0] ||
    view.getUint32(4, true) !== SEGMENT_MAGIC[1]
  ) {
    return { kind: 'corrupt', reason: 'this is not the header of a log segment' };
  }
  const chain = view.getUint32(12, true);
  if (chain !== segmentChecksum(block)) {
    return { kind: 'corrupt', reason: "the segment header's checksum is wrong" };
  }
  const stated = view.getUint32(8, true);
  const version = FORMAT_VERSIONS.find((each) => each === stated);
  if (version === undefined) return { kind: 'version', version: stated };
  if (!isZero(block, SECTOR_BYTES, BLOCK_BYTES)) {
    return { kind: 'corrupt', reason: 'the rest of the segment header is not zero' };
  }
  const header: SegmentHeader = {
    identity: { clusterId: view.getBigUint64(16, true), memberId: view.getBigUint64(24, true) },
    segment: getInteger(view, 32),
    segmentBytes: getInteger(view, 40),
    previousSequence: getInteger(view, 48),
    previousChain: view.getUint32(56, true),
    lastIndex: getInteger(view, 64),
    lastTerm: getInteger(view, 72),
  };
  return { kind: 'header', header, version, chain };
}

function segmentChecksum(block: Uint8Array): number {
  return crc32(block.subarray(16, SECTOR_BYTES), crc32(block.subarray(0, 12)));
}

/** Length of a batch in its file: whole blocks. */
export function batchBytes(payloadBytes: number): number {
  return Math.ceil((BATCH_HEADER_BYTES + payloadBytes) / BLOCK_BYTES) * BLOCK_BYTES;
}

/**
 * Completes a batch in place. `batch` has `batchBytes(payloadBytes)` bytes: room for the header,
 * the payload, zeros. Returns the chain after it.
 */
export function sealBatch(
  batch: Uint8Array,
  header: Omit<BatchHeader, 'chain' | 'mask'>,
  salt: number,
): number {
  const mask = chooseMask(batch, header.payloadBytes);
  applyMask(batch, header.payloadBytes, mask);
  const chain = crc32(batch.subarray(BATCH_HEADER_BYTES), header.previousChain);
  batch.fill(0, 0, BATCH_HEADER_BYTES);
  const view = viewOf(batch);
  view.setUint32(0, BATCH_MAGIC, true);
  setInteger(view, 8, header.sequence);
  view.setUint32(16, header.offset / BLOCK_BYTES, true);
  view.setUint32(20, header.payloadBytes, true);
  view.setUint32(24, header.previousChain, true);
  view.setUint32(28, chain, true);
  view.setUint32(32, mask, true);
  view.setUint8(36, BATCH_KINDS.indexOf(header.kind) + 1);
  view.setUint32(4, crc32(batch.subarray(8, BATCH_HEADER_BYTES), salt), true);
  return chain;
}

/** The header of the batch at `offset` of the segment; null when it is not valid there. */
export function decodeBatchHeader(
  segment: Uint8Array,
  offset: number,
  salt: number,
): BatchHeader | null {
  const view = new DataView(segment.buffer, segment.byteOffset + offset, BATCH_HEADER_BYTES);
  if (view.getUint32(0, true) !== BATCH_MAGIC) return null;
  const checksum = crc32(segment.subarray(offset + 8, offset + BATCH_HEADER_BYTES), salt);
  if (view.getUint32(4, true) !== checksum) return null;
  const kind = BATCH_KINDS[view.getUint8(36) - 1];
  if (kind === undefined || view.getUint32(16, true) * BLOCK_BYTES !== offset) return null;
  return {
    kind,
    sequence: getInteger(view, 8),
    offset,
    payloadBytes: view.getUint32(20, true),
    previousChain: view.getUint32(24, true),
    chain: view.getUint32(28, true),
    mask: view.getUint32(32, true),
  };
}

/** The payload of a whole batch: a view of it, or a copy if it was masked. */
export function batchPayload(batch: Uint8Array, header: BatchHeader): Uint8Array {
  const end = BATCH_HEADER_BYTES + header.payloadBytes;
  if (header.mask === 0) return batch.subarray(BATCH_HEADER_BYTES, end);
  const unmasked = batch.slice();
  applyMask(unmasked, header.payloadBytes, header.mask);
  return unmasked.subarray(BATCH_HEADER_BYTES, end);
}

/** Sectors that a batch's header and payload touch; those behind are padding. */
export function payloadSectors(payloadBytes: number): number {
  return Math.ceil((BATCH_HEADER_BYTES + payloadBytes) / SECTOR_BYTES);
}

/** 0, or the smallest word that leaves no payload sector all zeros. */
function chooseMask(batch: Uint8Array, payloadBytes: number): number {
  const sectors = payloadSectors(payloadBytes);
  let found = false;
  for (let sector = 1; sector < sectors && !found; sector++) {
    found = isZero(batch, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
  }
  if (!found) return 0;
  // A sector becomes all zeros under the mask m exactly if it is m, again and again.
  const taken = new Set<number>();
  const view = viewOf(batch);
  for (let sector = 1; sector < sectors; sector++) {
    const start = sector * SECTOR_BYTES;
    const word = view.getUint32(start, true);
    let at = start + 4;
    while (at < start + SECTOR_BYTES && view.getUint32(at, true) === word) at += 4;
    if (at === start + SECTOR_BYTES) taken.add(word);
  }
  let mask = 1;
  while (taken.has(mask)) mask += 1;
  return mask;
}

function applyMask(batch: Uint8Array, payloadBytes: number, mask: number): void {
  if (mask === 0) return;
  const view = viewOf(batch);
  const end = payloadSectors(payloadBytes) * SECTOR_BYTES;
  for (let at = SECTOR_BYTES; at < end; at += 4) {
    view.setUint32(at, view.getUint32(at, true) ^ mask, true);
  }
}

const ZEROS = new Uint8Array(64 * 1024);

/** True when the bytes from `start` to before `end` are all zero. */
export function isZero(bytes: Uint8Array, start: number, end: number): boolean {
  for (let at = start; at < end; at += ZEROS.length) {
    const length = Math.min(ZEROS.length, end - at);
    if (bytes[at] !== 0) return false;
    // The native comparison is worth its call: what is looked at here is mostly zeros.
    if (Buffer.compare(bytes.subarray(at, at + length), ZEROS.subarray(0, length)) !== 0) {
      return false;
    }
  }
  return true;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function setInteger(view: DataView, offset: number, value: number): void {
  view.setBigUint64(offset, BigInt(value), true);
}

/** A value beyond 2^53 − 1 loses bits here; no such value equals one that is expected. */
function getInteger(view: DataView, offset: number): number {
  return Number(view.getBigUint64(offset, true));
}
