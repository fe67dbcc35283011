/** A timer that can be called off; calling it off twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void;
}

/** Time as the program sees it. Decisions use monotonic time only. */
export interface Clock {
  /** Milliseconds since an arbitrary start, with fractions; never runs backwards. */
  nowMs(): number;
  /** Milliseconds since 1970 for people's eyes (logs, certificates); may jump. */
  wallMs(): number;
  /** Calls `run` once, `delayMs` (≥ 0) from now. */
  setTimer(delayMs: number, run: () => void): Timer;
  /** Calls `run` once, after the I/O events of the present turn of the event loop. */
  defer(run: () => void): void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return { cancel: () => clearTimeout(timer) };
  },
  defer(run) {
    setImmediate(run);
  },
};
