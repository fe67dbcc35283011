import { assert, compareBytes } from '../lib/index.ts';
import { BoltError } from './error.ts';
import {
  BUCKET_BYTES,
  BUCKET_FLAG,
  ELEMENT_BYTES,
  HEADER_BYTES,
  META_BYTES,
  type Meta,
  PAGE_FLAGS,
  readHeader,
  readMeta,
  readUint64,
  viewOf,
} from './format.ts';
import { BOLT_LIMITS } from './limits.ts';

/** A file's bytes. */
export interface ByteSource {
  readonly length: number;
  /** Exactly these bytes, which are there; what it returns is never changed afterwards. */
  read(offset: number, length: number): Uint8Array;
}

/** A row of a bucket; views of a page. */
export interface BoltRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A bucket of the root. */
export interface BoltBucket {
  readonly name: Uint8Array;
  /**
   * Its rows in the order of their keys, read as they are asked for.
   * @throws BoltError also on the way.
   */
  rows(): Iterable<BoltRow>;
}

const PAGE_BYTES_MIN = 1024;
const PAGE_BYTES_MAX = 64 * 1024;

/**
 * Reads a database, the whole of which is in the source. Nothing that the file says is believed:
 * lengths and places are checked against the file, keys must ascend, so that whatever is in it, the
 * reader comes to an end. Pages have no checksums: that they are those that were written is for a
 * hash over the file to say.
 */
export class BoltReader {
  readonly #source: ByteSource;
  readonly #meta: Meta;

  /** @throws BoltError */
  constructor(source: ByteSource) {
    this.#source = source;
    this.#meta = currentMeta(source);
  }

  /** Pages of the file: what is behind them does not belong to the database. */
  get bytes(): number {
    return this.#meta.pages * this.#meta.pageBytes;
  }

  /** All buckets in the order of their names. */
  *buckets(): Generator<BoltBucket, void, undefined> {
    for (const { key, value, isBucket, page } of this.#elements(this.#meta.root)) {
      if (!isBucket) throw new BoltError('a row stands among the buckets', page);
      yield { name: key, rows: () => this.#rows(value, page) };
    }
  }

  *#rows(bucket: Uint8Array, page: number): Generator<BoltRow, void, undefined> {
    for (const { key, value, isBucket, page: at } of this.#bucketElements(bucket, page)) {
      if (isBucket) throw new BoltError('a bucket inside a bucket', at);
      yield { key, value };
    }
  }

  #bucketElements(bucket: Uint8Array, page: number): Iterable<LeafElement> {
    if (bucket.length < BUCKET_BYTES) throw new BoltError('a bucket without a root', page);
    const root = readUint64(viewOf(bucket), 0);
    if (root === null) throw new BoltError('a bucket has its root nowhere', page);
    if (root !== 0) return this.#elements(root);
    const inline = bucket.subarray(BUCKET_BYTES);
    if (inline.length < HEADER_BYTES) throw new BoltError('a bucket without rows', page);
    const header = readHeader(viewOf(inline));
    if (header?.flags !== PAGE_FLAGS.leaf) throw new BoltError('no leaf in a bucket', page);
    return ascending(leafElements({ id: page, bytes: inline, count: header.count, isLeaf: true }));
  }

  /** The elements of all leaves below a page. */
  #elements(root: number): Iterable<LeafElement> {
    return ascending(this.#walk(root, 1));
  }

  *#walk(id: number, depth: number): Generator<LeafElement, void, undefined> {
    if (depth > BOLT_LIMITS.depthMax) throw new BoltError('the tree is too deep', id);
    const page = this.#page(id);
    // Only a root may be empty: every other page moves the keys on, so the walk ends.
    if (page.count === 0 && depth > 1) throw new BoltError('it is empty', id);
    if (page.isLeaf) yield* leafElements(page);
    else for (const child of children(page)) yield* this.#walk(child, depth + 1);
  }

  #page(id: number): Page {
    const { pageBytes, pages } = this.#meta;
    if (id < 2 || id >= pages) throw new BoltError('it is not in the file', id);
    const first = this.#source.read(id * pageBytes, pageBytes);
    const header = readHeader(viewOf(first));
    if (header?.id !== id) throw new BoltError('another page is in its place', id);
    const { flags, count, overflow } = header;
    const isLeaf = flags === PAGE_FLAGS.leaf;
    if (!isLeaf && flags !== PAGE_FLAGS.branch) {
      throw new BoltError(`it is no branch and no leaf (flags ${flags})`, id);
    }
    if (overflow >= pages - id) throw new BoltError('it is longer than the file', id);
    const length = (overflow + 1) * pageBytes;
    if (length > (isLeaf ? BOLT_LIMITS.leafBytesMax : BOLT_LIMITS.branchBytesMax)) {
      throw new BoltError(`it has ${length} bytes`, id);
    }
    const bytes = overflow === 0 ? first : this.#source.read(id * pageBytes, length);
    return { id, bytes, count, isLeaf };
  }
}

