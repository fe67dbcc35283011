import { crc32 } from 'node:zlib';
import { ByteWriter } from '../lib/index.ts';
import { type Entry, encodeEntry, type HardState, type MemberId } from '../raft/index.ts';
import { Violation } from './violation.ts';
import { type BaseSeen, readBatch } from './wal-reader.ts';

/** An entry with a checksum over it and all before it: equal chains mean equal logs. */
export interface ShadowEntry {
  readonly entry: Entry;
  readonly chain: number;
}

/** The entry that some member has applied at this index; null while none has. */
export type Committed = (index: number) => ShadowEntry | null;

/** An entry is replaced by a batch that brings the member to `term`; throws if it must not be. */
export type Replaced = (change: { index: number; by: ShadowEntry; term: number }) => void;

/** What is durable on one member's disk, through all its incarnations. */
export class ShadowLog {
  readonly name: string;
  readonly #entries: ShadowEntry[] = [];
  readonly #votes = new Map<number, MemberId>();
  readonly #writer = new ByteWriter();
  #hardState: HardState | null = null;
  #sequence = 0;
  #batchChain = 0;

  constructor(name: string) {
    this.name = name;
  }

  get lastIndex(): number {
    return this.#entries.length;
  }

  get term(): number {
    return this.#hardState?.term ?? 0;
  }

  at(index: number): ShadowEntry | null {
    return this.#entries[index - 1] ?? null;
  }

  voteIn(term: number): MemberId | null {
    return this.#votes.get(term) ?? null;
  }

  /**
   * These bytes of the log have become durable.
   * @param committed for a snapshot, which stands for the committed entries up to it
   * @throws Violation when they contradict what was durable before.
   */
  onDurable(bytes: Uint8Array, replaced: Replaced, committed: Committed = () => null): void {
    const batch = readBatch(bytes);
    if (batch === null) return;
    // After a restart the last batch is written again, byte for byte.
    if (batch.sequence === this.#sequence && batch.chain === this.#batchChain) return;
    if (batch.sequence <= this.#sequence) {
      const what = `${this.name} overwrote batch ${batch.sequence} of ${this.#sequence}`;
      throw new Violation('durable data stays', what);
    }
    this.#sequence = batch.sequence;
    this.#batchChain = batch.chain;
    // Of one batch the hard state comes last, and is in force for all of it.
    const term = Math.max(this.term, ...batch.records.map((record) => record.term));
    for (const record of batch.records) {
      if ('kind' in record) {
        this.#append(record, (index, by) => replaced({ index, by, term }));
      } else if ('baseIndex' in record) this.#restart(record, committed);
      else this.#setHardState(record);
    }
  }

  #append(entry: Entry, replaced: (index: number, by: ShadowEntry) => void): void {
    const { index, term } = entry;
    const previous = this.#entries[index - 2]?.chain ?? 0;
    this.#writer.clear();
    encodeEntry(this.#writer, entry);
    const next = { entry, chain: crc32(this.#writer.view(), previous) };
    const before = this.at(index);
    if (before !== null) {
      if (before.entry.term === term) {
        const what = `${this.name} wrote entry (${index}, ${term}) twice: it had forgotten it`;
        throw new Violation('durable data stays', what);
      }
      replaced(index, next);
      this.#entries.length = index - 1;
    } else if (index !== this.#entries.length + 1) {
      throw new Violation('log without gaps', `${this.name} wrote entry ${index}`);
    }
    this.#entries.push(next);
  }

  /** The log is now that of the snapshot: a prefix of the committed one. */
  #restart({ baseIndex, term }: BaseSeen, committed: Committed): void {
    const last = committed(baseIndex);
    if (last === null || last.entry.term !== term) {
      const what = `${this.name} installed entry ${baseIndex} of term ${term}`;
      throw new Violation('a snapshot is of committed entries', what);
    }
    this.#entries.length = 0;
    for (let index = 1; index <= baseIndex; index++) {
      const entry = committed(index);
      if (entry !== null) this.#entries.push(entry);
    }
  }

  #setHardState(next: HardState): void {
    const was = this.#hardState;
    if (was !== null && next.term < was.term) {
      const what = `${this.name} went from term ${was.term} to ${next.term}`;
      throw new Violation('the durable term grows', what);
    }
    if (next.vote !== null) {
      const before = this.#votes.get(next.term);
      if (before !== undefined && before !== next.vote) {
        const what = `${this.name} voted for ${before} and ${next.vote} in term ${next.term}`;
        throw new Violation('one vote per term', what);
      }
      this.#votes.set(next.term, next.vote);
    }
    this.#hardState = next;
  }
}
