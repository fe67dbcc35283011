import { assert } from '../../lib/index.ts';
import type { Entry, HardState, Ready, SnapshotMeta } from '../index.ts';

/** A log as its owner's Readies describe it. The judge's copy: it shares no code with the core. */
export class ShadowLog {
  #snapshot: SnapshotMeta | null = null;
  #entries: Entry[] = [];

  get snapshot(): SnapshotMeta | null {
    return this.#snapshot;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  get firstIndex(): number {
    return (this.#snapshot?.index ?? 0) + 1;
  }

  get lastIndex(): number {
    return this.firstIndex + this.#entries.length - 1;
  }

  /** Null for what is cut off below and what lies beyond the end. */
  entryAt(index: number): Entry | null {
    return this.#entries[index - this.firstIndex] ?? null;
  }

  /** Known for every entry, for the snapshot's index and for 0; null elsewhere. */
  termAt(index: number): number | null {
    if (index === this.firstIndex - 1) return this.#snapshot?.term ?? 0;
    return this.entryAt(index)?.term ?? null;
  }

  /** The first entry may overwrite a suffix; a gap is a fault. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index >= this.firstIndex && first.index <= this.lastIndex + 1, 'gap in the log', {
      index: first.index,
      firstIndex: this.firstIndex,
      lastIndex: this.lastIndex,
    });
    this.#entries.length = first.index - this.firstIndex;
    for (const entry of entries) {
      assert(entry.index === this.lastIndex + 1, 'gap between entries', { index: entry.index });
      this.#entries.push(entry);
    }
  }

  /** Throws the whole log away for a snapshot. */
  restore(snapshot: SnapshotMeta): void {
    this.#snapshot = snapshot;
    this.#entries = [];
  }

  /** Forgets the entries up to the snapshot and keeps the rest. */
  compact(snapshot: SnapshotMeta): void {
    if (snapshot.index < this.firstIndex) return;
    this.#entries.splice(0, snapshot.index - this.firstIndex + 1);
    this.#snapshot = snapshot;
  }
}

/** What one member finds again after a crash. */
export class ShadowDisk {
  readonly log = new ShadowLog();
  /** What a crash leaves; null before the first write. */
  hardState: HardState | null = null;
  /** Written and not necessarily durable: runs ahead of `hardState` by its commitIndex only. */
  written: HardState | null = null;

  /** Makes one Ready durable; called in the order of the Readies. */
  write(ready: Ready): void {
    const before = this.written ?? { term: 0, vote: null, commitIndex: 0 };
    const after = ready.hardState ?? before;
    assert(after.term >= before.term, 'written term went back', { before, after });
    assert(after.commitIndex >= before.commitIndex, 'written commitIndex went back', {
      before,
      after,
    });
    const voteChanged = after.term !== before.term || after.vote !== before.vote;
    if (voteChanged || ready.entries.length > 0 || ready.snapshot !== null) {
      assert(ready.mustSync, 'a Ready with a vote or entries does not ask for a sync', { after });
    }
    if (ready.snapshot !== null) this.log.restore(ready.snapshot);
    this.log.append(ready.entries);
    this.written = after;
    if (ready.mustSync) this.sync();
  }

  /** What was written is durable. */
  sync(): void {
    this.hardState = this.written;
  }
}
