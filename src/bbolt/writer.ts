import type { DiskFile } from '../io/index.ts';
import { assert, compareBytes } from '../lib/index.ts';
import {
  BUCKET_BYTES,
  PAGE_BYTES,
  PAGE_FLAGS,
  viewOf,
  writeHeader,
  writeMeta,
  writeUint64,
} from './format.ts';
import { BOLT_LIMITS } from './limits.ts';
import { type PageRow, PageRows } from './page.ts';
import type { BoltRow } from './reader.ts';

/** A bucket to be written. */
export interface BoltBucketRows {
  readonly name: Uint8Array;
  /**
   * Its rows in the order of their keys, in batches; their bytes must not change any more. Where
   * others shall have their turn is for whoever makes the batches to say.
   */
  readonly batches: AsyncIterable<readonly BoltRow[]> | Iterable<readonly BoltRow[]>;
}

/**
 * Writes a database into an empty file, from its first page to its last but for the two heads,
 * which come at the end; in memory there are two pages for each level of a tree, and what is on
 * its way. The buckets in the order of their names. Returns the file's length; it is not synced.
 */
export async function writeBolt(
  file: DiskFile,
  buckets: Iterable<BoltBucketRows>,
): Promise<{ readonly bytes: number }> {
  const pages = new PageWriter(file);
  const root = new TreeWriter(pages);
  for (const { name, batches } of buckets) {
    const tree = new TreeWriter(pages);
    for await (const rows of batches) {
      for (const { key, value } of rows) tree.add({ key, value, isBucket: false });
      await pages.drain();
    }
    root.add({ key: name, value: bucketValue(tree.finish()), isBucket: true });
  }
  const rootPage = root.finish();
  const freelist = pages.add(emptyFreelist);
  await pages.finish({ root: rootPage, freelist });
  return { bytes: pages.count * PAGE_BYTES };
}

function bucketValue(root: number): Uint8Array {
  const value = new Uint8Array(BUCKET_BYTES);
  writeUint64(viewOf(value), 0, root);
  return value;
}

/** No page is free: every page of the file is in some tree. */
function emptyFreelist(id: number): Uint8Array {
  const page = new Uint8Array(PAGE_BYTES);
  writeHeader(viewOf(page), { id, flags: PAGE_FLAGS.freelist, count: 0, overflow: 0 });
  return page;
}

/** Gives pages their numbers, one behind the other, and writes them. */
class PageWriter {
  readonly #file: DiskFile;
  /** The next page's number; 0 and 1 are the heads. */
  #next = 2;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;

  constructor(file: DiskFile) {
    this.#file = file;
  }

  get count(): number {
    return this.#next;
  }

  /** Returns the number of the page that `pack` made for it. */
  add(pack: (id: number) => Uint8Array): number {
    const id = this.#next;
    const page = pack(id);
    this.#next += page.length / PAGE_BYTES;
    this.#waiting.push(page);
    this.#waitingBytes += page.length;
    return id;
  }

  /** Writes what waits, if that is worth a call. */
  async drain(bytesMin: number = BOLT_LIMITS.writeBytes): Promise<void> {
    if (this.#waitingBytes < bytesMin) return;
    const parts = this.#waiting;
    const offset = this.#next * PAGE_BYTES - this.#waitingBytes;
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.#file.write(offset, parts);
  }

  async finish({ root, freelist }: { root: number; freelist: number }): Promise<void> {
    await this.drain(1);
    const heads = [0, 1].map((id) => {
      const page = new Uint8Array(PAGE_BYTES);
      writeHeader(viewOf(page), { id, flags: PAGE_FLAGS.meta, count: 0, overflow: 0 });
      const meta = { pageBytes: PAGE_BYTES, root, freelist, pages: this.count };
      // The head of a transaction stands on page txid mod 2.
      writeMeta(viewOf(page), { ...meta, txid: id === 0 ? 2n : 1n });
      return page;
    });
    await this.#file.write(0, heads);
  }
}

/**
 * A B+tree from rows in order, bottom up: every level has one page in the making and one that is
 * full. The full one waits because bbolt wants two pages below every branch (it asserts that when
 * it merges pages): what would be a last branch with one page goes into the one before it.
 */
class TreeWriter {
  readonly #pages: PageWriter;
  /** From the leaves up. */
  readonly #levels: Level[] = [];
  #lastKey: Uint8Array | null = null;

  constructor(pages: PageWriter) {
    this.#pages = pages;
  }

  add(row: PageRow & { readonly value: Uint8Array }): void {
    const { key } = row;
    const { keyBytesMax } = BOLT_LIMITS;
    assert(key.length > 0 && key.length <= keyBytesMax, 'key out of bounds', { bytes: key.length });
    assert(this.#lastKey === null || compareBytes(this.#lastKey, key) < 0, 'keys must ascend');
    this.#lastKey = key;
    this.#addTo(0, row);
  }

  /** Returns the root's page. */
  finish(): number {
    if (this.#levels.length === 0) return this.#pages.add((id) => new PageRows().pack(id));
    for (let at = 0; ; at++) {
      const level = this.#level(at);
      const { full, open } = level;
      if (full !== null && at > 0 && open.count === 1 && open.first !== null) {
        full.add(open.first);
        level.open = full;
        level.full = null;
      } else if (full !== null) {
        this.#write(at, full);
      }
      const isRoot = at === this.#levels.length - 1;
      if (isRoot) return this.#pages.add((id) => level.open.pack(id));
      this.#write(at, level.open);
    }
  }

  #addTo(at: number, row: PageRow): void {
    const level = this.#level(at);
    // Two pages at least below a branch, however long the keys.
    const isEnough = level.open.count >= (at === 0 ? 1 : 2);
    if (isEnough && !level.open.hasRoomFor(row)) {
      if (level.full !== null) this.#write(at, level.full);
      level.full = level.open;
      level.open = new PageRows();
    }
    level.open.add(row);
  }

  #write(at: number, rows: PageRows): void {
    const { first } = rows;
    assert(first !== null, 'a page without rows');
    const page = this.#pages.add((id) => rows.pack(id));
    this.#addTo(at + 1, { key: first.key, page });
  }

  #level(at: number): Level {
    const level = this.#levels[at] ?? { full: null, open: new PageRows() };
    this.#levels[at] = level;
    return level;
  }
}

interface Level {
  full: PageRows | null;
  open: PageRows;
}
