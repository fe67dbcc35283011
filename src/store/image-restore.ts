import { createHash } from 'node:crypto';
import { assert, concatBytes, EMPTY_BYTES, equalBytes } from '../lib/index.ts';
import { corruptSnapshot, storeError } from './error.ts';
import { decodeImageHeader, TRAILER_BYTES } from './image-format.ts';
import type { SnapshotRestore } from './snapshot-restore.ts';
import type { Done, ImageTarget } from './types.ts';

/** Where an image goes. */
export interface ImagePlace {
  /** For error messages. */
  readonly path: string;
  /** Makes room for an image of so many bytes. Called once. */
  receive(bytes: number): Promise<ImageTarget>;
}

/**
 * An image on its way into a file: as for `restoreSnapshot`, whatever was wrong ends it. When
 * `finish` has succeeded, the target has been opened as an engine.
 */
export function restoreImage(place: ImagePlace): SnapshotRestore {
  return new ImageRestore(place);
}

class ImageRestore implements SnapshotRestore {
  readonly #place: ImagePlace;
  readonly #hash = createHash('sha256');
  #meta: Uint8Array | null = null;
  #target: ImageTarget | null = null;
  /** What has come of the header, then of the trailer. */
  #rest: Uint8Array = EMPTY_BYTES;
  /** Bytes of the pages that have not come yet. */
  #missingBytes = 0;
  /** Bytes of the stream that were taken. */
  #offset = 0;
  #error: Error | null = null;
  #isBusy = false;

  constructor(place: ImagePlace) {
    this.#place = place;
  }

  get meta(): Uint8Array | null {
    return this.#meta;
  }

  write(chunk: Uint8Array, done: Done): void {
    this.#run(done, () => this.#take(chunk));
  }

  finish(done: Done): void {
    this.#run(done, async () => {
      const digest = this.#hash.digest();
      if (this.#target === null || this.#missingBytes > 0 || this.#rest.length < TRAILER_BYTES) {
        throw corruptSnapshot('it ends too early', this.#offset);
      }
      if (!equalBytes(this.#rest, digest)) throw corruptSnapshot('SHA-256', this.#offset);
      await this.#target.finish();
    });
  }

  #run(done: Done, step: () => Promise<void>): void {
    assert(!this.#isBusy, 'the last call is not finished');
    this.#isBusy = true;
    const finished = (error: Error | null): void => {
      this.#isBusy = false;
      this.#error ??= error;
      done(this.#error);
    };
    const steps = this.#error === null ? step() : Promise.reject(this.#error);
    steps.then(
      () => finished(null),
      (cause: unknown) => finished(storeError(cause, this.#place.path)),
    );
  }

  async #take(chunk: Uint8Array): Promise<void> {
    let rest = chunk;
    if (this.#target === null) rest = await this.#takeHeader(chunk);
    const pages = rest.subarray(0, this.#missingBytes);
    this.#hash.update(pages);
    this.#missingBytes -= pages.length;
    if (pages.length > 0) await this.#target?.write(pages);
    if (this.#target !== null) this.#rest = concatBytes([this.#rest, rest.subarray(pages.length)]);
    this.#offset += chunk.length;
    if (this.#target !== null && this.#rest.length > TRAILER_BYTES) {
      throw corruptSnapshot('bytes behind its end', this.#offset);
    }
  }

  /** @returns what follows the header; nothing while it is not complete. */
  async #takeHeader(chunk: Uint8Array): Promise<Uint8Array> {
    const start = concatBytes([this.#rest, chunk]);
    const header = decodeImageHeader(start);
    this.#rest = header === null ? start : EMPTY_BYTES;
    if (header === null) return EMPTY_BYTES;
    this.#hash.update(start.subarray(0, header.headerBytes));
    this.#meta = header.meta;
    this.#missingBytes = header.bytes;
    this.#target = await this.#place.receive(header.bytes);
    return start.subarray(header.headerBytes);
  }
}
