/**
 * An ordered map per table, keys as `memcmp` orders them. Synchronous; bytes in, bytes out.
 *
 * `put` copies what it is given. What `get` and `range` return are views that live until the next
 * `put` or `remove` in the same table: whoever keeps one longer copies it. Views must not be
 * changed, and not be handed to `put` of the table they come from.
 */
export interface OrderedStore {
  /** The value, or null when there is none. A view, see above. */
  get(table: string, key: Uint8Array): Uint8Array | null;
  /** Stores; an earlier value of the key is replaced. */
  put(table: string, key: Uint8Array, value: Uint8Array): void;
  /** Removes; nothing happens when there is none. */
  remove(table: string, key: Uint8Array): void;
  /**
   * Entries with `from` ≤ key < `to` (null: no bound), ascending, or descending when `reverse`.
   * Changing the table while iterating is an error.
   * @throws InvariantViolation when the table was changed since the iteration began.
   */
  range(table: string, span: RangeSpan): Iterable<StoreEntry>;
  /** Number of entries with `from` ≤ key < `to`. */
  count(table: string, span: KeySpan): number;
  /** Frees what the store holds. Safe to call twice; nothing else may be called afterwards. */
  close(): void;
}

/** Keys with `from` ≤ key < `to`; null: no upper bound. */
export interface KeySpan {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
}

export interface RangeSpan extends KeySpan {
  readonly reverse?: boolean;
}

export interface StoreEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}
