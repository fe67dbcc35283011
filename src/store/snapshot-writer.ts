import { createHash } from 'node:crypto';
import { assert, concatBytes, EMPTY_BYTES, utf8Bytes } from '../lib/index.ts';
import { SNAPSHOT_BLOCK_BYTES, SNAPSHOT_META_BYTES_MAX } from './limits.ts';
import {
  BlockWriter,
  encodeHeader,
  encodeTrailerStart,
  SHA256_BYTES,
  TRAILER_BYTES,
} from './snapshot-format.ts';
import type { EngineView, Row } from './types.ts';

export interface SnapshotOptions {
  /** Whatever the reader needs beside the rows; opaque here. At most 1 MiB. */
  readonly meta: Uint8Array;
  /** Length of every chunk but the last: about 10 ms of the event loop per MiB of small rows. */
  readonly chunkBytesMax: number;
}

/** A view on its way into a stream of bytes, a chunk at a time. */
export interface SnapshotStream {
  /** Of the chunks that `next` gave out. */
  readonly bytesWritten: number;
  /**
   * The next chunk, owned by the caller; null when the stream has ended.
   * @throws StoreError `CORRUPT` when a row is damaged: the stream is then of no use.
   */
  next(): Uint8Array | null;
  /** Ends the stream, and closes the view. Safe to call twice. */
  close(): void;
}

/** Streams the view, which belongs to the stream from here on. */
export function writeSnapshot(view: EngineView, options: SnapshotOptions): SnapshotStream {
  const { meta, chunkBytesMax } = options;
  assert(chunkBytesMax > 0, 'chunkBytesMax must be positive', { chunkBytesMax });
  assert(meta.length <= SNAPSHOT_META_BYTES_MAX, 'meta is too long', { bytes: meta.length });
  const parts = snapshotParts(view, meta);
  let ready: Uint8Array = EMPTY_BYTES;
  let bytesWritten = 0;
  return {
    get bytesWritten() {
      return bytesWritten;
    },
    next() {
      const gathered = [ready];
      let length = ready.length;
      while (length < chunkBytesMax) {
        const part = parts.next();
        if (part.done === true) break;
        gathered.push(part.value);
        length += part.value.length;
      }
      if (length === 0) return null;
      const bytes = concatBytes(gathered);
      const chunk = bytes.slice(0, chunkBytesMax);
      ready = bytes.subarray(chunk.length);
      bytesWritten += chunk.length;
      return chunk;
    },
    close() {
      ready = EMPTY_BYTES;
      parts.return();
      view.close();
    },
  };
}

/** Header, blocks and trailer. */
function* snapshotParts(view: EngineView, meta: Uint8Array): Generator<Uint8Array, void, void> {
  const hash = createHash('sha256');
  let rows = 0;
  let bytes = TRAILER_BYTES;
  const header = encodeHeader(meta);
  hash.update(header);
  bytes += header.length;
  yield header;
  for (const block of blocks(view.rows(), () => rows++)) {
    hash.update(block);
    bytes += block.length;
    yield block;
  }
  const start = encodeTrailerStart({ rows, bytes });
  const digest = hash.update(start).digest();
  assert(digest.length === SHA256_BYTES, 'SHA-256 has 32 bytes');
  yield concatBytes([start, digest]);
}

function* blocks(rows: Iterable<Row>, countRow: () => void): Generator<Uint8Array, void, void> {
  const block = new BlockWriter();
  let table: string | null = null;
  for (const row of rows) {
    if (table !== null && (row.table !== table || block.length >= SNAPSHOT_BLOCK_BYTES)) {
      yield block.finish();
      table = null;
    }
    if (table === null) {
      table = row.table;
      block.start(utf8Bytes(table));
    }
    block.add(row);
    countRow();
  }
  if (table !== null) yield block.finish();
}
