import { createHash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { BoltReader, type BoltRow, type ByteSource, looksLikeBolt } from '../bbolt/index.ts';
import { crc32c, readChangeRow, readCompactionRow } from '../etcd/index.ts';
import { bytesKey } from '../lib/index.ts';
import {
  inFile,
  inFileError,
  readChunks,
  SnapshotError,
  type SnapshotFileOptions,
} from './snapshot-file.ts';

/*
 * A file of etcd's: a database of bbolt (src/bbolt), and behind it its SHA-256, if `etcdctl
 * snapshot save` wrote it. A copy of a member's own file has none.
 */

const SHA256_BYTES = 32;
/** By the length etcdctl knows whether there is a SHA-256: pages are multiples of this. */
const SECTOR_BYTES = 512;
/** What tells the two kinds of files apart stands in so many bytes. */
const START_BYTES = 8_192;
/** Rows that are gone through before others have their turn. */
const TURN_ROWS = 1_000;

/** What a file of etcd's holds. */
export interface DatabaseSummary {
  /** The newest revision. */
  readonly revision: number;
  /** The oldest that can be read; 0 while nothing was compacted. */
  readonly compactRevision: number;
  /** Rows of bucket `key`: changes that are kept. */
  readonly changes: number;
  readonly leases: number;
  /** Of all buckets; `etcdctl snapshot status` calls them keys. */
  readonly rows: number;
  /** Of the database. */
  readonly bytes: number;
  /** CRC-32C over names and rows, as `etcdctl snapshot status` prints it. */
  readonly hash: number;
  /** Hexadecimal; null when the file has none. */
  readonly sha256: string | null;
}

/** Whether this is a file of etcd's, sound or not. @throws SnapshotError (rejects) */
export async function isDatabaseFile(path: string): Promise<boolean> {
  const chunks = readChunks(path, {});
  const first = await chunks.next();
  await chunks.return();
  return first.done !== true && looksLikeBolt(first.value.subarray(0, START_BYTES));
}

/** A file of etcd's that is open. */
export interface OpenedDatabase {
  readonly reader: BoltReader;
  /** Of the database. */
  readonly bytes: number;
  /** As it stands in the file; null when there is none. */
  readonly sha256: string | null;
  /** Bytes that were read, for who wants to know how far it is. */
  readonly bytesRead: number;
  close(): void;
}

/** @throws SnapshotError, whose message begins with the path. */
export function openDatabaseFile(path: string): OpenedDatabase {
  return inFile(path, () => {
    const fd = openSync(path, 'r');
    try {
      return opened(fd);
    } catch (cause) {
      closeSync(fd);
      throw cause;
    }
  });
}

function opened(fd: number): OpenedDatabase {
  const { size } = fstatSync(fd);
  const isHashed = size % SECTOR_BYTES === SHA256_BYTES;
  let bytesRead = 0;
  const source: ByteSource = {
    length: isHashed ? size - SHA256_BYTES : size,
    read(offset, length) {
      bytesRead += length;
      return readExactly(fd, { offset, length });
    },
  };
  const hash = isHashed ? readExactly(fd, { offset: source.length, length: SHA256_BYTES }) : null;
  return {
    reader: new BoltReader(source),
    bytes: source.length,
    sha256: hash === null ? null : Buffer.from(hash).toString('hex'),
    get bytesRead() {
      return Math.min(bytesRead, size);
    },
    close: () => closeSync(fd),
  };
}

function readExactly(
  fd: number,
  { offset, length }: { offset: number; length: number },
): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length; ) {
    const got = readSync(fd, bytes, filled, length - filled, offset + filled);
    if (got === 0) throw new SnapshotError(`it ends at byte ${offset + filled}`);
    filled += got;
  }
  return bytes;
}

/** Reads the whole file. @throws SnapshotError (rejects) when its SHA-256 is not right. */
export async function verifyDatabaseFile(
  path: string,
  { bytes, sha256 }: Pick<OpenedDatabase, 'bytes' | 'sha256'>,
  options: SnapshotFileOptions,
): Promise<void> {
  const hash = createHash('sha256');
  let left = bytes;
  for await (const chunk of readChunks(path, options)) {
    hash.update(chunk.subarray(0, left));
    left -= Math.min(left, chunk.length);
  }
  const found = hash.digest('hex');
  if (found === sha256) return;
  const said = `bbolt: SHA-256 is ${found}, and it says ${sha256}; take another snapshot`;
  throw inFileError(path, new SnapshotError(said));
}

/**
 * Goes through the whole file.
 * @throws SnapshotError (rejects), whose message begins with the path; the signal's reason.
 */
export async function checkDatabaseFile(
  path: string,
  { onProgress, signal }: SnapshotFileOptions = {},
): Promise<DatabaseSummary> {
  const database = openDatabaseFile(path);
  const totalBytes = 2 * database.bytes;
  try {
    const { sha256, bytes } = database;
    if (sha256 !== null) {
      const stage = { onProgress: (done: number) => onProgress?.(done, totalBytes) };
      const options = signal === undefined ? stage : { ...stage, signal };
      await verifyDatabaseFile(path, database, options);
    }
    const totals = new Totals();
    const steps = totals.addAll(database.reader);
    while (inFile(path, () => steps.next()).done !== true) {
      onProgress?.(bytes + database.bytesRead, totalBytes);
      await nextTurn();
      signal?.throwIfAborted();
    }
    return { ...totals.finish(), bytes, sha256 };
  } finally {
    database.close();
  }
}

/** Lets others have their turn. */
export function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Rows of the buckets that matter, counted; and the hash over all. */
class Totals {
  #hash = 0;
  #rows = 0;
  #changes = 0;
  #leases = 0;
  readonly #history = new HistoryEnds();

  /** Yields when it is time for a pause. @throws BoltError, DecodeError */
  *addAll(reader: BoltReader): Generator<void, void, undefined> {
    for (const { name, rows } of reader.buckets()) {
      this.#hash = crc32c(name, this.#hash);
      const bucket = bytesKey(name);
      for (const row of rows()) {
        this.#add(bucket, row);
        if (this.#rows % TURN_ROWS === 0) yield;
      }
    }
  }

  #add(bucket: string, row: BoltRow): void {
    this.#hash = crc32c(row.value, crc32c(row.key, this.#hash));
    this.#rows++;
    if (bucket === 'lease') this.#leases++;
    if (bucket === 'key') {
      this.#changes++;
      this.#history.addChange(readChangeRow(row).revision);
    }
    if (bucket === 'meta') this.#history.addMeta(row);
  }

  finish(): Omit<DatabaseSummary, 'bytes' | 'sha256'> {
    const { revision, compactRevision } = this.#history;
    const counts = { changes: this.#changes, leases: this.#leases, rows: this.#rows };
    return { revision, compactRevision, hash: this.#hash, ...counts };
  }
}

/** How far a history goes. */
export class HistoryEnds {
  #newest = 1;
  #compactRevision = 0;

  addChange(revision: number): void {
    this.#newest = Math.max(this.#newest, revision);
  }

  /** A row of bucket `meta`. @throws DecodeError */
  addMeta(row: BoltRow): void {
    this.#compactRevision = Math.max(this.#compactRevision, readCompactionRow(row) ?? 0);
  }

  /** When the newest changes were deletions that are compacted, only their revision is left. */
  get revision(): number {
    return Math.max(this.#newest, this.#compactRevision);
  }

  get compactRevision(): number {
    return this.#compactRevision;
  }
}
