/** Below this length the passed front of the array is not worth moving. */
const COMPACT_LENGTH_MIN = 64;

/** A first-in-first-out list; adding and taking cost the same however long it is. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  /** Items waiting. */
  get length(): number {
    return this.#items.length - this.#head;
  }

  /** The next one; null when empty. */
  peek(): T | null {
    return this.#items[this.#head] ?? null;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Puts items in front of all others, keeping their order. */
  unshift(items: readonly T[]): void {
    this.#items = [...items, ...this.#items.slice(this.#head)];
    this.#head = 0;
  }

  /** Takes the next one out; null when empty. */
  shift(): T | null {
    const item = this.#items[this.#head];
    if (item === undefined) return null;
    this.#items[this.#head++] = undefined;
    if (this.#head >= COMPACT_LENGTH_MIN && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** Drops what is not `wanted`, once that is more than half: `liveCount` says how much is. */
  compact(liveCount: number, wanted: (item: T) => boolean): void {
    if (this.length < COMPACT_LENGTH_MIN || this.length <= 2 * liveCount) return;
    this.#items = this.drain().filter(wanted);
  }

  /** Takes all out, in order. */
  drain(): T[] {
    const items = this.#items.slice(this.#head) as T[];
    this.#items = [];
    this.#head = 0;
    return items;
  }
}
