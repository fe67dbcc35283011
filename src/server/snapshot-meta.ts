import type { KvPosition } from '../kv/index.ts';
import { ByteReader, ByteWriter, DecodeError } from '../lib/index.ts';

/*
 * The head of a snapshot, inside the stream that docs/SNAPSHOT.md describes.
 *
 *   meta := version:u8 (1)  clusterId:u64  index:varint  term:varint  revision:varint
 *           logTimeMs:varint  stateHash:16 bytes  hasConf:u8  [conf:bytes]
 */
const VERSION = 1;
const HASH_BYTES = 16;

/** Whose state a snapshot holds, and how far it goes. */
export interface KvSnapshotMeta {
  readonly clusterId: bigint;
  readonly position: KvPosition;
}

export function encodeSnapshotMeta({ clusterId, position }: KvSnapshotMeta): Uint8Array {
  const { index, term, revision, logTimeMs, stateHash, conf } = position;
  const writer = new ByteWriter();
  writer.u8(VERSION);
  writer.u64(clusterId);
  writer.varint(index);
  writer.varint(term);
  writer.varint(revision);
  writer.varint(logTimeMs);
  writer.raw(Buffer.from(stateHash, 'hex'));
  writer.u8(conf === null ? 0 : 1);
  if (conf !== null) writer.bytes(conf);
  return writer.finish();
}

/** @throws DecodeError for bytes of another format. */
export function decodeSnapshotMeta(bytes: Uint8Array): KvSnapshotMeta {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== VERSION) throw new DecodeError(`snapshot version ${version} is not known`, 0);
  const clusterId = reader.u64();
  const index = reader.varint();
  const term = reader.varint();
  const revision = reader.varint();
  const logTimeMs = reader.varint();
  const stateHash = Buffer.from(reader.raw(HASH_BYTES)).toString('hex');
  const conf = reader.u8() === 0 ? null : reader.bytes().slice();
  reader.end();
  return { clusterId, position: { index, term, revision, logTimeMs, stateHash, conf } };
}

/** Whether rows with this position are the state that the head of the snapshot speaks of. */
export function isStateOf(meta: KvSnapshotMeta, found: KvPosition): boolean {
  const { index, term, revision, stateHash } = meta.position;
  return (
    found.index === index &&
    found.term === term &&
    found.revision === revision &&
    found.stateHash === stateHash
  );
}
