import { assert } from '../lib/index.ts';
import { RESTORE_COMMIT_BYTES, ROW_OVERHEAD_BYTES } from './limits.ts';
import { SnapshotParser } from './snapshot-parser.ts';
import type { Done, Engine, Row } from './types.ts';

/** A snapshot on its way into an engine. One call at a time. */
export interface SnapshotRestore {
  /** What the writer put beside the rows; null until it has come. */
  readonly meta: Uint8Array | null;
  /**
   * Takes the next bytes; `done` when their rows are checked and stored, or wait in memory for the
   * next commit. The chunk may change when the call has returned.
   */
  write(chunk: Uint8Array, done: Done): void;
  /** `done` with null: the snapshot was complete and right, and all its rows are durable. */
  finish(done: Done): void;
}

/**
 * Restores into an engine that is new: after an error (`CORRUPT`, `VERSION`, or the engine's) it
 * holds a part of the rows and has to be thrown away; every later call ends with the same error.
 */
export function restoreSnapshot(engine: Engine): SnapshotRestore {
  return new Restore(engine);
}

class Restore implements SnapshotRestore {
  readonly #engine: Engine;
  readonly #parser = new SnapshotParser();
  /** Rows checked and not yet committed. */
  #rows: Row[] = [];
  #error: Error | null = null;
  #isBusy = false;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  get meta(): Uint8Array | null {
    return this.#parser.meta;
  }

  write(chunk: Uint8Array, done: Done): void {
    this.#run(done, (finished) => {
      for (const row of this.#parser.push(chunk)) this.#rows.push(row);
      this.#commitRows(RESTORE_COMMIT_BYTES, finished);
    });
  }

  finish(done: Done): void {
    this.#run(done, (finished) => {
      this.#parser.end();
      this.#commitRows(1, finished);
    });
  }

  /** Runs one step; remembers an error that it throws or ends with. */
  #run(done: Done, step: (finished: Done) => void): void {
    assert(!this.#isBusy, 'the last call is not finished');
    this.#isBusy = true;
    const finished: Done = (error) => {
      this.#isBusy = false;
      this.#error ??= error;
      done(this.#error);
    };
    try {
      if (this.#error !== null) throw this.#error;
      step(finished);
    } catch (cause) {
      const error = cause instanceof Error ? cause : new Error('restore failed', { cause });
      queueMicrotask(() => finished(error));
    }
  }

  /** Commits slices of the rows while they have at least `bytesMin`; `finished` in a later turn. */
  #commitRows(bytesMin: number, finished: Done): void {
    let bytes = 0;
    let count = 0;
    while (count < this.#rows.length && bytes < RESTORE_COMMIT_BYTES) {
      const { key, value } = this.#rows[count++] as Row;
      bytes += key.length + value.length + ROW_OVERHEAD_BYTES;
    }
    if (bytes < bytesMin) {
      queueMicrotask(() => finished(null));
      return;
    }
    const slice = this.#rows.slice(0, count);
    this.#rows = this.#rows.slice(count);
    this.#engine.commit(slice, (error) => {
      if (error === null) this.#commitRows(bytesMin, finished);
      else finished(error);
    });
  }
}
