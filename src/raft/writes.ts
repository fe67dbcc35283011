import { assert } from '../lib/index.ts';

/** What one Ready asked the disk for. */
interface Write {
  readonly sequence: number;
  /** The log up to here is as this Ready (and those before it) wrote it. */
  index: number;
}

/**
 * Readies whose durability is not confirmed yet, oldest first. An index that is overwritten after a
 * Ready was taken is struck out of it, so a late confirmation never vouches for an entry that only
 * has the same number (nor for the same entry, removed and written again).
 */
export class PendingWrites {
  #writes: Write[] = [];
  #lastSequence = 0;

  /** Sequence of the last Ready. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** A Ready was taken that leaves the log ending at `index` once it is durable. */
  add(index: number): number {
    this.#lastSequence++;
    this.#writes.push({ sequence: this.#lastSequence, index });
    return this.#lastSequence;
  }

  /** The log was cut off after `index`. */
  truncate(index: number): void {
    for (const write of this.#writes) write.index = Math.min(write.index, index);
  }

  /** All Readies up to `sequence` are durable: how far the log is with that. */
  confirm(sequence: number): number {
    assert(sequence <= this.#lastSequence, 'confirmed before it was handed out', { sequence });
    const count = this.#writes.findLastIndex((write) => write.sequence <= sequence) + 1;
    const last = this.#writes[count - 1];
    assert(last?.sequence === sequence, 'a Ready was confirmed twice', { sequence });
    this.#writes.splice(0, count);
    return last.index;
  }
}
