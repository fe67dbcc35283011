import type { KeySpan, OrderedStore, RangeSpan, StoreEntry } from '../lib/index.ts';
import type { StoreError } from './error.ts';
import type { Packing } from './packing.ts';

export type { KeySpan, OrderedStore, RangeSpan, StoreEntry };

/** A stored row; the views belong to the caller, who must not change them. */
export interface Row extends StoreEntry {
  readonly table: string;
}

/** What a commit does to one row: a new value, or null to remove it. */
export interface Change {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Called once, later, never before the call that it was given to has returned. */
export type Done = (error: Error | null) => void;

/** Bytes that an engine takes. */
export interface EngineUsage {
  /** In pages that hold rows: for a quota. */
  readonly usedBytes: number;
  /** Of the file; pages that were freed stay in it and are used again. */
  readonly fileBytes: number;
}

/**
 * A set of rows that changes atomically and durably, a commit at a time. What is read is the state
 * after the last commit whose `done` was called, so it changes only between turns of the event
 * loop. What `get` and the iterations return belongs to the caller, who must not change it.
 *
 * Every method that reads throws `StoreError` `CORRUPT` when a row does not have its checksum.
 */
export interface Engine {
  get(table: string, key: Uint8Array): Uint8Array | null;
  /** As `OrderedStore.range`; a commit during the iteration does not change what it yields. */
  range(table: string, span: RangeSpan): Iterable<StoreEntry>;
  count(table: string, span: KeySpan): number;
  /**
   * Makes all changes durable together, or none. `changes` is read before the call returns and
   * costs about 2 µs a row until then; the disk is awaited on another thread. One at a time; among
   * the changes of one commit no two may be of the same row.
   *
   * `FULL` leaves everything as it was, and the next commit may succeed. After any other error
   * every later commit fails with it: a sync is never tried again.
   */
  commit(changes: Iterable<Change>, done: Done): void;
  /** The rows as they are now, for as long as the view is open, while commits go on. */
  view(): EngineView;
  /**
   * The state after the last finished commit as a file; null when this engine has none, and while a
   * commit is under way.
   */
  image(): EngineImage | null;
  usage(): EngineUsage;
  /**
   * Waits for the commit under way, whose `done` is called first; then all views end. Safe to call
   * twice.
   */
  close(): Promise<void>;
}

/** A state of the engine that does not change. Holds back the space of what was replaced since. */
export interface EngineView {
  get(table: string, key: Uint8Array): Uint8Array | null;
  range(table: string, span: RangeSpan): Iterable<StoreEntry>;
  /**
   * All rows, or those behind one of them, ordered by table name (by UTF-16 code unit), then key.
   */
  rows(behind?: Pick<Row, 'table' | 'key'>): Iterable<Row>;
  /** Safe to call twice. Reading a closed view throws `StoreError` `CLOSED`. */
  close(): void;
}

/** The rows of an engine as the bytes of its file, while commits go on. */
export interface EngineImage {
  /** For error messages. */
  readonly path: string;
  /** The same rows, to be looked up. */
  readonly view: EngineView;
  /** Length of the whole. */
  readonly bytes: number;
  /**
   * Fills `into` with the part of it from `offset` on, which must lie within.
   * @throws StoreError (rejects) `IO`, `CLOSED`.
   */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** Ends the view too. Safe to call twice. */
  close(): void;
}

/** A file that an image is written to, beginning to end. One call at a time. */
export interface ImageTarget {
  /** The bytes may change when this has resolved. */
  write(bytes: Uint8Array): Promise<void>;
  /** All is there: makes it durable and opens it. @throws StoreError (rejects) `CORRUPT`, … */
  finish(): Promise<Engine>;
  /** Lets go of it; the file stays. Nothing happens a second time, or after `finish`. */
  abandon(): Promise<void>;
}

export interface EngineOptions {
  /** Default false. */
  readonly create?: boolean;
  /**
   * Tables whose rows are stored several to a value, which only what is created takes over. Their
   * changes must ascend within a commit. Default: none.
   */
  readonly packed?: ReadonlyMap<string, Packing>;
  /** Told whenever what is read turns out to be damaged, before the error is thrown. */
  readonly onDamage?: (error: StoreError) => void;
}

/** Makes engines and removes them. A path names one; its directory must exist. */
export interface Engines {
  /**
   * Opens what is there; with `create` makes a new, empty one, durable except for its name in the
   * directory.
   * @throws StoreError (rejects): `CORRUPT` when there is none, or what is there is damaged;
   * `VERSION`, `FULL`, `IO`.
   */
  open(path: string, options?: EngineOptions): Promise<Engine>;
  /**
   * Makes a file for an image of so many bytes. It must not exist.
   * @throws StoreError (rejects): `VERSION` when these engines take none; `FULL`, `IO`.
   */
  receive(
    path: string,
    bytes: number,
    options?: Omit<EngineOptions, 'create'>,
  ): Promise<ImageTarget>;
  /** Removes a closed engine; nothing happens when there is none. */
  remove(path: string): Promise<void>;
  /** Paths of the engines in the directory, sorted. */
  list(directory: string): Promise<string[]>;
}

/**
 * An `OrderedStore` whose contents survive a crash up to the last finished `flush`. `close` frees
 * the memory and leaves the engine to whoever opened it.
 */
export interface DurableStore extends OrderedStore {
  /** Bytes put and removed since the flush that was finished last began, with 64 for each row. */
  readonly unflushedBytes: number;
  /**
   * Makes everything so far durable in one step; changes may go on meanwhile. One at a time. When
   * it fails, nothing became durable and nothing was lost from memory: as for `Engine.commit`.
   */
  flush(done: Done): void;
  /** What is durable now, see `Engine.view`. */
  view(): EngineView;
  /** The same as a file; null when there is none, and during a flush. */
  image(): EngineImage | null;
  usage(): EngineUsage;
}
