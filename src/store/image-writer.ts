import { createHash } from 'node:crypto';
import { assert } from '../lib/index.ts';
import { storeError } from './error.ts';
import { encodeImageHeader, TRAILER_BYTES } from './image-format.ts';
import { IMAGE_CHUNKS_AHEAD, SNAPSHOT_META_BYTES_MAX } from './limits.ts';
import type { EngineImage } from './types.ts';

export interface ImageOptions {
  /** Whatever the reader needs beside the pages; opaque here. At most 1 MiB. */
  readonly meta: Uint8Array;
  /** Length of the chunks, in bytes. */
  readonly chunkBytesMax: number;
  /** Called when `next` said `later` and has something now. */
  readonly wake: () => void;
}

/** An image on its way into a stream of bytes, a chunk at a time. */
export interface ImageStream {
  /**
   * The next chunk, owned by the caller; `later` while the disk is awaited; null when the stream
   * has ended.
   * @throws StoreError `IO`, `CLOSED`.
   */
  next(): Uint8Array | 'later' | null;
  /** Takes back a chunk that nobody reads any more: the next ones are made in its memory. */
  recycle(chunk: Uint8Array): void;
  /** Ends the stream, and closes the image. Safe to call twice. */
  close(): void;
}

/** Streams the image, which belongs to the stream from here on. */
export function writeImage(image: EngineImage, options: ImageOptions): ImageStream {
  const { meta, chunkBytesMax } = options;
  assert(chunkBytesMax > 0, 'chunkBytesMax must be positive', { chunkBytesMax });
  assert(meta.length <= SNAPSHOT_META_BYTES_MAX, 'meta is too long', { bytes: meta.length });
  return new ImageWriter(image, options);
}

/**
 * Reads some chunks ahead, one at a time; they are hashed when they are given out. Chunks that are
 * taken back are used again: V8 counts every new one, and collects its whole heap for them, ten
 * times a second at 100 MB/s.
 */
class ImageWriter implements ImageStream {
  readonly #image: EngineImage;
  readonly #options: ImageOptions;
  readonly #hash = createHash('sha256');
  /** Read, or made, and not given out. */
  readonly #ready: Uint8Array[];
  /** The buffers whose chunks were given out; those that came back. */
  readonly #lent = new Map<Uint8Array, Uint8Array>();
  readonly #spare: Uint8Array[] = [];
  /** Bytes of the image that were read, or are being read. */
  #offset = 0;
  #isReading = false;
  #isAwaited = false;
  /** The trailer was given out. */
  #isOver = false;
  #error: Error | null = null;

  constructor(image: EngineImage, options: ImageOptions) {
    this.#image = image;
    this.#options = options;
    this.#ready = [encodeImageHeader({ meta: options.meta, bytes: image.bytes })];
    this.#read();
  }

  next(): Uint8Array | 'later' | null {
    if (this.#error !== null) throw this.#error;
    const chunk = this.#ready.shift();
    this.#read();
    if (chunk !== undefined) {
      this.#hash.update(chunk);
      return chunk;
    }
    this.#isAwaited = this.#isReading;
    if (this.#isReading) return 'later';
    if (this.#isOver) return null;
    this.#isOver = true;
    const trailer = Uint8Array.from(this.#hash.digest());
    assert(trailer.length === TRAILER_BYTES, 'SHA-256 has 32 bytes');
    return trailer;
  }

  recycle(chunk: Uint8Array): void {
    const buffer = this.#lent.get(chunk);
    if (buffer === undefined) return;
    this.#lent.delete(chunk);
    this.#spare.push(buffer);
  }

  close(): void {
    this.#image.close();
    this.#ready.length = 0;
    this.#lent.clear();
    this.#spare.length = 0;
  }

  #read(): void {
    const { chunkBytesMax } = this.#options;
    const length = Math.min(chunkBytesMax, this.#image.bytes - this.#offset);
    if (this.#isReading || this.#ready.length >= IMAGE_CHUNKS_AHEAD || length === 0) return;
    this.#isReading = true;
    const offset = this.#offset;
    this.#offset += length;
    const finished = (): void => {
      this.#isReading = false;
      if (this.#error === null) this.#read();
      if (!this.#isAwaited) return;
      this.#isAwaited = false;
      this.#options.wake();
    };
    const buffer = this.#spare.pop() ?? new Uint8Array(chunkBytesMax);
    const chunk = buffer.subarray(0, length);
    this.#image.read(offset, chunk).then(
      () => {
        this.#lent.set(chunk, buffer);
        this.#ready.push(chunk);
        finished();
      },
      (cause: unknown) => {
        this.#error = storeError(cause, this.#image.path);
        finished();
      },
    );
  }
}
