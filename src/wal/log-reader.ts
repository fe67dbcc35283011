import { assert } from '../lib/index.ts';
import type { ConfState, Entry } from '../raft/index.ts';
import { corrupt, WalError } from './error.ts';
import {
  type BatchKind,
  BLOCK_BYTES,
  decodeSegmentHeader,
  isZero,
  type SegmentHeader,
  segmentName,
  segmentSalt,
} from './format.ts';
import { SEGMENT_BLOCKS_MIN } from './limits.ts';
import { LogContent, type LogHead } from './records.ts';
import { judgeBatch, type Position } from './scan.ts';
import type { WalIdentity } from './types.ts';

/** The last segment that is in use, and what to do with it. */
export interface LogTail {
  readonly file: string;
  readonly segment: number;
  readonly segmentBytes: number;
  readonly salt: number;
  /** Where the next batch goes. */
  readonly position: Position;
  /** Bytes of a torn batch at `position`; 0 for none. */
  readonly tornBytes: number;
  /** The last batch, or the header if there is none: to be written once more. */
  readonly last: { readonly kind: BatchKind | 'header'; offset: number; bytes: Uint8Array };
  /** Length of the next segment if it is there, all zeros; null when it is not. */
  readonly preparedBytes: number | null;
  /** Bytes in use in all segments. */
  readonly usedBytes: number;
}

type Tail = Omit<LogTail, 'preparedBytes'>;

/** A whole log, verified. */
export interface LogReading extends LogHead {
  readonly confState: ConfState;
  readonly entries: readonly Entry[];
  readonly tail: LogTail;
}

/**
 * Reads a log segment by segment, from memory, and says what it holds. Pure: changes nothing on
 * disk. Everything that a crash does not explain is a `WalError`.
 */
export class LogReader {
  readonly #content = new LogContent();
  readonly #directory: string;
  readonly #identity: WalIdentity;
  #tail: Tail | null = null;
  #prepared: { readonly file: string; readonly bytes: number } | null = null;
  #segments = 0;

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
    const expected = this.#segments + 1;
    if (segment !== expected) {
      const missing = this.#file(expected);
      throw corrupt(`this segment is missing (the next that exists is ${file})`, {
        file: missing,
        offset: 0,
      });
    }
    this.#segments = segment;
    if (bytes.length % BLOCK_BYTES !== 0 || bytes.length < SEGMENT_BLOCKS_MIN * BLOCK_BYTES) {
      throw corrupt('the file has lost its end', { file, offset: bytes.length });
    }
    if (segment > 1 && isZero(bytes, 0, bytes.length)) this.#readPrepared(file, bytes);
    else this.#readUsed(file, bytes);
  }

  /** Whether any segment was read. */
  get isEmpty(): boolean {
    return this.#segments === 0;
  }

  /**
   * The log as a whole; there must have been a segment.
   * @throws WalError CORRUPT
   */
  finish(): LogReading {
    const tail = this.#tail;
    const { confState, hardState, entries, lastIndex, lastTerm } = this.#content;
    assert(tail !== null && confState !== null, 'no segment was read');
    if (tail.last.kind === 'seal' && this.#prepared === null) {
      throw corrupt(`this segment is missing (${tail.file} says that the log goes on here)`, {
        file: this.#file(this.#segments + 1),
        offset: 0,
      });
    }
    const preparedBytes = this.#prepared?.bytes ?? null;
    const whole: LogTail = { ...tail, preparedBytes };
    return { confState, hardState, entries, lastIndex, lastTerm, tail: whole };
  }

  #readPrepared(file: string, bytes: Uint8Array): void {
    if (this.#prepared !== null) {
      throw corrupt(`nothing is in this segment, nor in ${this.#prepared.file}`, {
        file,
        offset: 0,
      });
    }
    this.#prepared = { file, bytes: bytes.length };
  }

  #readUsed(file: string, bytes: Uint8Array): void {
    const { header, chain } = this.#readHeader(file, bytes);
    this.#checkOrder(file, header, bytes.length);
    const salt = segmentSalt(this.#identity, header.segment);
    let last: LogTail['last'] = {
      kind: 'header',
      offset: 0,
      bytes: bytes.subarray(0, BLOCK_BYTES),
    };
    let position: Position = { offset: BLOCK_BYTES, sequence: header.previousSequence, chain };
    let tornBytes = 0;
    while (last.kind !== 'seal') {
      const { offset } = position;
      const judgement = judgeBatch({ bytes, salt }, position);
      if (judgement.kind === 'corrupt') throw corrupt(judgement.reason, { file, offset });
      if (judgement.kind === 'torn') tornBytes = judgement.bytes;
      if (judgement.kind !== 'batch') break;
      const { kind } = judgement.header;
      if (kind === 'data') this.#applyPayload(judgement.payload, { file, offset });
      position = judgement.next;
      last = { kind, offset, bytes: bytes.subarray(offset, position.offset) };
    }
    if (this.#content.confState === null) {
      throw corrupt('the log does not begin with its configuration', { file, offset: BLOCK_BYTES });
    }
    this.#tail = {
      file,
      segment: header.segment,
      segmentBytes: bytes.length,
      salt,
      position,
      tornBytes,
      last: { ...last, bytes: last.bytes.slice() },
      usedBytes: (this.#tail?.usedBytes ?? 0) + position.offset,
    };
  }

  #readHeader(file: string, bytes: Uint8Array): { header: SegmentHeader; chain: number } {
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
    const continues =
      header.previousSequence === (before?.position.sequence ?? 0) &&
      header.previousChain === (before?.position.chain ?? 0) &&
      header.lastIndex === this.#content.lastIndex &&
      header.lastTerm === this.#content.lastTerm;
    if (!continues) fail('this segment does not continue the one before');
  }

  #applyPayload(payload: Uint8Array, place: { file: string; offset: number }): void {
    const problem = this.#content.apply(payload);
    if (problem !== null)
      throw corrupt(`a batch with a right checksum is wrong: ${problem}`, place);
  }

  #file(segment: number): string {
    return `${this.#directory}/${segmentName(segment)}`;
  }
}

function show(identity: WalIdentity): string {
  const { clusterId, memberId } = identity;
  return `member ${memberId.toString(16)} of cluster ${clusterId.toString(16)}`;
}
