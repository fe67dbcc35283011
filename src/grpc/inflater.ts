import { gunzip } from 'node:zlib';
import { GrpcError } from './status.ts';

interface Job {
  readonly bytes: Uint8Array;
  readonly done: (result: Uint8Array | GrpcError) => void;
}

/**
 * Inflates the compressed messages of a server, a few at a time: on Node's threads, so that a
 * message that grows a thousandfold stops nobody, and on few of them, because the log's writes run
 * there, too.
 */
export class Inflater {
  readonly #messageBytesMax: number;
  readonly #inflationsMax: number;
  #running = 0;
  readonly #queue: Job[] = [];

  constructor(limits: { messageBytesMax: number; inflationsMax: number }) {
    this.#messageBytesMax = limits.messageBytesMax;
    this.#inflationsMax = limits.inflationsMax;
  }

  /**
   * Inflates one gzip message, which must not be changed meanwhile; `done` is called once, later,
   * with the message, RESOURCE_EXHAUSTED when it is too long, or INTERNAL when it is no gzip.
   */
  inflate(bytes: Uint8Array, done: (result: Uint8Array | GrpcError) => void): void {
    this.#queue.push({ bytes, done });
    this.#runNext();
  }

  #runNext(): void {
    if (this.#running >= this.#inflationsMax) return;
    const job = this.#queue.shift();
    if (job === undefined) return;
    this.#running++;
    gunzip(job.bytes, { maxOutputLength: this.#messageBytesMax }, (error, inflated) => {
      this.#running--;
      this.#runNext();
      job.done(error === null ? plainBytes(inflated) : this.#explain(error));
    });
  }

  #explain(error: NodeJS.ErrnoException): GrpcError {
    if (error.code === 'ERR_BUFFER_TOO_LARGE') {
      const text = `inflated message exceeds the limit of ${this.#messageBytesMax} bytes`;
      return new GrpcError('RESOURCE_EXHAUSTED', text);
    }
    return new GrpcError('INTERNAL', 'malformed gzip message', { cause: error });
  }
}

/** Never a Buffer, whose `slice` does not copy. */
function plainBytes({ buffer, byteOffset, length }: Buffer): Uint8Array {
  return new Uint8Array(buffer, byteOffset, length);
}
