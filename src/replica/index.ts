/**
 * The loop that drives one member. Commands, reads and messages of a turn are gathered; at its end
 * the core is asked for a `Ready`, which goes to disk and network in parallel; what is committed
 * and durable is applied; everybody who waits is answered, also when the answer is a refusal. Now
 * and then the state is flushed and the log cut; who then lacks entries is sent the whole state.
 *
 *   replica.ts            the turn: commands, reads, Readies, time
 *   batch.ts  parked.ts  reads.ts  log-time.ts  ticker.ts     what it holds meanwhile
 *   notices.ts            what need not be said at once: how far the log is committed
 *   disk-pipeline.ts      Readies to the disk, in order, installations among them
 *   state-keeper.ts       flushes, cuts, transfers; compaction.ts: when, and how much
 *   snapshot-sender.ts    the leader's side of a transfer
 *   snapshot-receiver.ts  the other side
 *   recovery.ts           what a start finds in state and log
 *   saved-machine.ts      a StateMachine of three functions; state-file.ts: its file
 *
 * Generic over `StateMachine`: replicate one of your own with it.
 */
export { type Batch, decodeBatch, encodeBatch } from './batch.ts';
export {
  COMPACTION_LIMITS,
  type CompactionLimits,
  REPLICA_LIMITS,
  type ReplicaLimits,
  SNAPSHOT_LIMITS,
  type SnapshotLimits,
} from './limits.ts';
export type { ProposeOutcome, ReadOutcome, Refusal } from './outcome.ts';
export type { ProposeDone } from './parked.ts';
export type { ReadDone } from './reads.ts';
export {
  Replica,
  type ReplicaOptions,
  type ReplicaStatus,
  type ReplicaTiming,
} from './replica.ts';
export {
  type SavedMachineOptions,
  type SimpleMachine,
  type StateStorage,
  savedMachine,
} from './saved-machine.ts';
export { stateFile } from './state-file.ts';
export type {
  CommandBatch,
  Done,
  SnapshotReader,
  SnapshotReadOptions,
  SnapshotWriter,
  StateMachine,
  StatePosition,
} from './state-machine.ts';
