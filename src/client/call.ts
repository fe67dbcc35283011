import type { KvError } from '../api/index.ts';
import type { Clock, Timer } from '../io/index.ts';
import { deferred } from '../lib/index.ts';

/** Why a caller stops waiting. */
export type GiveUpReason = 'deadline' | 'abort' | 'closed';

/** How long a caller waits, and what calls it off. */
export interface Patience {
  readonly clock: Clock;
  /** 1 … 2^31 − 1. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * A caller who waits for one answer: settled exactly once, by the answer, its deadline or its
 * signal. An answer that arrived wins over an abort that follows.
 */
export class Call<T> {
  readonly promise: Promise<T>;
  readonly timeoutMs: number;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: Timer;
  readonly #onGiveUp: (reason: GiveUpReason) => KvError;
  readonly #resolve: (value: T) => void;
  readonly #reject: (error: Error) => void;
  #settled = false;

  /** `onGiveUp` lets the owner forget the call, and says what the caller is told. */
  constructor(patience: Patience, onGiveUp: (reason: GiveUpReason) => KvError) {
    const { promise, resolve, reject } = deferred<T>();
    this.promise = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#onGiveUp = onGiveUp;
    this.timeoutMs = patience.timeoutMs;
    this.#signal = patience.signal;
    this.#timer = patience.clock.setTimer(patience.timeoutMs, () => this.giveUp('deadline'));
    this.#signal?.addEventListener('abort', this.#onAbort);
  }

  /** The caller has its answer, or stopped waiting. */
  get settled(): boolean {
    return this.#settled;
  }

  /** What the caller's signal was aborted with; undefined without one. */
  get abortReason(): unknown {
    return this.#signal?.reason;
  }

  resolve(value: T): void {
    if (this.#end()) this.#resolve(value);
  }

  reject(error: Error): void {
    if (this.#end()) this.#reject(error);
  }

  /** Stops waiting; the owner is asked what is known about the outcome. */
  giveUp(reason: GiveUpReason): void {
    if (this.#end()) this.#reject(this.#onGiveUp(reason));
  }

  readonly #onAbort = (): void => this.giveUp('abort');

  #end(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#timer.cancel();
    this.#signal?.removeEventListener('abort', this.#onAbort);
    return true;
  }
}
