/**
 * The deterministic state machine: encoded commands in log order in, encoded answers out. Pure: no
 * clock, no randomness, no I/O; time comes with the log, and all state is rows in an
 * `OrderedStore`.
 *
 *   state-machine.ts   decodes, dispatches, keeps counters and position
 *   sessions.ts        who may execute which seq; answers kept; expiry by log time
 *   mvcc.ts, txn.ts    revisions, versions, history; compares and all-or-nothing
 *   leases.ts          keys that end with their lease; expiry by log time
 *   changes.ts         the history as a watch reads it
 *   compaction.ts      forgets the past, a bounded number of rows in each batch
 *   position.ts        how far a state goes, readable from its rows alone; the format's version
 *   import.ts          a state from the history of another store
 *   census.ts          what a state holds, counted and hashed from its rows alone
 *   state-view.ts      the same for who reads what it holds
 *   tables.ts          the tables with their incremental hash; docs/STATE.md draws the rows
 */
export { StateCensus, type StateRow, type StateTotals } from './census.ts';
export { type ImportEnd, type ImportedChange, type ImportTotals, StateImport } from './import.ts';
export { KV_LIMITS, type KvLimits } from './limits.ts';
export {
  configurationRow,
  type KvPosition,
  positionOf,
  type RowLookup,
  StateFormatError,
} from './position.ts';
export { type CommandBatch, KvStateMachine } from './state-machine.ts';
export { StateView } from './state-view.ts';
export { PACKED_TABLES } from './tables.ts';
