import type { Disk, Log } from '../io/index.ts';
import type { ConfState, Entry, HardState } from '../raft/index.ts';

/** Whose log it is; written into every segment, checked at every start. */
export interface WalIdentity {
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

/** Where a log is and whose it is. */
export interface WalPlace {
  readonly disk: Disk;
  readonly log: Log;
  /** The member's data directory; the log takes the folder `wal` in it, and locks it. */
  readonly directory: string;
  readonly identity: WalIdentity;
}

/** A position of the replicated log: an entry's index and term, both from 1. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** One unit of durability: what `append` makes durable together. */
export interface WalBatch {
  /** New hard state; null when unchanged. */
  readonly hardState: HardState | null;
  /** Entries; the first may overwrite a suffix written before (Raft §5.3). */
  readonly entries: readonly Entry[];
  /**
   * A snapshot was installed up to here, durably: all earlier entries are void and the log starts
   * anew behind it, with `entries`. Never below the commit index. Null or absent: it goes on.
   */
  readonly base?: LogPosition | null;
  /** The member that had lost its log is up to date again: `rejoinFloorTerm` becomes null. */
  readonly rejoined?: boolean;
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
  /** Its commit index is never below what the state machine holds. */
  readonly hardState: HardState | null;
  /** All entries in force above what the state machine holds, ascending without a gap. */
  readonly entries: readonly Entry[];
  /** What is still in the files of those right before, for members that are a little behind. */
  readonly earlierEntries: readonly Entry[];
  readonly tail: WalTail;
  /**
   * True when the state machine was ahead of the log (a crash between the installation of a
   * snapshot and its record here): the log now starts anew behind the state, and `entries` is
   * empty.
   */
  readonly reset: boolean;
  /**
   * Not null: this log replaced a damaged one. The member must not vote until a leader of a term
   * above this one has brought it up to date and `append({ rejoined: true })` is durable.
   */
  readonly rejoinFloorTerm: number | null;
}

/**
 * The durable log. Batches become durable in the order of the `append` calls; those that arrive
 * while a sync runs share the next one (group commit).
 */
export interface Wal {
  /** What was found at open. Its entries are let go of with the first `append`. */
  readonly recovery: WalRecovery;
  /** Bytes in all live segments up to the last written batch. */
  readonly sizeBytes: number;
  /**
   * Bytes in the segments before the active one, without the oldest, of which a part may still be
   * wanted. What entries do not account for is counted too: hard states, marks, preambles, the rest
   * of a block.
   */
  readonly surplusBytes: number;
  /**
   * The index up to which entries have to go so that, behind the oldest segment that is left, the
   * segments before the active one have less than `bytesMax`; 0: none.
   */
  tailAfter(bytesMax: number): number;
  /** Lowest index that an entry in the files may have; grows with `compact` and `base`. */
  readonly firstIndex: number;
  /**
   * Milliseconds that the oldest write has been waiting for the disk; null: none. For the watchdog.
   */
  waitingMs(): number | null;
  /**
   * Calls `done` when the batch and all before it are durable. After the first disk error the log
   * is poisoned: `onFailure` was called once with it, nothing is written any more, no `done` is
   * called. `done` is never called before `append` has returned.
   * @throws InvariantViolation for a gap between entries, a committed entry replaced, a commit
   *   index beyond the last entry, a term that goes back, a second vote in a term, a base below the
   *   commit index, an entry that no segment can hold (`payloadBytesMax`); nothing of the batch is
   *   written then.
   */
  append(batch: WalBatch, done: () => void): void;
  /**
   * Entries up to `index` are not needed any more: the state machine holds them durably. Segments
   * with nothing else are removed in the background, oldest first; the active one never is.
   * A lower index than before changes nothing.
   * @throws InvariantViolation for an index beyond the last entry.
   */
  compact(index: number): void;
  /**
   * Waits for what was appended, writes the durable mark, releases the directory. Safe to call
   * twice.
   */
  close(): Promise<void>;
}
