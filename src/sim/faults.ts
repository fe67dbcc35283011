import { type Inject, injectorOf } from './inject.ts';
import type { FaultKind, FaultPlan } from './plan.ts';
import type { Stage } from './stage.ts';
import { Stream } from './streams.ts';

/** One fault that was injected, as data. */
export interface FaultRecord {
  /** Class and position within it, `kill#3`: the same in every run of the seed. */
  readonly id: string;
  readonly kind: FaultKind;
  /** When, milliseconds of world time. */
  readonly atMs: number;
  /** When it is over, milliseconds of world time. */
  readonly untilMs: number;
  /** What happened to whom, in words. */
  readonly what: string;
}

/** What a fault that ends at once is given to show its consequences, milliseconds. */
const AFTERMATH_MS = 1_000;

/**
 * Injects the plan's faults at random times until `stop`. When each class strikes follows from a
 * stream of its own, and what the third kill does from another one: so any subset of what happened
 * can happen again (`only`, in the plan), at the same times. What is broken when it stops stays
 * broken: nothing heals after that by itself.
 */
export class Faults {
  readonly #stage: Stage;
  readonly #records: FaultRecord[] = [];
  readonly #inject: Inject;
  #stopped = false;

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#inject = injectorOf(stage, {
      later: (delayMs, run) =>
        void stage.world.after(delayMs, '', () => {
          if (!this.#stopped) run();
        }),
    });
  }

  /** What has happened, in its order. */
  get records(): readonly FaultRecord[] {
    return this.#records;
  }

  start(): void {
    for (const fault of this.#stage.plan.faults) {
      this.#arm(fault, 1, new Stream(this.#stage.world.seed, `faults ${fault.kind}`));
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  #arm(fault: FaultPlan, position: number, times: Stream): void {
    const { world, plan } = this.#stage;
    world.after(times.exponential(fault.meanMs), `fault: ${fault.kind}`, () => {
      if (this.#stopped) return;
      const id = `${fault.kind}#${position}`;
      if (plan.only === null || plan.only.has(id)) this.#strike(id, fault);
      this.#arm(fault, position + 1, times);
    });
  }

  #strike(id: string, fault: FaultPlan): void {
    const { world, counters, matrix } = this.#stage;
    const { kind } = fault;
    const harm = this.#inject(fault, new Stream(world.seed, `fault ${id}`));
    if (harm === null) return;
    counters.add(`fault: ${kind}`);
    world.trace('world', `${id}: ${harm.what}`);
    const lastsMs = Math.max(harm.lastsMs, AFTERMATH_MS);
    const { nowMs: atMs } = world;
    this.#records.push({ id, kind, atMs, untilMs: atMs + lastsMs, what: harm.what });
    matrix.begin(kind);
    world.after(lastsMs, '', () => matrix.end(kind));
  }
}
