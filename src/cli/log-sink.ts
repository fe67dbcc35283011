import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { isatty } from 'node:tty';

/** Bounds of a sink. */
const LIMITS = {
  /** Bytes that wait while the reader is slow; a line beyond them is lost and counted. */
  pendingBytesMax: 1024 * 1024,
  /** Pause before writing again to a terminal that takes nothing, milliseconds. */
  retryMs: 50,
} as const;

/** Writes some bytes without ever blocking; says how many left, or why none ever will. */
type WriteSome = (bytes: Uint8Array, done: (error: Error | null, written: number) => void) => void;

/**
 * Where log lines leave the process. Never blocks, however slow the reader: what it does not take
 * waits up to a bound, lines beyond that are dropped and counted, and the loss is reported in the
 * log itself as soon as there is room again. While it is open nobody else writes to its descriptor.
 *
 *      write(line) ──► pending (≤ 1 MiB) ──► one write under way ──► pipe, terminal or file
 *                         └─ full: drop, count ──► "n lines lost" once it has drained
 */
export class LogSink {
  readonly #writeSome: WriteSome;
  readonly #lossLine: (lines: number) => string;
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  /** Bytes handed to the operating system that it has not taken yet. */
  #leavingBytes = 0;
  #lostLines = 0;
  /** The reader is gone for good. */
  #broken = false;
  #onIdle: (() => void)[] = [];

  /** `lossLine` words the report of dropped lines, line feed included. */
  constructor(fd: number, lossLine: (lines: number) => string) {
    this.#writeSome = openWriter(fd);
    this.#lossLine = lossLine;
  }

  /** Lines dropped since the last report. */
  get lostLines(): number {
    return this.#lostLines;
  }

  /** Takes one line, line feed included. */
  write(line: string): void {
    const bytes = Buffer.from(line);
    const heldBytes = this.#pendingBytes + this.#leavingBytes;
    if (this.#broken || heldBytes + bytes.length > LIMITS.pendingBytesMax) {
      this.#lostLines++;
      return;
    }
    this.#enqueue(bytes);
    this.#pump();
  }

  /** Resolves when everything has left, or after `timeoutMs` at the latest. */
  async flush(timeoutMs: number): Promise<void> {
    if (this.#leavingBytes === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#onIdle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #enqueue(bytes: Uint8Array): void {
    this.#pending.push(bytes);
    this.#pendingBytes += bytes.length;
  }

  #pump(): void {
    if (this.#leavingBytes > 0) return;
    if (this.#pending.length === 0 && this.#lostLines > 0 && !this.#broken) {
      this.#enqueue(Buffer.from(this.#lossLine(this.#lostLines)));
      this.#lostLines = 0;
    }
    if (this.#pending.length === 0) {
      for (const wake of this.#onIdle.splice(0)) wake();
      return;
    }
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    this.#pendingBytes = 0;
    this.#leavingBytes = bytes.length;
    this.#writeRest(bytes);
  }

  #writeRest(bytes: Uint8Array): void {
    this.#writeSome(bytes, (error, written) => {
      if (error === null && written < bytes.length) {
        this.#leavingBytes -= written;
        this.#writeRest(bytes.subarray(written));
        return;
      }
      if (error !== null) {
        this.#broken = true;
        this.#pending = [];
        this.#pendingBytes = 0;
      }
      this.#leavingBytes = 0;
      this.#pump();
    });
  }
}

/**
 * A pipe or socket goes through libuv, which makes it non-blocking: a thread of the pool that hangs
 * in a blocking write would also hang the exit of the process. A terminal is opened once more,
 * non-blocking, for us alone: a stopped one (Ctrl-S, a dead ssh connection) must not stop a member.
 */
function openWriter(fd: number): WriteSome {
  const stat = fstatSync(fd);
  if (stat.isFIFO() || stat.isSocket()) {
    const socket = new Socket({ fd, readable: false, writable: true });
    socket.on('error', () => {}); // every failure also reaches the callback of the write
    return (bytes, done) => {
      socket.write(bytes, (error) => done(error ?? null, bytes.length));
    };
  }
  const own = isatty(fd) ? openTerminal(fd) : fd;
  return (bytes, done) => writeDirectly(own, bytes, done);
}

function openTerminal(fd: number): number {
  try {
    return openSync('/dev/tty', constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return fd; // no controlling terminal: the one we were given has to do
  }
}

function writeDirectly(fd: number, bytes: Uint8Array, done: Parameters<WriteSome>[1]): void {
  let written: number;
  try {
    written = writeSync(fd, bytes);
  } catch (error) {
    const refused = error as NodeJS.ErrnoException;
    if (refused.code !== 'EAGAIN') done(refused, 0);
    else setTimeout(() => writeDirectly(fd, bytes, done), LIMITS.retryMs).unref();
    return;
  }
  done(null, written);
}
