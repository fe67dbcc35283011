import {
  assert,
  ByteReader,
  ByteWriter,
  DecodeError,
  equalBytes,
  unreachable,
} from '../lib/index.ts';
import {
  type ConfState,
  decodeConfState,
  decodeEntry,
  decodeHardState,
  type Entry,
  encodeConfState,
  encodeEntry,
  encodeHardState,
  type HardState,
} from '../raft/index.ts';
import { PREAMBLE_BYTES_MAX } from './limits.ts';
import type { LogPosition, WalBatch } from './types.ts';

const CONF_STATE = 1;
const HARD_STATE = 2;
const ENTRY = 3;
const BASE = 4;
const REJOIN = 5;
const REJOINED = 6;

/** Upper bound of an encoded hard state with its type; of a base and of `rejoined` too. */
export const HARD_STATE_RECORD_BYTES_MAX = 32;

function writeConfState(writer: ByteWriter, confState: ConfState): void {
  writer.u8(CONF_STATE);
  encodeConfState(writer, confState);
}

export function writeHardState(writer: ByteWriter, hardState: HardState): void {
  writer.u8(HARD_STATE);
  encodeHardState(writer, hardState);
}

export function writeEntry(writer: ByteWriter, entry: Entry): void {
  writer.u8(ENTRY);
  encodeEntry(writer, entry);
}

export function writeBase(writer: ByteWriter, base: LogPosition): void {
  writer.u8(BASE);
  writer.varint(base.index);
  writer.varint(base.term);
}

export function writeRejoined(writer: ByteWriter): void {
  writer.u8(REJOINED);
}

/** What a log says besides its entries; each preamble repeats it, so that older segments can go. */
export interface Preamble {
  /** The configuration that the log began with. */
  readonly confState: ConfState;
  /** The snapshot behind which the log last started anew; null when it began with entry 1. */
  readonly base: LogPosition | null;
  readonly hardState: HardState | null;
  /** See `WalRecovery.rejoinFloorTerm`. */
  readonly rejoinFloorTerm: number | null;
}

/** A preamble's payload: one encoding for one meaning. */
export function encodePreamble(preamble: Preamble): Uint8Array {
  const { confState, base, hardState, rejoinFloorTerm } = preamble;
  const writer = new ByteWriter();
  writeConfState(writer, confState);
  if (base !== null) writeBase(writer, base);
  if (hardState !== null) writeHardState(writer, hardState);
  if (rejoinFloorTerm !== null) {
    writer.u8(REJOIN);
    writer.varint(rejoinFloorTerm);
  }
  assert(writer.length <= PREAMBLE_BYTES_MAX, 'the initial configuration has too many members', {
    bytes: writer.length,
  });
  return writer.finish();
}

/** @throws DecodeError for anything that `encodePreamble` would not write. */
export function decodePreamble(payload: Uint8Array): Preamble {
  const reader = new ByteReader(payload);
  const next = (type: number): boolean => {
    if (reader.remaining === 0 || payload[reader.offset] !== type) return false;
    return reader.u8() === type;
  };
  if (!next(CONF_STATE)) throw new DecodeError('preamble without configuration', 0);
  const preamble = {
    confState: decodeConfState(reader),
    base: next(BASE) ? decodeBase(reader) : null,
    hardState: next(HARD_STATE) ? decodeHardState(reader) : null,
    rejoinFloorTerm: next(REJOIN) ? reader.varint() : null,
  };
  reader.end();
  return preamble;
}

function decodeBase(reader: ByteReader): LogPosition {
  const base = { index: reader.varint(), term: reader.varint() };
  if (base.index === 0 || base.term === 0) throw new DecodeError('base without place', 0);
  return base;
}

/** One thing that a data batch says. */
export type WalRecord =
  | { readonly type: 'confState'; readonly confState: ConfState }
  | { readonly type: 'hardState'; readonly hardState: HardState }
  | { readonly type: 'entry'; readonly entry: Entry }
  | { readonly type: 'base'; readonly base: LogPosition }
  | { readonly type: 'rejoined' };

/**
 * The records of a data batch, in their order.
 * @throws DecodeError
 */
