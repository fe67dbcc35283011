import { type Clock, type Disk, DiskError, type Log, type Timer } from '../io/index.ts';
import { assert, type Deferred, deferred } from '../lib/index.ts';
import { type Entry, entryBytes, type HardState } from '../raft/index.ts';
import { ioError } from './error.ts';
import { type BatchKind, BLOCK_BYTES, batchBytes, sealBatch } from './format.ts';
import { Group, WriterPool } from './group.ts';
import { payloadBytesMax, type WalLimits } from './limits.ts';
import {
  batchProblem,
  HARD_STATE_RECORD_BYTES_MAX,
  headBehind,
  type LogHead,
  writeBase,
  writeEntry,
  writeHardState,
  writeRejoined,
} from './records.ts';
import type { Position } from './scan.ts';
import { type SealedSegment, SealedSegments } from './sealed-segments.ts';
import { type ActiveSegment, activateSegment, createSegment, writeSeal } from './segment-files.ts';
import type { LogPosition, Wal, WalBatch, WalIdentity, WalRecovery } from './types.ts';

/** What a log is made of once it was read and repaired. */
export interface WalParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: Log;
  /** The folder of the segments. */
  readonly directory: string;
  readonly identity: WalIdentity;
  readonly limits: WalLimits;
  readonly onFailure: (error: Error) => void;
  readonly recovery: WalRecovery;
  readonly head: LogHead;
  readonly active: ActiveSegment;
  /** Length of the next segment's file if it exists; null when it has to be made. */
  readonly preparedBytes: number | null;
  /** Kind of the last batch, for which a mark may be due. */
  readonly lastKind: BatchKind | 'header';
  /** The segments before the active one, and the first entry in all of them. */
  readonly sealed: readonly SealedSegment[];
  readonly firstIndex: number;
  /** Gives the directory back. */
  readonly release: () => Promise<void>;
}

/** The next segment's file, made while the present one is filled. */
interface Preparation {
  readonly segmentBytes: number;
  /** Settled when the file is there, durably. */
  readonly made: Promise<void>;
}

/**
 * The log in use. One batch is on its way to the disk at any time (`#writing`); what arrives
 * meanwhile is encoded at once into the last group of `#queue`.
 */
export class SegmentedWal implements Wal {
  readonly #parts: Omit<WalParts, 'recovery'>;
  readonly #pool: WriterPool;
  /** Payload after which a group takes no more. */
  readonly #groupBytesMax: number;
  readonly #queue: Group[] = [];
  #recovery: WalRecovery;
  #writing: Group | null = null;
  /** Where the log stands behind everything appended. */
  #head: LogHead;
  /** Where it stands behind everything written. */
  #written: LogHead;
  #active: ActiveSegment;
  readonly #sealed: SealedSegments;
  #preparation: Preparation | null;
  #lastKind: BatchKind | 'header';
  #lastWriteMs: number;
  #markTimer: Timer | null = null;
  #failure: Error | null = null;
  #closed: Promise<void> | null = null;
  /** Settled when nothing is queued or being written; exists while `close` waits for that. */
  #idle: Deferred<void> | null = null;

  constructor(parts: WalParts) {
    // What was recovered is let go of one day: nothing else may hold it.
    const { recovery, ...others } = parts;
    const { limits, preparedBytes } = parts;
    this.#parts = others;
    this.#pool = new WriterPool(2 * limits.batchBytesMax);
    this.#groupBytesMax = Math.min(limits.batchBytesMax, payloadBytesMax(limits.segmentBytes));
    this.#recovery = recovery;
    this.#head = parts.head;
    this.#written = parts.head;
    this.#active = parts.active;
    this.#sealed = new SealedSegments(parts, parts, (error) => this.#fail(error));
    this.#preparation =
      preparedBytes === null ? null : { segmentBytes: preparedBytes, made: Promise.resolve() };
    this.#lastKind = parts.lastKind;
    this.#lastWriteMs = parts.clock.nowMs();
    this.#armMark();
  }

  get recovery(): WalRecovery {
    return this.#recovery;
  }

  get sizeBytes(): number {
    return this.#sealed.usedBytes + this.#active.position.offset;
  }

  get surplusBytes(): number {
    return this.#sealed.surplusBytes;
  }

  tailAfter(bytesMax: number): number {
    return this.#sealed.tailAfter(bytesMax);
  }

  get firstIndex(): number {
    return this.#sealed.firstIndex;
  }

  waitingMs(): number | null {
    const oldest = this.#writing ?? this.#queue[0];
    return oldest === undefined ? null : this.#parts.clock.nowMs() - oldest.sinceMs;
  }

