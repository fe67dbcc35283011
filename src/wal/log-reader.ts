import { assert } from '../lib/index.ts';
import type { ConfState } from '../raft/index.ts';
import { corrupt, WalError } from './error.ts';
import {
  type BatchKind,
  BLOCK_BYTES,
  decodeSegmentHeader,
  type FormatVersion,
  isZero,
  type SegmentHeader,
  segmentName,
  segmentSalt,
} from './format.ts';
import { SEGMENT_BLOCKS_MIN } from './limits.ts';
import { LogContent, type LogHead } from './records.ts';
import { judgeBatch, type Position } from './scan.ts';
import { replaceFrom, type SealedSegment } from './sealed-segments.ts';
import type { WalIdentity } from './types.ts';

/** The last segment that is in use, and what to do with it. */
export interface LogTail {
  readonly file: string;
  readonly segment: number;
  readonly segmentBytes: number;
  readonly version: FormatVersion;
  readonly salt: number;
  /** Where the next batch goes. */
  readonly position: Position;
  /** Bytes of a torn batch at `position`; 0 for none. */
  readonly tornBytes: number;
  /** The last batch, or the header if there is none: to be written once more. */
  readonly last: { readonly kind: BatchKind | 'header'; offset: number; bytes: Uint8Array };
  /** Length of the next segment if it is there, all zeros; null when it is not. */
  readonly preparedBytes: number | null;
}

type Tail = Omit<LogTail, 'preparedBytes'>;

/** A whole log, verified. */
export interface LogReading {
  readonly confState: ConfState;
  readonly head: LogHead;
  /** Everything from `firstIndex` on. */
  readonly content: LogContent;
  /** Number of the first segment. */
  readonly firstSegment: number;
  /** The segments before the one in `tail`, oldest first. */
  readonly sealed: readonly SealedSegment[];
  readonly tail: LogTail;
}

/**
 * Reads a log segment by segment, from memory, and says what it holds. Pure: changes nothing on
 * disk. Everything that a crash does not explain is a `WalError`. What the oldest segments said may
 * be missing, for they are removed when they are not needed: whether something needed is missing
 * can be judged only by who knows the state machine's position (`reconcile`).
 */
export class LogReader {
  /** What was read so far. */
  readonly content = new LogContent();
  readonly #directory: string;
  readonly #identity: WalIdentity;
  readonly #sealed: SealedSegment[] = [];
  #tail: Tail | null = null;
  #prepared: { readonly file: string; readonly bytes: number } | null = null;
  #firstSegment: number | null = null;
  #lastSegment = 0;

  /** @param directory where the segments' files are: for messages. */
  constructor(directory: string, identity: WalIdentity) {
    this.#directory = directory;
    this.#identity = identity;
  }

  /**
   * Takes in the next segment; they come in ascending order.
   * @throws WalError CORRUPT, WRONG_IDENTITY, VERSION
   */
  read(segment: number, bytes: Uint8Array): void {
    const file = this.#file(segment);
    const expected = this.#firstSegment === null ? segment : this.#lastSegment + 1;
    if (segment !== expected) throw this.#missing(expected, `the next that exists is ${file}`);
    this.#firstSegment ??= segment;
    this.#lastSegment = segment;
    if (bytes.length % BLOCK_BYTES !== 0 || bytes.length < SEGMENT_BLOCKS_MIN * BLOCK_BYTES) {
      throw corrupt('the file has lost its end', { file, offset: bytes.length });
    }
    if (segment > 1 && isZero(bytes, 0, bytes.length)) this.#readPrepared(file, bytes);
    else this.#readUsed(file, bytes);
  }

  /** Whether any segment was read. */
  get isEmpty(): boolean {
    return this.#firstSegment === null;
  }

