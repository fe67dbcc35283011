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
  /** How long a leader may keep to itself what is committed, when nothing else has to be said. */
  readonly noticeDelayMs: number;
  /** A disk that has not finished a write for this long ends the process (CockroachDB's figure). */
  readonly diskStalledMs: number;
  /** The same for a flush, which is large. */
  readonly flushStalledMs: number;
}

export const REPLICA_LIMITS: ReplicaLimits = {
  entryBytesMax: 4 * 1024 * 1024,
  commandsMax: 200_000,
  queuedBytesMax: 256 * 1024 * 1024,
  readsMax: 200_000,
  noticeDelayMs: 1,
  diskStalledMs: 20_000,
  flushStalledMs: 60_000,
};

/**
 * How much of the log lives. Within the bound, entries stay for followers that may need them; it is
 * exceeded up to half for a follower that is alive and slow or receives a snapshot, and never
 * beyond twice: then nothing is taken until the state is flushed.
 */
export interface CompactionLimits {
  /**
   * Bytes of entries in memory; the segments on disk follow it, rounded up to a segment. At least
   * twice the largest command. Default 64 MiB.
   */
  readonly bytesMax: number;
  /** Entries in memory. Default 100,000; etcd: --snapshot-count. */
  readonly entriesMax: number;
  /**
   * Unflushed bytes of the state machine after which it is flushed. Puts to random keys of a large
   * state write a page each; the more of them a flush takes, the more share one. A restart applies
   * them again, and its own turn of the event loop gets longer. Default 8 MiB.
   */
  readonly unflushedBytesMax: number;
}

export const COMPACTION_LIMITS: CompactionLimits = {
  bytesMax: 64 * 1024 * 1024,
  entriesMax: 100_000,
  unflushedBytesMax: 8 * 1024 * 1024,
};

/** Bounds of the transfer of a state to another member. */
export interface SnapshotLimits {
  /** Transfers that a leader has under way at once; further members wait their turn. */
  readonly transfersMax: number;
  /** Bytes sent and not yet taken by the receiver, in one transfer; one chunk always may. */
  readonly windowBytesMax: number;
  /** Bytes that a receiver holds while its disk is busy; what exceeds them must come again. */
  readonly receivedBytesMax: number;
  /** Chunks without a reply are sent again after this long. */
  readonly resendMs: number;
  /** A chunk that the transport did not take is tried again after this long. */
  readonly pauseMs: number;
  /** Resends without any answer after which a transfer has failed. */
  readonly resendsMax: number;
  /** After a failed transfer the member waits this long for a fresh one. */
  readonly retryMs: number;
  /** A receiver gives up what nobody goes on sending for this long. */
  readonly idleMs: number;
}

export const SNAPSHOT_LIMITS: SnapshotLimits = {
  transfersMax: 2,
  windowBytesMax: 4 * 1024 * 1024,
  receivedBytesMax: 8 * 1024 * 1024,
  resendMs: 1_000,
  pauseMs: 10,
  resendsMax: 10,
  retryMs: 1_000,
  idleMs: 30_000,
};