/** The valid meta of the later transaction. */
function currentMeta(source: ByteSource): Meta {
  const first = metaAt(source, 0);
  const sizes: number[] = [];
  for (let size = PAGE_BYTES_MIN; size <= PAGE_BYTES_MAX; size *= 2) sizes.push(size);
  const metas = [first, ...sizes.map((size) => ofPages(metaAt(source, size), size))];
  let current: Meta | null = null;
  for (const meta of metas) {
    if (meta === null || (first !== null && meta.pageBytes !== first.pageBytes)) continue;
    if (current === null || meta.txid > current.txid) current = meta;
  }
  if (current === null) throw new BoltError('it is no database, or both its heads are damaged');
  const { pageBytes, pages } = current;
  if (!sizes.includes(pageBytes)) throw new BoltError(`it has pages of ${pageBytes} bytes`);
  if (pages * pageBytes > source.length) {
    const said = `it has ${pages} pages of ${pageBytes} bytes, the file has ${source.length} bytes`;
    throw new BoltError(`it was cut off: ${said}`);
  }
  return current;
}

function metaAt(source: ByteSource, offset: number): Meta | null {
  const bytes = HEADER_BYTES + META_BYTES;
  return offset + bytes > source.length ? null : readMeta(viewOf(source.read(offset, bytes)));
}

function ofPages(meta: Meta | null, pageBytes: number): Meta | null {
  return meta?.pageBytes === pageBytes ? meta : null;
}

interface Page {
  readonly id: number;
  /** With its header and its overflow. */
  readonly bytes: Uint8Array;
  readonly count: number;
  readonly isLeaf: boolean;
}

interface LeafElement extends BoltRow {
  readonly isBucket: boolean;
  /** Where it stands. */
  readonly page: number;
}

function* leafElements(page: Page): Generator<LeafElement, void, undefined> {
  const view = elements(page);
  for (let i = 0; i < page.count; i++) {
    const at = HEADER_BYTES + i * ELEMENT_BYTES;
    const start = at + view.getUint32(at + 4, true);
    const middle = start + view.getUint32(at + 8, true);
    const end = middle + view.getUint32(at + 12, true);
    if (end > page.bytes.length) throw new BoltError('a row is longer than it', page.id);
    if (middle - start > BOLT_LIMITS.keyBytesMax) throw new BoltError('a key is too long', page.id);
    yield {
      key: page.bytes.subarray(start, middle),
      value: page.bytes.subarray(middle, end),
      isBucket: (view.getUint32(at, true) & BUCKET_FLAG) !== 0,
      page: page.id,
    };
  }
}

function* children(page: Page): Generator<number, void, undefined> {
  const view = elements(page);
  for (let i = 0; i < page.count; i++) {
    const child = readUint64(view, HEADER_BYTES + i * ELEMENT_BYTES + 8);
    if (child === null) throw new BoltError('it names a page that no file has', page.id);
    yield child;
  }
}

function elements({ id, bytes, count }: Page): DataView {
  if (HEADER_BYTES + count * ELEMENT_BYTES > bytes.length) {
    throw new BoltError(`${count} rows do not fit into it`, id);
  }
  return viewOf(bytes);
}

function* ascending(elementsOfPages: Iterable<LeafElement>): Generator<LeafElement> {
  let last: Uint8Array | null = null;
  for (const element of elementsOfPages) {
    const { key, page } = element;
    if (last !== null && compareBytes(last, key) >= 0) {
      throw new BoltError('its keys do not ascend', page);
    }
    last = key;
    yield element;
  }
}

/** Bytes in memory as a source. */
export function bytesSource(bytes: Uint8Array): ByteSource {
  return {
    length: bytes.length,
    read(offset, length) {
      assert(offset + length <= bytes.length, 'read beyond the end', { offset, length });
      return bytes.subarray(offset, offset + length);
    },
  };
}