  /**
   * The log as a whole; there must have been a segment.
   * @throws WalError CORRUPT
   */
  finish(): LogReading {
    const tail = this.#tail;
    const firstSegment = this.#firstSegment;
    assert(tail !== null && firstSegment !== null, 'no segment was read');
    const { confState, base, hardState, rejoinFloorTerm, lastIndex, lastTerm } = this.content;
    if (confState === null) {
      throw this.#missing(firstSegment - 1, `none that is there says what it said`);
    }
    if (tail.last.kind === 'seal' && this.#prepared === null) {
      throw this.#missing(this.#lastSegment + 1, `${tail.file} says that the log goes on here`);
    }
    return {
      confState,
      head: { base, hardState, rejoinFloorTerm, lastIndex, lastTerm },
      content: this.content,
      firstSegment,
      sealed: this.#sealed,
      tail: { ...tail, preparedBytes: this.#prepared?.bytes ?? null },
    };
  }

  #missing(segment: number, why: string): WalError {
    return corrupt(`this segment is missing (${why})`, { file: this.#file(segment), offset: 0 });
  }

  #readPrepared(file: string, bytes: Uint8Array): void {
    const before = this.#prepared?.file ?? (this.#tail === null ? 'those before it' : null);
    if (before !== null) {
      throw corrupt(`nothing is in this segment, nor in ${before}`, { file, offset: 0 });
    }
    this.#prepared = { file, bytes: bytes.length };
  }

  #readUsed(file: string, bytes: Uint8Array): void {
    const { header, version, chain } = this.#readHeader(file, bytes);
    const salt = segmentSalt(this.#identity, header.segment);
    let last: LogTail['last'] = {
      kind: 'header',
      offset: 0,
      bytes: bytes.subarray(0, BLOCK_BYTES),
    };
    let position: Position = { offset: BLOCK_BYTES, sequence: header.previousSequence, chain };
    let tornBytes = 0;
    this.#checkOrder(file, header, bytes.length);
    this.#begin(header);
    while (last.kind !== 'seal') {
      const { offset } = position;
      const judgement = judgeBatch({ bytes, salt }, position);
      if (judgement.kind === 'corrupt') throw corrupt(judgement.reason, { file, offset });
      if (judgement.kind === 'torn') tornBytes = judgement.bytes;
      if (judgement.kind !== 'batch') break;
      const { kind } = judgement.header;
      const problem =
        (kind === 'preamble') === (version > 1 && offset === BLOCK_BYTES)
          ? this.#apply(kind, judgement.payload)
          : 'a preamble begins each segment, and nothing else';
      if (problem !== null) {
        throw corrupt(`a batch with a right checksum is wrong: ${problem}`, { file, offset });
      }
      position = judgement.next;
      last = { kind, offset, bytes: bytes.subarray(offset, position.offset) };
    }
    if (this.#firstSegment === header.segment && last.kind === 'header') {
      throw corrupt('nothing tells how the log begins', { file, offset: BLOCK_BYTES });
    }
    this.#tail = {
      file,
      segment: header.segment,
      segmentBytes: bytes.length,
      version,
      salt,
      position,
      tornBytes,
      last: { ...last, bytes: last.bytes.slice() },
    };
  }

  /** The segment before, if one was read, is found complete: its entries stand before these. */
  #begin(header: SegmentHeader): void {
    if (this.#tail !== null) {
      const { segment, position } = this.#tail;
      const { lastIndex } = this.content;
      this.#sealed.push({ segment, usedBytes: position.offset, lastIndex });
    } else if (header.previousSequence > 0 || header.lastIndex > 0) {
      this.content.beginBehind({ index: header.lastIndex, term: header.lastTerm });
    }
  }

  #apply(kind: BatchKind, payload: Uint8Array): string | null {
    if (kind === 'preamble') return this.content.applyPreamble(payload);
    if (kind !== 'data') return null;
    const problem = this.content.apply(payload);
    const replacedFrom = this.content.takeReplacedFrom();
    if (replacedFrom !== null) replaceFrom(this.#sealed, replacedFrom);
    return problem;
  }

  #readHeader(
    file: string,
    bytes: Uint8Array,
  ): { header: SegmentHeader; version: FormatVersion; chain: number } {
    const reading = decodeSegmentHeader(bytes.subarray(0, BLOCK_BYTES));
    if (reading.kind === 'corrupt') throw corrupt(reading.reason, { file, offset: 0 });
    if (reading.kind === 'version') {
      throw new WalError(
        'VERSION',
        `${file} has log format ${reading.version}, which this version of Quorate does not know: ` +
          'start the version that wrote it, or a later one',
        { file, offset: 0 },
      );
    }
    const { clusterId, memberId } = reading.header.identity;
    if (clusterId !== this.#identity.clusterId || memberId !== this.#identity.memberId) {
      throw new WalError(
        'WRONG_IDENTITY',
        `${file} belongs to ${show({ clusterId, memberId })}, and this is ` +
          `${show(this.#identity)}: give each member its own data directory`,
        { file, offset: 0 },
      );
    }
    return reading;
  }

  /** The header must say what the file's name, its length and the segments before it say. */
  #checkOrder(file: string, header: SegmentHeader, length: number): void {
    const fail = (what: string): never => {
      throw corrupt(what, { file, offset: 0 });
    };
    if (this.#prepared !== null) fail(`nothing is in ${this.#prepared.file}, before this segment`);
    if (this.#file(header.segment) !== file) fail(`this is segment ${header.segment}, renamed`);
    if (header.segmentBytes !== length)
      fail(`this file had ${header.segmentBytes} bytes and has ${length}`);
    const before = this.#tail;
    if (before !== null && before.last.kind !== 'seal') {
      throw corrupt(`the end of this segment is gone (the log goes on in ${file})`, {
        file: before.file,
        offset: before.position.offset,
      });
    }
    // Nothing is known before the first segment that is there: it may follow one that was removed.
    const continues =
      before === null ||
      (header.previousSequence === before.position.sequence &&
        header.previousChain === before.position.chain &&
        header.lastIndex === this.content.lastIndex &&
        header.lastTerm === this.content.lastTerm);
    if (!continues) fail('this segment does not continue the one before');
    if (before === null && header.segment === 1 && header.previousSequence !== 0) {
      fail('the first segment continues another one');
    }
  }

  #file(segment: number): string {
    return `${this.#directory}/${segmentName(segment)}`;
  }
}

function show(identity: WalIdentity): string {
  const { clusterId, memberId } = identity;
  return `member ${memberId.toString(16)} of cluster ${clusterId.toString(16)}`;
}
