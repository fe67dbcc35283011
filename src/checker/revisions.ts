import { assert } from '../lib/index.ts';
import type { RecordedCall } from './history.ts';
import { type Action, KvStore } from './model.ts';
import { allKeys } from './objects.ts';

export type RevisionVerdict =
  | {
      readonly type: 'linearizable';
      /** Indexes of calls in the order that the store's revisions claim. */
      readonly order: readonly number[];
    }
  | {
      readonly type: 'violation';
      readonly reason: string;
      /** Indexes of the calls that contradict. */
      readonly contradiction: readonly number[];
    }
  | { readonly type: 'undecided' };

/** Whether every call that was answered says at which revision it took effect. */
export function carriesRevisions(calls: readonly RecordedCall[]): boolean {
  const answered = calls.filter(({ outcome }) => outcome.type === 'ok');
  return (
    answered.length > 0 &&
    answered.every(({ outcome }) => outcome.type === 'ok' && outcome.revision !== null)
  );
}

/**
 * Judges the order that the store itself claims: every change made one revision, so calls are
 * sorted by revision (the change first, then what was read at it), replayed, each reply is
 * compared, and the order must agree with real time. Stricter than linearizability; transactions
 * and ranges over any keys cost nothing extra. O(n log n), unless changes of unknown outcome have
 * to be guessed: a revision that no answered call made is given to one of them, by trial.
 * @param before the store's revision before the first call; all keys were absent then
 * @param stepsMax bound on calls replayed
 */
export function checkRevisions(
  calls: readonly RecordedCall[],
  before: number,
  stepsMax = 50_000_000,
): RevisionVerdict {
  assert(carriesRevisions(calls), 'a call carries no revision');
  return new Replay(calls, before, stepsMax).run();
}

/** A change of unknown outcome that was given a revision nobody else made. */
interface Guess {
  /** Place in `#ranked` before which it was put. */
  readonly place: number;
  readonly revision: number;
  /** Which of the open calls. */
  readonly open: number;
  readonly journalLength: number;
  readonly orderLength: number;
}

class Replay {
  readonly #calls: readonly RecordedCall[];
  readonly #before: number;
  readonly #stepsMax: number;
  readonly #store: KvStore;
  readonly #actions: readonly Action[];
  /** Answered calls by revision, the change before what was read at it. */
  readonly #ranked: readonly number[];
  /** Changes of unknown outcome, by time of call. */
  readonly #open: readonly number[];
  readonly #openTaken: Uint8Array;
  /** Earliest return of `#ranked` from this place on. */
  readonly #earliestReturn: Float64Array;
  readonly #order: number[] = [];
  readonly #guesses: Guess[] = [];
  #furthest = -1;
  #failure: RevisionVerdict = { type: 'undecided' };

