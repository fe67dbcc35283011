import type { Disk } from '../io/index.ts';
import { segmentName } from './format.ts';

/** A segment before the active one. */
export interface SealedSegment {
  readonly segment: number;
  /** Bytes up to its end that are in use. */
  readonly usedBytes: number;
  /** Highest index of an entry that is in force and stands in it or before it; 0 for none. */
  lastIndex: number;
}

/** Entries from `index` on stand elsewhere from now on, or are void. */
export function replaceFrom(sealed: readonly SealedSegment[], index: number): void {
  for (const each of sealed) each.lastIndex = Math.min(each.lastIndex, index - 1);
}

/**
 * The segments before the active one and their removal, oldest first. Each removal is durable
 * before the next one begins: whatever a crash brings back, what is there has no gap.
 */
export class SealedSegments {
  readonly #disk: Disk;
  readonly #directory: string;
  readonly #onFailure: (error: unknown) => void;
  /** Oldest first. */
  readonly #sealed: SealedSegment[];
  #firstIndex: number;
  /** Entries up to this index are not needed; null: all are. */
  #compactIndex: number | null = null;
  #removing: Promise<void> | null = null;
  #stopped = false;

  constructor(
    { disk, directory }: { disk: Disk; directory: string },
    found: { sealed: readonly SealedSegment[]; firstIndex: number },
    onFailure: (error: unknown) => void,
  ) {
    this.#disk = disk;
    this.#directory = directory;
    this.#sealed = found.sealed.map((each) => ({ ...each }));
    this.#firstIndex = found.firstIndex;
    this.#onFailure = onFailure;
  }

  /** See `Wal.firstIndex`. */
  get firstIndex(): number {
    return this.#firstIndex;
  }

  get usedBytes(): number {
    return this.#sealed.reduce((sum, { usedBytes }) => sum + usedBytes, 0);
  }

  /** See `Wal.surplusBytes`. */
  get surplusBytes(): number {
    return this.usedBytes - (this.#sealed[0]?.usedBytes ?? 0);
  }

  /** See `Wal.tailAfter`. */
  tailAfter(bytesMax: number): number {
    let bytes = 0;
    for (const { usedBytes, lastIndex } of this.#sealed.toReversed()) {
      if (bytes >= bytesMax) return lastIndex;
      bytes += usedBytes;
    }
    return 0;
  }

  /** Call it when the segment behind has its preamble, which says what this one said. */
  add(segment: SealedSegment): void {
    this.#sealed.push(segment);
    this.#kick();
  }

  /** Call it when what replaces them is durable. */
  replaceFrom(index: number): void {
    replaceFrom(this.#sealed, index);
    this.#kick();
  }

  /** The log starts anew, durably, behind the entry `index`. */
  restart(index: number): void {
    this.#firstIndex = index + 1;
    replaceFrom(this.#sealed, 1);
    this.compact(index);
  }

  compact(index: number): void {
    this.#compactIndex = Math.max(this.#compactIndex ?? 0, index);
    this.#kick();
  }

  /** Removes no further one; settled when the disk is left alone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#removing;
  }

  #kick(): void {
    if (this.#removing !== null || this.#removable() === null) return;
    this.#removing = this.#remove()
      .catch((error: unknown) => {
        this.#stopped = true;
        this.#onFailure(error);
      })
      .finally(() => {
        this.#removing = null;
        // What became removable since the last look at it.
        this.#kick();
      });
  }

  #removable(): SealedSegment | null {
    const oldest = this.#sealed[0];
    if (this.#stopped || this.#compactIndex === null || oldest === undefined) return null;
    return oldest.lastIndex <= this.#compactIndex ? oldest : null;
  }

  async #remove(): Promise<void> {
    for (let next = this.#removable(); next !== null; next = this.#removable()) {
      await this.#disk.remove(`${this.#directory}/${segmentName(next.segment)}`);
      await this.#disk.syncDirectory(this.#directory);
      this.#sealed.shift();
      this.#firstIndex = Math.max(this.#firstIndex, next.lastIndex + 1);
    }
  }
}
