import type { Clock, Timer } from '../../io/index.ts';
import { Fifo } from '../fifo.ts';

/** Promise jobs that one event may need until nothing is left to do. */
const JOBS_PER_EVENT = 30;

interface Due {
  readonly atMs: number;
  readonly run: () => void;
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<Due>();
  /** The same timers and cancelled ones by time; each list in the order of setting. */
  readonly #byTime = new Map<number, Fifo<Due>>();
  /** The keys of `#byTime` as a binary heap. */
  readonly #times: number[] = [];
  #deferred: (() => void)[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  /** Timers that are set and have not fired. */
  get timerCount(): number {
    return this.#timers.size;
  }

  /** When the next timer fires; null without one. */
  get nextTimerMs(): number | null {
    return this.#next()?.atMs ?? null;
  }

  setTimer(delayMs: number, run: () => void): Timer {
    const due: Due = { atMs: this.#nowMs + delayMs, run };
    this.#timers.add(due);
    const list = this.#byTime.get(due.atMs);
    if (list === undefined) {
      const first = new Fifo<Due>();
      first.push(due);
      this.#byTime.set(due.atMs, first);
      pushHeap(this.#times, due.atMs);
    } else {
      list.push(due);
    }
    return {
      cancel: () => {
        this.#timers.delete(due);
      },
    };
  }

  defer(run: () => void): void {
    this.#deferred.push(run);
  }

  /** Lets `ms` pass: runs everything that falls due, in order, and all promise jobs in between. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms;
    for (;;) {
      await settle();
      if (this.#deferred.length > 0) {
        const now = this.#deferred;
        this.#deferred = [];
        for (const run of now) run();
        continue;
      }
      const next = this.#next();
      if (next === null || next.atMs > endMs) break;
      this.#timers.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
    }
    this.#nowMs = endMs;
  }

  /** Lets time pass until the promise settles; throws when it has not after `limitMs`. */
  async until<T>(promise: Promise<T>, limitMs = 60_000): Promise<T> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    const endMs = this.#nowMs + limitMs;
    for (;;) {
      await this.advance(0);
      if (isSettled) return await promise;
      const next = this.#next();
      if (next === null || next.atMs > endMs) throw new Error(`not settled after ${limitMs} ms`);
      await this.advance(next.atMs - this.#nowMs);
    }
  }

  #next(): Due | null {
    for (let atMs = this.#times[0]; atMs !== undefined; atMs = this.#times[0]) {
      const list = this.#byTime.get(atMs);
      for (let due = list?.peek() ?? null; due !== null; due = list?.peek() ?? null) {
        if (this.#timers.has(due)) return due;
        list?.shift();
      }
      this.#byTime.delete(atMs);
      popHeap(this.#times);
    }
    return null;
  }
}

function pushHeap(heap: number[], value: number): void {
  let at = heap.push(value) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if ((heap[parent] as number) <= value) break;
    heap[at] = heap[parent] as number;
    at = parent;
  }
  heap[at] = value;
}

function popHeap(heap: number[]): void {
  const last = heap.pop();
  if (last === undefined || heap.length === 0) return;
  let at = 0;
  for (let child = 1; child < heap.length; child = 2 * at + 1) {
    if ((heap[child + 1] ?? Number.POSITIVE_INFINITY) < (heap[child] as number)) child++;
    if ((heap[child] as number) >= last) break;
    heap[at] = heap[child] as number;
    at = child;
  }
  heap[at] = last;
}

async function settle(): Promise<void> {
  for (let job = 0; job < JOBS_PER_EVENT; job++) await Promise.resolve();
}
