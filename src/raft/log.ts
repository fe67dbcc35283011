import { assert } from '../lib/index.ts';
import { entryBytes } from './codec.ts';
import { ConfHistory } from './conf.ts';
import type { ConfState, Entry, SnapshotMeta } from './types.ts';
import { PendingWrites } from './writes.ts';

/*
 * The log in memory, from the last compaction on:
 *
 *   snapshot.index   applied   handedOut   commitIndex   durableIndex   written   lastIndex
 *         │             │          │            │              │            │          │
 *   ──────┼─────────────┼──────────┼────────────┼──────────────┼────────────┼──────────┤
 *     compacted     by the state   given to the driver     on this disk  in a Ready  here
 *                   machine        to apply
 *
 * snapshot ≤ applied ≤ handedOut ≤ min(commit, durable) and durable ≤ written ≤ last always hold;
 * commit and durable may stand in either order. While a snapshot waits to become durable,
 * everything left of it is the snapshot itself: durable < snapshot, and nothing is handed out.
 */

/** What it means, and what to do: no correct disk and no correct leader come here. */
const LOST_ENTRIES =
  'the log lost entries that it had acknowledged: its directory was restored from an older copy, ' +
  'or the disk lied about a sync. Move the directory away and start with an empty one: it ' +
  'asks the others and catches up';

/** A place in the log. Two logs that share one are equal up to it: Log Matching, Raft §5.3. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** What the log starts from; see RaftOptions. */
export interface LogOptions {
  readonly snapshot: SnapshotMeta;
  readonly entries: readonly Entry[];
  readonly commitIndex: number;
  readonly applied: number;
}

/** Entries, configurations and how far each of them has come. */
export class RaftLog {
  #snapshot: SnapshotMeta;
  /** Entries from snapshot.index + 1 on, without a gap, terms never descending. */
  #entries: Entry[] = [];
  /** Size of `#entries`. */
  #bytes = 0;
  #confs: ConfHistory;
  #commitIndex: number;
  #durableIndex: number;
  #writtenIndex: number;
  #handedOutIndex: number;
  #applied: number;
  /** A received snapshot that no Ready has carried yet. */
  #unwrittenSnapshot: SnapshotMeta | null = null;
  readonly #writes = new PendingWrites();

  constructor({ snapshot, entries, commitIndex, applied }: LogOptions) {
    this.#snapshot = snapshot;
    this.#confs = new ConfHistory(snapshot.index, snapshot.confState);
    this.#commitIndex = snapshot.index;
    this.#handedOutIndex = applied;
    this.#applied = applied;
    for (const entry of entries) this.append(entry);
    this.#durableIndex = this.lastIndex;
    this.#writtenIndex = this.lastIndex;
    this.commitTo(Math.max(commitIndex, applied));
    assert(applied >= snapshot.index, 'applied lies before the snapshot', { applied });
  }

  /** Index of the first entry that is still here; lastIndex + 1 when none is. */
  get firstIndex(): number {
    return this.#snapshot.index + 1;
  }

  get lastIndex(): number {
    return this.#snapshot.index + this.#entries.length;
  }

  get lastTerm(): number {
    return this.#entries[this.#entries.length - 1]?.term ?? this.#snapshot.term;
  }

  /** Size of the entries that are here, in bytes. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Highest index known committed; never decreases. */
  get commitIndex(): number {
    return this.#commitIndex;
  }

  /** Highest index known durable here; goes back only when uncommitted entries are overwritten. */
  get durableIndex(): number {
    return this.#durableIndex;
  }

  /** Highest index that the state machine has applied; never decreases. */
  get applied(): number {
    return this.#applied;
  }

  /** What the entries follow; index 0, term 0 for the beginning of time. */
  get snapshot(): SnapshotMeta {
    return this.#snapshot;
  }

  /** True while a received snapshot is not durable yet. */
  get snapshotPending(): boolean {
    return this.#durableIndex < this.#snapshot.index;
  }

  /** The configuration in force: that of the last confChange in the log, committed or not. */
  get conf(): ConfState {
    return this.#confs.latest;
  }

