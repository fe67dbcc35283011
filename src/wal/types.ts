import type { ConfState, Entry, HardState } from '../raft/index.ts';

/** Whose log it is; written into every segment, checked at every start. */
export interface WalIdentity {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

/** One unit of durability: what `append` makes durable together. */
export interface WalBatch {
  /** New hard state; null when unchanged. */
  readonly hardState: HardState | null;
  /** Entries; the first may overwrite a suffix written before (Raft §5.3). */
  readonly entries: readonly Entry[];
}

/** How the end of the log looked when it was opened. */
export type WalTail =
  | { readonly kind: 'clean' }
  /** A batch that was never synced (so never acknowledged) was cut off: an ordinary crash. */
  | {
      readonly kind: 'torn';
      readonly file: string;
      readonly offset: number;
      readonly bytes: number;
    };

/** What a log gives back when it is opened. */
export interface WalRecovery {
  /** True when the directory held no log and a new one was made. */
  readonly created: boolean;
  /** Configuration the log began with (written when it was created). */
  readonly confState: ConfState;
  readonly hardState: HardState | null;
  /** All entries that are in force, ascending without a gap. */
  readonly entries: readonly Entry[];
  readonly tail: WalTail;
}

/**
 * The durable log. Batches become durable in the order of the `append` calls; those that arrive
 * while a sync runs share the next one (group commit).
 */
export interface Wal {
  /** What was found at open. Its entries are let go of with the first `append`. */
  readonly recovery: WalRecovery;
  /** Bytes in all segments up to the last written batch. */
  readonly sizeBytes: number;
  /**
   * Milliseconds that the oldest write has been waiting for the disk; null: none. For the watchdog.
   */
  waitingMs(): number | null;
  /**
   * Calls `done` when the batch and all before it are durable. After the first disk error the log
   * is poisoned: `onFailure` was called once with it, nothing is written any more, no `done` is
   * called. `done` is never called before `append` has returned.
   * @throws InvariantViolation for a gap between entries, a committed entry replaced, a commit
   *   index beyond the last entry, a term that goes back, a second vote in a term, an entry that no
   *   segment can hold (`payloadBytesMax`); nothing of the batch is written then.
   */
  append(batch: WalBatch, done: () => void): void;
  /**
   * Waits for what was appended, writes the durable mark, releases the directory. Safe to call
   * twice.
   */
  close(): Promise<void>;
}
