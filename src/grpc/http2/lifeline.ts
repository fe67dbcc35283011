import type { Clock, Timer } from '../../io/index.ts';

export interface LifelineLimits {
  /** Until the first stream. */
  readonly firstCallMs: number;
  /** Between streams. */
  readonly idleMs: number;
  /** Between our pings, and for the answer to one. */
  readonly keepaliveMs: number;
}

export interface LifelineOptions {
  readonly limits: LifelineLimits;
  readonly clock: Clock;
  readonly sendPing: () => void;
  /** No stream was open for too long. */
  readonly onIdle: () => void;
  /** A ping was not answered: the peer is gone without a word, or stuck inside a frame. */
  readonly onDead: () => void;
}

/** Knows when a connection is of no more use. */
export class Lifeline {
  readonly #options: LifelineOptions;
  /** Since when no stream is open; null while there is one. */
  #idleSinceMs: number | null;
  #idleLimitMs: number;
  #idleTimer: Timer;
  /** When #idleTimer fires. */
  #idleCheckMs: number;
  #keepaliveTimer: Timer;
  /** The last ping was answered. */
  #isAnswered = true;

  constructor(options: LifelineOptions) {
    const { limits, clock } = options;
    this.#options = options;
    this.#idleSinceMs = clock.nowMs();
    this.#idleLimitMs = limits.firstCallMs;
    this.#idleCheckMs = this.#idleSinceMs + limits.firstCallMs;
    this.#idleTimer = clock.setTimer(limits.firstCallMs, () => this.#checkIdle());
    this.#keepaliveTimer = clock.setTimer(limits.keepaliveMs, () => this.#keepAlive());
  }

  /** A stream was opened. */
  busy(): void {
    this.#idleSinceMs = null;
  }

  /** The last open stream is gone. */
  idle(): void {
    const { limits, clock } = this.#options;
    this.#idleSinceMs = clock.nowMs();
    this.#idleLimitMs = limits.idleMs;
    if (this.#idleCheckMs <= this.#idleSinceMs + limits.idleMs) return;
    this.#idleTimer.cancel();
    this.#checkIdleIn(limits.idleMs);
  }

  /** Our ping was answered. */
  answered(): void {
    this.#isAnswered = true;
  }

  cancel(): void {
    this.#idleTimer.cancel();
    this.#keepaliveTimer.cancel();
  }

  /** One timer, moved on when it fires instead of set anew for each call. */
  #checkIdle(): void {
    const { limits, clock, onIdle } = this.#options;
    const since = this.#idleSinceMs;
    const restMs = since === null ? limits.idleMs : since + this.#idleLimitMs - clock.nowMs();
    if (restMs <= 0) onIdle();
    else this.#checkIdleIn(Math.ceil(restMs));
  }

  #checkIdleIn(delayMs: number): void {
    const { clock } = this.#options;
    this.#idleCheckMs = clock.nowMs() + delayMs;
    this.#idleTimer = clock.setTimer(delayMs, () => this.#checkIdle());
  }

  #keepAlive(): void {
    const { limits, clock, sendPing, onDead } = this.#options;
    if (!this.#isAnswered) {
      onDead();
      return;
    }
    this.#isAnswered = false;
    sendPing();
    this.#keepaliveTimer = clock.setTimer(limits.keepaliveMs, () => this.#keepAlive());
  }
}
