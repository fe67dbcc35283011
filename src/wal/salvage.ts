import { DiskError } from '../io/index.ts';
import type { ConfState, Entry, HardState } from '../raft/index.ts';
import { ioError, WalError } from './error.ts';
import { listFolder, lockDirectory, readSegment, tidyFolder } from './folder.ts';
import { type BatchHeader, BLOCK_BYTES, isZero, segmentName, segmentSalt } from './format.ts';
import { type WalLimits, walLimits } from './limits.ts';
import { LogReader } from './log-reader.ts';
import { reconcile } from './reconcile.ts';
import { decodePreamble, decodeRecords } from './records.ts';
import { readBatchAt } from './scan.ts';
import { createSegment, firstBlocks } from './segment-files.ts';
import type { LogPosition, WalPlace } from './types.ts';

/** What can be read of a log that `openWal` refuses as CORRUPT. */
export interface Salvage {
  /**
   * Highest term that any valid batch names, before or behind the damage, with the vote in it and
   * the highest commit index; null if none does.
   */
  readonly hardState: HardState | null;
  /**
   * True when the highest term and its vote can't have been in what is damaged, because terms only
   * grow and a hard state stands behind the damage. False: the member may have cast votes, in a
   * term above `hardState.term`, of which nothing is left.
   */
  readonly isTermCertain: boolean;
  /** The entries that were in force at the damage, from the lowest that is there. */
  readonly entries: readonly Entry[];
  /** Where reading in order had to end; null when the log is good. */
  readonly damage: { readonly file: string; readonly offset: number } | null;
}

/**
 * Reads a damaged log as far as it is valid, and looks for hard states behind the damage. Changes
 * nothing.
 * @throws WalError as `openWal`, except CORRUPT
 */
export async function salvageWal(
  options: WalPlace & { readonly base?: LogPosition | null },
): Promise<Salvage> {
  return await exclusively(options, async () => {
    const { disk, identity, base = null } = options;
    const directory = `${options.directory}/wal`;
    await disk.makeDirectory(directory);
    const { segments } = await listFolder(disk, directory);
    const reader = new LogReader(directory, identity);
    const search = new HardStateSearch();
    let damage: Salvage['damage'] = null;
    for (const segment of segments) {
      const bytes = await readSegment(disk, directory, segment);
      damage ??= damageIn(() => reader.read(segment, bytes));
      search.look(bytes, segmentSalt(identity, segment));
    }
    damage ??= reader.isEmpty
      ? { file: `${directory}/${segmentName(1)}`, offset: 0 }
      : damageIn(() => void reconcile(reader.finish(), base, directory));
    const { entries } = reader.content;
    return { ...search.result(), entries, damage };
  });
}

function damageIn(read: () => void): Salvage['damage'] {
  try {
    read();
    return null;
  } catch (error) {
    if (!(error instanceof WalError && error.code === 'CORRUPT')) throw error;
    return { file: error.file, offset: error.offset ?? 0 };
  }
}

/** Goes through segments batch by batch, in order, over whatever is no batch. */
class HardStateSearch {
  #term = 0;
  #vote: bigint | null = null;
  #commitIndex = 0;
  #last: BatchHeader | null = null;
  #isCertain = false;

