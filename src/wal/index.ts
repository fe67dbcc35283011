/**
 * The durable log: Raft's hard state and entries in one append-only stream of checksummed batches.
 * `append` gathers what arrives while the disk is busy into the next batch; a batch is written and
 * synced before the next one starts, so every batch proves all before it, and opening can tell a
 * torn tail, which is cut off, from damage, which is refused. docs/STORAGE.md has the bytes.
 *
 *   open.ts             reading, creating, putting into use
 *   folder.ts           which files belong to the log
 *   log-reader.ts       segments → one log, or the error that it is none
 *   scan.ts             at one place: a batch, the end, a torn batch, or damage
 *   reconcile.ts        the log and the state machine: who is ahead of whom
 *   repair.ts           after a crash: the tail cut off, a change of segments finished
 *   segmented-wal.ts    group commit, marks, change of segments
 *   sealed-segments.ts  removing segments that nobody needs
 *   group.ts            a batch in the making
 *   segment-files.ts    making segments and taking them into use
 *   salvage.ts          what is left of a damaged log, and a fresh one in its place
 *   records.ts          what batches say, and Raft's rules for it
 *   format.ts           headers, checksums, mask
 */
export { WalError, type WalErrorCode } from './error.ts';
export { payloadBytesMax, WAL_LIMITS, type WalLimits } from './limits.ts';
export { type OpenWalOptions, openWal } from './open.ts';
export { type FreshLog, hasWal, replaceWal, type Salvage, salvageWal } from './salvage.ts';
export type * from './types.ts';
