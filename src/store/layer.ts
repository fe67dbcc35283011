import { ROW_OVERHEAD_BYTES } from './limits.ts';
import { Tree } from './tree.ts';
import type { Change, KeySpan, RangeSpan } from './types.ts';

/** What a layer says about a key. `value` null: removed. A view, as all that a `Tree` returns. */
export interface LayerEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** First byte of a record: what was done to the key … */
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
  #record = new Uint8Array(256);
  #bytes = 0;

  /** Of keys and values written, overwritten ones included, with an overhead for each row. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The value as a view; null when removed; undefined when this layer does not know the key. */
  get(table: string, key: Uint8Array): Uint8Array | null | undefined {
    const record = this.#tables.get(table)?.get(key) ?? null;
    return record === null ? undefined : contentOf(record);
  }

  put(table: string, key: Uint8Array, value: Uint8Array): void {
    if (this.#record.length <= value.length) this.#record = new Uint8Array(2 * value.length);
    this.#record[0] = PUT | BELOW_UNKNOWN;
    this.#record.set(value, 1);
    this.#store(table, key, this.#record.subarray(0, 1 + value.length));
  }

  remove(table: string, key: Uint8Array): void {
    this.#store(table, key, Uint8Array.of(REMOVED | BELOW_UNKNOWN));
  }

  /** True when no key of the span was put or removed here. */
  isEmpty(table: string, { from, to }: KeySpan): boolean {
    const tree = this.#tables.get(table);
    return tree === undefined || tree.count(from, to) === 0;
  }

  *range(table: string, span: RangeSpan): Generator<LayerEntry, void, undefined> {
    const tree = this.#tables.get(table);
    if (tree === undefined) return;
    for (const { key, value } of tree.range(span)) yield { key, value: contentOf(value) };
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
    for (const { key, value: record } of tree.range(span)) {
      const flags = record[0] as number;
      if ((flags & BELOW_MASK) === BELOW_UNKNOWN) {
        record[0] = flags | (isBelow(key) ? BELOW_PRESENT : BELOW_ABSENT);
      }
      const isPresent = (flags & DONE_MASK) === PUT;
      const wasPresent = ((record[0] as number) & BELOW_MASK) === BELOW_PRESENT;
      more += Number(isPresent) - Number(wasPresent);
    }
    return more;
  }

  *changes(): Generator<Change, void, undefined> {
    for (const [table, tree] of this.#tables) {
      for (const { key, value } of tree.range({ from: new Uint8Array(0), to: null })) {
        yield { table, key, value: contentOf(value) };
      }
    }
  }

  #store(table: string, key: Uint8Array, record: Uint8Array): void {
    this.#bytes += key.length + record.length - 1 + ROW_OVERHEAD_BYTES;
    let tree = this.#tables.get(table);
    if (tree === undefined) {
      tree = new Tree();
      this.#tables.set(table, tree);
    }
    tree.put(key, record);
  }
}

function contentOf(record: Uint8Array): Uint8Array | null {
  return ((record[0] as number) & DONE_MASK) === PUT ? record.subarray(1) : null;
}
