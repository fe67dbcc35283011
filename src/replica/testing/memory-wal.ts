import type { Clock } from '../../io/index.ts';
import type { ConfState, Entry, HardState } from '../../raft/index.ts';
import type { Wal, WalBatch, WalRecovery } from '../../wal/index.ts';

interface Waiting {
  readonly batch: WalBatch;
  readonly done: () => void;
  readonly sinceMs: number;
  readonly dueMs: number;
}

/** A log in memory whose disk takes `syncMs`, or stands still, as the test wants. */
export class MemoryWal implements Wal {
  readonly recovery: WalRecovery;
  readonly #clock: Clock;
  readonly #entries: Entry[];
  #hardState: HardState | null;
  #waiting: Waiting[] = [];
  #closed = false;
  syncMs = 1;
  stalled = false;

  constructor(clock: Clock, confState: ConfState, before: MemoryWal | null) {
    this.#clock = clock;
    this.#entries = before === null ? [] : [...before.#entries];
    this.#hardState = before === null ? null : before.#hardState;
    this.recovery = {
      created: before === null,
      confState,
      hardState: this.#hardState,
      entries: [...this.#entries],
      tail: { kind: 'clean' },
    };
  }

  get sizeBytes(): number {
    return this.#entries.length;
  }

  /** What a restart would find. */
  get durable(): { readonly hardState: HardState | null; readonly lastIndex: number } {
    return { hardState: this.#hardState, lastIndex: this.#entries.at(-1)?.index ?? 0 };
  }

  /** Batches that were written and are not synced. */
  get unsynced(): number {
    return this.#waiting.length;
  }

  waitingMs(): number | null {
    const [oldest] = this.#waiting;
    return oldest === undefined ? null : this.#clock.nowMs() - oldest.sinceMs;
  }

  append(batch: WalBatch, done: () => void): void {
    const sinceMs = this.#clock.nowMs();
    this.#waiting.push({ batch, done, sinceMs, dueMs: sinceMs + this.syncMs });
    this.#clock.setTimer(this.syncMs, () => this.#sync());
  }

  /** The disk works again. */
  resume(): void {
    this.stalled = false;
    this.#sync();
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  /** The power goes: of the batches that are not synced, the first `kept` survive all the same. */
  cutPower(kept: number): void {
    this.#closed = true;
    for (const { batch } of this.#waiting.slice(0, kept)) this.#store(batch);
    this.#waiting = [];
  }

  #sync(): void {
    if (this.stalled || this.#closed) return;
    const ready = this.#waiting.filter((each) => each.dueMs <= this.#clock.nowMs());
    this.#waiting = this.#waiting.slice(ready.length);
    for (const { batch, done } of ready) {
      this.#store(batch);
      done();
    }
  }

  #store(batch: WalBatch): void {
    if (batch.hardState !== null) this.#hardState = batch.hardState;
    const [first] = batch.entries;
    if (first !== undefined) this.#entries.length = first.index - 1;
    this.#entries.push(...batch.entries);
  }
}
