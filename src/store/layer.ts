import { EMPTY_BYTES } from '../lib/index.ts';
import { ROW_OVERHEAD_BYTES } from './limits.ts';
import { type Place, Tree } from './tree.ts';
import type { Change, KeySpan, RangeSpan } from './types.ts';

/** What a layer says about a key. `value` null: removed. A view, as all that a `Tree` returns. */
export interface LayerEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** The mark of an entry: what was done to the key … */
const REMOVED = 0;
const PUT = 1;
const DONE_MASK = 1;
/** … and whether the key is there below this layer, if somebody asked. */
const BELOW_UNKNOWN = 0;
const BELOW_ABSENT = 2;
const BELOW_PRESENT = 4;
const BELOW_MASK = 6;

/** Changes of rows in memory, on top of rows that are elsewhere. */
export class Layer {
  readonly #tables = new Map<string, Tree>();
  #bytes = 0;

  /** Of keys and values written, overwritten ones included, with an overhead for each row. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The value as a view; null when removed; undefined when this layer does not know the key. */
  get(table: string, key: Uint8Array): Uint8Array | null | undefined {
    const place = this.#tables.get(table)?.find(key) ?? null;
    return place === null ? undefined : contentOf(place);
  }

  put(table: string, key: Uint8Array, value: Uint8Array): void {
    this.#bytes += key.length + value.length + ROW_OVERHEAD_BYTES;
    this.#treeOf(table).put(key, value, PUT | BELOW_UNKNOWN);
  }

  remove(table: string, key: Uint8Array): void {
    this.#bytes += key.length + ROW_OVERHEAD_BYTES;
    this.#treeOf(table).put(key, EMPTY_BYTES, REMOVED | BELOW_UNKNOWN);
  }

  /** True when no key of the span was put or removed here. */
  isEmpty(table: string, { from, to }: KeySpan): boolean {
    const tree = this.#tables.get(table);
    return tree === undefined || tree.count(from, to) === 0;
  }

  *range(table: string, span: RangeSpan): Generator<LayerEntry, void, undefined> {
    const tree = this.#tables.get(table);
    if (tree === undefined) return;
    for (const place of tree.places(span)) yield { key: keyOf(place), value: contentOf(place) };
  }

  /**
   * How many more keys the span has with this layer than without. `isBelow` says whether a key is
   * there without it; it is asked once for every record, because no answer changes while the layer
   * lives: what a flush moves down stays below.
   */
  countOnTop(table: string, span: KeySpan, isBelow: (key: Uint8Array) => boolean): number {
    const tree = this.#tables.get(table);
    if (tree === undefined) return 0;
    let more = 0;
    for (const place of tree.places(span)) {
      const { page, at } = place;
      let mark = page.mark(at);
      if ((mark & BELOW_MASK) === BELOW_UNKNOWN) {
        mark |= isBelow(keyOf(place)) ? BELOW_PRESENT : BELOW_ABSENT;
        page.setMark(at, mark);
      }
      const isPresent = (mark & DONE_MASK) === PUT;
      const wasPresent = (mark & BELOW_MASK) === BELOW_PRESENT;
      more += Number(isPresent) - Number(wasPresent);
    }
    return more;
  }

  *changes(): Generator<Change, void, undefined> {
    for (const [table, tree] of this.#tables) {
      for (const place of tree.places({ from: EMPTY_BYTES, to: null })) {
        yield { table, key: keyOf(place), value: contentOf(place) };
      }
    }
  }

  #treeOf(table: string): Tree {
    const known = this.#tables.get(table);
    if (known !== undefined) return known;
    const tree = new Tree();
    this.#tables.set(table, tree);
    return tree;
  }
}

function keyOf({ page, at }: Place): Uint8Array {
  return page.key(at);
}

function contentOf({ page, at }: Place): Uint8Array | null {
  return (page.mark(at) & DONE_MASK) === PUT ? page.value(at) : null;
}
