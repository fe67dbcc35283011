import { closeSync, openSync, readSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { assert } from '../lib/index.ts';
import { StoreError } from './error.ts';
import { IMAGE_SYNC_BYTES } from './limits.ts';
import {
  emptyMetaPages,
  FILE_MODE,
  META_PAGES,
  type MetaPage,
  metaPage,
  PAGE_BYTES,
} from './lmdb-files.ts';
import type { RawImage, RawView } from './raw-store.ts';
import type { Engine, ImageTarget } from './types.ts';

/*
 * LMDB's file as it is for one reader, without a copy of it. A commit writes only pages that no
 * reader needs, and a root, into the one of two meta pages that is not in force. So while a read
 * transaction is open, the pages below its root keep their bytes, whoever else reads the file; the
 * other pages may be anything, and its list of free pages says so. What mdb_env_copy does is the
 * same: the two meta pages are written down at the beginning, the rest is read afterwards.
 *
 *   page 0, 1    from memory: the root of the transaction; an empty one in the other place
 *   page 2 …     from the file, up to the last page that the transaction knows
 */

/**
 * The image of the transaction that `view` reads, the newest one; no commit is under way. Null for
 * a file with pages of another size.
 */
export function lmdbImage(path: string, view: RawView): RawImage | null {
  const meta = newestMetaPage(path);
  return meta === null ? null : new LmdbImage(path, view, meta);
}

class LmdbImage implements RawImage {
  readonly view: RawView;
  readonly bytes: number;
  readonly #head: Uint8Array;
  readonly #file: Promise<FileHandle>;
  #isReleased = false;

  constructor(path: string, view: RawView, meta: MetaPage) {
    this.view = view;
    this.bytes = (meta.lastPage + 1) * PAGE_BYTES;
    this.#head = emptyMetaPages();
    this.#head.set(meta.page, meta.number * PAGE_BYTES);
    this.#file = open(path, 'r');
    // Whoever reads hears of it; nobody may.
    this.#file.catch(() => undefined);
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    const { length } = into;
    assert(offset + length <= this.bytes, 'beyond the image', { offset, length });
    const fromHead = this.#head.subarray(offset, offset + length);
    into.set(fromHead);
    const file = await this.#file;
    let at = fromHead.length;
    while (at < length && !this.#isReleased) {
      const { bytesRead } = await file.read(into, at, length - at, offset + at);
      if (bytesRead === 0) break;
      at += bytesRead;
    }
    // Pages at its end that were never used may not be in the file.
    into.fill(0, at);
  }

  release(): void {
    this.#isReleased = true;
    this.#file.then((file) => file.close()).catch(() => undefined);
  }
}

/** From the page cache: two small reads. */
function newestMetaPage(path: string): MetaPage | null {
  const head = new Uint8Array(META_PAGES * PAGE_BYTES);
  const fd = openSync(path, 'r');
  try {
    readSync(fd, head, 0, head.length, 0);
  } finally {
    closeSync(fd);
  }
  return metaPage(head);
}

/** Writes an image to a new file; `opened` makes the engine of it. */
export async function lmdbTarget(
  path: string,
  bytes: number,
  opened: () => Promise<Engine>,
): Promise<ImageTarget> {
  if (bytes < META_PAGES * PAGE_BYTES || bytes % PAGE_BYTES !== 0) {
    throw new StoreError('VERSION', `${path}: ${bytes} bytes are no image of this engine`);
  }
  const file = await open(path, 'wx', FILE_MODE);
  return new LmdbTarget(file, opened);
}

class LmdbTarget implements ImageTarget {
  readonly #file: FileHandle;
  readonly #opened: () => Promise<Engine>;
  #written = 0;
  /** Where the last sync began, and how it ends. */
  #synced = 0;
  #syncing: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(file: FileHandle, opened: () => Promise<Engine>) {
    this.#file = file;
    this.#opened = opened;
  }

  /** Synced bit by bit, so that the end does not take long and the log gets its turn. */
  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, at, null, this.#written);
      at += bytesWritten;
      this.#written += bytesWritten;
    }
    if (this.#written - this.#synced < IMAGE_SYNC_BYTES) return;
    this.#synced = this.#written;
    await this.#syncing;
    this.#syncing = this.#file.datasync();
    // Whoever writes next hears of it.
    this.#syncing.catch(() => undefined);
  }

  async finish(): Promise<Engine> {
    await this.#syncing;
    await this.#file.sync();
    await this.abandon();
    return await this.#opened();
  }

  async abandon(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#syncing.catch(() => undefined);
    await this.#file.close();
  }
}