  look(segment: Uint8Array, salt: number): void {
    // The rest of a block that was cut through is no batch.
    const bytes = segment.subarray(0, segment.length - (segment.length % BLOCK_BYTES));
    for (let offset = BLOCK_BYTES; offset < bytes.length; ) {
      const batch = readBatchAt({ bytes, salt }, offset);
      if (batch !== null) {
        if (batch.header.sequence !== (this.#last?.sequence ?? 0) + 1) this.#isCertain = false;
        this.#last = batch.header;
        this.#note(batch);
        offset = batch.end;
      } else if (isZero(bytes, offset, bytes.length)) return;
      else {
        this.#isCertain = false;
        offset += BLOCK_BYTES;
      }
    }
  }

  result(): Pick<Salvage, 'hardState' | 'isTermCertain'> {
    const isTermCertain = this.#isCertain && this.#last?.kind !== 'seal';
    if (this.#term === 0) return { hardState: null, isTermCertain };
    const hardState = { term: this.#term, vote: this.#vote, commitIndex: this.#commitIndex };
    return { hardState, isTermCertain };
  }

  #note({ header, payload }: { header: BatchHeader; payload: Uint8Array }): void {
    if (header.kind === 'preamble') this.#noteHardState(decodePreamble(payload).hardState);
    if (header.kind !== 'data') return;
    for (const record of decodeRecords(payload)) {
      if (record.type === 'hardState') this.#noteHardState(record.hardState);
      // An entry shows that its term was reached, not for whom the member voted in it.
      if (record.type === 'entry') this.#noteTerm(record.entry.term, null);
      if (record.type === 'base') this.#noteTerm(record.base.term, null);
    }
  }

  #noteHardState(hardState: HardState | null): void {
    // A preamble without one says that no vote was ever cast.
    this.#isCertain = true;
    if (hardState === null) return;
    this.#noteTerm(hardState.term, hardState.vote);
    this.#commitIndex = Math.max(this.#commitIndex, hardState.commitIndex);
  }

  #noteTerm(term: number, vote: bigint | null): void {
    if (term > this.#term) {
      this.#term = term;
      this.#vote = vote;
    } else if (term === this.#term) this.#vote ??= vote;
  }
}

/**
 * True when the directory has, or ever had, a log; changes nothing but makes the directory.
 * @throws WalError LOCKED, IO
 */
export async function hasWal(place: WalPlace): Promise<boolean> {
  return await exclusively(place, async () => {
    const directory = `${place.directory}/wal`;
    await place.disk.makeDirectory(directory);
    return (await listFolder(place.disk, directory)).highest > 0;
  });
}

/** What the log begins with that takes the place of a damaged one, or that was never there. */
export interface FreshLog {
  readonly confState: ConfState;
  /** What is known of the hard state; its commit index becomes that of `base`. */
  readonly hardState: HardState | null;
  /** Last entry that the state machine holds durably; null: it is empty. */
  readonly base: LogPosition | null;
  /** See `WalRecovery.rejoinFloorTerm`; null when the member has nothing to make up for. */
  readonly rejoinFloorTerm: number | null;
}

/**
 * Makes a fresh log, with which `openWal` then goes on. The segments of the log that was there are
 * kept: they get `.damaged` behind their names. It is one rename that makes the fresh log the one
 * in force: after a crash either the old log is found, untouched, or the fresh one.
 * @throws WalError LOCKED, IO
 */
export async function replaceWal(
  options: WalPlace & { readonly limits?: Partial<WalLimits> },
  fresh: FreshLog,
): Promise<void> {
  const { segmentBytes } = walLimits(options.limits);
  await exclusively(options, async () => {
    const { disk, log, identity } = options;
    const directory = `${options.directory}/wal`;
    await disk.makeDirectory(directory);
    const before = await listFolder(disk, directory);
    await tidyFolder(disk, { ...before, replaced: [] });
    const preamble = { ...fresh, hardState: hardStateAt(fresh) };
    // A number that no segment ever had here: nothing of the old log can be valid in the new one.
    const segment = before.highest + 1;
    const head = firstBlocks({ identity, segment, segmentBytes, preamble });
    await createSegment(disk, { directory, segment, segmentBytes, head });
    await tidyFolder(disk, await listFolder(disk, directory));
    log.warn('a fresh log takes the place of the one before', { directory, segment });
  });
}

/** A log without entries commits what its base stands for, and has reached its term. */
function hardStateAt({ hardState, base }: FreshLog): HardState | null {
  const { term, vote } = hardState ?? { term: 0, vote: null };
  if (hardState === null && base === null) return null;
  const commitIndex = base?.index ?? 0;
  if (base !== null && base.term > term) return { term: base.term, vote: null, commitIndex };
  return { term, vote, commitIndex };
}

/** Runs `work` while no other process has the directory. */
async function exclusively<T>(place: WalPlace, work: () => Promise<T>): Promise<T> {
  const release = await lockDirectory(place);
  try {
    return await work();
  } catch (error) {
    throw error instanceof DiskError ? ioError(error, place.directory) : error;
  } finally {
    await release();
  }
}