  /** The configuration of the committed part of the log. */
  get committedConf(): ConfState {
    return this.#confs.at(this.#commitIndex);
  }

  /** Index of the entry that brought `conf`. */
  get confIndex(): number {
    return this.#confs.latestIndex;
  }

  /** Term of the entry at `index`; null when it is compacted or not here yet. */
  termAt(index: number): number | null {
    if (index === this.#snapshot.index) return this.#snapshot.term;
    return this.#entries[index - this.firstIndex]?.term ?? null;
  }

  /** True when the log holds this very entry. */
  matches({ index, term }: LogPosition): boolean {
    return this.termAt(index) === term;
  }

  /** True when a log that ends there is at least as up-to-date as this one. Raft §5.4.1. */
  isUpToDate({ index, term }: LogPosition): boolean {
    return term > this.lastTerm || (term === this.lastTerm && index >= this.lastIndex);
  }

  /**
   * The highest index ≤ `index` whose term is ≤ `term`: beyond it, this log can't match one that
   * has (index, term). Below what is here the answer is a guess that leads to the snapshot.
   */
  lastNotAfter({ index, term }: LogPosition): number {
    const { index: baseIndex, term: baseTerm } = this.#snapshot;
    if (index < baseIndex) return index;
    if (baseTerm > term) return baseIndex - 1;
    // Terms never descend, so halving finds the last one: O(log n) for a log of n entries.
    let low = baseIndex;
    let high = Math.min(index, this.lastIndex);
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((this.termAt(middle) as number) <= term) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Entries `from` … `to` with their size: at least one (if from ≤ to), otherwise at most
   * `bytesMax`. The entries are shared, not copied.
   */
  slice({ from, to, bytesMax }: { from: number; to: number; bytesMax: number }): {
    readonly entries: readonly Entry[];
    readonly bytes: number;
  } {
    let bytes = 0;
    let end = from;
    for (; end <= to; end++) {
      const size = entryBytes(this.#entryAt(end));
      if (bytes + size > bytesMax && end > from) break;
      bytes += size;
    }
    return { entries: this.#entries.slice(from - this.firstIndex, end - this.firstIndex), bytes };
  }

  /** Size of the entries after `after` up to `to`, in bytes. */
  bytesBetween(after: number, to: number): number {
    let bytes = 0;
    for (let index = after + 1; index <= to; index++) bytes += entryBytes(this.#entryAt(index));
    return bytes;
  }

  /** Puts one entry at the end. A change of the configuration is in force from here on. */
  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'entry leaves a gap or overwrites', {
      index: entry.index,
      lastIndex: this.lastIndex,
    });
    assert(entry.term >= this.lastTerm, 'terms descend in the log', { index: entry.index });
    this.#entries.push(entry);
    this.#bytes += entryBytes(entry);
    if (entry.kind === 'confChange') this.#confs.push(entry.index, entry.change);
  }

  /**
   * Takes a leader's entries, which follow something that matches. What is here already stays, so
   * late and repeated messages remove nothing; from the first conflict on the leader's word counts.
   * Raft §5.3.
   */
  merge(entries: readonly Entry[]): void {
    for (const [i, entry] of entries.entries()) {
      if (this.matches(entry)) continue;
      if (entry.index <= this.lastIndex) this.#truncate(entry.index);
      for (const fresh of entries.slice(i)) this.append(fresh);
      return;
    }
  }

  #truncate(from: number): void {
    assert(from > this.#commitIndex, 'a committed entry would be overwritten', {
      from,
      commitIndex: this.#commitIndex,
    });
    this.#bytes -= this.bytesBetween(from - 1, this.lastIndex);
    this.#entries.length = from - this.firstIndex;
    this.#confs.truncate(from);
    this.#unwriteFrom(from);
  }

  #unwriteFrom(from: number): void {
    this.#writes.truncate(from - 1);
    this.#writtenIndex = Math.min(this.#writtenIndex, from - 1);
    this.#durableIndex = Math.min(this.#durableIndex, from - 1);
  }

