import type { ConfState } from '../raft/index.ts';

/** What one log entry does to the state. */
export interface CommandBatch {
  /** The entry's index: each exactly once, ascending without a gap. */
  readonly index: number;
  readonly term: number;
  /**
   * Log time in milliseconds: the leader's clock as stamped into the entry; never runs backwards.
   */
  readonly timeMs: number;
  /** None when the entry is Raft's own. */
  readonly commands: readonly Uint8Array[];
  /**
   * The configuration that the entry brought, to be kept with the position; null: the last one
   * stays. The first entry of all brings the configuration that the log began with.
   */
  readonly confState: ConfState | null;
}

/** How far a state has come in the log. */
export interface StatePosition {
  /** Index of the last entry in it; 0 for none. */
  readonly index: number;
  /** Term of that entry; 0 for none. */
  readonly term: number;
  /** Configuration in force there; null before the first entry. */
  readonly confState: ConfState | null;
}

/** Called exactly once, and never before the call that was given it has returned. */
export type Done = (error: Error | null) => void;

/**
 * What a `Replica` replicates. Deterministic: the same batches yield the same state and answers
 * everywhere. What was applied lives in memory until a flush makes it durable; the log keeps
 * whatever is between. `savedMachine` makes one of three functions.
 */
export interface StateMachine {
  /** What survives a crash. Moves forward with `flush` and `install`, before their `done`. */
  readonly durable: StatePosition;
  /** Log time of the last entry applied, in milliseconds; 0 before the first. */
  readonly logTimeMs: number;
  /** About what a flush would write now, in bytes. */
  readonly unflushedBytes: number;
  /** Executes a batch; one answer per command, in order. Must not throw on any bytes. */
  apply(batch: CommandBatch): Uint8Array[];
  /**
   * Makes everything applied before this call durable, atomically and with its position; batches
   * may be applied meanwhile. One at a time. An error ends the replica.
   */
  flush(done: Done): void;
  /**
   * The durable state as it is now, piece by piece; stays valid while flushes go on. Null: not
   * during this flush, ask again.
   */
  readSnapshot(options: SnapshotReadOptions): SnapshotReader | null;
  /** Begins to receive another member's state beside the own one; one at a time. */
  receiveSnapshot(done: (error: Error | null, writer: SnapshotWriter | null) => void): void;
}

/** How a state is to be read. */
export interface SnapshotReadOptions {
  /** The receiver refused what was sent before: in the form that everybody takes. */
  readonly plain: boolean;
  /** Called when `next` said `later` and has something now. */
  readonly wake: () => void;
}

/** A state on its way out. */
export interface SnapshotReader {
  readonly position: StatePosition;
  /**
   * The next piece, bounded so that making it does not hold up the event loop; `later` while the
   * disk is awaited; null: no more.
   */
  next(): Uint8Array | 'later' | null;
  /** A piece is of no use any more: another may take its memory. */
  recycle(piece: Uint8Array): void;
  close(): void;
}

/** A state on its way in. One call at a time; after an error only `discard` may follow. */
export interface SnapshotWriter {
  /** Takes a piece, which may change once `done` is called: then the next may come. */
  write(chunk: Uint8Array, done: Done): void;
  /** Verifies the whole and makes it durable, still beside the state in force. */
  finish(done: Done): void;
  /** Puts it in the place of the state in force, atomically; no flush runs meanwhile. */
  install(done: Done): void;
  /** Removes it. */
  discard(done: Done): void;
}
