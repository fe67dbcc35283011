import { readdir, rm, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { getSystemErrorName } from 'node:util';
import { open } from 'lmdb';
import { compareBytes, EMPTY_BYTES } from '../lib/index.ts';
import { openEngine } from './engine.ts';
import { corruptState, storeError } from './error.ts';
import {
  checkMetaPages,
  completeLockFile,
  FILE_MODE,
  MAP_BYTES_MIN,
  META_PAGES,
  makeDataFile,
} from './lmdb-files.ts';
import { lacksOnlyFreePages } from './lmdb-free-pages.ts';
import { lmdbImage, lmdbTarget } from './lmdb-image.ts';
import type { RawChange, RawImage, RawSpan, RawStore, RawView } from './raw-store.ts';
import type { Engine, Engines, EngineUsage, StoreEntry } from './types.ts';

/*
 * LMDB: a copy-on-write B+tree in a memory-mapped file. A commit writes new pages, syncs them, and
 * then writes the root into one of two meta pages, synced: after a crash the older or the newer
 * root is in force, with all its pages on the disk (http://www.lmdb.tech/doc).
 *
 * What finds what, when bytes on the disk are damaged:
 * - a row's value: its checksum, whenever it is read (`row.ts`);
 * - the file's beginning, its version, a file cut short: `openChecked`;
 * - a page's structure: LMDB, as CORRUPTED or PAGE_NOTFOUND, when a search comes by. It has no
 *   checksums of pages: a search led astray finds no row, or one that fails its checksum;
 * - a sector that can't be read, a file cut short under a running process: SIGBUS, so the process
 *   stops;
 * - rows lost, or old ones in place of new: the hash over all rows, which a full scrub compares
 *   (docs/STATE.md).
 */

const SUFFIX = '.lmdb';
const LOCK_SUFFIX = '-lock';

/**
 * Kept free, for the log: a commit that would leave less is refused. With less free space than this
 * a write that failed did so for want of space.
 */
const FREE_BYTES_MIN = 16 * 1024 * 1024;
const EIO = 5;

/** A file that has more than this besides twice what is used of it is not sent as it is. */
const IMAGE_WASTE_BYTES_MAX = 16 * 1024 * 1024;

/** Of the package `lmdb` what is used here: its own types hide half of it. */
interface Lmdb {
  /** Length of what `getBinaryFast` found. */
  readonly lastSize: number;
  /** The last batch of writes. */
  readonly committed: PromiseLike<boolean>;
  put(key: Uint8Array, value: Uint8Array, options?: { append: boolean }): Promise<boolean>;
  remove(key: Uint8Array): Promise<boolean>;
  getBinaryFast(key: Uint8Array, options: { transaction: Txn }): Uint8Array | undefined;
  getRange(options: LmdbSpan): Iterable<StoreEntry>;
  getKeysCount(options: LmdbSpan): number;
  useReadTransaction(): Txn;
  resetReadTxn(): void;
  getStats(): LmdbStats;
  close(): Promise<void>;
}

interface Txn {
  done(): void;
}

interface LmdbSpan {
  readonly start: Uint8Array;
  readonly end: Uint8Array;
  readonly reverse?: boolean;
  readonly exclusiveStart?: boolean;
  readonly inclusiveEnd?: boolean;
  readonly transaction: Txn;
}

interface PageCounts {
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

interface LmdbStats extends PageCounts {
  readonly pageSize: number;
  /** The highest page that was given out, counted from 0; it may be a free one again. */
  readonly lastPageNumber: number;
  readonly free: PageCounts;
}

/** Engines on LMDB: a path names the data file, beside which LMDB keeps its table of readers. */
export function lmdbEngines(): Engines {
  return {
    async open(path, options = {}): Promise<Engine> {
      const raw = options.create === true ? await createFile(path) : await openChecked(path);
      return openEngine(raw, options);
    },
    async receive(path, bytes, options = {}) {
      try {
        await expectRoom(bytes, path);
        return await lmdbTarget(path, bytes, async () =>
          openEngine(await openChecked(path), options),
        );
      } catch (cause) {
        throw storeError(cause, path);
      }
    },
    async remove(path) {
      try {
        await rm(path, { force: true });
        await rm(path + LOCK_SUFFIX, { force: true });
      } catch (cause) {
        throw storeError(cause, path);
      }
    },
    async list(directory) {
      try {
        const names = new Set<string>();
        for (const name of await readdir(directory)) {
          const file = name.endsWith(LOCK_SUFFIX) ? name.slice(0, -LOCK_SUFFIX.length) : name;
          if (file.endsWith(SUFFIX)) names.add(join(directory, file));
        }
        return [...names].sort();
      } catch (cause) {
        throw storeError(cause, directory);
      }
    },
  };
}

async function createFile(path: string): Promise<LmdbFile> {
  try {
    await makeDataFile(path);
    await completeLockFile(path + LOCK_SUFFIX);
    return new LmdbFile(path, { isNew: true });
  } catch (cause) {
    throw storeError(cause, path);
  }
}

/**
 * LMDB takes an empty file for a new one, lmdb dies of one that is none of LMDB's, and reading
 * behind the end of a file that was cut short kills the process: so this is looked at before.
 */
async function openChecked(path: string): Promise<LmdbFile> {
  try {
    const bytes = await checkMetaPages(path);
    await completeLockFile(path + LOCK_SUFFIX);
    const file = new LmdbFile(path, { isNew: false });
    try {
      const { fileBytes } = file.usage();
      if (bytes >= fileBytes || (await lacksOnlyFreePages(path, bytes))) return file;
      throw corruptState(`it has ${bytes} of ${fileBytes} bytes`, path);
    } catch (cause) {
      await file.close();
      throw cause;
    }
  } catch (cause) {
    const isMissing = cause instanceof Error && 'code' in cause && cause.code === 'ENOENT';
    throw isMissing ? corruptState('it is missing', path, cause) : storeError(cause, path);
  }
}

class LmdbFile implements RawStore {
  readonly path: string;
  readonly #lmdb: Lmdb;
  /** Open ones: they must be closed before the file is. */
  readonly #cursors = new Set<Iterator<StoreEntry>>();
  /**
   * At or above every key of a file that is new; null for another. Rows that are known to come last
   * fill their pages, where others leave them half empty: a restored state takes half the space.
   */
  #lastKey: Uint8Array | null;
  /**
   * Of the first commit that LMDB could not do. None is tried after it: after an error of its meta
   * page LMDB begins no transaction any more, and lmdb then waits for ever when it is closed.
   */
  #failed: { readonly reason: unknown } | null = null;

  constructor(path: string, { isNew }: { isNew: boolean }) {
    this.path = path;
    this.#lastKey = isNew ? EMPTY_BYTES : null;
    // The map grows by itself. Without `overlappingSync` a commit is synced when it is reported.
    const options = {
      noSubdir: true,
      keyEncoding: 'binary',
      encoding: 'binary',
      overlappingSync: false,
      permissionsMode: FILE_MODE,
      mapSize: MAP_BYTES_MIN,
    } as const;
    this.#lmdb = open(path, options) as unknown as Lmdb;
  }

  view(): RawView {
    return new LmdbView(this.#lmdb, this.#cursors);
  }

  image(): RawImage | null {
    // One that is mostly free pages is larger than its rows.
    const { usedBytes, fileBytes } = this.usage();
    if (fileBytes > 2 * usedBytes + IMAGE_WASTE_BYTES_MAX) return null;
    const view = this.view();
    const image = lmdbImage(this.path, view);
    if (image === null) view.release();
    return image;
  }

  /** `FULL` by its own look at the disk leaves LMDB alone; what LMDB itself reports is final. */
  commit(changes: readonly RawChange[], done: (error: unknown) => void): void {
    this.#commit(changes).then(() => done(null), done);
  }

  async #commit(changes: readonly RawChange[]): Promise<void> {
    if (changes.length === 0) return;
    if (this.#failed !== null) throw this.#failed.reason;
    // What it takes is estimated, as twice its rows.
    const bytes = changes.reduce(
      (sum, each) => sum + each.key.length + (each.value?.length ?? 0),
      0,
    );
    await expectRoom(2 * bytes, this.path);
    try {
      await this.#write(changes);
    } catch (error) {
      const reason = await commitError(error, this.path);
      this.#failed = { reason };
      throw reason;
    }
  }

  /** All writes of one event turn are one transaction ("event turn batching"). */
  async #write(changes: readonly RawChange[]): Promise<void> {
    const written = new Set<PromiseLike<boolean>>();
    for (const { key, value } of changes) {
      if (value === null) written.add(this.#lmdb.remove(key));
      else if (this.#isLast(key)) written.add(this.#lmdb.put(key, value, { append: true }));
      else written.add(this.#lmdb.put(key, value));
    }
    // lmdb ends the batch in a `setImmediate` of its own, before this one, and makes a promise
    // then that would have no handler: `committed` stands for it.
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([...written, this.#lmdb.committed]);
  }

  usage(): EngineUsage {
    const stats = this.#lmdb.getStats();
    return {
      usedBytes: (META_PAGES + pages(stats) + pages(stats.free)) * stats.pageSize,
      fileBytes: (stats.lastPageNumber + 1) * stats.pageSize,
    };
  }

  async close(): Promise<void> {
    for (const cursor of this.#cursors) cursor.return?.();
    this.#cursors.clear();
    await this.#lmdb.close();
  }

  /** True when the key is above all others; it is then the highest one. */
  #isLast(key: Uint8Array): boolean {
    if (this.#lastKey === null || compareBytes(key, this.#lastKey) <= 0) return false;
    this.#lastKey = key;
    return true;
  }
}

/** A read transaction that stays where it began. */
class LmdbView implements RawView {
  readonly #lmdb: Lmdb;
  readonly #transaction: { readonly transaction: Txn };
  readonly #cursors: Set<Iterator<StoreEntry>>;

  constructor(lmdb: Lmdb, cursors: Set<Iterator<StoreEntry>>) {
    this.#lmdb = lmdb;
    this.#cursors = cursors;
    // A transaction of its own: never lmdb's shared one, which is renewed every turn.
    lmdb.resetReadTxn();
    this.#transaction = { transaction: lmdb.useReadTransaction() };
    lmdb.resetReadTxn();
  }

  get(key: Uint8Array): Uint8Array | null {
    const found = this.#lmdb.getBinaryFast(key, this.#transaction);
    if (found === undefined) return null;
    // A buffer that the next read overwrites, and longer than it says.
    const copy = new Uint8Array(this.#lmdb.lastSize);
    copy.set(new Uint8Array(found.buffer, found.byteOffset, copy.length));
    return copy;
  }

  *range(span: RawSpan): Generator<StoreEntry, void, undefined> {
    if (compareBytes(span.from, span.to) >= 0) return;
    const cursor = this.#lmdb.getRange(this.#lmdbSpan(span))[Symbol.iterator]();
    this.#cursors.add(cursor);
    try {
      for (let next = cursor.next(); next.done !== true; next = cursor.next()) {
        yield { key: plain(next.value.key), value: plain(next.value.value) };
      }
    } finally {
      if (this.#cursors.delete(cursor)) cursor.return?.();
    }
  }

  count(span: RawSpan): number {
    if (compareBytes(span.from, span.to) >= 0) return 0;
    return this.#lmdb.getKeysCount(this.#lmdbSpan({ from: span.from, to: span.to }));
  }

  /** A cursor that is still open keeps the transaction. */
  release(): void {
    this.#transaction.transaction.done();
  }

  #lmdbSpan({ from, to, reverse }: RawSpan): LmdbSpan {
    const { transaction } = this.#transaction;
    if (reverse !== true) return { start: from, end: to, transaction };
    const bounds = { start: to, exclusiveStart: true, end: from, inclusiveEnd: true };
    return { ...bounds, reverse: true, transaction };
  }
}

/** The same bytes: a `Buffer` looks like a `Uint8Array`, but its `slice` does not copy. */
function plain(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.length);
}

/**
 * Refuses what would fill the disk before LMDB meets a full one. Others write to it too, so LMDB
 * may meet one all the same.
 */
async function expectRoom(bytes: number, path: string): Promise<void> {
  const neededBytes = FREE_BYTES_MIN + bytes;
  const freeBytes = await freeBytesAt(path);
  if (freeBytes === null || freeBytes >= neededBytes) return;
  const reason = `${freeBytes} bytes are free, ${neededBytes} are needed`;
  throw Object.assign(new Error(`ENOSPC: ${reason}`), { code: 'ENOSPC' });
}

/**
 * What lmdb's "Commit failed" means: the error of LMDB itself comes in a promise, with a number of
 * the operating system or of LMDB. On a full disk a write is cut short, which LMDB reports as EIO;
 * nothing of the commit is in use then.
 */
async function commitError(error: unknown, path: string): Promise<unknown> {
  let cause = error;
  if (error instanceof Error && 'commitError' in error) {
    cause = await Promise.resolve(error.commitError).catch((reason: unknown) => reason);
  }
  if (!(cause instanceof Error && 'code' in cause && typeof cause.code === 'number')) return cause;
  if (cause.code <= 0) return cause;
  try {
    const freeBytes = cause.code === EIO ? await freeBytesAt(path) : null;
    const isFull = freeBytes !== null && freeBytes < FREE_BYTES_MIN;
    const code = isFull ? 'ENOSPC' : getSystemErrorName(-cause.code);
    return Object.assign(new Error(`${code}: ${cause.message}`, { cause }), { code });
  } catch (unknown) {
    return new AggregateError(
      [cause, unknown],
      'EIO: a write failed, and the disk does not answer',
    );
  }
}

/** Of the file system that holds a file; null when it does not say. */
async function freeBytesAt(path: string): Promise<number | null> {
  const { blocks, bavail, bsize } = await statfs(dirname(path));
  return blocks === 0 ? null : bavail * bsize;
}

function pages(counts: PageCounts): number {
  return counts.treeBranchPageCount + counts.treeLeafPageCount + counts.overflowPages;
}
