import { type Answer, KvError, type Operation } from '../api/index.ts';
import type { Call, GiveUpReason } from './call.ts';
import { Fifo } from './fifo.ts';
import { CLERK_LIMITS } from './limits.ts';
import type { Slot } from './window.ts';

/** An answer for good and the seq it belongs to. */
export interface Written {
  readonly seq: number;
  readonly answer: Answer;
}

/** A command and the caller who waits for it. */
export interface Write {
  /** For messages: "put", "append", … */
  readonly what: string;
  readonly operation: Operation;
  /** What it costs in the bounds, bytes. */
  readonly bytes: number;
  /** The seq that the caller wants it to have; null for the next one. */
  readonly wantedSeq: number | null;
  readonly call: Call<Written>;
  /** Its place; null while it waits in the queue. */
  slot: Slot<Write> | null;
}

/** Writes without a seq, in the order of the calls; bounded in count and bytes. */
export class WriteQueue {
  readonly #writes = new Fifo<Write>();
  #count = 0;
  #bytes = 0;

  /** Writes whose caller still waits. */
  get count(): number {
    return this.#count;
  }

  /** @throws KvError OVERLOADED when a write of that size does not fit. */
  checkRoom(what: string, bytes: number): void {
    const { queueRequestsMax, queueBytesMax } = CLERK_LIMITS;
    if (this.#count < queueRequestsMax && this.#bytes + bytes <= queueBytesMax) return;
    const waiting = `${this.#count} commands with ${this.#bytes} bytes wait in this clerk already`;
    throw new KvError('OVERLOADED', `${what}: ${waiting}, not applied`);
  }

  push(write: Write): void {
    this.#writes.push(write);
    this.#count++;
    this.#bytes += write.bytes;
    this.#writes.compact(this.#count, (queued) => !queued.call.settled);
  }

  /** Puts writes back in front, in order. */
  unshift(writes: readonly Write[]): void {
    this.#writes.unshift(writes);
    this.#count += writes.length;
    for (const write of writes) this.#bytes += write.bytes;
  }

  /** Takes the next one if it costs at most `bytesMax`; null otherwise. */
  take(bytesMax: number): Write | null {
    for (let write = this.#writes.peek(); write !== null; write = this.#writes.peek()) {
      if (!write.call.settled && write.bytes > bytesMax) return null;
      this.#writes.shift();
      if (write.call.settled) continue;
      this.forget(write);
      return write;
    }
    return null;
  }

  /** The caller of a queued write stopped waiting. */
  forget(write: Write): void {
    this.#count--;
    this.#bytes -= write.bytes;
  }

  rejectAll(errorOf: (write: Write) => KvError): void {
    for (const write of this.#writes.drain()) {
      if (write.call.settled) continue;
      this.forget(write);
      write.call.reject(errorOf(write));
    }
  }

  giveUpAll(reason: GiveUpReason): void {
    for (const write of this.#writes.drain()) write.call.giveUp(reason);
  }
}