  append(batch: WalBatch, done: () => void): void {
    assert(this.#closed === null, 'append to a closed log');
    if (this.#failure !== null) return;
    this.#check(batch);
    this.#forgetRecovered();
    const group = this.#encode(batch);
    group.dones.push(done);
    this.#kick();
  }

  compact(index: number): void {
    if (this.#failure !== null) return;
    const { lastIndex } = this.#head;
    assert(index <= lastIndex, 'compact beyond the last entry', { index, lastIndex });
    this.#sealed.compact(index);
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  #forgetRecovered(): void {
    const { entries, earlierEntries } = this.#recovery;
    if (entries.length + earlierEntries.length === 0) return;
    this.#recovery = { ...this.#recovery, entries: [], earlierEntries: [] };
  }

  /** Nothing is written of a batch that breaks Raft's rules or the log's limits. */
  #check(batch: WalBatch): void {
    const problem = batchProblem(this.#head, batch);
    assert(problem === null, problem ?? '');
    const bytesMax = payloadBytesMax(this.#parts.limits.segmentBytes);
    for (const entry of batch.entries) {
      const bytes = recordBytesMax(entry);
      assert(bytes <= bytesMax, 'entry does not fit into a segment', { bytes, bytesMax });
    }
  }

  /** Writes the records into groups; returns the one that holds the last of them. */
  #encode(batch: WalBatch): Group {
    const { entries, hardState, base = null, rejoined = false } = batch;
    let group = this.#groupWithRoom(2 * HARD_STATE_RECORD_BYTES_MAX);
    let inGroup = 0;
    let announced = false;
    if (base !== null) this.#encodeBase(group, base);
    for (const entry of entries) {
      const bytes = recordBytesMax(entry);
      if (group.payloadBytes > 0 && group.payloadBytes + bytes > this.#groupBytesMax) {
        // Readers may find the first part alone: the term must not come after its entries.
        if (hardState !== null && inGroup > 0 && !announced) {
          const commitIndex = Math.min(hardState.commitIndex, this.#head.lastIndex);
          this.#encodeHardState(group, { ...hardState, commitIndex });
          announced = true;
        }
        group = this.#newGroup('data');
        inGroup = 0;
      }
      this.#encodeEntry(group, entry);
      inGroup += 1;
    }
    if (hardState !== null) this.#encodeHardState(group, hardState);
    if (rejoined) this.#encodeRejoined(group);
    return group;
  }

  #encodeBase(group: Group, base: LogPosition): void {
    writeBase(group.writer, base);
    this.#head = headBehind(this.#head, { base, entries: [], hardState: null });
    group.head = this.#head;
    group.replacedFrom = 1;
  }

  #encodeRejoined(group: Group): void {
    writeRejoined(group.writer);
    this.#head = { ...this.#head, rejoinFloorTerm: null };
    group.head = this.#head;
  }

  #encodeEntry(group: Group, entry: Entry): void {
    writeEntry(group.writer, entry);
    if (entry.index <= this.#head.lastIndex) {
      group.replacedFrom = Math.min(group.replacedFrom ?? entry.index, entry.index);
    }
    this.#head = { ...this.#head, lastIndex: entry.index, lastTerm: entry.term };
    group.head = this.#head;
  }

  #encodeHardState(group: Group, hardState: HardState): void {
    writeHardState(group.writer, hardState);
    this.#head = { ...this.#head, hardState };
    group.head = this.#head;
  }

