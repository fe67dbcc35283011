import type { Clock, Timer } from '../../io/index.ts';

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

/**
 * Time that passes only when a test says so; events of one instant run in the order they were asked
 * for.
 */
export class VirtualClock implements Clock {
  #nowMs = 0;
  #order = 0;
  /** A binary heap: no event comes before its parent, the one at (i − 1) >> 1. */
  readonly #heap: Event[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const event: Event = {
      atMs: this.#nowMs + delayMs,
      order: this.#order++,
      run,
      cancelled: false,
    };
    this.#push(event);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  defer(run: () => void): void {
    this.setTimer(0, run);
  }

  /** Lets `durationMs` pass. */
  advance(durationMs: number): void {
    const endMs = this.#nowMs + durationMs;
    while (this.step(endMs));
  }

  /** Runs the next event due by `endMs`; false when there is none, and it is `endMs` now. */
  step(endMs: number): boolean {
    for (let event = this.#heap[0]; event !== undefined; event = this.#heap[0]) {
      if (event.cancelled) {
        this.#pop();
        continue;
      }
      if (event.atMs > endMs) break;
      this.#pop();
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      event.run();
      return true;
    }
    this.#nowMs = Math.max(this.#nowMs, endMs);
    return false;
  }

  /** Lets time pass in small steps until `holds`, at most `limitMs`; false when it never did. */
  advanceUntil(holds: () => boolean, limitMs: number): boolean {
    for (let passedMs = 0; passedMs < limitMs && !holds(); passedMs++) this.advance(1);
    return holds();
  }

  /** Jumps over `durationMs` without running anything: a process that was asleep. */
  sleep(durationMs: number): void {
    this.#nowMs += durationMs;
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = heap[parentAt] as Event;
      if (!isBefore(event, parent)) break;
      heap[at] = parent;
      at = parentAt;
    }
    heap[at] = event;
  }

  /** Takes the first event off the heap. */
  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let childAt = 2 * at + 1;
      let child = heap[childAt];
      if (child === undefined) break;
      const right = heap[childAt + 1];
      if (right !== undefined && isBefore(right, child)) {
        child = right;
        childAt++;
      }
      if (!isBefore(child, last)) break;
      heap[at] = child;
      at = childAt;
    }
    heap[at] = last;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
