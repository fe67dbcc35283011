/**
 * When to look at which session or lease again: a binary min-heap of (deadline, id). Lazy: one that
 * was used in the meantime is found with an earlier deadline than its own, and goes back in
 * with the true one. So using a session costs nothing here, and each comes up about once in its
 * idle life. Derived from the sessions' rows; nothing in the state depends on how it came about,
 * because what comes out with its true deadline comes out in order of (deadline, id).
 */
export class ExpiryHeap<Id extends number | bigint> {
  /** deadlines[i] and ids[i] are one entry; no child comes before its parent. */
  #deadlines: number[] = [];
  #ids: Id[] = [];

  get size(): number {
    return this.#ids.length;
  }

  /** The earliest deadline, milliseconds of log time; null when empty. */
  get nextDeadlineMs(): number | null {
    return this.#deadlines[0] ?? null;
  }

  push(deadlineMs: number, id: Id): void {
    let at = this.#ids.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(deadlineMs, id, parent)) break;
      this.#move(parent, at);
      at = parent;
    }
    this.#deadlines[at] = deadlineMs;
    this.#ids[at] = id;
  }

  /** Takes the entry with the earliest deadline; the smaller id on a tie. Null when empty. */
  pop(): Id | null {
    const first = this.#ids[0];
    const deadlineMs = this.#deadlines.pop();
    const id = this.#ids.pop();
    if (first === undefined || deadlineMs === undefined || id === undefined) return null;
    if (this.#ids.length > 0) this.#sink(deadlineMs, id);
    return first;
  }

  clear(): void {
    this.#deadlines = [];
    this.#ids = [];
  }

  /** Finds the place of an entry that starts at the root. */
  #sink(deadlineMs: number, id: Id): void {
    const size = this.#ids.length;
    let at = 0;
    while (true) {
      let child = 2 * at + 1;
      if (child >= size) break;
      if (
        child + 1 < size &&
        this.#isBefore(this.#deadline(child + 1), this.#id(child + 1), child)
      ) {
        child++;
      }
      if (this.#isBefore(deadlineMs, id, child)) break;
      this.#move(child, at);
      at = child;
    }
    this.#deadlines[at] = deadlineMs;
    this.#ids[at] = id;
  }

  #isBefore(deadlineMs: number, id: Id, at: number): boolean {
    const other = this.#deadline(at);
    return deadlineMs < other || (deadlineMs === other && id < this.#id(at));
  }

  #move(from: number, to: number): void {
    this.#deadlines[to] = this.#deadline(from);
    this.#ids[to] = this.#id(from);
  }

  #deadline(at: number): number {
    return this.#deadlines[at] as number;
  }

  #id(at: number): Id {
    return this.#ids[at] as Id;
  }
}
