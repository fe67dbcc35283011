import type { Socket } from 'node:net';

/** Bytes a flow holds back before it stops reading from its source. */
const QUEUED_BYTES_MAX = 1024 * 1024;

/** What a flow asks of, and tells, the link it belongs to. */
export interface FlowOwner {
  /** How long a byte that arrives now is held back, milliseconds. */
  delayMs(): number;
  onDelivered(bytes: number): void;
  onDropped?(bytes: number): void;
}

/** `held`: neither reads nor delivers. `dropping`: reads everything and delivers nothing. */
export type FlowState = 'flowing' | 'held' | 'dropping';

/** One direction of a proxied connection: bytes in order, late on request, with back-pressure. */
export class Flow {
  readonly #source: Socket;
  readonly #sink: Socket;
  readonly #owner: FlowOwner;
  readonly #queue: { dueMs: number; bytes: Uint8Array }[] = [];
  #queuedBytes = 0;
  #state: FlowState = 'flowing';
  #timer: NodeJS.Timeout | null = null;
  /** The sink has asked to wait until it has drained. */
  #full = false;
  #sourceEnded = false;
  #finished = false;
  #droppedBytes = 0;

  constructor(source: Socket, sink: Socket, owner: FlowOwner) {
    this.#source = source;
    this.#sink = sink;
    this.#owner = owner;
    source.on('data', (bytes) => this.#take(bytes));
    source.on('end', () => {
      this.#sourceEnded = true;
      this.#deliver();
    });
    sink.on('drain', () => {
      this.#full = false;
      this.#deliver();
    });
  }

  /** The source has ended and everything it sent was delivered. */
  get finished(): boolean {
    return this.#finished;
  }

  /** Bytes this flow has lost: the stream behind them has a hole. */
  get droppedBytes(): number {
    return this.#droppedBytes;
  }

  setState(state: FlowState): void {
    this.#state = state;
    this.#deliver();
  }

  /** Forgets what is queued, for a connection that is being broken. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }

  #take(bytes: Buffer): void {
    if (this.#state === 'dropping') {
      this.#drop(bytes.length);
      return;
    }
    const dueMs = performance.now() + this.#owner.delayMs();
    const previousMs = this.#queue.at(-1)?.dueMs ?? 0;
    this.#queue.push({ dueMs: Math.max(dueMs, previousMs), bytes });
    this.#queuedBytes += bytes.length;
    this.#deliver();
  }

  #drop(bytes: number): void {
    this.#droppedBytes += bytes;
    this.#owner.onDropped?.(bytes);
  }

  #deliver(): void {
    if (this.#state === 'dropping') {
      if (this.#queuedBytes > 0) this.#drop(this.#queuedBytes);
      this.stop();
    }
    while (this.#state === 'flowing' && !this.#full) {
      const next = this.#queue[0];
      if (next === undefined || next.dueMs > performance.now()) break;
      this.#queue.shift();
      this.#queuedBytes -= next.bytes.length;
      this.#full = !this.#sink.write(next.bytes);
      this.#owner.onDelivered(next.bytes.length);
    }
    this.#wait();
  }

  #wait(): void {
    const reading = this.#state !== 'held' && this.#queuedBytes < QUEUED_BYTES_MAX;
    if (reading) this.#source.resume();
    else this.#source.pause();
    const next = this.#queue[0];
    if (next === undefined) {
      if (this.#sourceEnded && !this.#finished && this.#state !== 'held') this.#finish();
      return;
    }
    if (this.#state !== 'flowing' || this.#full || this.#timer !== null) return;
    this.#timer = setTimeout(
      () => {
        this.#timer = null;
        this.#deliver();
      },
      Math.max(0, Math.ceil(next.dueMs - performance.now())),
    );
  }

  #finish(): void {
    this.#finished = true;
    this.#sink.end();
  }
}
