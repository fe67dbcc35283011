import type { Clock } from '../io/index.ts';

/** What a process has taken and not given back: timers that run, files, locks, states, links. */
export class Holdings {
  readonly #held = new Set<{ readonly what: string }>();

  /** Takes note of something; the function returned, that it was given back. */
  hold(what: string): () => void {
    const one = { what };
    this.#held.add(one);
    return () => this.#held.delete(one);
  }

  /** What is left, in the order in which it was taken. */
  get left(): readonly string[] {
    return [...this.#held].map(({ what }) => what);
  }
}

/** A clock whose timers count as held until they have run or were cancelled. */
export function holdingClock(clock: Clock, holdings: Holdings): Clock {
  return {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    defer: (run) => clock.defer(run),
    setTimer: (delayMs, run) => {
      const release = holdings.hold(`a timer of ${Math.round(delayMs)} ms`);
      const timer = clock.setTimer(delayMs, () => {
        release();
        run();
      });
      return {
        cancel: () => {
          release();
          timer.cancel();
        },
      };
    },
  };
}
