import { type FileHandle, open } from 'node:fs/promises';
import { corruptState } from './error.ts';
import { META_PAGES, type MetaPage, metaPage, PAGE_BYTES } from './lmdb-files.ts';

/*
 * LMDB's table of free pages as it is in the file, for LMDB shows nobody what is in it. It is a
 * tree like the others (mdb.c); all offsets within a page count from the end of its head.
 *
 *   page   number u64 | transaction u64 | pad u16 | flags u16 | bytes of offsets u16 | upper u16
 *          | offset of each node u16 …
 *   node   low u16 | high u16 | flags u16 | length of the key u16 | key | data
 *          of a branch: low, high and flags are the number of the page below;
 *          of a leaf: low and high are the length of the data
 *   data   numbers i64: how many follow, then pages. A page is its number, or a run of pages
 *          minus its length and the number of the first one; 0 says nothing.
 *          With flag 1 it stands elsewhere: first page u64 | transaction u64 | pages u64,
 *          behind the head of the first of them
 */
const HEAD_BYTES = 24;
const PAGE_FLAGS = 18;
const OFFSETS_BYTES = 20;
const IS_BRANCH = 0x01;
const NODE_FLAGS = 4;
const KEY_BYTES = 6;
const KEY_AT = 8;
const IS_ELSEWHERE = 0x01;

/**
 * True when every page that a data file of so many bytes lacks is a free one. A commit may use
 * pages at the end, give them back, and never write them; its root counts them all the same: "the
 * file may be shorter if the freeDB lists the final pages" (mdb.c).
 * @throws StoreError (rejects) `CORRUPT` when the table is damaged.
 */
export async function lacksOnlyFreePages(path: string, bytes: number): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const meta = metaPage(await readPages(file, { first: 0, count: META_PAGES }));
    if (meta === null) return false;
    const present = Math.floor(bytes / PAGE_BYTES);
    const isFree = new Uint8Array(meta.lastPage + 1 - present);
    for await (const { first, count } of freeRuns(file, meta)) {
      const from = Math.max(0, first - present);
      isFree.fill(1, from, Math.max(from, first + count - present));
    }
    return isFree.every((free) => free === 1);
  } catch (cause) {
    // A number that leads out of its page, or out of the file.
    if (cause instanceof RangeError) throw corruptState('its free pages are damaged', path, cause);
    throw cause;
  } finally {
    await file.close();
  }
}

/** Pages in a row. */
export interface PageRun {
  readonly first: number;
  readonly count: number;
}

/** What the table of free pages holds; throws RangeError when it is damaged. */
export async function* freeRuns(
  file: FileHandle,
  { freeRoot, lastPage }: MetaPage,
): AsyncGenerator<PageRun, void, undefined> {
  const pages = freeRoot === null ? [] : [freeRoot];
  let visited = 0;
  for (let number = pages.pop(); number !== undefined; number = pages.pop()) {
    if (++visited > lastPage) throw new RangeError('the tree has a circle');
    const page = await readPages(file, { first: number, count: 1 });
    const isBranch = (page.readUInt16LE(PAGE_FLAGS) & IS_BRANCH) !== 0;
    for (const node of nodesOf(page)) {
      if (isBranch) pages.push(node.readUIntLE(0, NODE_FLAGS + 2));
      else yield* runsOf(await dataOf(file, node));
    }
  }
}

/** Each from its beginning to the end of the page. */
function nodesOf(page: Buffer): Buffer[] {
  const count = page.readUInt16LE(OFFSETS_BYTES) / 2;
  return Array.from({ length: count }, (_, i) =>
    page.subarray(HEAD_BYTES + page.readUInt16LE(HEAD_BYTES + 2 * i)),
  );
}

async function dataOf(file: FileHandle, node: Buffer): Promise<Buffer> {
  const length = node.readUInt32LE(0);
  const data = node.subarray(KEY_AT + node.readUInt16LE(KEY_BYTES));
  if ((node.readUInt16LE(NODE_FLAGS) & IS_ELSEWHERE) === 0) return data.subarray(0, length);
  const count = Math.ceil((HEAD_BYTES + length) / PAGE_BYTES);
  const pages = await readPages(file, { first: Number(data.readBigUInt64LE(0)), count });
  return pages.subarray(HEAD_BYTES, HEAD_BYTES + length);
}

function* runsOf(data: Buffer): Generator<PageRun, void, undefined> {
  const end = 8 * (1 + Number(data.readBigInt64LE(0)));
  for (let at = 8; at < end; at += 8) {
    const number = Number(data.readBigInt64LE(at));
    if (number > 0) yield { first: number, count: 1 };
    if (number >= 0) continue;
    at += 8;
    yield { first: Number(data.readBigInt64LE(at)), count: -number };
  }
}

async function readPages(file: FileHandle, { first, count }: PageRun): Promise<Buffer> {
  const { size } = await file.stat();
  if ((first + count) * PAGE_BYTES > size) throw new RangeError(`page ${first} is not in the file`);
  const pages = Buffer.alloc(count * PAGE_BYTES);
  const { bytesRead } = await file.read(pages, 0, pages.length, first * PAGE_BYTES);
  if (bytesRead < pages.length) throw new RangeError(`page ${first} could not be read`);
  return pages;
}
