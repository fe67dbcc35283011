import { ByteReader, type ByteWriter, DecodeError } from '../lib/index.ts';
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
import type { WalBatch } from './types.ts';

const CONF_STATE = 1;
const HARD_STATE = 2;
const ENTRY = 3;

/** Upper bound of an encoded hard state with its type. */
export const HARD_STATE_RECORD_BYTES_MAX = 32;

export function writeConfState(writer: ByteWriter, confState: ConfState): void {
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

/** Where a log stands: what the next batch must agree with. */
export interface LogHead {
  readonly hardState: HardState | null;
  /** Index and term of the last entry; both 0 when there is none. */
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** Raft §5.3: only a suffix that is not committed is ever replaced. */
function entryProblem(head: LogHead, entry: Entry): string | null {
  if (entry.index < 1 || entry.index > head.lastIndex + 1) {
    return `entry ${entry.index} leaves a gap behind entry ${head.lastIndex}`;
  }
  if (entry.index <= (head.hardState?.commitIndex ?? 0)) {
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

/**
 * Checks a whole batch before any of it is written.
 * @returns what is wrong, or null
 */
export function batchProblem(head: LogHead, batch: WalBatch): string | null {
  let { lastIndex, lastTerm } = head;
  for (const entry of batch.entries) {
    const problem = entryProblem({ hardState: head.hardState, lastIndex, lastTerm }, entry);
    if (problem !== null) return problem;
    lastIndex = entry.index;
    lastTerm = entry.term;
  }
  if (batch.hardState === null) return null;
  return hardStateProblem({ hardState: head.hardState, lastIndex, lastTerm }, batch.hardState);
}

/** What a log holds, built up record by record. */
export class LogContent implements LogHead {
  confState: ConfState | null = null;
  hardState: HardState | null = null;
  /** Entries 1, 2, 3 … that are in force. */
  readonly entries: Entry[] = [];

  get lastIndex(): number {
    return this.entries.length;
  }

  get lastTerm(): number {
    return this.entries.at(-1)?.term ?? 0;
  }

  /** Takes in the records of one batch. @returns what is wrong with them, or null. */
  apply(payload: Uint8Array): string | null {
    const reader = new ByteReader(payload);
    try {
      while (reader.remaining > 0) {
        const problem = this.#applyRecord(reader);
        if (problem !== null) return problem;
      }
    } catch (error) {
      if (error instanceof DecodeError) return `unreadable record (${error.message} of its batch)`;
      throw error;
    }
    return this.confState === null ? 'the first record is not the configuration' : null;
  }

  #applyRecord(reader: ByteReader): string | null {
    const type = reader.u8();
    switch (type) {
      case CONF_STATE:
        if (this.confState !== null) return 'a second initial configuration';
        this.confState = decodeConfState(reader);
        return null;
      case HARD_STATE: {
        const next = decodeHardState(reader);
        const problem = hardStateProblem(this, next);
        if (problem === null) this.hardState = next;
        return problem;
      }
      case ENTRY: {
        const entry = decodeEntry(reader);
        const problem = entryProblem(this, entry);
        if (problem !== null) return problem;
        this.entries.length = entry.index - 1;
        this.entries.push(entry);
        return null;
      }
      default:
        throw new DecodeError(`unknown record type ${type}`, reader.offset - 1);
    }
  }
}
