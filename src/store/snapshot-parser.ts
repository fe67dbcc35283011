import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import {
  ByteReader,
  compareBytes,
  concatBytes,
  DecodeError,
  EMPTY_BYTES,
  equalBytes,
  utf8String,
} from '../lib/index.ts';
import { corruptSnapshot, StoreError } from './error.ts';
import {
  KEY_BYTES_MAX,
  SNAPSHOT_BLOCK_BYTES_MAX,
  SNAPSHOT_META_BYTES_MAX,
  TABLE_NAME_BYTES_MAX,
} from './limits.ts';
import {
  BLOCK_START_BYTES,
  CHECKSUM_BYTES,
  HEADER_START_BYTES,
  MAGIC,
  PART,
  SHA256_BYTES,
  SNAPSHOT_VERSION,
  type SnapshotTotals,
  TRAILER_BYTES,
} from './snapshot-format.ts';
import type { Row } from './types.ts';

/**
 * Reads a snapshot from chunks of any size. Every row that it gives out has passed the checksum of
 * its block; the whole is good when `end` has returned. After an error it is of no further use.
 */
export class SnapshotParser {
  #meta: Uint8Array | null = null;
  #totals: SnapshotTotals | null = null;
  /** Bytes that have come and are not yet read. */
  #rest: Uint8Array = EMPTY_BYTES;
  /** Bytes read: where in the stream `#rest` begins. */
  #offset = 0;
  #rows = 0;
  #last: Row | null = null;
  readonly #hash = createHash('sha256');

  /** What the writer put beside the rows; null until it has come. */
  get meta(): Uint8Array | null {
    return this.#meta;
  }

  /**
   * The rows that are complete with this chunk, which may change afterwards.
   * @throws StoreError `CORRUPT` or `VERSION`.
   */
  push(chunk: Uint8Array): Row[] {
    this.#rest = concatBytes([this.#rest, chunk]);
    const rows: Row[] = [];
    while (this.#readPart(rows));
    return rows;
  }

  /** @throws StoreError `CORRUPT` when the stream is not complete. */
  end(): SnapshotTotals {
    if (this.#totals === null) throw this.#corrupt('it ends too early', this.#rest.length);
    return this.#totals;
  }

  /** Reads header, block or trailer; false when more bytes are needed. */
  #readPart(rows: Row[]): boolean {
    if (this.#rest.length === 0) return false;
    if (this.#totals !== null) throw this.#corrupt('bytes behind its end');
    if (this.#meta === null) return this.#readHeader();
    const part = this.#rest[0];
    if (part === PART.block) return this.#readBlock(rows);
    if (part === PART.trailer) return this.#readTrailer();
    throw this.#corrupt(`unknown part ${part}`);
  }

  #readHeader(): boolean {
    const known = Math.min(this.#rest.length, MAGIC.length);
    if (!equalBytes(this.#rest.subarray(0, known), MAGIC.subarray(0, known))) {
      throw this.#corrupt('it is no snapshot');
    }
    if (this.#rest.length < HEADER_START_BYTES) return false;
    const reader = new ByteReader(this.#rest.subarray(MAGIC.length));
    const version = reader.u32();
    if (version !== SNAPSHOT_VERSION) {
      throw new StoreError(
        'VERSION',
        `snapshot: format ${version} is unknown. Use the version of the program that wrote it, ` +
          'or a later one',
      );
    }
    const metaLength = reader.u32();
    if (metaLength > SNAPSHOT_META_BYTES_MAX) throw this.#corrupt('length of meta', MAGIC.length);
    const end = HEADER_START_BYTES + metaLength;
    if (!this.#hasChecked(end)) return false;
    this.#meta = this.#rest.slice(HEADER_START_BYTES, end);
    this.#take(end + CHECKSUM_BYTES);
    return true;
  }

  #readBlock(rows: Row[]): boolean {
    if (this.#rest.length < BLOCK_START_BYTES) return false;
    const length = new ByteReader(this.#rest.subarray(1)).u32();
    if (length > SNAPSHOT_BLOCK_BYTES_MAX) throw this.#corrupt('length of a block', 1);
    const end = BLOCK_START_BYTES + length;
    if (!this.#hasChecked(end)) return false;
    const reader = new ByteReader(this.#rest.subarray(BLOCK_START_BYTES, end));
    try {
      const name = reader.bytes();
      const table = name.length <= TABLE_NAME_BYTES_MAX ? utf8String(name) : null;
      if (table === null || table === '') throw this.#corrupt('name of a table');
      while (reader.remaining > 0) {
        rows.push(this.#ordered({ table, key: reader.bytes(), value: reader.bytes() }));
      }
    } catch (cause) {
      if (cause instanceof DecodeError) throw this.#corrupt(`block: ${cause.message}`);
      throw cause;
    }
    this.#take(end + CHECKSUM_BYTES);
    return true;
  }

  #readTrailer(): boolean {
    if (this.#rest.length < TRAILER_BYTES) return false;
    const hashed = TRAILER_BYTES - SHA256_BYTES;
    const reader = new ByteReader(this.#rest.subarray(1, TRAILER_BYTES));
    const totals = { rows: Number(reader.u64()), bytes: Number(reader.u64()) };
    const digest = this.#hash.update(this.#rest.subarray(0, hashed)).digest();
    if (!equalBytes(reader.raw(SHA256_BYTES), digest)) throw this.#corrupt('SHA-256');
    if (totals.rows !== this.#rows || totals.bytes !== this.#offset + TRAILER_BYTES) {
      throw this.#corrupt('it has not the rows and bytes that its trailer says');
    }
    this.#totals = totals;
    this.#advance(TRAILER_BYTES);
    return true;
  }

  /** Each row once, in order: tables by name, then keys. */
  #ordered(row: Row): Row {
    const last = this.#last;
    if (row.key.length > KEY_BYTES_MAX) throw this.#corrupt('length of a key');
    if (last !== null) {
      const isNext =
        row.table === last.table ? compareBytes(last.key, row.key) < 0 : last.table < row.table;
      if (!isNext) throw this.#corrupt('rows out of order');
    }
    this.#last = row;
    this.#rows++;
    return row;
  }

  /** True when the first `length` bytes and their checksum have come, and it is right. */
  #hasChecked(length: number): boolean {
    if (this.#rest.length < length + CHECKSUM_BYTES) return false;
    const checksum = new ByteReader(this.#rest.subarray(length)).u32();
    if (crc32(this.#rest.subarray(0, length)) !== checksum) throw this.#corrupt('checksum');
    return true;
  }

  #take(length: number): void {
    this.#hash.update(this.#rest.subarray(0, length));
    this.#advance(length);
  }

  #advance(length: number): void {
    this.#rest = this.#rest.subarray(length);
    this.#offset += length;
  }

  #corrupt(what: string, ahead = 0): StoreError {
    return corruptSnapshot(what, this.#offset + ahead);
  }
}
