import { type FileHandle, open } from 'node:fs/promises';
import { corruptState, versionError } from './error.ts';

/*
 * What LMDB finds in the two files of an environment when it opens them. Both are made here: when
 * LMDB's own attempt fails (no space, EIO), the package lmdb uses memory that it has freed, and the
 * process dies of it without a word. A file that is complete gives LMDB nothing to write.
 *
 *   data   two pages, each: `MDB_page` (24 bytes), `MDB_meta` (144 bytes), zeros    (mdb.c)
 *   lock   zeros: LMDB makes its table of readers in it anew, through a mapping. A hole in it would
 *          kill the process (SIGBUS) when the disk is full, so there is none.
 *
 * Numbers are in the order of the machine: little-endian on all that Node runs on today.
 */

/** The owner's alone. */
export const FILE_MODE = 0o600;

export const META_PAGES = 2;

/** LMDB's own choice on most machines; it reads files with any other size of pages. */
export const PAGE_BYTES = 4096;

/** Room for the readers of `maxReaders` (126, 64 bytes each), for more if lmdb should want them. */
const LOCK_BYTES = 16 * 1024;

/** Offsets of fields in a meta page. */
const PAGE_NUMBER = 0;
const PAGE_FLAGS = 18;
const MAGIC_AT = 24;
const VERSION_AT = 28;
const MAP_BYTES_AT = 40;
const PAGE_BYTES_AT = 48;
const FREE_FLAGS_AT = 52;
const FREE_ROOT_AT = 88;
const MAIN_ROOT_AT = 136;
const LAST_PAGE_AT = 144;
const TRANSACTION_AT = 152;
const CHECKED_BYTES = 52;

const PAGE_IS_META = 0x08;
const MAGIC = 0xbeefc0de;
const VERSION = 2;
/** MDB_NOSUBDIR, and MDB_INTEGERKEY for the table of free pages. */
const FREE_FLAGS = 0x4008;
/** No page: an empty table. */
const NO_ROOT = 0xffff_ffff_ffff_ffffn;
/** The map is never smaller than this; it grows by itself. */
export const MAP_BYTES_MIN = 128 * 1024;

/** Makes the data file of an empty environment. It must not exist. */
export async function makeDataFile(path: string): Promise<void> {
  await withFile(path, 'wx', (file) => file.writeFile(emptyMetaPages()));
}

/** What the data file of an empty environment consists of. */
export function emptyMetaPages(): Uint8Array {
  const pages = Buffer.alloc(META_PAGES * PAGE_BYTES);
  for (let number = 0; number < META_PAGES; number++) {
    const page = pages.subarray(number * PAGE_BYTES);
    page.writeBigUInt64LE(BigInt(number), PAGE_NUMBER);
    page.writeUInt16LE(PAGE_IS_META, PAGE_FLAGS);
    page.writeUInt32LE(MAGIC, MAGIC_AT);
    page.writeUInt32LE(VERSION, VERSION_AT);
    page.writeBigUInt64LE(BigInt(MAP_BYTES_MIN), MAP_BYTES_AT);
    page.writeUInt32LE(PAGE_BYTES, PAGE_BYTES_AT);
    page.writeUInt16LE(FREE_FLAGS, FREE_FLAGS_AT);
    page.writeBigUInt64LE(NO_ROOT, FREE_ROOT_AT);
    page.writeBigUInt64LE(NO_ROOT, MAIN_ROOT_AT);
    page.writeBigUInt64LE(BigInt(META_PAGES - 1), LAST_PAGE_AT);
  }
  return new Uint8Array(pages.buffer, pages.byteOffset, pages.length);
}

/** The root of an environment. */
export interface MetaPage {
  /** Where it stands: 0 or 1. */
  readonly number: number;
  readonly page: Uint8Array;
  /** The highest page that it counts; the file ends before it when the last ones are free. */
  readonly lastPage: number;
  /** The page where the table of free pages begins; null when that is empty. */
  readonly freeRoot: number | null;
}

/** The newer of the two with which a data file begins; null when its pages are of another size. */
export function metaPage(head: Uint8Array): MetaPage | null {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  const transactionOf = (page: number): bigint =>
    bytes.readBigUInt64LE(page * PAGE_BYTES + TRANSACTION_AT);
  if (bytes.readUInt32LE(PAGE_BYTES_AT) !== PAGE_BYTES) return null;
  const number = transactionOf(1) > transactionOf(0) ? 1 : 0;
  const page = head.slice(number * PAGE_BYTES, (number + 1) * PAGE_BYTES);
  const lastPage = Number(bytes.readBigUInt64LE(number * PAGE_BYTES + LAST_PAGE_AT));
  const root = bytes.readBigUInt64LE(number * PAGE_BYTES + FREE_ROOT_AT);
  return { number, page, lastPage, freeRoot: root === NO_ROOT ? null : Number(root) };
}

/** Makes the lock file, or what it lacks: a backup has none, a power cut may have taken its end. */
export async function completeLockFile(path: string): Promise<void> {
  await withFile(path, 'a', async (file) => {
    const { size } = await file.stat();
    if (size < LOCK_BYTES) await file.writeFile(Buffer.alloc(LOCK_BYTES - size));
  });
}

/** @returns the file's length in bytes; throws when it does not begin as LMDB's files do. */
export function checkMetaPages(path: string): Promise<number> {
  return withFile(path, 'r', async (file) => {
    const { size } = await file.stat();
    let pageBytes = 0;
    for (let page = 0; page < META_PAGES; page++) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(CHECKED_BYTES), {
        position: page * pageBytes,
      });
      if (bytesRead < CHECKED_BYTES) throw corruptState(`it has ${size} bytes`, path);
      pageBytes = buffer.readUInt32LE(PAGE_BYTES_AT);
      if (buffer.readUInt32LE(MAGIC_AT) !== MAGIC || pageBytes < PAGE_BYTES) {
        throw corruptState(`page ${page} is not what LMDB begins its files with`, path);
      }
      const version = buffer.readUInt32LE(VERSION_AT);
      if (version !== VERSION) throw versionError(`LMDB format ${version} is unknown`, path);
    }
    return size;
  });
}

async function withFile<T>(
  path: string,
  flags: string,
  use: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const file = await open(path, flags, FILE_MODE);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}
