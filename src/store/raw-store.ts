import type { EngineUsage, StoreEntry } from './types.ts';

/** A change of one raw key; `value` null removes it. */
export interface RawChange {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** Keys with `from` ≤ key < `to`; raw keys are never empty and never begin with 255. */
export interface RawSpan {
  readonly from: Uint8Array;
  readonly to: Uint8Array;
  readonly reverse?: boolean;
}

/** One state of a raw store. What it returns is the caller's, who must not change it. */
export interface RawView {
  get(key: Uint8Array): Uint8Array | null;
  /** An iteration outlives `release`; not continued after the store's `close`. */
  range(span: RawSpan): Iterable<StoreEntry>;
  count(span: RawSpan): number;
  /** Called once. */
  release(): void;
}

/** One state of a raw store as a file. */
export interface RawImage {
  /** The same state. */
  readonly view: RawView;
  readonly bytes: number;
  /** Fills `into` with what is there from `offset` on. */
  read(offset: number, into: Uint8Array): Promise<void>;
  /** The file is not read any more; the view stays. Called once. */
  release(): void;
}

/**
 * An ordered map of bytes to bytes with atomic, durable commits: what an `Engine` needs of LMDB.
 * Errors are those of whoever implements it; `engine.ts` gives them their meaning.
 */
export interface RawStore {
  /** For error messages. */
  readonly path: string;
  /** The state after the last finished commit. */
  view(): RawView;
  /** The same as a file; null when there is none. Called while no commit is under way. */
  image(): RawImage | null;
  /**
   * One at a time. `done` is called later, with null when the changes are durable. The arrays must
   * not change until then.
   */
  commit(changes: readonly RawChange[], done: (error: unknown) => void): void;
  usage(): EngineUsage;
  /** No commit is under way, all views are released; iterations that were left open end. */
  close(): Promise<void>;
}
