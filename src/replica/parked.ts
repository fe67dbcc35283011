import { assert } from '../lib/index.ts';
import type { ProposeOutcome, Refusal } from './outcome.ts';

/** Receives a command's end, exactly once. */
export type ProposeDone = (outcome: ProposeOutcome) => void;

interface ParkedEntry {
  readonly index: number;
  readonly term: number;
  readonly proposedMs: number;
  /** One per command of the entry, by offset. */
  readonly waiters: readonly ProposeDone[];
}

/**
 * Commands in the log that wait to be applied, by (index, term, offset). An index alone is not
 * enough: another leader's entry may take it, and then its answers belong to somebody else.
 */
export class ParkedCommands {
  /** Ascending by index, because a leader only appends. */
  readonly #entries = new Map<number, ParkedEntry>();
  #count = 0;

  /** Commands that wait. */
  get count(): number {
    return this.#count;
  }

  park(entry: ParkedEntry): void {
    assert(!this.#entries.has(entry.index), 'two entries parked at one index', { ...entry });
    this.#entries.set(entry.index, entry);
    this.#count += entry.waiters.length;
  }

  /**
   * The entry at `index` was applied: its own waiters get the answers, those of another term a
   * refusal.
   */
  resolve(applied: { index: number; term: number; answers: readonly Uint8Array[] }): void {
    const entry = this.#entries.get(applied.index);
    if (entry === undefined) return;
    this.#remove(entry);
    if (entry.term !== applied.term) return refuse(entry, { type: 'leadershipLost', leader: null });
    assert(entry.waiters.length === applied.answers.length, 'answers do not match commands', {
      index: applied.index,
      waiters: entry.waiters.length,
      answers: applied.answers.length,
    });
    for (let offset = 0; offset < entry.waiters.length; offset++) {
      entry.waiters[offset]?.({ type: 'applied', answer: applied.answers[offset] as Uint8Array });
    }
  }

  /** Refuses all that wait. */
  refuseAll(refusal: Refusal): void {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    this.#count = 0;
    for (const entry of entries) refuse(entry, refusal);
  }

  /** Refuses what was proposed before `deadlineMs`. */
  refuseOlderThan(deadlineMs: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.proposedMs >= deadlineMs) return;
      this.#remove(entry);
      refuse(entry, { type: 'timeout' });
    }
  }

  #remove(entry: ParkedEntry): void {
    this.#entries.delete(entry.index);
    this.#count -= entry.waiters.length;
    assert(this.#entries.size > 0 || this.#count === 0, 'parked commands drift', {
      count: this.#count,
    });
  }
}

function refuse(entry: ParkedEntry, refusal: Refusal): void {
  for (const done of entry.waiters) done(refusal);
}