export function* decodeRecords(payload: Uint8Array): Generator<WalRecord> {
  const reader = new ByteReader(payload);
  while (reader.remaining > 0) {
    const type = reader.u8();
    switch (type) {
      case CONF_STATE:
        yield { type: 'confState', confState: decodeConfState(reader) };
        break;
      case HARD_STATE:
        yield { type: 'hardState', hardState: decodeHardState(reader) };
        break;
      case ENTRY:
        yield { type: 'entry', entry: decodeEntry(reader) };
        break;
      case BASE:
        yield { type: 'base', base: decodeBase(reader) };
        break;
      case REJOINED:
        yield { type: 'rejoined' };
        break;
      default:
        throw new DecodeError(`unknown record type ${type}`, reader.offset - 1);
    }
  }
}

/** True when `payload` is what `encodePreamble` makes of `preamble`. */
function isPreamble(payload: Uint8Array, preamble: Preamble): boolean {
  return equalBytes(payload, encodePreamble(preamble));
}

/** Where a log stands: what the next batch must agree with. */
export interface LogHead {
  readonly base: LogPosition | null;
  readonly hardState: HardState | null;
  readonly rejoinFloorTerm: number | null;
  /** Index and term of the last entry, or of the base; both 0 when there is none. */
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** Where a log stands behind `batch`, which has no `batchProblem`. */
export function headBehind(head: LogHead, batch: WalBatch): LogHead {
  const { base = null, entries, hardState, rejoined = false } = batch;
  const last = entries.at(-1) ?? base;
  return {
    base: base ?? head.base,
    hardState: hardState ?? head.hardState,
    rejoinFloorTerm: rejoined ? null : head.rejoinFloorTerm,
    lastIndex: last?.index ?? head.lastIndex,
    lastTerm: last?.term ?? head.lastTerm,
  };
}

/** What can't change any more: committed entries, and those that a snapshot stands for. */
function settledIndex(head: LogHead): number {
  return Math.max(head.hardState?.commitIndex ?? 0, head.base?.index ?? 0);
}

/** A snapshot holds committed entries only: it never takes one back. */
function baseProblem(head: LogHead, base: LogPosition): string | null {
  if (base.term < 1) return 'the base has no term';
  if (base.index >= Math.max(1, settledIndex(head))) return null;
  return `base ${base.index} lies before what is settled, ${settledIndex(head)}`;
}

/** Raft §5.3: only a suffix that is not committed is ever replaced. */
function entryProblem(head: LogHead, entry: Entry): string | null {
  if (entry.index < 1 || entry.index > head.lastIndex + 1) {
    return `entry ${entry.index} leaves a gap behind entry ${head.lastIndex}`;
  }
  if (entry.index <= settledIndex(head)) {
    return `entry ${entry.index} would replace a committed one`;
  }
  return null;
}

/** Raft, Fig. 2: the term grows, and one vote is cast in it. */
function hardStateProblem(head: LogHead, next: HardState): string | null {
  const was = head.hardState;
  if (next.commitIndex > head.lastIndex) {
    return `commit index ${next.commitIndex} is beyond the last entry ${head.lastIndex}`;
  }
  if (was === null) return null;
  if (next.term < was.term) return `term went back from ${was.term} to ${next.term}`;
  if (next.term === was.term && was.vote !== null && next.vote !== was.vote) {
    return `the vote in term ${was.term} changed`;
  }
  if (next.commitIndex < was.commitIndex) {
    return `commit index went back from ${was.commitIndex} to ${next.commitIndex}`;
  }
  return null;
}

/** Only a member that was to come back can have come back. */
function rejoinedProblem(head: LogHead): string | null {
  return head.rejoinFloorTerm === null ? 'a member that is no stranger has rejoined' : null;
}

/**
 * Checks a whole batch before any of it is written.
 * @returns what is wrong, or null
 */
export function batchProblem(head: LogHead, batch: WalBatch): string | null {
  const { base = null, entries, hardState, rejoined = false } = batch;
  let problem = base === null ? null : baseProblem(head, base);
  let at = base === null ? head : headBehind(head, { base, entries: [], hardState: null });
  for (const entry of entries) {
    problem ??= entryProblem(at, entry);
    if (problem !== null) return problem;
    at = { ...at, lastIndex: entry.index, lastTerm: entry.term };
  }
  if (hardState !== null) problem ??= hardStateProblem(at, hardState);
  if (rejoined) problem ??= rejoinedProblem(at);
  return problem;
}

/** What a log holds, built up record by record. */
export class LogContent implements LogHead {
  confState: ConfState | null = null;
  base: LogPosition | null = null;
  hardState: HardState | null = null;
  rejoinFloorTerm: number | null = null;
  /** The entries in force from `firstIndex` on. */
  entries: Entry[] = [];
  /** Place before the first of `entries`; its term is null when no file tells. */
  #before: { readonly index: number; readonly term: number | null } = { index: 0, term: 0 };
  /** False while what earlier segments said is unknown. */
  #isWhole = true;
  #replacedFrom: number | null = null;

