import { assert, compareBytes } from '../lib/index.ts';
import { Layer, type LayerEntry } from './layer.ts';
import { KEY_BYTES_MAX } from './limits.ts';
import type {
  Done,
  DurableStore,
  Engine,
  EngineImage,
  EngineUsage,
  EngineView,
  KeySpan,
  RangeSpan,
  StoreEntry,
} from './types.ts';

/** A store on an engine, see `DurableStore`; nobody else commits to the engine. */
export function durableStore(engine: Engine): DurableStore {
  return new OverlaidEngine(engine);
}

/**
 * ```text
 * put, remove ──▶ active      changes since the last flush began
 *                 flushing    changes on their way into the engine; null between flushes
 *                 engine      the state after the last finished flush
 * ```
 * What is read is the engine with `flushing` over it and `active` over both. A flush turns `active`
 * into `flushing`; when the engine has it, `flushing` is dropped: the engine shows a commit in the
 * very call that reports it, so there is no moment in between.
 */
class OverlaidEngine implements DurableStore {
  readonly #engine: Engine;
  #active = new Layer();
  #flushing: Layer | null = null;
  /** Changes of each table so far: an iteration notices one. */
  readonly #changes = new Map<string, { count: number }>();
  #isClosed = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get unflushedBytes(): number {
    return this.#active.bytes + (this.#flushing?.bytes ?? 0);
  }

  get(table: string, key: Uint8Array): Uint8Array | null {
    assert(!this.#isClosed, 'store is closed');
    const unflushed = this.#active.get(table, key);
    return unflushed === undefined ? this.#getBelow(table, key) : unflushed;
  }

  put(table: string, key: Uint8Array, value: Uint8Array): void {
    assert(key.length <= KEY_BYTES_MAX, 'key is too long', { bytes: key.length, KEY_BYTES_MAX });
    this.#willChange(table);
    this.#active.put(table, key, value);
  }

  remove(table: string, key: Uint8Array): void {
    if (key.length > KEY_BYTES_MAX) return;
    this.#willChange(table);
    this.#active.remove(table, key);
  }

  *range(table: string, span: RangeSpan): Generator<StoreEntry, void, undefined> {
    assert(!this.#isClosed, 'store is closed');
    const changes = this.#changes.get(table)?.count;
    let entries: Iterable<LayerEntry> = this.#engine.range(table, span);
    for (const layer of [this.#flushing, this.#active]) {
      if (layer === null || layer.isEmpty(table, span)) continue;
      entries = merged(layer.range(table, span), entries, span.reverse === true);
    }
    for (const { key, value } of entries) {
      if (value !== null) yield { key, value };
      assert(this.#changes.get(table)?.count === changes, 'table changed while iterating', {
        table,
      });
    }
  }

  count(table: string, span: KeySpan): number {
    assert(!this.#isClosed, 'store is closed');
    let count = this.#engine.count(table, span);
    const isInEngine = (key: Uint8Array): boolean => this.#engine.get(table, key) !== null;
    if (this.#flushing !== null) count += this.#flushing.countOnTop(table, span, isInEngine);
    const isBelow = (key: Uint8Array): boolean => this.#getBelow(table, key) !== null;
    return count + this.#active.countOnTop(table, span, isBelow);
  }

  flush(done: Done): void {
    assert(!this.#isClosed, 'store is closed');
    assert(this.#flushing === null, 'a flush is under way');
    const flushing = this.#active;
    this.#engine.commit(flushing.changes(), (error) => {
      this.#flushing = null;
      if (error !== null && !this.#isClosed) this.#takeBack(flushing);
      done(error);
    });
    this.#flushing = flushing;
    this.#active = new Layer();
  }

  view(): EngineView {
    return this.#engine.view();
  }

  image(): EngineImage | null {
    return this.#engine.image();
  }

  usage(): EngineUsage {
    return this.#engine.usage();
  }

  close(): void {
    this.#isClosed = true;
    this.#active = new Layer();
  }

  #getBelow(table: string, key: Uint8Array): Uint8Array | null {
    const unflushed = this.#flushing?.get(table, key);
    return unflushed === undefined ? this.#engine.get(table, key) : unflushed;
  }

  /** A flush that failed: its changes are unflushed again, below those made since. */
  #takeBack(flushing: Layer): void {
    for (const { table, key, value } of this.#active.changes()) {
      if (value === null) flushing.remove(table, key);
      else flushing.put(table, key, value);
    }
    this.#active = flushing;
    for (const table of this.#changes.keys()) this.#willChange(table);
  }

  #willChange(table: string): void {
    assert(!this.#isClosed, 'store is closed');
    const changes = this.#changes.get(table);
    if (changes === undefined) this.#changes.set(table, { count: 1 });
    else changes.count++;
  }
}

/** Both sequences as one, in order; where both have a key, the upper one's entry. */
function* merged(
  upper: Iterable<LayerEntry>,
  lower: Iterable<LayerEntry>,
  reverse: boolean,
): Generator<LayerEntry, void, undefined> {
  const uppers = upper[Symbol.iterator]();
  const lowers = lower[Symbol.iterator]();
  try {
    let above = uppers.next();
    let below = lowers.next();
    while (above.done !== true || below.done !== true) {
      const order = nextIs(above, below, reverse);
      if (order <= 0 && above.done !== true) yield above.value;
      else if (below.done !== true) yield below.value;
      if (order <= 0) above = uppers.next();
      if (order >= 0) below = lowers.next();
    }
  } finally {
    uppers.return?.();
    lowers.return?.();
  }
}

/** Negative: the upper one comes first; positive: the lower one; 0: both have this key. */
function nextIs(
  above: IteratorResult<LayerEntry, unknown>,
  below: IteratorResult<LayerEntry, unknown>,
  reverse: boolean,
): number {
  if (above.done === true) return 1;
  if (below.done === true) return -1;
  const order = compareBytes(above.value.key, below.value.key);
  return reverse ? -order : order;
}
