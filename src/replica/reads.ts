import { assert, IntMap } from '../lib/index.ts';
import type { ReadState } from '../raft/index.ts';
import type { ReadOutcome, Refusal } from './outcome.ts';

/** Receives a read's end, exactly once. */
export type ReadDone = (outcome: ReadOutcome) => void;

/** Reads that one round confirms together. */
interface Round {
  readonly startedMs: number;
  readonly waiters: readonly ReadDone[];
}

/**
 * Linearizable reads on their way (thesis §6.4): gathered during a turn, confirmed together by one
 * round, then held until the state machine has reached the read index.
 */
export class PendingReads {
  /** Since the last `startRound`. */
  #gathered: ReadDone[] = [];
  /** By request id: on its way. Raft answers each within an election timeout. */
  readonly #rounds = new IntMap<Round>();
  /** Confirmed, waiting for the state machine; in the order of confirmation. */
  #confirmed: (Round & { readonly readIndex: number })[] = [];
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
  startRound(startedMs: number): number | null {
    if (this.#gathered.length === 0) return null;
    const requestId = this.#nextRequestId++;
    this.#rounds.set(requestId, { startedMs, waiters: this.#gathered });
    this.#gathered = [];
    return requestId;
  }

  /** Raft's answer to one round. */
  confirm(state: ReadState, refusal: Refusal): void {
    const round = this.#rounds.get(state.requestId);
    assert(round !== undefined, 'a read round was answered twice', { ...state });
    this.#rounds.delete(state.requestId);
    if (state.readIndex === null) return this.#end(round.waiters, refusal);
    this.#confirmed.push({ ...round, readIndex: state.readIndex });
  }

  /** Serves what the state machine has reached. */
  serve(applied: number): void {
    this.#endConfirmed(({ readIndex }) => readIndex <= applied, { type: 'confirmed' });
  }

  /** Refuses what was confirmed, began before `deadlineMs`, and the state has not reached. */
  refuseOlderThan(deadlineMs: number): void {
    this.#endConfirmed(({ startedMs }) => startedMs < deadlineMs, { type: 'timeout' });
  }

  /** Refuses all, wherever they wait. */
  refuseAll(refusal: Refusal): void {
    const all = [
      ...this.#confirmed.flatMap((round) => round.waiters),
      ...this.#rounds.values().flatMap((round) => round.waiters),
      ...this.#gathered,
    ];
    this.#gathered = [];
    this.#rounds.clear();
    this.#confirmed = [];
    this.#end(all, refusal);
  }

  #endConfirmed(isOver: (round: Round & { readIndex: number }) => boolean, outcome: ReadOutcome) {
    if (this.#confirmed.length === 0) return;
    const ended = this.#confirmed.filter(isOver);
    if (ended.length === 0) return;
    this.#confirmed = this.#confirmed.filter((round) => !isOver(round));
    for (const round of ended) this.#end(round.waiters, outcome);
  }

  #end(waiters: readonly ReadDone[], outcome: ReadOutcome): void {
    this.#count -= waiters.length;
    for (const done of waiters) done(outcome);
  }
}