  /** Raises the commit index, as only `restore` does besides; false when it was as high before. */
  commitTo(index: number): boolean {
    if (index <= this.#commitIndex) return false;
    assert(index <= this.lastIndex, LOST_ENTRIES, {
      index,
      lastIndex: this.lastIndex,
    });
    this.#commitIndex = index;
    return true;
  }

  /** Replaces everything by a snapshot that is ahead of the commit index. */
  restore(snapshot: SnapshotMeta): void {
    assert(snapshot.index > this.#commitIndex, 'snapshot would roll back', {
      index: snapshot.index,
      commitIndex: this.#commitIndex,
    });
    this.#unwriteFrom(this.#commitIndex + 1);
    this.#snapshot = snapshot;
    this.#entries = [];
    this.#bytes = 0;
    this.#confs = new ConfHistory(snapshot.index, snapshot.confState);
    this.#commitIndex = snapshot.index;
    this.#writtenIndex = snapshot.index;
    this.#handedOutIndex = snapshot.index;
    this.#unwrittenSnapshot = snapshot;
  }

  /** True when a Ready would have something to write. */
  get hasUnwritten(): boolean {
    return this.#unwrittenSnapshot !== null || this.#writtenIndex < this.lastIndex;
  }

  /** What the disk has not been asked for yet, and the number under which it is confirmed. */
  takeUnwritten(): { sequence: number; snapshot: SnapshotMeta | null; entries: readonly Entry[] } {
    const snapshot = this.#unwrittenSnapshot;
    const entries = this.#entries.slice(this.#writtenIndex + 1 - this.firstIndex);
    this.#unwrittenSnapshot = null;
    this.#writtenIndex = this.lastIndex;
    return { sequence: this.#writes.add(this.lastIndex), snapshot, entries };
  }

  /** Everything up to this number is durable. */
  confirmWritten(sequence: number): void {
    const index = this.#writes.confirm(sequence);
    if (index <= this.#durableIndex) return;
    this.#durableIndex = index;
    // A snapshot that became durable is the state machine's new state.
    if (!this.snapshotPending) this.#applied = Math.max(this.#applied, this.#snapshot.index);
  }

  /** True when there is something to apply. */
  get hasApplicable(): boolean {
    return this.#handedOutIndex < this.#applicableIndex;
  }

  /** What is committed, durable and not yet handed out; beyond one entry at most `bytesMax`. */
  takeApplicable(bytesMax: number): readonly Entry[] {
    if (!this.hasApplicable) return [];
    const from = this.#handedOutIndex + 1;
    const { entries } = this.slice({ from, to: this.#applicableIndex, bytesMax });
    this.#handedOutIndex += entries.length;
    return entries;
  }

  get #applicableIndex(): number {
    return Math.min(this.#commitIndex, this.#durableIndex);
  }

  /** The state machine has applied up to `index`; late reports change nothing. */
  appliedTo(index: number): void {
    assert(index <= this.#handedOutIndex, 'applied what was never handed out', { index });
    this.#applied = Math.max(this.#applied, index);
  }

  /** The lowest index behind which at most `bytesMax` of entries are left. */
  tailAfter(bytesMax: number): number {
    let index = this.lastIndex;
    for (let bytes = 0; index >= this.firstIndex; index--) {
      bytes += entryBytes(this.#entryAt(index));
      if (bytes > bytesMax) break;
    }
    return index;
  }

  /** The configuration in force for the log that ends at `index`, which is not compacted. */
  confAt(index: number): ConfState {
    return this.#confs.at(index);
  }

  /** Forgets entries up to an applied index; one that is compacted already changes nothing. */
  compact(index: number): void {
    if (index <= this.#snapshot.index) return;
    assert(index <= this.#applied, 'compaction of what is not applied', { index });
    const { term } = this.#entryAt(index);
    this.#bytes -= this.bytesBetween(this.#snapshot.index, index);
    this.#entries.splice(0, index - this.#snapshot.index);
    this.#confs.compact(index);
    this.#snapshot = { index, term, confState: this.confAt(index) };
  }

  #entryAt(index: number): Entry {
    const entry = this.#entries[index - this.firstIndex];
    assert(entry !== undefined, 'no entry at this index', { index });
    return entry;
  }
}
