/** An ordered map per table, keys as `memcmp` orders them. Synchronous; bytes in, bytes out. */
export interface OrderedStore {
  /** The value, or null when there is none. The array must not be changed. */
  get(table: string, key: Uint8Array): Uint8Array | null;
  /** Stores; the store keeps the arrays, the caller must not change them afterwards. */
  put(table: string, key: Uint8Array, value: Uint8Array): void;
  /** Removes; nothing happens when there is none. */
  remove(table: string, key: Uint8Array): void;
  /**
   * Entries with `from` ≤ key < `to` (null: no bound), ascending, or descending when `reverse`.
   * Changing the table while iterating is an error.
   */
  range(table: string, span: RangeSpan): Iterable<StoreEntry>;
  /** Number of entries with `from` ≤ key < `to`. */
  count(table: string, span: { from: Uint8Array; to: Uint8Array | null }): number;
  /** Frees what the store holds. Safe to call twice. */
  close(): void;
}

export interface RangeSpan {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
  readonly reverse?: boolean;
}

export interface StoreEntry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}
