import { assert, compareBytes, EMPTY_BYTES } from '../lib/index.ts';
import { PAGE_BYTES_MAX, PAGE_ENTRIES_MAX, Page } from './page.ts';
import type { RangeSpan, StoreEntry } from './types.ts';

/** Children of one inner node at most. */
const CHILDREN_MAX = 64;
/** A node smaller than this is joined with a neighbour if the two fit into half a node. */
const NODE_SMALL = 16;

/**
 * A node above the pages: key i of `separators` is > every key below `children[i]` and ≤ every key
 * below `children[i + 1]`. They are packed as the entries are: a page without values.
 */
interface Inner {
  readonly separators: Page;
  readonly children: Node[];
  /** Entries below this node. */
  size: number;
}

type Node = Page | Inner;

/** What is put, and the byte that goes with it, see `Page.mark`. */
interface Entry extends StoreEntry {
  readonly mark: number;
}

/** Where an entry is: until the next change of the tree. */
export interface Place {
  readonly page: Page;
  readonly at: number;
}

/** What a split node hands to its parent. */
interface NewSibling {
  readonly separator: Uint8Array;
  readonly node: Node;
}

/** A page together with the separators around it; null at the ends of the tree. */
interface PageSpan {
  readonly page: Page;
  readonly from: Uint8Array | null;
  readonly to: Uint8Array | null;
}

/**
 * A B+tree of packed pages, with the number of entries at every node, so that a count costs two
 * descents. No links between pages: an iteration finds the next one through the separators.
 */
export class Tree {
  #root: Node = new Page();
  /** Changes so far: an iteration notices one. */
  #changes = 0;

  get size(): number {
    return this.#root.size;
  }

  get(key: Uint8Array): Uint8Array | null {
    const place = this.find(key);
    return place === null ? null : place.page.value(place.at);
  }

  find(key: Uint8Array): Place | null {
    let node = this.#root;
    while (!(node instanceof Page)) node = childAt(node, childIndex(node, key));
    const at = node.find(key);
    return at < 0 ? null : { page: node, at };
  }

