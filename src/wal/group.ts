import { ByteWriter } from '../lib/index.ts';
import { BATCH_HEADER_BYTES, type BatchKind, batchBytes } from './format.ts';
import type { LogHead } from './records.ts';

const HEADER_ROOM = new Uint8Array(BATCH_HEADER_BYTES);
const PADDING = new Uint8Array(batchBytes(0));

/** A batch in the making: the records that will be written and synced together. */
export class Group {
  readonly kind: BatchKind;
  /** When the first of its appends came; monotonic milliseconds. */
  readonly sinceMs: number;
  /** Whom to tell when it is durable, in order. */
  readonly dones: (() => void)[] = [];
  /** Where records are written to. */
  readonly writer: ByteWriter;
  /** Where the log stands behind these records. */
  head: LogHead;
  /** Lowest index of an entry that is replaced by these records, 1 for all; null for none. */
  replacedFrom: number | null = null;

  constructor(kind: BatchKind, sinceMs: number, head: LogHead, writer: ByteWriter) {
    this.kind = kind;
    this.sinceMs = sinceMs;
    this.head = head;
    this.writer = writer;
    writer.clear();
    writer.raw(HEADER_ROOM);
  }

  get payloadBytes(): number {
    return this.writer.length - BATCH_HEADER_BYTES;
  }

  /** The whole blocks that it takes, header not yet filled in; nothing may be added afterwards. */
  blocks(): Uint8Array {
    this.writer.raw(PADDING.subarray(0, batchBytes(this.payloadBytes) - this.writer.length));
    return this.writer.view();
  }
}

/** Buffers for groups, used again and again: one being written, one being filled. */
export class WriterPool {
  readonly #spare: ByteWriter[] = [];
  readonly #keepBytesMax: number;

  /** @param keepBytesMax a buffer that held more than this is dropped */
  constructor(keepBytesMax: number) {
    this.#keepBytesMax = keepBytesMax;
  }

  take(): ByteWriter {
    return this.#spare.pop() ?? new ByteWriter(PADDING.length);
  }

  giveBack(writer: ByteWriter): void {
    if (writer.length <= this.#keepBytesMax && this.#spare.length < 2) this.#spare.push(writer);
  }
}
