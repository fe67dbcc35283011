import type { Disk, DiskFile } from '../io/index.ts';
import { concatBytes, EMPTY_BYTES } from '../lib/index.ts';
import { TEMPORARY_SUFFIX } from './folder.ts';
import {
  BATCH_HEADER_BYTES,
  type BatchKind,
  BLOCK_BYTES,
  batchBytes,
  encodeSegmentHeader,
  type SegmentHeader,
  sealBatch,
  segmentName,
  segmentSalt,
} from './format.ts';
import { encodePreamble, type Preamble } from './records.ts';
import type { Position } from './scan.ts';
import type { WalIdentity } from './types.ts';

const CHUNK_BYTES = 1024 * 1024;
const ZEROS = new Uint8Array(CHUNK_BYTES);

/** Which file to make. */
export interface NewSegment {
  /** The folder of the segments. */
  readonly directory: string;
  readonly segment: number;
  readonly segmentBytes: number;
  /** What it begins with; the rest is zeros. */
  readonly head: Uint8Array;
}

/**
 * Makes a segment that is durable in full length before it bears its name, replacing what bore it.
 * Synced piece by piece, so that the log's own writes never wait behind a long queue.
 */
export async function createSegment(
  disk: Disk,
  { directory, segment, segmentBytes, head }: NewSegment,
): Promise<void> {
  const path = `${directory}/${segmentName(segment)}`;
  const temporary = path + TEMPORARY_SUFFIX;
  const file = await disk.open(temporary, { create: true });
  try {
    if (head.length > 0) await file.write(0, [head]);
    for (let offset = head.length; offset < segmentBytes; offset += CHUNK_BYTES) {
      const bytes = Math.min(CHUNK_BYTES, segmentBytes - offset);
      await file.write(offset, [ZEROS.subarray(0, bytes)]);
      await file.sync();
    }
  } finally {
    await file.close();
  }
  await disk.rename(temporary, path);
  await disk.syncDirectory(directory);
}

/** A batch around a payload that is at hand, and the position behind it. */
export function makeBatch(
  { kind, payload }: { kind: BatchKind; payload: Uint8Array },
  at: { position: Position; salt: number },
): { blocks: Uint8Array; next: Position } {
  const { offset, sequence: last, chain: previousChain } = at.position;
  const blocks = new Uint8Array(batchBytes(payload.length));
  blocks.set(payload, BATCH_HEADER_BYTES);
  const sequence = last + 1;
  const header = { kind, sequence, offset, payloadBytes: payload.length, previousChain };
  const chain = sealBatch(blocks, header, at.salt);
  return { blocks, next: { offset: offset + blocks.length, sequence, chain } };
}

/** What a log begins with. */
export interface FirstSegment {
  readonly identity: WalIdentity;
  /** 1, or the next number when the log takes the place of another one. */
  readonly segment: number;
  readonly segmentBytes: number;
  readonly preamble: Preamble;
}

/** The blocks that a log begins with: header, preamble, a mark. */
export function firstBlocks(first: FirstSegment): Uint8Array {
  const { identity, segment, segmentBytes, preamble } = first;
  const header = encodeSegmentHeader({
    identity,
    segment,
    segmentBytes,
    previousSequence: 0,
    previousChain: 0,
    lastIndex: preamble.base?.index ?? 0,
    lastTerm: preamble.base?.term ?? 0,
  });
  const salt = segmentSalt(identity, segment);
  const position = { offset: BLOCK_BYTES, sequence: 0, chain: header.chain };
  const begin = makeBatch(
    { kind: 'preamble', payload: encodePreamble(preamble) },
    { position, salt },
  );
  const mark = makeBatch({ kind: 'mark', payload: EMPTY_BYTES }, { position: begin.next, salt });
  return concatBytes([header.block, begin.blocks, mark.blocks]);
}

/** The segment that batches go to. */
export interface ActiveSegment {
  readonly file: DiskFile;
  readonly segment: number;
  readonly segmentBytes: number;
  readonly salt: number;
  /** Where the next batch goes. */
  position: Position;
}

/** Gives a prepared segment its header and then its preamble, durably; opens it for batches. */
export async function activateSegment(
  { disk, identity }: { disk: Disk; identity: WalIdentity },
  { directory, ...fields }: Omit<SegmentHeader, 'identity'> & { directory: string },
  preamble: Preamble,
): Promise<ActiveSegment> {
  const { segment, segmentBytes, previousSequence } = fields;
  const path = `${directory}/${segmentName(segment)}`;
  const file = await disk.open(path, { create: false, writeThrough: true });
  const { block, chain } = encodeSegmentHeader({ identity, ...fields });
  const position = { offset: BLOCK_BYTES, sequence: previousSequence, chain };
  const salt = segmentSalt(identity, segment);
  const active = { file, segment, segmentBytes, salt, position };
  try {
    await writeDurably(file, 0, block);
    await writePreamble(active, preamble);
  } catch (error) {
    await file.close();
    throw error;
  }
  return active;
}

/** Writes the batch that every segment begins with. */
export async function writePreamble(active: ActiveSegment, preamble: Preamble): Promise<void> {
  const { file, position } = active;
  const payload = encodePreamble(preamble);
  const { blocks, next } = makeBatch({ kind: 'preamble', payload }, active);
  await writeDurably(file, position.offset, blocks);
  active.position = next;
}

/** Ends a segment: the next one exists. Returns the position behind the seal. */
export async function writeSeal(
  file: DiskFile,
  at: { position: Position; salt: number },
): Promise<Position> {
  const { blocks, next } = makeBatch({ kind: 'seal', payload: EMPTY_BYTES }, at);
  await writeDurably(file, at.position.offset, blocks);
  return next;
}

/** `writeDurably` for where a promise costs nothing. */
export function writeDurably(file: DiskFile, offset: number, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    file.writeDurably(offset, bytes, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}
