import { type Event, type EventKind, EventQueue } from './event-queue.ts';
import { Process, type Skew } from './process.ts';
import { Stream } from './streams.ts';

/** One line of a trace. */
export type TraceSink = (line: string) => void;

/** When and as what something happens. */
export interface When {
  readonly kind: EventKind;
  /** Microseconds from now, rounded up. */
  readonly delayUs: number;
  /** For the trace; empty: not worth a line. */
  readonly label: string;
}

/**
 * Time and everything that happens in it. One event at a time; all promises that it settles are
 * continued before the next one, so the order of everything follows from the seed.
 */
export class World {
  readonly seed: number;
  #nowUs = 0;
  #order = 0;
  #events = 0;
  #hash = 0x811c9dc5;
  #promisesMoved = false;
  #stopReason: Error | null = null;
  readonly #queue = new EventQueue();
  readonly #trace: TraceSink | null;

  constructor(seed: number, trace: TraceSink | null) {
    this.seed = seed;
    this.#trace = trace;
  }

  /** Microseconds since the world began. */
  get nowUs(): number {
    return this.#nowUs;
  }

  get nowMs(): number {
    return this.#nowUs / 1000;
  }

  /** Events that have happened: a clock that tells any two of them apart. */
  get events(): number {
    return this.#events;
  }

  /** Over everything that has happened: equal runs have equal hashes. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  get tracing(): boolean {
    return this.#trace !== null;
  }

  stream(name: string): Stream {
    return new Stream(this.seed, name);
  }

  process(name: string, skew: Skew): Process {
    return new Process(this, name, skew);
  }

  schedule(process: Process | null, when: When, run: () => void): Event {
    const event: Event = {
      atUs: this.#nowUs + Math.ceil(Math.max(0, when.delayUs)),
      order: this.#order++,
      kind: when.kind,
      process,
      label: when.label,
      run,
      cancelled: false,
    };
    if (process?.alive !== false) this.#queue.push(event);
    return event;
  }

  /** Something of the world itself, `delayMs` from now. */
  after(delayMs: number, label: string, run: () => void): Event {
    return this.schedule(null, { kind: 'io', delayUs: delayMs * 1000, label }, run);
  }

  /** An event that a paused process slept through happens now. */
  requeue(event: Event): void {
    event.atUs = this.#nowUs;
    event.order = this.#order++;
    this.#queue.push(event);
  }

  /** To be called by whatever starts or settles promises: they go on before the next event. */
  movePromises(): void {
    this.#promisesMoved = true;
  }

  /** Adds to the trace hash. */
  mix(value: number): void {
    this.#hash = Math.imul(this.#hash ^ value, 0x01000193);
  }

  trace(who: string, what: string): void {
    this.#trace?.(`${this.nowMs.toFixed(3).padStart(12)} ${who.padEnd(8)} ${what}`);
  }

  /** Ends the run after the present event; the first reason counts. */
  stop(reason: Error): void {
    this.#stopReason ??= reason;
  }

  /** Runs what may find a broken promise: whoever called must not be the one to hear of it. */
  guard(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.stop(error instanceof Error ? error : new Error(String(error)));
    }
  }

  /**
   * Lets `durationMs` pass, or less when `done` becomes true.
   * @throws what `stop` was given, or what an event threw.
   */
  async run(durationMs: number, done: () => boolean = never): Promise<boolean> {
    const endUs = this.#nowUs + Math.ceil(durationMs * 1000);
    // Now and then the real event loop must turn: else nobody could end a campaign.
    await new Promise<void>((resolve) => setImmediate(resolve));
    await this.#settle();
    while (!done()) {
      const event = this.#queue.peek();
      if (event === null || event.atUs > endUs) {
        this.#nowUs = endUs;
        return done();
      }
      this.#queue.pop();
      if (event.cancelled || event.process?.alive === false) continue;
      if (event.process?.paused === true) {
        event.process.hold(event);
        continue;
      }
      this.#nowUs = event.atUs;
      this.#begin(event);
      this.guard(event.run);
      if (this.#promisesMoved) await this.#settle();
      const { process } = event;
      if (process?.alive === true && process.afterEvent !== null && event.kind !== 'timer') {
        this.guard(process.afterEvent);
      }
      if (this.#stopReason !== null) throw this.#stopReason;
    }
    return true;
  }

  #begin(event: Event): void {
    this.#events++;
    this.mix(event.atUs);
    this.mix(event.order);
    if (event.label !== '') this.trace(event.process?.name ?? 'world', event.label);
  }

  /** Comes back when no promise has a continuation left to run: Node's next tick is after those. */
  async #settle(): Promise<void> {
    do {
      this.#promisesMoved = false;
      await new Promise<void>((resolve) => process.nextTick(resolve));
    } while (this.#promisesMoved);
    if (this.#stopReason !== null) throw this.#stopReason;
  }
}

function never(): boolean {
  return false;
}
