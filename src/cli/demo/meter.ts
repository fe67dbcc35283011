/** Counts acknowledgements and the time without any. Times in monotonic milliseconds. */
export class Meter {
  #acknowledged = 0;
  #lastMs: number;
  #longestMs = 0;

  constructor(nowMs: number) {
    this.#lastMs = nowMs;
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  acknowledge(nowMs: number): void {
    this.#longestMs = this.longestPauseMs(nowMs);
    this.#lastMs = nowMs;
    this.#acknowledged++;
  }

  /** Forgets earlier pauses; the present one counts from the last acknowledgement on. */
  restart(): void {
    this.#longestMs = 0;
  }

  /** The longest time without an acknowledgement since `restart`, the present one included. */
  longestPauseMs(nowMs: number): number {
    return Math.max(this.#longestMs, nowMs - this.#lastMs);
  }
}
