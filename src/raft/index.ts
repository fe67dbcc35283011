/**
 * The consensus core: Raft as a pure machine. Messages, ticks and proposals go in by verbs; one
 * `Ready` value comes out and says what to persist, send and apply, and in which order. No I/O, no
 * clock, no promise, no randomness of its own: the same calls yield the same Readies.
 */
export {
  decodeConfState,
  decodeEntry,
  decodeHardState,
  encodeConfState,
  encodeEntry,
  encodeHardState,
  entryBytes,
} from './codec.ts';
export type * from './message.ts';
export { RAFT_LIMITS, type RaftLimits, type RaftOptions } from './options.ts';
export { type ProposeResult, Raft } from './raft.ts';
export type * from './ready.ts';
export type * from './types.ts';
