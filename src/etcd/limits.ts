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
  /** Keep-alives of one stream that wait for their answer; then the stream is not read. */
  keepAlivesInFlightMax: 1_000,
  /** A member that is to lead must do so within this time … */
  moveLeaderMs: 5_000,
  /** … and is looked at this often. */
  moveLeaderLookMs: 20,
  /** How often who watches the health of a member is told of a change. */
  healthIntervalMs: 1_000,
} as const;

export type EtcdLimits = { readonly [Name in keyof typeof ETCD_LIMITS]: number };
