import type { Process } from './process.ts';

/** What an event is to a process that was paused: sockets are read before timers, or after. */
export type EventKind = 'io' | 'timer' | 'defer';

/** Something that will happen. */
export interface Event {
  /** When, microseconds of world time. */
  atUs: number;
  /** Among events of one instant: the order in which they were asked for. */
  order: number;
  readonly kind: EventKind;
  /** Whom it happens to; it dies with it. null: the world itself. */
  readonly process: Process | null;
  readonly label: string;
  readonly run: () => void;
  cancelled: boolean;
}

/** A binary heap: the earliest event first. */
export class EventQueue {
  readonly #heap: Event[] = [];

  get size(): number {
    return this.#heap.length;
  }

  peek(): Event | null {
    return this.#heap[0] ?? null;
  }

  push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Event;
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  pop(): Event | null {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined) return null;
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  /** Puts `event` at the top and lets it sink to its place. */
  #sink(event: Event): void {
    const heap = this.#heap;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && isBefore(heap[right] as Event, heap[child] as Event)) {
        child = right;
      }
      const below = heap[child] as Event;
      if (!isBefore(below, event)) break;
      heap[at] = below;
      at = child;
    }
    heap[at] = event;
  }
}

function isBefore(a: Event, b: Event): boolean {
  return a.atUs < b.atUs || (a.atUs === b.atUs && a.order < b.order);
}
