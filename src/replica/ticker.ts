import type { Clock, Timer } from '../io/index.ts';

/**
 * Turns time into ticks. After a stall of the process (a pause, a long collection) the time spent
 * asleep does not count: what waits in the sockets is read first, and only then does one tick
 * follow, so that nobody campaigns because it was itself asleep.
 */
export class Ticker {
  readonly #clock: Clock;
  readonly #tickMs: number;
  readonly #catchUpTicksMax: number;
  readonly #run: (ticks: number) => void;
  #timer: Timer | null = null;
  #lastMs = 0;

  constructor(options: {
    clock: Clock;
    tickMs: number;
    /** Ticks made up for after a late timer; a longer gap is a stall and counts as one tick. */
    catchUpTicksMax: number;
    run: (ticks: number) => void;
  }) {
    this.#clock = options.clock;
    this.#tickMs = options.tickMs;
    this.#catchUpTicksMax = options.catchUpTicksMax;
    this.#run = options.run;
  }

  start(): void {
    this.#lastMs = this.#clock.nowMs();
    this.#arm();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #arm(): void {
    this.#timer = this.#clock.setTimer(this.#tickMs, () => this.#clock.defer(() => this.#tick()));
  }

  #tick(): void {
    if (this.#timer === null) return;
    const nowMs = this.#clock.nowMs();
    const passed = Math.floor((nowMs - this.#lastMs) / this.#tickMs);
    if (passed > this.#catchUpTicksMax) {
      this.#lastMs = nowMs;
      this.#run(1);
    } else if (passed > 0) {
      this.#lastMs += passed * this.#tickMs;
      this.#run(passed);
    }
    // `run` may have stopped the ticker.
    if (this.#timer !== null) this.#arm();
  }
}
