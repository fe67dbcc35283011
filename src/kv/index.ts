/**
 * The deterministic state machine: encoded commands in log order in, encoded answers out. Pure: no
 * clock, no randomness, no I/O; time comes with the log, and all state is rows in an
 * `OrderedStore`.
 *
 *   state-machine.ts   decodes, dispatches, keeps counters and position
 *   sessions.ts        who may execute which seq; answers kept; expiry by log time
 *   mvcc.ts, txn.ts    revisions, versions, history; compares and all-or-nothing
 *   tables.ts          the tables with their incremental hash; docs/STATE.md draws the rows
 */
export { KV_LIMITS, type KvLimits } from './limits.ts';
export { type CommandBatch, KvStateMachine, type Position } from './state-machine.ts';
