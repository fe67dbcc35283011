import { ByteReader } from '../lib/index.ts';
import {
  decodeConfState,
  decodeEntry,
  decodeHardState,
  type Entry,
  type HardState,
} from '../raft/index.ts';

/*
 * What a member puts on its disk, read from the bytes and not through the code that wrote them
 * (docs/STORAGE.md, "Batch"). Only as much as the oracle must know.
 */
const BATCH_MAGIC = 0x54414251;
const HEADER_BYTES = 64;
const SECTOR_BYTES = 512;
const KIND_DATA = 1;

/** The log starts anew behind this entry: a snapshot was installed. */
export interface BaseSeen {
  readonly baseIndex: number;
  readonly term: number;
}

/** A batch of the log. */
export interface BatchSeen {
  /** Counts the batches of a log. */
  readonly sequence: number;
  /** Checksum of everything up to its end. */
  readonly chain: number;
  /** Records in their order; a preamble only repeats what earlier ones said, and has none. */
  readonly records: readonly RecordSeen[];
}

export type RecordSeen = HardState | Entry | BaseSeen;

/** The batch that a write consists of; null when it is something else (a header, zeros). */
export function readBatch(bytes: Uint8Array): BatchSeen | null {
  if (bytes.length < HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== BATCH_MAGIC) return null;
  const sequence = Number(view.getBigUint64(8, true));
  const chain = view.getUint32(28, true);
  if (view.getUint8(36) !== KIND_DATA) return { sequence, chain, records: [] };
  const payloadBytes = view.getUint32(20, true);
  const mask = view.getUint32(32, true);
  const plain = mask === 0 ? bytes : unmasked(bytes, mask);
  return {
    sequence,
    chain,
    records: readRecords(plain.subarray(HEADER_BYTES, HEADER_BYTES + payloadBytes)),
  };
}

function unmasked(bytes: Uint8Array, mask: number): Uint8Array {
  const plain = bytes.slice();
  const view = new DataView(plain.buffer);
  for (let at = SECTOR_BYTES; at < plain.length; at += 4) {
    view.setUint32(at, view.getUint32(at, true) ^ mask, true);
  }
  return plain;
}

function readRecords(payload: Uint8Array): RecordSeen[] {
  const reader = new ByteReader(payload);
  const records: RecordSeen[] = [];
  while (reader.remaining > 0) {
    switch (reader.u8()) {
      case 1:
        decodeConfState(reader);
        break;
      case 2:
        records.push(decodeHardState(reader));
        break;
      case 4:
        records.push({ baseIndex: reader.varint(), term: reader.varint() });
        break;
      case 6:
        break;
      default:
        records.push(decodeEntry(reader));
    }
  }
  return records;
}
