/** Bounds of one replica. */
export interface ReplicaLimits {
  /** Command bytes in one log entry; a turn's commands beyond it go into a second entry. */
  readonly entryBytesMax: number;
  /** Commands queued or parked at once; beyond it proposals are refused as overloaded. */
  readonly commandsMax: number;
  /** Bytes of commands queued in one turn. */
  readonly queuedBytesMax: number;
  /** Reads that wait for their read index or for the state machine to reach it. */
  readonly readsMax: number;
  /** A disk that has not finished a write for this long ends the process (CockroachDB's figure). */
  readonly diskStalledMs: number;
}

export const REPLICA_LIMITS: ReplicaLimits = {
  entryBytesMax: 4 * 1024 * 1024,
  commandsMax: 200_000,
  queuedBytesMax: 256 * 1024 * 1024,
  readsMax: 200_000,
  diskStalledMs: 20_000,
};
