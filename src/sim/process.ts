import type { Clock, Timer } from '../io/index.ts';
import type { Event } from './event-queue.ts';
import { Stream } from './streams.ts';
import type { World } from './world.ts';

/** Node's timers take no less; without it, code that waits for "now" would stop time. */
const TIMER_MS_MIN = 1;

/** How a process's clock differs from the world's. */
export interface Skew {
  /** What it shows when the process starts, milliseconds. */
  readonly offsetMs: number;
  /** Its milliseconds per millisecond of the world. */
  readonly rate: number;
}

/**
 * One incarnation of a program: whatever it asked for (timers, deferred work, disk completions,
 * messages) dies with it. A paused one sleeps through its events and gets them afterwards.
 */
export class Process {
  readonly name: string;
  readonly clock: SkewedClock;
  readonly random: Stream;
  /** Called after each of its events; not after timers, which only defer work. */
  afterEvent: (() => void) | null = null;
  readonly #world: World;
  #alive = true;
  #held: Event[] | null = null;

  constructor(world: World, name: string, skew: Skew) {
    this.#world = world;
    this.name = name;
    this.random = new Stream(world.seed, `process ${name}`);
    this.clock = new SkewedClock(world, this, skew);
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The calendar is set anew; the monotonic clock goes on. */
  jumpWall(byMs: number): void {
    this.clock.wallOffsetMs += byMs;
  }

  get paused(): boolean {
    return this.#held !== null;
  }

  kill(): void {
    this.#alive = false;
    this.#held = null;
  }

  /** SIGSTOP. */
  pause(): void {
    if (this.#alive) this.#held ??= [];
  }

  hold(event: Event): void {
    this.#held?.push(event);
  }

  /**
   * SIGCONT: what waited happens now. What the process deferred comes last; sockets come before
   * timers or after them, for event loops differ.
   */
  resume(order: 'ioFirst' | 'timersFirst'): void {
    const held = this.#held;
    if (held === null) return;
    this.#held = null;
    const rank = { io: order === 'ioFirst' ? 0 : 1, timer: order === 'ioFirst' ? 1 : 0, defer: 2 };
    held.sort((a, b) => rank[a.kind] - rank[b.kind]);
    for (const event of held) this.#world.requeue(event);
  }
}

/** A process's clock for whom promises wait: whatever it calls may settle some. */
export function wakingClock({ clock }: Process, world: World): Clock {
  const waking = (run: () => void) => () => {
    world.movePromises();
    run();
  };
  return {
    nowMs: () => clock.nowMs(),
    wallMs: () => clock.wallMs(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, waking(run)),
    defer: (run) => clock.defer(waking(run)),
  };
}

class SkewedClock implements Clock {
  readonly #world: World;
  readonly #process: Process;
  readonly #skew: Skew;
  readonly #bornUs: number;
  wallOffsetMs = 1_700_000_000_000;

  constructor(world: World, process: Process, skew: Skew) {
    this.#world = world;
    this.#process = process;
    this.#skew = skew;
    this.#bornUs = world.nowUs;
  }

  nowMs(): number {
    const { offsetMs, rate } = this.#skew;
    return offsetMs + ((this.#world.nowUs - this.#bornUs) / 1000) * rate;
  }

  wallMs(): number {
    return this.wallOffsetMs + this.nowMs();
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const delayUs = Math.ceil((Math.max(delayMs, TIMER_MS_MIN) * 1000) / this.#skew.rate);
    const event = this.#world.schedule(this.#process, { kind: 'timer', delayUs, label: '' }, run);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  defer(run: () => void): void {
    this.#world.schedule(this.#process, { kind: 'defer', delayUs: 0, label: '' }, run);
  }
}
