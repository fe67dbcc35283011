import { assert, type OrderedStore, type RangeSpan, type StoreEntry } from '../lib/index.ts';
import { RowSetHash } from './row-hash.ts';

/** Tables of the replicated state and their numbers in the hash; never reused. docs/STATE.md. */
export const HASHED_TABLES = {
  keys: 1,
  deleted: 2,
  history: 3,
  sessions: 4,
  names: 5,
  answers: 6,
  counters: 7,
  leases: 8,
  leaseKeys: 9,
} as const;

export type TableName = keyof typeof HASHED_TABLES;

/**
 * How the tables are stored: of the history, which every put adds a row to, 16 revisions lie
 * together (`changeKey` in mvcc-past.ts). Nothing of this is in the replicated state or its hash.
 */
export const PACKED_TABLES: ReadonlyMap<string, { prefixBytes: number; freeBits: number }> =
  new Map([['history', { prefixBytes: 8, freeBits: 4 }]]);

/** Key of the one row of `counters`. */
export const COUNTERS_KEY = new Uint8Array(1);

/**
 * This member's own rows, which are not hashed. `applied`: the entry applied last and the hash
 * there. `conf`: the configuration that the log gave last.
 */
export const POSITION_TABLE = 'position';
export const POSITION_KEYS = { applied: Uint8Array.of(0), conf: Uint8Array.of(1) } as const;

const EVERYTHING = { from: new Uint8Array(0), to: null } as const;

/** How one row was before it was changed. */
interface JournalEntry {
  readonly table: TableName;
  readonly key: Uint8Array;
  readonly was: Uint8Array | null;
}

/**
 * The replicated state's tables on an `OrderedStore`: keeps their hash up to date with every
 * change, and can take back the changes of one command. Whoever changes a row says what it was:
 * they have just read it, and a second look would cost as much as the change.
 */
export class Tables {
  readonly #store: OrderedStore;
  readonly #hash = new RowSetHash();
  /** Changes since `startJournal`, oldest first; null while nothing has to be taken back. */
  #journal: JournalEntry[] | null = null;

  constructor(store: OrderedStore) {
    this.#store = store;
  }

  /** The row, or null; a view with the store's lifetime: until the table's next change. */
  get(table: TableName, key: Uint8Array): Uint8Array | null {
    return this.#store.get(table, key);
  }

  /** `was`: the row so far; null for a new one. */
  put(table: TableName, key: Uint8Array, row: Uint8Array, was: Uint8Array | null): void {
    this.#journal?.push({ table, key: key.slice(), was: was?.slice() ?? null });
    if (was === null) this.#hash.add(HASHED_TABLES[table], key, row);
    else this.#hash.replace(HASHED_TABLES[table], key, { was, value: row });
    this.#store.put(table, key, row);
  }

  remove(table: TableName, key: Uint8Array, was: Uint8Array): void {
    this.#journal?.push({ table, key: key.slice(), was: was.slice() });
    this.#hash.remove(HASHED_TABLES[table], key, was);
    this.#store.remove(table, key);
  }

  range(table: TableName, span: RangeSpan): Iterable<StoreEntry> {
    return this.#store.range(table, span);
  }

  count(table: TableName, span: { from: Uint8Array; to: Uint8Array | null }): number {
    return this.#store.count(table, span);
  }

  // ── all or nothing ───────────────────────────────────────────────────────────────────────────

  /** Remembers the changes from here on, until `dropJournal` or `rollBack`. */
  startJournal(): void {
    assert(this.#journal === null, 'journal inside a journal');
    this.#journal = [];
  }

  dropJournal(): void {
    this.#journal = null;
  }

  /** Takes back every change since `startJournal`, newest first. */
  rollBack(): void {
    const journal = this.#journal;
    assert(journal !== null, 'nothing to roll back');
    this.#journal = null;
    for (const { table, key, was } of journal.reverse()) {
      const now = this.#store.get(table, key);
      if (was !== null) this.put(table, key, was, now);
      else if (now !== null) this.remove(table, key, now);
    }
  }

  // ── hash ─────────────────────────────────────────────────────────────────────────────────────

  /** 32 hexadecimal digits over all rows of all tables. */
  get hash(): string {
    return this.#hash.toString();
  }

  /** The same from a full scan: for tests, and for doubt. */
  recomputeHash(): string {
    const hash = new RowSetHash();
    for (const [table, number] of Object.entries(HASHED_TABLES)) {
      for (const { key, value } of this.#store.range(table, EVERYTHING)) {
        hash.add(number, key, value);
      }
    }
    return hash.toString();
  }

  /** The hash as it stands in the position row. */
  saveHash(): Uint8Array {
    return this.#hash.save();
  }

  restoreHash(saved: Uint8Array): void {
    this.#hash.restore(saved);
  }
}
