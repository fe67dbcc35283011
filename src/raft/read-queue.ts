import type { MemberId } from './types.ts';

/** One `readIndex` call, of this member or of one that forwarded it. */
export interface ReadRequest {
  readonly from: MemberId;
  readonly requestId: number;
  /** Tick at which it arrived. */
  readonly askedTick: number;
}

/** Reads that are confirmed together. */
export interface ReadRound {
  /** Fresh for every round; ascending. */
  readonly id: number;
  /** The commit index when the round began: no answer may be below it. */
  readonly commitIndex: number;
  /** In the order of arrival, at least one. */
  readonly requests: readonly ReadRequest[];
}

/** Reads that wait: first for a round to start, then for it to be confirmed. */
export class ReadQueue {
  #waiting: ReadRequest[] = [];
  #rounds: ReadRound[] = [];
  #size = 0;

  /** Requests not yet answered. */
  get size(): number {
    return this.#size;
  }

  /** True when requests wait for a round to start. */
  get hasWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** Id of the last round under way; null for none. Who confirms it confirms those before it. */
  get latestRound(): number | null {
    return this.#rounds[this.#rounds.length - 1]?.id ?? null;
  }

  add(request: ReadRequest): void {
    this.#waiting.push(request);
    this.#size++;
  }

  /** All that wait go into one round. */
  startRound({ id, commitIndex }: { id: number; commitIndex: number }): void {
    this.#rounds.push({ id, commitIndex, requests: this.#waiting });
    this.#waiting = [];
  }

  /** The round with this id leaves the queue; null when it left before. */
  takeRound(id: number): ReadRound | null {
    const at = this.#rounds.findIndex((round) => round.id === id);
    return at < 0 ? null : (this.#removeRounds(at, 1)[0] ?? null);
  }

  /** All rounds up to this id leave the queue. */
  takeRoundsUpTo(id: number): ReadRound[] {
    return this.#removeRounds(0, this.#rounds.findLastIndex((round) => round.id <= id) + 1);
  }

  /** What was asked at `tick` or before leaves the queue; a round ages with its oldest request. */
  takeOlderThan(tick: number): ReadRequest[] {
    const isOld = (request: ReadRequest | undefined) =>
      request !== undefined && request.askedTick <= tick;
    const rounds = this.#rounds.findLastIndex((round) => isOld(round.requests[0])) + 1;
    const old = this.#removeRounds(0, rounds).flatMap((round) => round.requests);
    const waiting = this.#waiting.splice(0, this.#waiting.findLastIndex(isOld) + 1);
    this.#size -= waiting.length;
    return [...old, ...waiting];
  }

  /** Everything leaves the queue. */
  takeAll(): ReadRequest[] {
    const all = [...this.#rounds.flatMap((round) => round.requests), ...this.#waiting];
    this.#rounds = [];
    this.#waiting = [];
    this.#size = 0;
    return all;
  }

  #removeRounds(start: number, count: number): ReadRound[] {
    const removed = this.#rounds.splice(start, count);
    for (const round of removed) this.#size -= round.requests.length;
    return removed;
  }
}