  constructor(calls: readonly RecordedCall[], before: number, stepsMax: number) {
    this.#calls = calls;
    this.#before = before;
    this.#stepsMax = stepsMax;
    this.#store = new KvStore(allKeys(calls));
    this.#actions = calls.map((call) => this.#store.action(call));
    const byCall = (a: number, b: number): number => this.#call(a).called - this.#call(b).called;
    const indexes = calls.map((_, index) => index);
    this.#ranked = indexes
      .filter((index) => this.#call(index).outcome.type === 'ok')
      .sort((a, b) => this.#rank(a) - this.#rank(b) || byCall(a, b));
    this.#open = indexes
      .filter((index) => this.#call(index).outcome.type === 'unknown' && !this.#isPure(index))
      .sort(byCall);
    this.#openTaken = new Uint8Array(this.#open.length);
    if (this.#open.length > 0) this.#store.journal = [];
    this.#earliestReturn = new Float64Array(this.#ranked.length);
    let earliest = Number.POSITIVE_INFINITY;
    for (let i = this.#ranked.length - 1; i >= 0; i--) {
      earliest = Math.min(earliest, this.#returnedAt(this.#ranked[i] as number));
      this.#earliestReturn[i] = earliest;
    }
  }

  run(): RevisionVerdict {
    const early = this.#findTwoChanges() ?? this.#findTimeTravel();
    if (early !== null) return early;
    let revision = this.#before;
    let place = 0;
    for (let steps = 0; place < this.#ranked.length; steps++) {
      if (steps >= this.#stepsMax) return { type: 'undecided' };
      const index = this.#ranked[place] as number;
      const wanted = this.#revision(index) - (this.#isPure(index) ? 0 : 1);
      if (revision < wanted) {
        if (this.#guess(place, revision + 1, 0)) {
          revision++;
          continue;
        }
        this.#fail(place, `revision ${revision + 1} was made by no recorded call`, [index]);
      } else if (this.#store.run(this.#actions[index] as Action)) {
        this.#order.push(index);
        revision = this.#revision(index);
        place++;
        continue;
      } else {
        this.#failReply(place);
      }
      const back = this.#guessAgain();
      if (back === null) return this.#failure;
      ({ place, revision } = back);
    }
    return { type: 'linearizable', order: this.#order };
  }

  #call(index: number): RecordedCall {
    return this.#calls[index] as RecordedCall;
  }

  #isPure(index: number): boolean {
    return (this.#actions[index] as Action).isPure;
  }

  #revision(index: number): number {
    const { outcome } = this.#call(index);
    return outcome.type === 'ok' ? (outcome.revision ?? 0) : 0;
  }

  /** Twice the revision, so that what is read at it comes between it and the next. */
  #rank(index: number): number {
    return 2 * this.#revision(index) + (this.#isPure(index) ? 1 : 0);
  }

  #returnedAt(index: number): number {
    return this.#call(index).returned ?? Number.POSITIVE_INFINITY;
  }

  /** Two changes claim one revision, or a call claims one from before the history. */
  #findTwoChanges(): RevisionVerdict | null {
    for (let i = 0; i < this.#ranked.length; i++) {
      const index = this.#ranked[i] as number;
      const revision = this.#revision(index);
      if (revision < this.#before + (this.#isPure(index) ? 0 : 1)) {
        const begin = `the history, which begins after ${this.#before}`;
        const reason = `revision ${revision} is from before ${begin}`;
        return { type: 'violation', reason, contradiction: [index] };
      }
      const next = this.#ranked[i + 1];
      if (next === undefined || this.#isPure(index) || this.#rank(next) !== this.#rank(index)) {
        continue;
      }
      const reason = `two changes made revision ${revision}`;
      return { type: 'violation', reason, contradiction: [index, next] };
    }
    return null;
  }

  /** A call that came after another had returned has a smaller revision. */
  #findTimeTravel(): RevisionVerdict | null {
    const begins = Array.from(this.#ranked).sort(
      (a, b) => this.#call(a).called - this.#call(b).called,
    );
    const ends = Array.from(this.#ranked).sort((a, b) => this.#returnedAt(a) - this.#returnedAt(b));
    let ended = 0;
    let highest: number | null = null;
    for (const index of begins) {
      const { called } = this.#call(index);
      for (; ended < ends.length; ended++) {
        const other = ends[ended] as number;
        if (this.#returnedAt(other) >= called) break;
        if (highest === null || this.#rank(other) > this.#rank(highest)) highest = other;
      }
      if (highest === null || this.#rank(highest) <= this.#rank(index)) continue;
      const [before, after] = [this.#revision(highest), this.#revision(index)];
      const reason =
        before === after
          ? `revision ${before} was read before the call that made it began`
          : `revision ${after} was answered after revision ${before} had been seen`;
      return { type: 'violation', reason, contradiction: [highest, index] };
    }
    return null;
  }

  /** Gives `revision` to the next open call that can have made it. */
  #guess(place: number, revision: number, from: number): boolean {
    for (let open = from; open < this.#open.length; open++) {
      const index = this.#open[open] as number;
      if (this.#call(index).called > (this.#earliestReturn[place] as number)) return false;
      if (this.#openTaken[open] === 1) continue;
      const journalLength = this.#store.journal?.length ?? 0;
      const fits = this.#store.run(this.#actions[index] as Action);
      // Every change makes a revision, also a put of the value that was there.
      if (!fits || this.#store.journal?.length === journalLength) {
        this.#store.undoTo(journalLength);
        continue;
      }
      this.#guesses.push({ place, revision, open, journalLength, orderLength: this.#order.length });
      this.#openTaken[open] = 1;
      this.#order.push(index);
      return true;
    }
    return false;
  }

  /** Takes the last guess back and makes another; null: there is none. */
  #guessAgain(): { place: number; revision: number } | null {
    for (let last = this.#guesses.pop(); last !== undefined; last = this.#guesses.pop()) {
      this.#store.undoTo(last.journalLength);
      this.#order.length = last.orderLength;
      this.#openTaken[last.open] = 0;
      const { place, revision } = last;
      if (this.#guess(place, revision, last.open + 1)) return { place, revision };
    }
    return null;
  }

  #failReply(place: number): void {
    const index = this.#ranked[place] as number;
    this.#fail(place, `the reply contradicts the changes up to revision ${this.#revision(index)}`, [
      ...this.#lastChangesOf(index),
      index,
    ]);
  }

  #fail(place: number, reason: string, contradiction: readonly number[]): void {
    if (place <= this.#furthest) return;
    this.#furthest = place;
    this.#failure = { type: 'violation', reason, contradiction };
  }

  /** The last change before it, in the order of replay, of each key that the call touches. */
  #lastChangesOf(index: number): number[] {
    const wanted = new Set(allKeys([this.#call(index)]));
    const changes: number[] = [];
    for (let i = this.#order.length - 1; i >= 0 && wanted.size > 0; i--) {
      const other = this.#order[i] as number;
      if (this.#isPure(other)) continue;
      const touched = allKeys([this.#call(other)]).filter((key) => wanted.delete(key));
      if (touched.length > 0) changes.push(other);
    }
    return changes.reverse();
  }
}
