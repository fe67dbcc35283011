import type { Clock } from '../../io/index.ts';
import { assert } from '../../lib/index.ts';
import { type ConfState, type Entry, entryBytes, type HardState } from '../../raft/index.ts';
import type { LogPosition, Wal, WalBatch, WalRecovery } from '../../wal/index.ts';

interface Waiting {
  readonly batch: WalBatch;
  readonly done: () => void;
  readonly sinceMs: number;
}

/**
 * A log in memory whose disk takes `syncMs`, or stands still, as the test wants. Group commit as in
 * the real one: what comes during a sync waits for it, and is then synced together.
 */
export class MemoryWal implements Wal {
  readonly recovery: WalRecovery;
  readonly #clock: Clock;
  /** What the entries follow. */
  #base: LogPosition = { index: 0, term: 0 };
  #entries: Entry[] = [];
  #hardState: HardState | null = null;
  #waiting: Waiting[] = [];
  /** Of the waiting ones, so many are being synced; 0: the disk is idle. */
  #syncing = 0;
  /** The disk has had its time for them. */
  #isDue = false;
  #closed = false;
  syncMs = 1;
  stalled = false;

  /** `state`: what the state machine holds durably. */
  constructor(clock: Clock, confState: ConfState, before: MemoryWal | null, state: LogPosition) {
    this.#clock = clock;
    if (before !== null) {
      this.#base = before.#base;
      this.#entries = [...before.#entries];
      this.#hardState = before.#hardState;
    }
    const reset = this.#reachesOnly(state);
    if (reset) this.#startBehind(state);
    assert(this.#base.index <= state.index, 'gap between state and log', { base: this.#base });
    const commitIndex = Math.max(state.index, this.#hardState?.commitIndex ?? 0);
    this.recovery = {
      created: before === null,
      confState,
      hardState: this.#hardState === null ? null : { ...this.#hardState, commitIndex },
      entries: this.#entries.filter((entry) => entry.index > state.index),
      earlierEntries: this.#entries.filter((entry) => entry.index <= state.index),
      tail: { kind: 'clean' },
      reset,
      rejoinFloorTerm: null,
    };
  }

  get sizeBytes(): number {
    return this.#entries.reduce((sum, entry) => sum + entryBytes(entry), 0);
  }

  /** It has no segments. */
  readonly surplusBytes = 0;

  tailAfter(): number {
    return 0;
  }

  get firstIndex(): number {
    return this.#base.index + 1;
  }

  get #lastIndex(): number {
    return this.#base.index + this.#entries.length;
  }

  /** What a restart would find. */
  get durable(): { readonly hardState: HardState | null; readonly lastIndex: number } {
    return { hardState: this.#hardState, lastIndex: this.#lastIndex };
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
    this.#waiting.push({ batch, done, sinceMs: this.#clock.nowMs() });
    if (this.#syncing === 0) this.#begin();
  }

  compact(index: number): void {
    assert(index <= this.#lastIndex, 'compaction beyond the log', { index });
    if (index <= this.#base.index) return;
    const term = this.#termAt(index) as number;
    this.#entries.splice(0, index - this.#base.index);
    this.#base = { index, term };
  }

  /** The disk works again. */
  resume(): void {
    this.stalled = false;
    this.#finish();
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

  #begin(): void {
    this.#syncing = this.#waiting.length;
    this.#isDue = false;
    this.#clock.setTimer(this.syncMs, () => {
      this.#isDue = true;
      this.#finish();
    });
  }

  #finish(): void {
    if (this.stalled || this.#closed || !this.#isDue) return;
    const group = this.#waiting.splice(0, this.#syncing);
    this.#syncing = 0;
    this.#isDue = false;
    for (const { batch } of group) this.#store(batch);
    for (const { done } of group) done();
    if (this.#syncing === 0 && this.#waiting.length > 0) this.#begin();
  }

  #store({ hardState, entries, base = null }: WalBatch): void {
    const commitIndex = this.#hardState?.commitIndex ?? 0;
    if (base !== null) {
      assert(base.index >= commitIndex, 'base below the commit index', { ...base, commitIndex });
      this.#startBehind(base);
    }
    const [first] = entries;
    if (first !== undefined) {
      assert(
        first.index > this.#base.index && first.index <= this.#lastIndex + 1,
        'gap in the log',
      );
      assert(first.index > commitIndex, 'a committed entry replaced', { index: first.index });
      this.#entries.length = first.index - 1 - this.#base.index;
      this.#entries.push(...entries);
    }
    if (hardState === null) return;
    assert(hardState.term >= (this.#hardState?.term ?? 0), 'term went back', { ...hardState });
    assert(hardState.commitIndex <= this.#lastIndex, 'commit beyond the log', { ...hardState });
    this.#hardState = hardState;
  }

  #startBehind({ index, term }: LogPosition): void {
    this.#base = { index, term };
    this.#entries = [];
  }

  /** True when the state is ahead of the log or of another history. */
  #reachesOnly(state: LogPosition): boolean {
    if (state.index === 0) return false;
    return state.index > this.#lastIndex || this.#termAt(state.index) !== state.term;
  }

  #termAt(index: number): number | null {
    if (index === this.#base.index) return this.#base.term;
    return this.#entries[index - this.#base.index - 1]?.term ?? null;
  }
}
