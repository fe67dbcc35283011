import type { Clock, Random, Timer } from '../../src/io/index.ts';
import type { Prng } from '../../src/lib/index.ts';

/** What a process needs of the world it lives in. */
export interface ProcessWorld {
  readonly clock: Clock;
  readonly prng: Prng;
  /** Something happened that may have settled promises. */
  readonly settleSoon: () => void;
}

/**
 * One incarnation of a program with a monotonic clock of its own: its timers, deferred work and
 * disk completions die with it.
 */
export class LabProcess {
  readonly clock: Clock;
  readonly random: Random;
  readonly #world: ProcessWorld;
  #alive = true;

  constructor(world: ProcessWorld) {
    this.#world = world;
    const { clock, prng } = world;
    const startMs = prng.below(1_000_000);
    this.clock = {
      nowMs: () => startMs + clock.nowMs(),
      wallMs: () => clock.wallMs(),
      setTimer: (delayMs, run) => this.#after(delayMs, run),
      defer: (run) => void this.#after(0, run),
    };
    this.random = {
      uint32: () => prng.uint32(),
      bytes: (length) => Uint8Array.from({ length }, () => prng.below(256)),
    };
  }

  get alive(): boolean {
    return this.#alive;
  }

  kill(): void {
    this.#alive = false;
  }

  #after(delayMs: number, run: () => void): Timer {
    return this.#world.clock.setTimer(delayMs, () => {
      if (!this.#alive) return;
      this.#world.settleSoon();
      run();
    });
  }
}
