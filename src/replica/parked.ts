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
  /**
   * Few, and ascending by index, because a leader only appends. No `Map`: its former tables would
   * keep what they held from the garbage collector (see `IntMap`).
   */
  #entries: ParkedEntry[] = [];
  #count = 0;

  /** Commands that wait. */
  get count(): number {
    return this.#count;
  }

  park(entry: ParkedEntry): void {
    const last = this.#entries.at(-1);
    assert(last === undefined || last.index < entry.index, 'entries parked out of order', {
      index: entry.index,
      last: last?.index,
    });
    this.#entries.push(entry);
    this.#count += entry.waiters.length;
  }

  /**
   * The entry at `index` was applied: its own waiters get the answers, those of another term a
   * refusal.
   */
  resolve(applied: { index: number; term: number; answers: readonly Uint8Array[] }): void {
    const at = this.#entries.findIndex(({ index }) => index === applied.index);
    const [entry] = at < 0 ? [] : this.#entries.splice(at, 1);
    if (entry === undefined) return;
    this.#forget([entry]);
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
    const entries = this.#entries.splice(0);
    this.#forget(entries);
    for (const entry of entries) refuse(entry, refusal);
  }

  /** Refuses what was proposed before `deadlineMs`. */
  refuseOlderThan(deadlineMs: number): void {
    let old = 0;
    for (const entry of this.#entries) {
      if (entry.proposedMs >= deadlineMs) break;
      old++;
    }
    const entries = this.#entries.splice(0, old);
    this.#forget(entries);
    for (const entry of entries) refuse(entry, { type: 'timeout' });
  }

  /** To be called before any of those who wait hears: it may park the next command. */
  #forget(entries: readonly ParkedEntry[]): void {
    for (const entry of entries) this.#count -= entry.waiters.length;
    assert(this.#entries.length > 0 || this.#count === 0, 'parked commands drift', {
      count: this.#count,
    });
  }
}

function refuse(entry: ParkedEntry, refusal: Refusal): void {
  for (const done of entry.waiters) done(refusal);
}