  /** Lowest index that an entry still has. */
  get firstIndex(): number {
    return this.#before.index + 1;
  }

  get lastIndex(): number {
    return this.#before.index + this.entries.length;
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? this.#before.term ?? 0;
  }

  /** Term of the entry at `index`, from that before `firstIndex` on; null when it is unknown. */
  termAt(index: number): number | null {
    if (index === this.#before.index) return this.#before.term;
    return this.entries[index - this.firstIndex]?.term ?? null;
  }

  /** Lowest index replaced since the last call, 1 for all by a base; null for none. */
  takeReplacedFrom(): number | null {
    const from = this.#replacedFrom;
    this.#replacedFrom = null;
    return from;
  }

  /** The log's earlier segments are gone; a preamble must tell what they said. */
  beginBehind(last: { index: number; term: number }): void {
    this.#before = last;
    this.#isWhole = false;
  }

  /** Takes in a segment's preamble. @returns what is wrong with it, or null. */
  applyPreamble(payload: Uint8Array): string | null {
    return decoding(() => {
      const { confState, base, hardState, rejoinFloorTerm } = this;
      if (this.#isWhole && confState !== null) {
        const own = { confState, base, hardState, rejoinFloorTerm };
        return isPreamble(payload, own) ? null : 'the preamble contradicts the segments before';
      }
      const preamble = decodePreamble(payload);
      const beyond = Math.max(preamble.base?.index ?? 0, preamble.hardState?.commitIndex ?? 0);
      if (!isPreamble(payload, preamble)) return 'the preamble is in no known order';
      if (beyond > this.lastIndex)
        return `the preamble settles entry ${beyond}, which is not there`;
      this.confState = preamble.confState;
      this.base = preamble.base;
      this.hardState = preamble.hardState;
      this.rejoinFloorTerm = preamble.rejoinFloorTerm;
      this.#isWhole = true;
      return null;
    });
  }

  /** Takes in the records of a data batch. @returns what is wrong with them, or null. */
  apply(payload: Uint8Array): string | null {
    return decoding(() => {
      for (const record of decodeRecords(payload)) {
        const problem = this.#applyRecord(record);
        if (problem !== null) return problem;
      }
      return null;
    });
  }

  #applyRecord(record: WalRecord): string | null {
    switch (record.type) {
      case 'confState':
        if (this.confState !== null || !this.#isWhole) return 'a second initial configuration';
        this.confState = record.confState;
        return null;
      case 'hardState': {
        const problem = hardStateProblem(this, record.hardState);
        if (problem === null) this.hardState = record.hardState;
        return problem;
      }
      case 'entry':
        return entryProblem(this, record.entry) ?? this.#put(record.entry);
      case 'base':
        return baseProblem(this, record.base) ?? this.#restart(record.base);
      case 'rejoined': {
        const problem = rejoinedProblem(this);
        this.rejoinFloorTerm = null;
        return problem;
      }
      default:
        unreachable(record);
    }
  }

  #put(entry: Entry): null {
    if (entry.index <= this.lastIndex) {
      this.#replacedFrom = Math.min(this.#replacedFrom ?? entry.index, entry.index);
    }
    // What it replaces may be in a segment that is gone, and so may all before it.
    if (entry.index < this.firstIndex) this.#before = { index: entry.index - 1, term: null };
    this.entries.length = entry.index - this.firstIndex;
    this.entries.push(entry);
    return null;
  }

  #restart(base: LogPosition): null {
    this.base = base;
    this.#before = base;
    this.entries = [];
    this.#replacedFrom = 1;
    return null;
  }
}

function decoding(read: () => string | null): string | null {
  try {
    return read();
  } catch (error) {
    if (error instanceof DecodeError) return `unreadable record (${error.message} of its batch)`;
    throw error;
  }
}
