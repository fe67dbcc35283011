import { EMPTY_BYTES, ProtoReader } from '../../lib/index.ts';
import { MESSAGE_DEPTH_MAX, writeMessage } from './writing.ts';

/** Asks a member for its whole state. */
export interface SnapshotRequest {
  /** What it has, asking nobody; else all that was acknowledged before the request. */
  readonly local: boolean;
}

/** A piece of the stream that docs/SNAPSHOT.md describes. */
export interface SnapshotChunk {
  readonly data: Uint8Array;
  /** Bytes of the whole stream, roughly: for a progress bar. */
  readonly estimatedBytes: number;
}

export function encodeSnapshotRequest({ local }: SnapshotRequest): Uint8Array {
  return writeMessage((writer) => writer.bool(1, local));
}

/** @throws DecodeError on bytes that are not a SnapshotRequest. */
export function decodeSnapshotRequest(bytes: Uint8Array): SnapshotRequest {
  const reader = new ProtoReader(bytes, MESSAGE_DEPTH_MAX);
  let local = false;
  while (reader.next()) {
    if (reader.field === 1) local = reader.bool();
    else reader.skip();
  }
  return { local };
}

export function encodeSnapshotChunk({ data, estimatedBytes }: SnapshotChunk): Uint8Array {
  return writeMessage((writer) => {
    writer.bytes(1, data);
    writer.uint(2, estimatedBytes);
  });
}

/**
 * `data` is a view of `bytes`.
 * @throws DecodeError on bytes that are not a SnapshotChunk.
 */
export function decodeSnapshotChunk(bytes: Uint8Array): SnapshotChunk {
  const reader = new ProtoReader(bytes, MESSAGE_DEPTH_MAX);
  let data = EMPTY_BYTES;
  let estimatedBytes = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        data = reader.bytes();
        break;
      case 2:
        estimatedBytes = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { data, estimatedBytes };
}