  #groupWithRoom(bytes: number): Group {
    const last = this.#queue.at(-1);
    const hasRoom =
      last?.kind === 'data' &&
      last.payloadBytes + bytes + HARD_STATE_RECORD_BYTES_MAX <= this.#groupBytesMax;
    return hasRoom ? last : this.#newGroup('data');
  }

  #newGroup(kind: BatchKind): Group {
    const group = new Group(kind, this.#parts.clock.nowMs(), this.#head, this.#pool.take());
    this.#queue.push(group);
    return group;
  }

  /** Starts writing the next group if the disk is free. */
  #kick(): void {
    if (this.#writing !== null || this.#failure !== null) return;
    const group = this.#queue.shift();
    if (group === undefined) {
      this.#idle?.resolve();
      return this.#armMark();
    }
    this.#writing = group;
    // One block is kept for the seal.
    const end = this.#active.position.offset + batchBytes(group.payloadBytes) + BLOCK_BYTES;
    if (end <= this.#active.segmentBytes) this.#write(group);
    else {
      this.#rotate().then(
        () => this.#write(group),
        (error: unknown) => {
          this.#writing = null;
          this.#fail(error);
        },
      );
    }
  }

  #write(group: Group): void {
    if (this.#failure !== null) {
      this.#writing = null;
      this.#idle?.resolve();
      return;
    }
    const { payloadBytes, kind } = group;
    const { offset, sequence, chain } = this.#active.position;
    const blocks = group.blocks();
    const header = { kind, sequence: sequence + 1, offset, payloadBytes, previousChain: chain };
    const next: Position = {
      offset: offset + blocks.length,
      sequence: sequence + 1,
      chain: sealBatch(blocks, header, this.#active.salt),
    };
    this.#active.file.writeDurably(offset, blocks, (error) => {
      this.#writing = null;
      if (error !== null) this.#fail(error);
      else this.#onDurable(group, next);
    });
  }

  #onDurable(group: Group, next: Position): void {
    if (this.#failure !== null) {
      this.#idle?.resolve();
      return;
    }
    this.#active.position = next;
    this.#noteReplaced(group);
    this.#written = group.head;
    this.#lastKind = group.kind;
    this.#lastWriteMs = this.#parts.clock.nowMs();
    this.#pool.giveBack(group.writer);
    this.#maybePrepare();
    // The disk first: it works while the callbacks run.
    this.#kick();
    for (const done of group.dones) done();
  }

  /** What stood in earlier segments is no longer needed there. */
  #noteReplaced({ head, replacedFrom }: Group): void {
    const { base } = head;
    if (base !== null && base !== this.#written.base) this.#sealed.restart(base.index);
    else if (replacedFrom !== null) this.#sealed.replaceFrom(replacedFrom);
  }

  /**
   * Seals the active segment and goes on in the next one. Every step is durable before the next.
   */
  async #rotate(): Promise<void> {
    const { directory, log } = this.#parts;
    const { file, segment } = this.#active;
    const { segmentBytes, made } = this.#prepare();
    await made;
    const { offset, sequence, chain } = await writeSeal(file, this.#active);
    const { lastIndex, lastTerm } = this.#written;
    const next = await activateSegment(
      this.#parts,
      {
        directory,
        segment: segment + 1,
        segmentBytes,
        previousSequence: sequence,
        previousChain: chain,
        lastIndex,
        lastTerm,
      },
      { confState: this.#recovery.confState, ...this.#written },
    );
    this.#preparation = null;
    this.#active = next;
    this.#sealed.add({ segment, usedBytes: offset, lastIndex });
    log.debug('log segment full', { directory, segment });
    await file.close();
  }

  /** Has the next segment made early enough that a rotation finds it ready. */
  #maybePrepare(): void {
    const { position, segmentBytes } = this.#active;
    if (this.#preparation !== null || this.#closed !== null) return;
    if (position.offset * 4 > segmentBytes) this.#prepare().made.catch((e) => this.#fail(e));
  }

  #prepare(): Preparation {
    if (this.#preparation === null) {
      const { disk, directory, limits } = this.#parts;
      const { segmentBytes } = limits;
      const segment = this.#active.segment + 1;
      const head = new Uint8Array(0);
      const made = createSegment(disk, { directory, segment, segmentBytes, head });
      this.#preparation = { segmentBytes, made };
    }
    return this.#preparation;
  }

  /** After a rest the last batch gets its proof, if it has none yet. */
  #armMark(): void {
    if (this.#lastKind !== 'data' || this.#markTimer !== null || this.#closed !== null) return;
    const { clock, limits } = this.#parts;
    const restMs = this.#lastWriteMs + limits.idleMarkMs - clock.nowMs();
    this.#markTimer = clock.setTimer(Math.max(0, restMs), () => {
      this.#markTimer = null;
      if (this.#writing !== null || this.#failure !== null) return;
      if (clock.nowMs() - this.#lastWriteMs < limits.idleMarkMs) return this.#armMark();
      this.#newGroup('mark');
      this.#kick();
    });
  }

  #fail(cause: unknown): void {
    if (this.#writing === null) this.#idle?.resolve();
    if (this.#failure !== null) return;
    const failure = cause instanceof DiskError ? ioError(cause, cause.path) : toError(cause);
    this.#failure = failure;
    this.#queue.length = 0;
    this.#markTimer?.cancel();
    void this.#sealed.stop();
    this.#parts.log.error('the log has failed', { error: failure.message });
    this.#parts.onFailure(failure);
  }

  async #close(): Promise<void> {
    this.#markTimer?.cancel();
    if (this.#failure === null) {
      const last = this.#queue.at(-1) ?? this.#writing;
      if ((last?.kind ?? this.#lastKind) === 'data') this.#newGroup('mark');
    }
    // A file is never closed under a running write: its number might by then be another file's.
    if (this.#writing !== null || this.#queue.length > 0) {
      this.#idle = deferred();
      this.#kick();
      await this.#idle.promise;
    }
    await this.#preparation?.made.catch((error: unknown) => this.#fail(error));
    await this.#sealed.stop();
    try {
      await this.#active.file.close();
      await this.#parts.release();
    } catch (error) {
      this.#fail(error);
    }
  }
}

/** Upper bound of what an entry takes, with room for two hard states behind it. */
function recordBytesMax(entry: Entry): number {
  return 1 + entryBytes(entry) + 2 * HARD_STATE_RECORD_BYTES_MAX;
}

function toError(cause: unknown): Error {
  return cause instanceof Error ? cause : new Error(String(cause));
}