  put(key: Uint8Array, value: Uint8Array, mark = 0): void {
    this.#changes++;
    const entry = { key, value, mark };
    if (this.#maybeAppend(entry)) return;
    const sibling = put(this.#root, entry);
    if (sibling === null) return;
    const separators = new Page();
    separators.insert(0, sibling.separator, EMPTY_BYTES);
    this.#root = {
      separators,
      children: [this.#root, sibling.node],
      size: this.#root.size + sibling.node.size,
    };
  }

  /** Puts an entry behind all others if it belongs there: no search for what grows at its end. */
  #maybeAppend({ key, value, mark }: Entry): boolean {
    let last = this.#root;
    while (!(last instanceof Page)) last = lastChild(last);
    if (!last.isBelow(key) || !last.hasRoom(key.length + value.length)) return false;
    last.insert(last.size, key, value, mark);
    for (let node = this.#root; !(node instanceof Page); node = lastChild(node)) node.size++;
    return true;
  }

  remove(key: Uint8Array): void {
    this.#changes++;
    remove(this.#root, key);
    if (!(this.#root instanceof Page) && this.#root.children.length === 1) {
      this.#root = childAt(this.#root, 0);
    }
  }

  /** Number of entries with `from` ≤ key < `to`. */
  count(from: Uint8Array, to: Uint8Array | null): number {
    const above = to === null ? this.size : this.#rank(to);
    return Math.max(0, above - this.#rank(from));
  }

  *range(span: RangeSpan): Generator<StoreEntry, void, undefined> {
    for (const { page, at } of this.places(span))
      yield { key: page.key(at), value: page.value(at) };
  }

  *places(span: RangeSpan): Generator<Place, void, undefined> {
    const changes = this.#changes;
    const pages = span.reverse === true ? this.#pagesDown(span) : this.#pagesUp(span);
    for (const { page, low, high } of pages) {
      for (let i = low; i < high; i++) {
        const at = span.reverse === true ? high - 1 - (i - low) : i;
        assert(this.#changes === changes, 'table changed while iterating');
        yield { page, at };
      }
    }
  }

  *#pagesUp({ from, to }: RangeSpan): Generator<{ page: Page; low: number; high: number }> {
    let next: Uint8Array | null = from;
    while (next !== null && (to === null || compareBytes(next, to) < 0)) {
      const span: PageSpan = this.#pageOf(next, false);
      const high = to === null ? span.page.size : span.page.lowerBound(to);
      yield { page: span.page, low: span.page.lowerBound(next), high };
      next = span.to;
    }
  }

  *#pagesDown({ from, to }: RangeSpan): Generator<{ page: Page; low: number; high: number }> {
    let span = to === null ? this.#lastPage() : this.#pageOf(to, true);
    let end = to;
    while (true) {
      const high = end === null ? span.page.size : span.page.lowerBound(end);
      yield { page: span.page, low: span.page.lowerBound(from), high };
      end = span.from;
      if (end === null || compareBytes(end, from) <= 0) return;
      span = this.#pageOf(end, true);
    }
  }

  /**
   * The page that would hold `key`; with `below`, the one that would hold the key just before it.
   */
  #pageOf(key: Uint8Array, below: boolean): PageSpan {
    let node = this.#root;
    let from: Uint8Array | null = null;
    let to: Uint8Array | null = null;
    while (!(node instanceof Page)) {
      const at: number = below ? childIndexBelow(node, key) : childIndex(node, key);
      if (at > 0) from = node.separators.key(at - 1);
      if (at < node.separators.size) to = node.separators.key(at);
      node = childAt(node, at);
    }
    return { page: node, from, to };
  }

  #lastPage(): PageSpan {
    let node = this.#root;
    let from: Uint8Array | null = null;
    while (!(node instanceof Page)) {
      from = node.separators.key(node.separators.size - 1);
      node = lastChild(node);
    }
    return { page: node, from, to: null };
  }

  /** Number of entries below `key`. */
  #rank(key: Uint8Array): number {
    let node = this.#root;
    let rank = 0;
    while (!(node instanceof Page)) {
      const at = childIndex(node, key);
      for (let i = 0; i < at; i++) rank += childAt(node, i).size;
      node = childAt(node, at);
    }
    return rank + node.lowerBound(key);
  }
}

function put(node: Node, entry: Entry): NewSibling | null {
  if (node instanceof Page) return putIntoPage(node, entry);
  const at = childIndex(node, entry.key);
  const child = childAt(node, at);
  const sizeBefore = child.size;
  const sibling = put(child, entry);
  node.size += child.size - sizeBefore;
  if (sibling === null) return null;
  node.size += sibling.node.size;
  node.separators.insert(at, sibling.separator, EMPTY_BYTES);
  node.children.splice(at + 1, 0, sibling.node);
  return node.children.length > CHILDREN_MAX ? splitInner(node, at) : null;
}

function putIntoPage(page: Page, { key, value, mark }: Entry): NewSibling | null {
  const found = page.find(key);
  const at = found < 0 ? ~found : found;
  if (found >= 0) page.replace(at, value, mark);
  else if (at < page.size || page.hasRoom(key.length + value.length)) {
    page.insert(at, key, value, mark);
  } else {
    // Ascending insertions leave full pages behind them instead of half-empty ones.
    const next = new Page(Math.min(page.usedBytes, PAGE_BYTES_MAX));
    page.trim();
    next.insert(0, key, value, mark);
    return { separator: key.slice(), node: next };
  }
  if (!page.overfull) return null;
  const right = page.split(page.size >> 1);
  return { separator: right.key(0).slice(), node: right };
}

function splitInner(node: Inner, insertedAt: number): NewSibling {
  const atEnd = insertedAt === node.children.length - 2;
  const at = atEnd ? node.children.length - 2 : node.children.length >> 1;
  const children = node.children.splice(at);
  const separators = node.separators.split(at);
  const separator = node.separators.key(at - 1).slice();
  node.separators.remove(at - 1);
  const size = children.reduce((sum, child) => sum + child.size, 0);
  node.size -= size;
  return { separator, node: { separators, children, size } };
}

function remove(node: Node, key: Uint8Array): void {
  if (node instanceof Page) {
    const at = node.find(key);
    if (at >= 0) node.remove(at);
    return;
  }
  const at = childIndex(node, key);
  const child = childAt(node, at);
  const sizeBefore = child.size;
  remove(child, key);
  if (child.size === sizeBefore) return;
  node.size--;
  if (child.size === 0 && node.children.length > 1) {
    node.children.splice(at, 1);
    node.separators.remove(at === 0 ? 0 : at - 1);
  } else if (width(child) < NODE_SMALL && !maybeJoin(node, at)) {
    maybeJoin(node, at - 1);
  }
}

/** Joins child `at` with the one after it if both fit into half a node. */
function maybeJoin(parent: Inner, at: number): boolean {
  const left = parent.children[at];
  const right = parent.children[at + 1];
  if (left === undefined || right === undefined) return false;
  if (left instanceof Page && right instanceof Page) {
    if (left.size + right.size > PAGE_ENTRIES_MAX / 2) return false;
    if (left.usedBytes + right.usedBytes > PAGE_BYTES_MAX / 2) return false;
    left.absorb(right);
  } else if (!(left instanceof Page) && !(right instanceof Page)) {
    if (left.children.length + right.children.length > CHILDREN_MAX / 2) return false;
    left.separators.insert(left.separators.size, parent.separators.key(at), EMPTY_BYTES);
    left.separators.absorb(right.separators);
    left.children.push(...right.children);
    left.size += right.size;
  }
  parent.separators.remove(at);
  parent.children.splice(at + 1, 1);
  return true;
}

/** Entries of a page, children of an inner node. */
function width(node: Node): number {
  return node instanceof Page ? node.size : node.children.length;
}

/** The child that would hold `key`: as many as there are separators at or below it. */
function childIndex(node: Inner, key: Uint8Array): number {
  const at = node.separators.find(key);
  return at < 0 ? ~at : at + 1;
}

/** The child that would hold the largest key below `key`. */
function childIndexBelow(node: Inner, key: Uint8Array): number {
  return node.separators.lowerBound(key);
}

function lastChild(node: Inner): Node {
  return childAt(node, node.children.length - 1);
}

function childAt(node: Inner, at: number): Node {
  return node.children[at] as Node;
}
