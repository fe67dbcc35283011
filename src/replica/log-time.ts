/**
 * The time that decides about sessions lives in the log. A leader stamps its entries with the
 * newest applied time plus what has passed on its own monotonic clock since, so the time never runs
 * backwards and no wall clock can make it jump (thesis §6.3: the cluster's clock).
 */
export class LogTime {
  readonly #nowMs: () => number;
  /** A log time, and when on our own clock it was that time. */
  #baseMs: number;
  #baseAtMs: number;
  /** Log time of the newest applied entry. */
  #appliedMs: number;

  /** `appliedMs`: the log time of the state's last entry. */
  constructor(nowMs: () => number, appliedMs: number) {
    this.#nowMs = nowMs;
    this.#baseMs = appliedMs;
    this.#baseAtMs = nowMs();
    this.#appliedMs = appliedMs;
  }

  /** Log time of the newest applied entry, milliseconds; never runs backwards. */
  get appliedMs(): number {
    return this.#appliedMs;
  }

  /** Stamp for an entry proposed now, whole milliseconds. */
  stampMs(): number {
    return this.#baseMs + Math.max(0, Math.floor(this.#nowMs() - this.#baseAtMs));
  }

  /**
   * Takes an applied entry's stamp, or the time of a state that took the place of the own one;
   * returns the log time then, never below an earlier one.
   */
  applyMs(stampMs: number): number {
    if (stampMs > this.stampMs()) {
      this.#baseMs = stampMs;
      this.#baseAtMs = this.#nowMs();
    }
    this.#appliedMs = Math.max(this.#appliedMs, stampMs);
    return this.#appliedMs;
  }
}
