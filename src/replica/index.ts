/**
 * The loop that drives one member. Commands, reads and messages of a turn are gathered; at its end
 * the core is asked for a `Ready`, which goes to disk and network in parallel; what is committed
 * and
 * durable is applied; everybody who waits is answered, also when the answer is a refusal.
 * Generic over `StateMachine`: replicate one of your own with it.
 */
export { type Batch, decodeBatch, encodeBatch } from './batch.ts';
export { REPLICA_LIMITS, type ReplicaLimits } from './limits.ts';
export type { ProposeOutcome, ReadOutcome, Refusal } from './outcome.ts';
export type { ProposeDone } from './parked.ts';
export type { ReadDone } from './reads.ts';
export {
  Replica,
  type ReplicaOptions,
  type ReplicaStatus,
  type ReplicaTiming,
} from './replica.ts';
export type { CommandBatch, StateMachine } from './state-machine.ts';
