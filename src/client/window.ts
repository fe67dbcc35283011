import { assert } from '../lib/index.ts';

/**
 * One seq that was taken and is not answered.
 *
 *   unsent ──send──▶ sent ──answer──▶ (gone)
 *     ▲               │
 *     └──refused,─────┘   lost or an unclear refusal also sets `doubt`: that attempt
 *        lost             may be executed at any later time, until the seq is answered
 */
export interface Slot<T> {
  readonly seq: number;
  /** What is to be done there; null once it was given up: any answer will do. */
  item: T | null;
  /** An attempt is on the present channel, not answered. */
  sent: boolean;
  /** An earlier attempt may have been executed, or still may be. */
  doubt: boolean;
}

/**
 * The seqs of one incarnation of a session that are under way, in FIFO client order: sent in the
 * order of their seq, and after a refusal nothing more is sent until every attempt under way has
 * come back; then again from the gap. So a repetition never runs into its own tail.
 */
export class SeqWindow<T> {
  readonly #slots = new Map<number, Slot<T>>();
  #firstSeq: number;
  #nextSeq: number;
  /** Where sending goes on: all slots below are sent, or wait for the rewind. */
  #cursorSeq: number;
  #sentCount = 0;
  #rewinding = false;

  /** `lastSeq`: the session's last executed seq; all up to it counts as answered. */
  constructor(lastSeq: number) {
    this.#firstSeq = lastSeq + 1;
    this.#nextSeq = lastSeq + 1;
    this.#cursorSeq = lastSeq + 1;
  }

  /** All seqs up to this one are answered, and their answers arrived here. Monotonic. */
  get answeredSeq(): number {
    return this.#firstSeq - 1;
  }

  /** The seq that `add` takes next. Monotonic. */
  get nextSeq(): number {
    return this.#nextSeq;
  }

  /** Slots not answered. */
  get size(): number {
    return this.#slots.size;
  }

  /** Distance from the oldest unanswered seq to the next one: what the server must remember. */
  get span(): number {
    return this.#nextSeq - this.#firstSeq;
  }

  /** Attempts on the present channel. */
  get sentCount(): number {
    return this.#sentCount;
  }

  /** Something was refused, and attempts under way must come back before anything is sent. */
  get blocked(): boolean {
    return this.#rewinding && this.#sentCount > 0;
  }

  get(seq: number): Slot<T> | null {
    return this.#slots.get(seq) ?? null;
  }

  /** All unanswered slots in order of their seq. */
  slots(): IterableIterator<Slot<T>> {
    return this.#slots.values();
  }

  /** Takes the next seq. */
  add(item: T): Slot<T> {
    const slot: Slot<T> = { seq: this.#nextSeq++, item, sent: false, doubt: false };
    this.#slots.set(slot.seq, slot);
    return slot;
  }

  /** The slot to send now; null when all are sent, or while attempts must come back first. */
  nextToSend(): Slot<T> | null {
    if (this.blocked) return null;
    if (this.#rewinding) {
      this.#rewinding = false;
      this.#cursorSeq = this.#firstSeq;
    }
    for (; this.#cursorSeq < this.#nextSeq; this.#cursorSeq++) {
      const slot = this.#slots.get(this.#cursorSeq);
      if (slot !== undefined && !slot.sent) return slot;
    }
    return null;
  }

  markSent(slot: Slot<T>): void {
    assert(!slot.sent && slot.seq === this.#cursorSeq, 'sent out of order', { seq: slot.seq });
    slot.sent = true;
    this.#sentCount++;
    this.#cursorSeq++;
  }

  /** The attempt came back without an answer for good; `doubt`: it may be executed all the same. */
  takeBack(slot: Slot<T>, doubt: boolean): void {
    assert(slot.sent, 'came back without being sent', { seq: slot.seq });
    slot.sent = false;
    slot.doubt ||= doubt;
    this.#sentCount--;
    this.#rewinding = true;
  }

  /** The answer for good arrived: the slot is gone. */
  answer(slot: Slot<T>): void {
    assert(slot.sent, 'answered without being sent', { seq: slot.seq });
    slot.sent = false;
    this.#sentCount--;
    this.#slots.delete(slot.seq);
    while (this.#firstSeq < this.#nextSeq && !this.#slots.has(this.#firstSeq)) this.#firstSeq++;
  }
}
