/** Bounds of etcd's services. */
export const ETCD_LIMITS = {
  /** Compares, and operations of one branch, of one transaction (etcd: --max-txn-ops). */
  txnOperationsMax: 128,
  /** Watchers of one stream; more are refused. */
  watchersPerStreamMax: 100_000,
  /** Answer bytes that a watching client has not read; beyond, its watchers stand still. */
  watchUnreadBytesMax: 1024 * 1024,
  /** Changes that a watcher looks at in one go. */
  watchPageChangesMax: 1_000,
  /** Key and value bytes in one go; a single revision may exceed it. */
  watchPageBytesMax: 256 * 1024,
  /** Watchers behind the newest revision that are read for before others have their turn. */
  watchPagesPerTurnMax: 32,
  /** An answer above it is cut into fragments for a watcher that asked for that. */
  watchFragmentBytesMax: 1.5 * 1024 * 1024,
  /** A quiet watcher with progress_notify hears of the revision this often. */
  progressIntervalMs: 10 * 60 * 1000,
  /** A stream that asked for a leader ends when none was known each time in so long. */
  noLeaderMs: 3_000,
  /** How often it is looked at. */
  leaderLookMs: 500,
  /** How often a call that waits looks whether the member still serves it. */
  callLookMs: 250,
  /** Keep-alives of one stream that wait for their answer; then the stream is not read. */
  keepAlivesInFlightMax: 1_000,
  /** A member that is to lead must do so within this time … */
  moveLeaderMs: 5_000,
  /** … and is looked at this often. */
  moveLeaderLookMs: 20,
  /** Idle life of a session whose client asks for none. */
  sessionTtlMs: 24 * 60 * 60 * 1000,
  /** The most that is asked of the state machine, which grants what its own limits allow. */
  sessionTtlSecondsMax: 2 ** 31,
  /** A command of a session is tried again, or waits for the one before it, at most so long. */
  sessionRetryMs: 5_000,
  /** Commands of sessions that wait for the one before them; more are refused at once. */
  sessionWaitingMax: 10_000,
  /** Bytes of rows that a hash takes in one go. */
  hashPageBytesMax: 256 * 1024,
  /** A hash that compactions disturb is begun again; so often in all. */
  hashAttemptsMax: 5,
  /** How long a hash waits for the end of a compaction. */
  compactionWaitMs: 5_000,
  /** Files that one member makes and sends at a time. */
  snapshotsMax: 2,
  /** Bytes of a file in one message. */
  snapshotBlobBytes: 64 * 1024,
  /** Bytes of it that wait for the client to read before more are sent. */
  snapshotUnreadBytesMax: 1024 * 1024,
  /** A client that has not read those within this time loses its stream. */
  snapshotStallMs: 60_000,
  /** How often who watches the health of a member is told of a change. */
  healthIntervalMs: 1_000,
} as const;

export type EtcdLimits = { readonly [Name in keyof typeof ETCD_LIMITS]: number };
