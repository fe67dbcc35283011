import { crc32 } from 'node:zlib';
import { ByteWriter } from '../lib/index.ts';
import type { Row } from './types.ts';

/* The bytes of a snapshot: docs/SNAPSHOT.md has the picture. Integers are little-endian. */

/** `QUORSNAP` */
export const MAGIC: Uint8Array = Uint8Array.of(0x51, 0x55, 0x4f, 0x52, 0x53, 0x4e, 0x41, 0x50);
export const SNAPSHOT_VERSION = 1;

/** Header before `meta`: magic, version, length of `meta`. */
export const HEADER_START_BYTES = 16;
export const CHECKSUM_BYTES = 4;

export const PART = { block: 1, trailer: 2 } as const;

/** Block before its payload: part, length of the payload. */
export const BLOCK_START_BYTES = 5;

export const SHA256_BYTES = 32;
/** Part, rows, bytes, SHA-256. */
export const TRAILER_BYTES: number = 1 + 8 + 8 + SHA256_BYTES;

/** What a snapshot has, by its own account. */
export interface SnapshotTotals {
  readonly rows: number;
  /** Of the whole stream. */
  readonly bytes: number;
}

export function encodeHeader(meta: Uint8Array): Uint8Array {
  const writer = new ByteWriter(HEADER_START_BYTES + meta.length + CHECKSUM_BYTES);
  writer.raw(MAGIC);
  writer.u32(SNAPSHOT_VERSION);
  writer.u32(meta.length);
  writer.raw(meta);
  writer.u32(crc32(writer.view()));
  return writer.finish();
}

/** Rows of one table; the payload begins with its name. */
export class BlockWriter {
  readonly #writer = new ByteWriter();

  start(tableName: Uint8Array): void {
    this.#writer.clear();
    this.#writer.u8(PART.block);
    this.#writer.u32(0);
    this.#writer.bytes(tableName);
  }

  add({ key, value }: Pick<Row, 'key' | 'value'>): void {
    this.#writer.bytes(key);
    this.#writer.bytes(value);
  }

  get length(): number {
    return this.#writer.length;
  }

  finish(): Uint8Array {
    this.#writer.setU32(1, this.#writer.length - BLOCK_START_BYTES);
    this.#writer.u32(crc32(this.#writer.view()));
    return this.#writer.finish();
  }
}

/** Without its SHA-256, which covers these bytes too. */
export function encodeTrailerStart({ rows, bytes }: SnapshotTotals): Uint8Array {
  const writer = new ByteWriter();
  writer.u8(PART.trailer);
  writer.u64(BigInt(rows));
  writer.u64(BigInt(bytes));
  return writer.finish();
}
