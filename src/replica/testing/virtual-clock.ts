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
  #events: Event[] = [];

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
    this.#events.push(event);
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
    for (let event = this.#next(endMs); event !== null; event = this.#next(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, event.atMs);
      event.run();
    }
    this.#nowMs = endMs;
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

  #next(endMs: number): Event | null {
    this.#events = this.#events.filter((event) => !event.cancelled);
    let first: Event | null = null;
    for (const event of this.#events) {
      if (event.atMs > endMs) continue;
      if (
        first === null ||
        event.atMs < first.atMs ||
        (event.atMs === first.atMs && event.order < first.order)
      ) {
        first = event;
      }
    }
    if (first !== null) this.#events.splice(this.#events.indexOf(first), 1);
    return first;
  }
}
