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
const SEGMENT_MAGIC = 0x524f5551;
const BATCH_MAGIC = 0x54414251;
const BLOCK_BYTES = 4096;
const PREVIOUS_SEQUENCE_AT = 48;
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
  readonly records: readonly (HardState | Entry | BaseSeen)[];
}

/** The member has forgotten what it promised up to this term. */
interface FloorSeen {
  readonly floorTerm: number;
}

type RecordSeen = HardState | Entry | BaseSeen | FloorSeen;

/** What a log says that begins. */
export interface LogBegin {
  /** What the entries follow; null: the first is entry 1. */
  readonly base: BaseSeen | null;
  readonly hardState: HardState | null;
  /** Highest term in which the member may have promised what it has forgotten; null: it has not. */
  readonly floorTerm: number | null;
}

/** What a segment's file says that begins a log; null for any other file. */
export function readLogBegin(bytes: Uint8Array): LogBegin | null {
  if (bytes.length < 2 * BLOCK_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== SEGMENT_MAGIC) return null;
  if (view.getBigUint64(PREVIOUS_SEQUENCE_AT, true) !== 0n) return null;
  let base: BaseSeen | null = null;
  let hardState: HardState | null = null;
  let floorTerm: number | null = null;
  for (const record of readRecords(payloadOf(bytes.subarray(BLOCK_BYTES)))) {
    if ('baseIndex' in record) base = record;
    else if ('floorTerm' in record) ({ floorTerm } = record);
    else if ('vote' in record) hardState = record;
  }
  return { base, hardState, floorTerm };
}

/** The batch that a write consists of; null when it is something else (a header, zeros). */
export function readBatch(bytes: Uint8Array): BatchSeen | null {
  if (bytes.length < HEADER_BYTES) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== BATCH_MAGIC) return null;
  const sequence = Number(view.getBigUint64(8, true));
  const chain = view.getUint32(28, true);
  if (view.getUint8(36) !== KIND_DATA) return { sequence, chain, records: [] };
  return { sequence, chain, records: readRecords(payloadOf(bytes)).filter(isOfData) };
}

/** A floor stands in preambles only. */
function isOfData(record: RecordSeen): record is HardState | Entry | BaseSeen {
  return !('floorTerm' in record);
}

function payloadOf(batch: Uint8Array): Uint8Array {
  const view = new DataView(batch.buffer, batch.byteOffset, batch.byteLength);
  const payloadBytes = view.getUint32(20, true);
  const mask = view.getUint32(32, true);
  const plain = mask === 0 ? batch : unmasked(batch, mask);
  return plain.subarray(HEADER_BYTES, HEADER_BYTES + payloadBytes);
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
      case 5:
        records.push({ floorTerm: reader.varint() });
        break;
      case 6:
        break;
      default:
        records.push(decodeEntry(reader));
    }
  }
  return records;
}
