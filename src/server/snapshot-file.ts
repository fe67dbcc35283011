import { open } from 'node:fs/promises';
import { StateCensus } from '../kv/index.ts';
import { SnapshotParser } from '../store/index.ts';
import { decodeSnapshotMeta, isStateOf, type KvSnapshotMeta } from './snapshot-meta.ts';

/** A snapshot ends with the SHA-256 of all before: docs/SNAPSHOT.md. */
const SHA256_BYTES = 32;
/** Bytes of a file that are read at a time. */
const READ_BYTES = 512 * 1024;

/** A snapshot that is not whole and right, or can't be read; one line. */
export class SnapshotError extends Error {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'SnapshotError';
  }
}

/** What a verified snapshot holds. */
export interface SnapshotSummary extends KvSnapshotMeta {
  /** Keys there are; their history is not counted. */
  readonly keys: number;
  readonly sessions: number;
  readonly leases: number;
  /** Of all tables. */
  readonly rows: number;
  /** Of the whole stream. */
  readonly bytes: number;
  /** Hexadecimal; the last bytes of the stream. */
  readonly sha256: string;
}

/**
 * Verifies a snapshot from chunks of any size, as it comes: every checksum, the SHA-256, and that
 * its rows are the state that its head speaks of. After an error it is of no further use.
 */
export class SnapshotCheck {
  readonly #parser = new SnapshotParser();
  readonly #census = new StateCensus();
  /** The last bytes that came. */
  #tail: Uint8Array = new Uint8Array(0);

  /** @throws SnapshotError */
  push(chunk: Uint8Array): void {
    describing(() => {
      for (const row of this.#parser.push(chunk)) this.#census.add(row);
    });
    this.#tail =
      chunk.length >= SHA256_BYTES
        ? chunk.slice(-SHA256_BYTES)
        : Buffer.concat([this.#tail, chunk]).subarray(-SHA256_BYTES);
  }

  /** @throws SnapshotError when the snapshot is not complete. */
  finish(): SnapshotSummary {
    return describing(() => {
      const totals = this.#parser.end();
      const meta = decodeSnapshotMeta(this.#parser.meta ?? new Uint8Array(0));
      const { position, stateHash, keys, sessions, leases } = this.#census.finish();
      if (!isStateOf(meta, position) || stateHash !== position.stateHash) {
        throw new Error('snapshot: it holds another state than it says; take another one');
      }
      const sha256 = Buffer.from(this.#tail).toString('hex');
      return { ...meta, keys, sessions, leases, ...totals, sha256 };
    });
  }
}

function describing<T>(run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw new SnapshotError(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** How a file is gone through. */
export interface SnapshotFileOptions {
  /** Told after each piece: bytes so far and of the whole file. */
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
  readonly signal?: AbortSignal;
}

/**
 * Verifies a whole file.
 * @throws SnapshotError (rejects), whose message begins with the path; the signal's reason.
 */
export async function checkSnapshotFile(
  path: string,
  options: SnapshotFileOptions = {},
): Promise<SnapshotSummary> {
  const check = new SnapshotCheck();
  for await (const chunk of readChunks(path, options)) inFile(path, () => check.push(chunk));
  return inFile(path, () => check.finish());
}

/**
 * The file's bytes in pieces; each is overwritten by the next.
 * @throws SnapshotError (rejects), whose message begins with the path; the signal's reason.
 */
export async function* readChunks(
  path: string,
  { onProgress, signal }: SnapshotFileOptions,
): AsyncGenerator<Uint8Array, void, undefined> {
  const failed = (cause: unknown): SnapshotError => inFileError(path, cause);
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw failed(cause);
  });
  try {
    const { size } = await file.stat();
    const buffer = new Uint8Array(READ_BYTES);
    for (let bytes = 0; ; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, READ_BYTES, bytes).catch((cause) => {
        throw failed(cause);
      });
      if (bytesRead === 0) return;
      bytes += bytesRead;
      yield buffer.subarray(0, bytesRead);
      onProgress?.(bytes, size);
    }
  } finally {
    await file.close();
  }
}

/** Runs what reads the file. @throws SnapshotError, whose message begins with the path. */
export function inFile<T>(path: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    throw inFileError(path, cause);
  }
}

/** The same error with the path before it. */
export function inFileError(path: string, cause: unknown): SnapshotError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new SnapshotError(`${path}: ${said}`, { cause });
}
