import type { Clock, Timer } from '../../io/index.ts';

interface Alarm extends Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** Time that passes only when a test says so. What is due together runs in the order it was set. */
export class FakeClock implements Clock {
  #nowMs = 0;
  #order = 0;
  readonly #alarms = new Set<Alarm>();

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const alarm: Alarm = {
      atMs: this.#nowMs + delayMs,
      order: this.#order++,
      run,
      cancel: () => this.#alarms.delete(alarm),
    };
    this.#alarms.add(alarm);
    return alarm;
  }

  defer(run: () => void): void {
    this.setTimer(0, run);
  }

  /** Timers not yet run or called off. */
  get timers(): number {
    return this.#alarms.size;
  }

  /** Lets time pass, running what falls due on the way. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (let next = this.#next(endMs); next !== null; next = this.#next(endMs)) {
      this.#alarms.delete(next);
      this.#nowMs = next.atMs;
      next.run();
    }
    this.#nowMs = endMs;
  }

  /** The process sleeps: time passes and everything that fell due runs late, each timer once. */
  stall(ms: number): void {
    this.#nowMs += ms;
    const late = [...this.#alarms].filter((alarm) => alarm.atMs <= this.#nowMs);
    late.sort((a, b) => a.atMs - b.atMs || a.order - b.order);
    for (const alarm of late) if (this.#alarms.delete(alarm)) alarm.run();
  }

  #next(endMs: number): Alarm | null {
    let next: Alarm | null = null;
    for (const alarm of this.#alarms) {
      if (alarm.atMs > endMs) continue;
      if (next === null || alarm.atMs < next.atMs) next = alarm;
      else if (alarm.atMs === next.atMs && alarm.order < next.order) next = alarm;
    }
    return next;
  }
}
