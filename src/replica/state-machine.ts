/** Commands of one log entry, to be applied together. */
export interface CommandBatch {
  /** The entry's index: each exactly once, ascending. */
  readonly index: number;
  readonly term: number;
  /**
   * Log time in milliseconds: the leader's clock as stamped into the entry; never runs backwards.
   */
  readonly timeMs: number;
  readonly commands: readonly Uint8Array[];
}

/**
 * What a `Replica` replicates. Deterministic: the same batches yield the same state and answers
 * everywhere.
 */
export interface StateMachine {
  /** Executes a batch; one answer per command, in order. Must not throw on any bytes. */
  apply(batch: CommandBatch): Uint8Array[];
}
