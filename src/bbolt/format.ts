/*
 * A database of bbolt (https://github.com/etcd-io/bbolt), as etcd 3.x keeps its state in. The file
 * is a row of pages of equal length (4,096 bytes as a rule). All integers are little-endian.
 *
 *   page     0: meta  1: meta  2 …: branch, leaf or freelist, each with as many pages of overflow
 *            as it needs behind it
 *
 *   header   id:u64  flags:u16  count:u16  overflow:u32
 *   meta     header  magic:u32  version:u32  pageSize:u32  flags:u32  root of the root bucket:u64
 *            sequence:u64  freelist page:u64  pages in use:u64  txid:u64  FNV-1a of these:u64
 *   branch   header  {position:u32  key length:u32  page:u64} × count  keys
 *   leaf     header  {flags:u32  position:u32  key length:u32  value length:u32} × count
 *            key, value, key, value …
 *
 * A position counts from the beginning of its own element. A branch's key is at most the first key
 * of the page that it names. Of the two metas the one with the higher txid counts.
 *
 * The rows of the root bucket are buckets (flag 1 of the element); the value of such a row is
 *
 *   bucket   root page:u64  sequence:u64  and, if the root is 0, a leaf right here ("inline")
 */

export const PAGE_BYTES = 4096;
export const HEADER_BYTES = 16;
export const META_BYTES = 64;
/** Of a row of a branch or a leaf, without key and value. */
export const ELEMENT_BYTES = 16;
/** What stands for a bucket in the bucket around it. */
export const BUCKET_BYTES = 16;
export const PAGE_FLAGS = { branch: 1, leaf: 2, meta: 4, freelist: 16 } as const;
/** Of a row in a leaf. */
export const BUCKET_FLAG = 1;

const MAGIC = 0xed0cdaed;
const VERSION = 2;

export interface PageHeader {
  readonly id: number;
  readonly flags: number;
  /** Rows. */
  readonly count: number;
  /** Pages behind this one that belong to it. */
  readonly overflow: number;
}

export function writeHeader(view: DataView, { id, flags, count, overflow }: PageHeader): void {
  writeUint64(view, 0, id);
  view.setUint16(8, flags, true);
  view.setUint16(10, count, true);
  view.setUint32(12, overflow, true);
}

/** Null for an id that no file is long enough for. */
export function readHeader(view: DataView): PageHeader | null {
  const id = readUint64(view, 0);
  if (id === null) return null;
  const flags = view.getUint16(8, true);
  return { id, flags, count: view.getUint16(10, true), overflow: view.getUint32(12, true) };
}

export interface Meta {
  readonly pageBytes: number;
  /** Root page of the root bucket. */
  readonly root: number;
  /** Pages of the file, from 0, that are in use or on the freelist. */
  readonly pages: number;
  readonly txid: bigint;
}

/** `view`: a meta page. An empty freelist stands on `freelist`. */
export function writeMeta(view: DataView, meta: Meta & { readonly freelist: number }): void {
  view.setUint32(16, MAGIC, true);
  view.setUint32(20, VERSION, true);
  view.setUint32(24, meta.pageBytes, true);
  view.setUint32(28, 0, true);
  writeUint64(view, 32, meta.root);
  writeUint64(view, 40, 0);
  writeUint64(view, 48, meta.freelist);
  writeUint64(view, 56, meta.pages);
  view.setBigUint64(64, meta.txid, true);
  view.setBigUint64(72, checksum(view), true);
}

/** `view`: the beginning of a page. Null when it is no meta, or not as it was written. */
export function readMeta(view: DataView): Meta | null {
  if (view.getUint32(16, true) !== MAGIC || view.getUint32(20, true) !== VERSION) return null;
  if (view.getBigUint64(72, true) !== checksum(view)) return null;
  const root = readUint64(view, 32);
  const pages = readUint64(view, 56);
  if (root === null || pages === null) return null;
  const pageBytes = view.getUint32(24, true);
  return { pageBytes, root, pages, txid: view.getBigUint64(64, true) };
}

/** Whether a file that begins like this is meant to be such a database. */
export function looksLikeBolt(start: Uint8Array): boolean {
  const view = viewOf(start);
  return [0, PAGE_BYTES].some(
    (at) => start.length >= at + 20 && view.getUint32(at + 16, true) === MAGIC,
  );
}

/** FNV-1a, 64 bits, over a meta without its checksum. */
function checksum(meta: DataView): bigint {
  let hash = 0xcbf29ce484222325n;
  for (let at = HEADER_BYTES; at < HEADER_BYTES + META_BYTES - 8; at++) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(meta.getUint8(at))) * 0x100000001b3n);
  }
  return hash;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function writeUint64(view: DataView, at: number, value: number): void {
  view.setBigUint64(at, BigInt(value), true);
}

/** Null above 2^53 − 1. */
export function readUint64(view: DataView, at: number): number | null {
  const value = Number(view.getBigUint64(at, true));
  return Number.isSafeInteger(value) ? value : null;
}
