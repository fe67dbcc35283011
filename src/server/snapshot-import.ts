import { API_LIMITS } from '../api/index.ts';
import type { BoltBucket, BoltReader } from '../bbolt/index.ts';
import { readChangeRow, readLeaseRow, saysAuthEnabled } from '../etcd/index.ts';
import {
  type ImportTotals,
  KV_LIMITS,
  type KvPosition,
  positionOf,
  StateImport,
} from '../kv/index.ts';
import { bytesKey } from '../lib/index.ts';
import { type DurableStore, durableStore, type Engine, StoreError } from '../store/index.ts';
import {
  HistoryEnds,
  nextTurn,
  openDatabaseFile,
  verifyDatabaseFile,
} from './snapshot-database.ts';
import { inFileError, SnapshotError, type SnapshotFileOptions } from './snapshot-file.ts';

/** A new cluster's log begins behind an entry that nobody has: the file itself. */
const START = { index: 1, term: 1 } as const;
/** Rows that are taken over before others have their turn … */
const TURN_ROWS = 500;
/** … and bytes of them. */
const TURN_BYTES = 512 * 1024;
/** Rows in memory that are worth a commit. */
const COMMIT_BYTES = 8 * 1024 * 1024;

export interface ImportOptions extends SnapshotFileOptions {
  /** Take a file without a SHA-256, or with a wrong one. */
  readonly skipHashCheck?: boolean;
}

/** What was taken over. */
export interface ImportedState extends ImportTotals {
  readonly position: KvPosition;
}

/**
 * Whether all is well with the bytes of a file of etcd's.
 * @throws SnapshotError (rejects), whose message begins with the path; the signal's reason.
 */
export async function verifyForImport(path: string, options: ImportOptions): Promise<void> {
  if (options.skipHashCheck === true) return;
  const database = openDatabaseFile(path);
  try {
    if (database.sha256 === null) {
      const said =
        "it has no SHA-256, as a copy of a member's file: add --skip-hash-check to take it";
      throw inFileError(path, new SnapshotError(said));
    }
    await verifyDatabaseFile(path, database, options);
  } finally {
    database.close();
  }
}

/**
 * Makes a state in a new engine from a file of etcd's: keys with their history, and leases. All of
 * it follows from the file, so that members which import the same one agree.
 * @throws SnapshotError (rejects), whose message begins with the path; StoreError; the signal's
 * reason. What is in the engine is then of no use.
 */
export async function importDatabase(
  path: string,
  engine: Engine,
  { onProgress, signal }: SnapshotFileOptions,
): Promise<ImportedState> {
  const database = openDatabaseFile(path);
  const store = durableStore(engine);
  try {
    const taking = new Taking(store);
    const steps = taking.takeAll(database.reader);
    for (;;) {
      signal?.throwIfAborted();
      const step = nextStep(path, steps);
      if (store.unflushedBytes >= COMMIT_BYTES || step.done === true) await flushed(store);
      if (step.done === true) {
        return { ...step.value, position: positionOf((table, key) => engine.get(table, key)) };
      }
      onProgress?.(database.bytesRead, database.bytes);
      await nextTurn();
    }
  } finally {
    store.close();
    database.close();
  }
}

/** What goes wrong is the file's fault, or that of the engine, which says so itself. */
function nextStep<T>(path: string, steps: Iterator<void, T, undefined>): IteratorResult<void, T> {
  try {
    return steps.next();
  } catch (cause) {
    throw cause instanceof StoreError ? cause : inFileError(path, cause);
  }
}

function flushed(store: DurableStore): Promise<void> {
  return new Promise((resolve, reject) => {
    store.flush((error) => (error === null ? resolve() : reject(error)));
  });
}

/** Row after row from the buckets into the state. */
class Taking {
  readonly #state: StateImport;
  readonly #ends = new HistoryEnds();

  constructor(store: DurableStore) {
    this.#state = new StateImport(store);
  }

  /** Yields when it is time for a pause. @throws BoltError, DecodeError, KvError, SnapshotError */
  *takeAll(reader: BoltReader): Generator<void, ImportTotals, undefined> {
    const buckets = new Map<string, BoltBucket>();
    for (const bucket of reader.buckets()) buckets.set(bytesKey(bucket.name), bucket);
    const keys = buckets.get('key');
    if (keys === undefined) throw new SnapshotError("it has no bucket 'key': it is none of etcd's");
    for (const row of buckets.get('auth')?.rows() ?? []) {
      if (saysAuthEnabled(row)) throw new SnapshotError(AUTH_IS_ON);
    }
    for (const row of buckets.get('meta')?.rows() ?? []) this.#ends.addMeta(row);
    yield* this.#takeLeases(buckets.get('lease'));
    yield* this.#takeKeys(keys);
    const { revision, compactRevision } = this.#ends;
    return this.#state.finish({ ...START, revision, compactRevision });
  }

  *#takeLeases(bucket: BoltBucket | undefined): Generator<void, void, undefined> {
    let rows = 0;
    for (const row of bucket?.rows() ?? []) {
      const { lease, ttlSeconds } = readLeaseRow(row);
      this.#state.addLease(lease, Math.min(ttlSeconds * 1_000, API_LIMITS.leaseTtlMsMax));
      if (++rows % TURN_ROWS === 0) yield;
    }
  }

  *#takeKeys(bucket: BoltBucket): Generator<void, void, undefined> {
    let rows = 0;
    let bytes = 0;
    let last = { revision: 0, sub: 0 };
    for (const row of bucket.rows()) {
      const change = readChangeRow(row);
      const { revision, sub } = change;
      if (revision === last.revision && sub === last.sub) {
        throw new SnapshotError(`revision ${revision} has two changes with the number ${sub}`);
      }
      last = change;
      this.#ends.addChange(revision);
      refuseTooLong(change.key, change.after?.value.length ?? 0);
      this.#state.addChange(change);
      rows++;
      bytes += row.value.length;
      if (rows < TURN_ROWS && bytes < TURN_BYTES) continue;
      yield;
      rows = 0;
      bytes = 0;
    }
  }
}

const AUTH_IS_ON =
  'the cluster that it is of asks its clients who they are, and this one would not: run ' +
  '`etcdctl auth disable` there, if that is meant, and take another snapshot';

function refuseTooLong(key: Uint8Array, valueBytes: number): void {
  const isFine = key.length <= API_LIMITS.keyBytesMax && valueBytes <= KV_LIMITS.valueBytesMax;
  if (isFine) return;
  const shown = Buffer.from(key.subarray(0, 32))
    .toString('latin1')
    .replace(/[^ -~]/g, '.');
  throw new SnapshotError(
    `the key '${shown}' has ${key.length} bytes and its value ${valueBytes}: possible are ` +
      `${API_LIMITS.keyBytesMax} and ${KV_LIMITS.valueBytesMax}`,
  );
}
