import { crc32 } from 'node:zlib';
import { ByteReader, ByteWriter, equalBytes } from '../lib/index.ts';
import { corruptSnapshot, StoreError } from './error.ts';
import { SNAPSHOT_META_BYTES_MAX } from './limits.ts';

/* The bytes of an image: docs/SNAPSHOT.md has the picture. Integers are little-endian. */

/** `QUORIMAG` */
const MAGIC: Uint8Array = Uint8Array.of(0x51, 0x55, 0x4f, 0x52, 0x49, 0x4d, 0x41, 0x47);
const VERSION = 1;
const CHECKSUM_BYTES = 4;

/** Header before `meta`: magic, version, length of `meta`. */
const START_BYTES = 16;

/** SHA-256 of everything before. */
export const TRAILER_BYTES = 32;

export interface ImageHeader {
  /** Whatever the reader needs beside the pages; opaque here. At most 1 MiB. */
  readonly meta: Uint8Array;
  /** Length of the pages' bytes. */
  readonly bytes: number;
}

/** Whether a stream that begins so is an image; anything else may be a snapshot of rows. */
export function isImage(start: Uint8Array): boolean {
  return equalBytes(start.subarray(0, MAGIC.length), MAGIC);
}

export function encodeImageHeader({ meta, bytes }: ImageHeader): Uint8Array {
  const writer = new ByteWriter(START_BYTES + meta.length + 8 + CHECKSUM_BYTES);
  writer.raw(MAGIC);
  writer.u32(VERSION);
  writer.u32(meta.length);
  writer.raw(meta);
  writer.u64(BigInt(bytes));
  writer.u32(crc32(writer.view()));
  return writer.finish();
}

/**
 * Reads a header that `start` begins with.
 * @returns null when more bytes are needed.
 * @throws StoreError `CORRUPT`, `VERSION`.
 */
export function decodeImageHeader(
  start: Uint8Array,
): (ImageHeader & { readonly headerBytes: number }) | null {
  if (start.length < START_BYTES) return null;
  if (!isImage(start)) throw corruptSnapshot('it is no image', 0);
  const reader = new ByteReader(start.subarray(MAGIC.length));
  const version = reader.u32();
  if (version !== VERSION) {
    throw new StoreError('VERSION', `snapshot: images of format ${version} are unknown here`);
  }
  const metaLength = reader.u32();
  if (metaLength > SNAPSHOT_META_BYTES_MAX) throw corruptSnapshot('length of meta', MAGIC.length);
  const end = START_BYTES + metaLength + 8;
  if (start.length < end + CHECKSUM_BYTES) return null;
  const meta = reader.raw(metaLength).slice();
  const bytes = Number(reader.u64());
  if (reader.u32() !== crc32(start.subarray(0, end))) throw corruptSnapshot('checksum', 0);
  return { meta, bytes, headerBytes: end + CHECKSUM_BYTES };
}
