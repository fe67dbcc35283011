import { assert, unreachable } from '../lib/index.ts';
import { InflightWindow } from './inflight.ts';
import type { RaftLimits } from './options.ts';

/**
 * How a follower is fed:
 * - `probe`: where its log matches is not known; one AppendEntries at a time.
 * - `replicate`: it matched; appends are sent ahead of the answers, within the window.
 * - `snapshot`: its next entry is gone; nothing is sent until the snapshot's fate is known.
 *
 *              accepted                        next entry compacted
 *      probe ───────────▶ replicate        probe ───────────▶ snapshot
 *            ◀───────────                        ◀───────────
 *       rejected, unreachable              failed, delivered; (accepted: to replicate)
 */
export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** What a leader knows of a member, for as long as it leads. Raft Fig. 2, thesis §10.2.1. */
export class Progress {
  #state: ProgressState = 'probe';
  #matchIndex = 0;
  #nextIndex: number;
  #sentCommitIndex = 0;
  #owesAppend = true;
  #heardTick: number;
  #readAttempt = 0;
  readonly #inflight: InflightWindow;

  constructor({
    nextIndex,
    tick,
    limits,
  }: { nextIndex: number; tick: number; limits: RaftLimits }) {
    this.#nextIndex = nextIndex;
    this.#heardTick = tick;
    this.#inflight = new InflightWindow({
      appendsMax: limits.inflightAppendsMax,
      bytesMax: limits.inflightBytesMax,
    });
  }

  get state(): ProgressState {
    return this.#state;
  }

  /** Highest index known durable and equal there. Monotonic; 0 ≤ matchIndex < nextIndex. */
  get matchIndex(): number {
    return this.#matchIndex;
  }

  /** The next entry to send. */
  get nextIndex(): number {
    return this.#nextIndex;
  }

  /** Tick at which it last answered (or at which this leadership, or its membership, began). */
  get heardTick(): number {
    return this.#heardTick;
  }

  /** Highest read attempt that it confirmed; 0 before the first. Monotonic. */
  get readAttempt(): number {
    return this.#readAttempt;
  }

  /** True when the window has no room for more entries. */
  get windowFull(): boolean {
    return this.#inflight.full;
  }

  heard(tick: number): void {
    this.#heardTick = tick;
  }

  confirmRead(attempt: number): void {
    if (attempt > this.#readAttempt) this.#readAttempt = attempt;
  }

  /** True when an AppendEntries should leave: for entries, for a commit index, or owed. */
  wantsAppend({ lastIndex, commitIndex }: { lastIndex: number; commitIndex: number }): boolean {
    switch (this.#state) {
      case 'probe':
        return this.#owesAppend;
      case 'replicate':
        return (
          this.#owesAppend ||
          (this.#nextIndex <= lastIndex && !this.#inflight.full) ||
          Math.min(commitIndex, this.#nextIndex - 1) > this.#sentCommitIndex
        );
      case 'snapshot':
        return false;
      default:
        return unreachable(this.#state);
    }
  }

  /** An AppendEntries left, up to `lastIndex` (nextIndex − 1 when it had no entries). */
  sentAppend(append: { lastIndex: number; bytes: number; commitIndex: number }): void {
    assert(this.#state !== 'snapshot', 'append sent during a snapshot', { ...append });
    this.#owesAppend = false;
    this.#sentCommitIndex = Math.max(
      this.#sentCommitIndex,
      Math.min(append.commitIndex, append.lastIndex),
    );
    if (this.#state === 'replicate' && append.lastIndex >= this.#nextIndex) {
      this.#inflight.add(append.lastIndex, append.bytes);
      this.#nextIndex = append.lastIndex + 1;
    }
  }

  /**
   * It answered a heartbeat: what was sent since may be lost, so one more append shows whether it
   * still matches. Resumes a paused probe, and a window that filled up with lost appends.
   */
  oweAppend(): void {
    this.#owesAppend = true;
  }

  /** It has everything up to `matchIndex`. Late and repeated answers change nothing. */
  accepted(matchIndex: number, firstIndex: number): void {
    const news = matchIndex > this.#matchIndex;
    if (news) {
      this.#matchIndex = matchIndex;
      this.#nextIndex = Math.max(this.#nextIndex, matchIndex + 1);
    }
    switch (this.#state) {
      case 'probe':
        if (matchIndex === this.#matchIndex) this.#becomeReplicate();
        return;
      case 'replicate':
        if (news) this.#inflight.freeTo(matchIndex);
        return;
      case 'snapshot':
        // Whatever brought it here: from now on the log suffices.
        if (news && matchIndex + 1 >= firstIndex) this.#becomeReplicate();
        return;
      default:
        unreachable(this.#state);
    }
  }

  /**
   * It refused the append that follows `prevLogIndex`; `retryIndex` < prevLogIndex is the highest
   * index that may match. False when the answer is old news (late, repeated, overtaken).
   */
  rejected({ prevLogIndex, retryIndex }: { prevLogIndex: number; retryIndex: number }): boolean {
    if (prevLogIndex <= this.#matchIndex) return false;
    switch (this.#state) {
      case 'probe':
        if (prevLogIndex !== this.#nextIndex - 1) return false;
        this.#nextIndex = Math.max(Math.min(prevLogIndex, retryIndex + 1), this.#matchIndex + 1);
        this.#owesAppend = true;
        return true;
      case 'replicate':
        this.becomeProbe({ owesAppend: true });
        return true;
      case 'snapshot':
        return false;
      default:
        return unreachable(this.#state);
    }
  }

  /** Back to what is certain, one append at a time, the first now or after a heartbeat's answer. */
  becomeProbe({ owesAppend }: { owesAppend: boolean }): void {
    this.#state = 'probe';
    this.#nextIndex = this.#matchIndex + 1;
    this.#sentCommitIndex = Math.min(this.#sentCommitIndex, this.#matchIndex);
    this.#owesAppend = owesAppend;
    this.#inflight.clear();
  }

  /** The snapshot at `index` is on its way. */
  becomeSnapshot(index: number): void {
    assert(index > this.#matchIndex, 'snapshot for a member that has it', { index });
    this.#state = 'snapshot';
    this.#nextIndex = index + 1;
    this.#owesAppend = false;
    this.#inflight.clear();
  }

  /** How the snapshot's transfer ended; what the member made of it, its own reply tells. */
  endSnapshot({ delivered }: { delivered: boolean }): void {
    if (this.#state !== 'snapshot') return;
    const afterSnapshot = this.#nextIndex;
    this.becomeProbe({ owesAppend: false });
    if (delivered) this.#nextIndex = afterSnapshot;
  }

  #becomeReplicate(): void {
    this.#state = 'replicate';
    this.#nextIndex = this.#matchIndex + 1;
    this.#owesAppend = false;
    this.#inflight.clear();
  }
}
