import { decodeAnswer, type SessionRef } from '../api/index.ts';
import type { GrpcCall } from '../grpc/index.ts';
import { watchCall } from './call-watch.ts';
import type { EtcdContext } from './context.ts';

interface Waiter {
  readonly seq: number;
  /** True: its turn may have come. */
  readonly wake: (isTurn: boolean) => void;
}

/**
 * Where commands of sessions wait that overtook the one before them. A client that has several
 * calls under way sends them in order, but nothing keeps them so: they may come over several
 * connections, to several members. Looked at whenever something was applied here; those that follow
 * one another are woken together.
 */
export class WaitingRoom {
  readonly #context: EtcdContext;
  readonly #sessions = new Map<number, Waiter[]>();
  #count = 0;
  #stopListening: (() => void) | null = null;

  constructor(context: EtcdContext) {
    this.#context = context;
  }

  /** Commands that wait. */
  get size(): number {
    return this.#count;
  }

  /**
   * Resolves with true when the command may be tried again, with false when its time is over;
   * rejects when the call has to end, as its client is gone or the member is being closed.
   */
  wait({ sessionId, seq }: SessionRef, call: GrpcCall, deadlineMs: number): Promise<boolean> {
    const { clock, limits, member } = this.#context;
    if (this.#count >= limits.sessionWaitingMax) return Promise.resolve(false);
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        timer.cancel();
        watch.cancel();
        this.#remove(sessionId, waiter);
      };
      const waiter: Waiter = {
        seq,
        wake: (isTurn) => {
          leave();
          resolve(isTurn);
        },
      };
      const delayMs = Math.max(deadlineMs - clock.nowMs(), 0);
      const timer = clock.setTimer(delayMs, () => waiter.wake(false));
      const watch = watchCall(this.#context, call, (reason) => {
        leave();
        reject(reason);
      });
      this.#add(sessionId, waiter);
      this.#stopListening ??= member.feed.onApplied(() => this.#look());
      // What it waits for may have been applied since it was refused.
      this.#lookAt(sessionId);
    });
  }

  #add(sessionId: number, waiter: Waiter): void {
    const waiters = this.#sessions.get(sessionId) ?? [];
    this.#sessions.set(sessionId, waiters);
    const behind = waiters.findIndex(({ seq }) => seq > waiter.seq);
    waiters.splice(behind === -1 ? waiters.length : behind, 0, waiter);
    this.#count++;
  }

  #remove(sessionId: number, waiter: Waiter): void {
    const waiters = this.#sessions.get(sessionId) ?? [];
    const at = waiters.indexOf(waiter);
    if (at === -1) return;
    waiters.splice(at, 1);
    this.#count--;
    if (waiters.length === 0) this.#sessions.delete(sessionId);
    if (this.#count > 0) return;
    this.#stopListening?.();
    this.#stopListening = null;
  }

  #look(): void {
    for (const sessionId of [...this.#sessions.keys()]) this.#lookAt(sessionId);
  }

  #lookAt(sessionId: number): void {
    const waiters = this.#sessions.get(sessionId) ?? [];
    const [first] = waiters;
    if (first === undefined || !this.#isDecided(sessionId, first.seq - 1)) return;
    let last = first.seq;
    const next: Waiter[] = [];
    for (const waiter of waiters) {
      if (waiter.seq > last + 1) break;
      last = waiter.seq;
      next.push(waiter);
    }
    for (const waiter of next) waiter.wake(true);
  }

  /** By what this member has applied. A session that is over is for the log to answer. */
  #isDecided(sessionId: number, seq: number): boolean {
    let isDecided = false;
    const query = { type: 'resolve', sessionId, seq } as const;
    // Serializable: answered from local state, at once.
    this.#context.member.service.read({ serializable: true, query }, (bytes) => {
      const answer = decodeAnswer(bytes);
      isDecided = answer.type !== 'resolve' || answer.state !== 'notExecuted';
    });
    return isDecided;
  }
}
