import { assert } from '../lib/index.ts';
import type { ReadState } from '../raft/index.ts';
import type { ReadOutcome, Refusal } from './outcome.ts';

/** Receives a read's end, exactly once. */
export type ReadDone = (outcome: ReadOutcome) => void;

/**
 * Linearizable reads on their way (thesis §6.4): gathered during a turn, confirmed together by one
 * round, then held until the state machine has reached the read index.
 */
export class PendingReads {
  /** Since the last `startRound`. */
  #gathered: ReadDone[] = [];
  /** By request id: the round is on its way. */
  readonly #rounds = new Map<number, readonly ReadDone[]>();
  /** Confirmed, waiting for the state machine; in the order of confirmation. */
  #confirmed: { readonly readIndex: number; readonly waiters: readonly ReadDone[] }[] = [];
  #nextRequestId = 1;
  #count = 0;

  /** Reads that wait anywhere. */
  get count(): number {
    return this.#count;
  }

  add(done: ReadDone): void {
    this.#gathered.push(done);
    this.#count++;
  }

  /** Ends gathering; returns the fresh id to ask Raft with, or null when no read came. */
  startRound(): number | null {
    if (this.#gathered.length === 0) return null;
    const requestId = this.#nextRequestId++;
    this.#rounds.set(requestId, this.#gathered);
    this.#gathered = [];
    return requestId;
  }

  /** Raft's answer to one round. */
  confirm(state: ReadState, refusal: Refusal): void {
    const waiters = this.#rounds.get(state.requestId);
    assert(waiters !== undefined, 'a read round was answered twice', { ...state });
    this.#rounds.delete(state.requestId);
    if (state.readIndex === null) return this.#end(waiters, refusal);
    this.#confirmed.push({ readIndex: state.readIndex, waiters });
  }

  /** Serves what the state machine has reached. */
  serve(applied: number): void {
    if (this.#confirmed.length === 0) return;
    const ready = this.#confirmed.filter((round) => round.readIndex <= applied);
    if (ready.length === 0) return;
    this.#confirmed = this.#confirmed.filter((round) => round.readIndex > applied);
    for (const round of ready) this.#end(round.waiters, { type: 'confirmed' });
  }

  /** Refuses all, wherever they wait. */
  refuseAll(refusal: Refusal): void {
    const all = [
      ...this.#confirmed.flatMap((round) => round.waiters),
      ...[...this.#rounds.values()].flat(),
      ...this.#gathered,
    ];
    this.#gathered = [];
    this.#rounds.clear();
    this.#confirmed = [];
    this.#end(all, refusal);
  }

  #end(waiters: readonly ReadDone[], outcome: ReadOutcome): void {
    this.#count -= waiters.length;
    for (const done of waiters) done(outcome);
  }
}
