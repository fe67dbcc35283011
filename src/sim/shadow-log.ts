import { crc32 } from 'node:zlib';
import { ByteWriter } from '../lib/index.ts';
import { type Entry, encodeEntry, type HardState, type MemberId } from '../raft/index.ts';
import { Violation } from './violation.ts';
import { type BaseSeen, type LogBegin, readBatch } from './wal-reader.ts';

/** An entry with a checksum over it and all before it: equal chains mean equal logs. */
export interface ShadowEntry {
  readonly entry: Entry;
  readonly chain: number;
}

/** The entry that some member has applied at this index; null while none has. */
export type Committed = (index: number) => ShadowEntry | null;

/**
 * An entry is replaced by a batch that brings the member from one term to another; throws if it
 * must not be.
 */
export type Replaced = (change: {
  readonly index: number;
  readonly by: ShadowEntry;
  readonly termBefore: number;
  readonly term: number;
}) => void;

/** A vote counts as long as its candidate runs, and that ends when its disk is lost. */
interface Vote {
  readonly candidate: MemberId;
  /** Disks that the candidate had lost when the vote was cast. */
  readonly losses: number;
}

/** What a disk held at one moment. */
export interface ShadowCopy {
  readonly entries: readonly ShadowEntry[];
  readonly votes: ReadonlyMap<number, Vote>;
  readonly hardState: HardState | null;
  readonly floorTerm: number | null;
  readonly sequence: number;
  readonly batchChain: number;
}

/** What is durable on one member's disk, through all its incarnations, and what was before. */
export class ShadowLog {
  readonly name: string;
  #entries: ShadowEntry[] = [];
  /** What the disk held that was lost, or given up; oldest first. */
  readonly #lost: (readonly ShadowEntry[])[] = [];
  /** By term; also those that the disk has lost. */
  #votes = new Map<number, Vote>();
  readonly #writer = new ByteWriter();
  #hardState: HardState | null = null;
  #floorTerm: number | null = null;
  #sequence = 0;
  #batchChain = 0;
  #highestIndex = 0;
  /** Something was done to the disk: the log may begin anew. */
  #isExcused = false;
  #losses = 0;

  constructor(name: string) {
    this.name = name;
  }

  /** It has forgotten what it promised, and no leader of a later term has brought it up since. */
  get isForgetful(): boolean {
    const last = this.#entries.at(-1)?.entry.term ?? 0;
    return this.#floorTerm !== null && last <= this.#floorTerm;
  }

  get lastIndex(): number {
    return this.#entries.length;
  }

  /** The highest that ever was, also when other entries took its place. */
  get highestIndex(): number {
    return this.#highestIndex;
  }

  get term(): number {
    return this.#hardState?.term ?? 0;
  }

  at(index: number): ShadowEntry | null {
    return this.#entries[index - 1] ?? null;
  }

  /** It holds this entry, or held it on a disk that was taken from it. */
  hasHeld(index: number, chain: number): boolean {
    return [this.#entries, ...this.#lost].some((entries) => entries[index - 1]?.chain === chain);
  }

  /** How often its disk was damaged, or taken away. */
  get losses(): number {
    return this.#losses;
  }

  /** Its disk is damaged, or gone: the log may begin anew, until it is said to be in use again. */
  lose(): void {
    this.#losses++;
    this.#isExcused = true;
  }

  inUse(): void {
    this.#isExcused = false;
  }

  copy(): ShadowCopy {
    return {
      entries: [...this.#entries],
      votes: new Map(this.#votes),
      hardState: this.#hardState,
      floorTerm: this.#floorTerm,
      sequence: this.#sequence,
      batchChain: this.#batchChain,
    };
  }

  /** The disk is again as it was. */
  rollBack(to: ShadowCopy): void {
    this.#lost.push(this.#entries);
    this.#entries = [...to.entries];
    this.#votes = new Map(to.votes);
    this.#hardState = to.hardState;
    this.#floorTerm = to.floorTerm;
    this.#sequence = to.sequence;
    this.#batchChain = to.batchChain;
  }

  /**
   * A log begins on the disk, in the place of the one before.
   * @throws Violation when the member had no reason, or does not know how much it has forgotten
   */
  begin({ base, hardState, floorTerm }: LogBegin, committed: Committed): void {
    const { name } = this;
    const before = this.#entries;
    if (before.length > 0 && !this.#isExcused) {
      throw new Violation('durable data stays', `${name} began its log anew`);
    }
    const lostTerm = before.at(-1)?.entry.term ?? 0;
    if (before.length > 0 && (floorTerm ?? 0) < lostTerm) {
      const what = `${name} forgot an entry of term ${lostTerm}, and says ${floorTerm}`;
      throw new Violation('who has forgotten knows how much', what);
    }
    if (before.length > 0) this.#lost.push(before);
    this.#entries = [];
    if (base !== null) this.#restart(base, committed);
    this.#hardState = hardState;
    this.#floorTerm = floorTerm;
    this.#sequence = 0;
    this.#batchChain = 0;
  }

  voteIn(term: number): MemberId | null {
    return this.#votes.get(term)?.candidate ?? null;
  }

  /**
   * These bytes of the log have become durable.
   * @param committed for a snapshot, which stands for the committed entries up to it
   * @param lossesOf how often a candidate has lost its disk
   * @throws Violation when they contradict what was durable before.
   */
  onDurable(
    bytes: Uint8Array,
    replaced: Replaced,
    {
      committed = () => null,
      lossesOf = () => 0,
    }: { committed?: Committed; lossesOf?: (candidate: MemberId) => number } = {},
  ): void {
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
    const termBefore = this.term;
    const term = Math.max(termBefore, ...batch.records.map((record) => record.term));
    for (const record of batch.records) {
      if ('kind' in record) {
        this.#append(record, (index, by) => replaced({ index, by, termBefore, term }));
      } else if ('baseIndex' in record) this.#restart(record, committed);
      else this.#setHardState(record, lossesOf);
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
    this.#highestIndex = Math.max(this.#highestIndex, index);
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
    this.#highestIndex = Math.max(this.#highestIndex, baseIndex);
  }

  #setHardState(next: HardState, lossesOf: (candidate: MemberId) => number): void {
    const was = this.#hardState;
    if (was !== null && next.term < was.term) {
      const what = `${this.name} went from term ${was.term} to ${next.term}`;
      throw new Violation('the durable term grows', what);
    }
    if (next.vote !== null) {
      const { term, vote: candidate } = next;
      const before = this.#votes.get(term);
      const counts = before !== undefined && lossesOf(before.candidate) === before.losses;
      if (counts && before.candidate !== candidate) {
        const what = `${this.name} voted for ${before.candidate} and ${candidate} in term ${term}`;
        throw new Violation('one vote per term', what);
      }
      this.#votes.set(term, { candidate, losses: lossesOf(candidate) });
    }
    this.#hardState = next;
  }
}
