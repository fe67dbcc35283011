import type { Disk, DiskFile } from '../io/index.ts';
import { ByteWriter } from '../lib/index.ts';
import type { ConfState } from '../raft/index.ts';
import {
  BATCH_HEADER_BYTES,
  BLOCK_BYTES,
  batchBytes,
  emptyBatch,
  encodeSegmentHeader,
  type SegmentHeader,
  sealBatch,
  segmentName,
  segmentSalt,
} from './format.ts';
import { writeConfState } from './records.ts';
import type { Position } from './scan.ts';
import type { WalIdentity } from './types.ts';

/** What a segment is called while it is being made. */
export const TEMPORARY_SUFFIX = '.new';

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

/** The blocks that a new log begins with: header, a batch with the configuration, a mark. */
export function firstBlocks(
  identity: WalIdentity,
  segmentBytes: number,
  confState: ConfState,
): Uint8Array {
  const salt = segmentSalt(identity, 1);
  const header = encodeSegmentHeader({
    identity,
    segment: 1,
    segmentBytes,
    previousSequence: 0,
    previousChain: 0,
    lastIndex: 0,
    lastTerm: 0,
  });
  const writer = new ByteWriter();
  writeConfState(writer, confState);
  const payload = writer.view();
  const batch = new Uint8Array(batchBytes(payload.length));
  batch.set(payload, BATCH_HEADER_BYTES);
  const chain = sealBatch(
    batch,
    {
      kind: 'data',
      sequence: 1,
      offset: BLOCK_BYTES,
      payloadBytes: payload.length,
      previousChain: header.chain,
    },
    salt,
  );
  const offset = BLOCK_BYTES + batch.length;
  const mark = emptyBatch({ kind: 'mark', sequence: 2, offset, previousChain: chain }, salt);
  const blocks = new Uint8Array(offset + BLOCK_BYTES);
  blocks.set(header.block, 0);
  blocks.set(batch, BLOCK_BYTES);
  blocks.set(mark.block, offset);
  return blocks;
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

/** Gives a prepared segment its header, durably, and opens it for batches. */
export async function activateSegment(
  { disk, identity }: { disk: Disk; identity: WalIdentity },
  { directory, ...fields }: Omit<SegmentHeader, 'identity'> & { directory: string },
): Promise<ActiveSegment> {
  const { segment, segmentBytes, previousSequence } = fields;
  const path = `${directory}/${segmentName(segment)}`;
  const file = await disk.open(path, { create: false, writeThrough: true });
  const { block, chain } = encodeSegmentHeader({ identity, ...fields });
  try {
    await writeDurably(file, 0, block);
  } catch (error) {
    await file.close();
    throw error;
  }
  const position = { offset: BLOCK_BYTES, sequence: previousSequence, chain };
  return { file, segment, segmentBytes, salt: segmentSalt(identity, segment), position };
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
