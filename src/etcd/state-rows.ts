/* What a state holds of what etcd keeps row by row too. Read only; bytes are views of its rows. */

/** Where it is read: the store of a member, or a view of it. Throws DecodeError on other rows. */
export interface StateRows {
  readonly span: HistorySpan;
  /** The changes from one on, ascending. */
  history(from: ChangeId): Iterable<{ readonly id: ChangeId; readonly change: Change }>;
  /** The last change of a key that had one and is not forgotten. */
  lastChangeOf(key: Uint8Array): ChangeId | null;
  /** The change of the same key before one that is in the history; null when there was none. */
  changeBefore(id: ChangeId): ChangeId | null;
  /** Ascending; `ttlMs`: granted, milliseconds. */
  leases(): Iterable<{ readonly lease: bigint; readonly ttlMs: number }>;
}

/** How far the history goes. */
export interface HistorySpan {
  /** The oldest revision that can be read; 0 while nothing was compacted. */
  readonly compactRevision: number;
  /** The newest; 1 in an empty store. */
  readonly revision: number;
  /** Changes that only revisions below the compact revision could see wait for their removal. */
  readonly compacting: boolean;
}

/** Which change of the history: its revision, and which one of that revision, counted from 0. */
export interface ChangeId {
  readonly revision: number;
  readonly sub: number;
}

/** A change of a key. */
export interface Change {
  readonly key: Uint8Array;
  /** What it made of the key; null when it deleted it. */
  readonly after: {
    readonly createRevision: number;
    readonly version: number;
    /** Null for none. */
    readonly lease: bigint | null;
    readonly value: Uint8Array;
  } | null;
}
