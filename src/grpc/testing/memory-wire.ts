/** A connection without a socket: a test plays the client and the kernel. */
import type { ConnectionHandlers } from '../../io/index.ts';
import { HpackDecoder } from '../hpack/index.ts';
import type { Wire } from '../http2/index.ts';
import type { ErrorName } from '../http2/protocol.ts';
import { errorAt, framesIn, type PlainFrame } from './frames.ts';

export class MemoryWire implements Wire {
  readonly remote = 'test';
  /** The server has said its end. */
  hasEnded = false;
  isDestroyed = false;
  /** While true, what is written stays in the wire as with a client that does not read. */
  isStuck = false;
  bufferedBytes = 0;
  /** Pieces in which the server wrote. */
  readonly writes: Uint8Array[] = [];
  #handlers: ConnectionHandlers | null = null;
  #read = 0;

  start(handlers: ConnectionHandlers): void {
    this.#handlers = handlers;
  }

  write(bytes: Uint8Array): boolean {
    this.writes.push(bytes);
    if (!this.isStuck) return true;
    this.bufferedBytes += bytes.length;
    return false;
  }

  end(): void {
    this.hasEnded = true;
  }

  destroy(): void {
    if (this.isDestroyed) return;
    this.isDestroyed = true;
    process.nextTick(() => this.#handlers?.onClose(null));
  }

  /** Bytes come from the client. */
  feed(...parts: Uint8Array[]): void {
    if (!this.isDestroyed) this.#handlers?.onData(Buffer.concat(parts));
  }

  /** The client reads again. */
  unstick(): void {
    this.isStuck = false;
    this.bufferedBytes = 0;
    this.#handlers?.onDrain?.();
  }

  /** The connection is lost. */
  cut(): void {
    this.destroy();
  }

  /** All bytes that the server wrote. */
  get written(): Buffer {
    return Buffer.concat(this.writes);
  }

  /** The frames that the server wrote since the last call; waits for the present turn's end. */
  async frames(): Promise<PlainFrame[]> {
    await settled();
    const all = framesIn(this.written);
    const fresh = all.slice(this.#read);
    this.#read = all.length;
    return fresh;
  }

  /** The code of the GOAWAY that ended the connection; null while there is none but NO_ERROR. */
  async failure(): Promise<ErrorName | number | null> {
    await settled();
    const goaways = framesIn(this.written).filter(({ type }) => type === 'GOAWAY');
    const codes = goaways.map(({ payload }) => errorAt(payload, 4));
    return codes.find((code) => code !== 'NO_ERROR') ?? null;
  }

  /** `stream: code` of each RST_STREAM so far. */
  async resets(): Promise<string[]> {
    await settled();
    const frames = framesIn(this.written).filter(({ type }) => type === 'RST_STREAM');
    return frames.map(({ stream, payload }) => `${stream}: ${errorAt(payload, 0)}`);
  }

  /** grpc-status (or :status without one) by stream, of all calls that ended so far. */
  async statuses(): Promise<Record<number, string>> {
    await settled();
    const decoder = new HpackDecoder({ tableBytesMax: 4096, listBytesMax: 65536, pairsMax: 99 });
    const statuses: Record<number, string> = {};
    for (const { type, flags, stream, payload } of framesIn(this.written)) {
      if (type !== 'HEADERS') continue;
      const fields = decoder.decode(payload) ?? [];
      const status =
        fields.find(({ name }) => name === 'grpc-status') ??
        fields.find(({ name }) => name === ':status');
      if ((flags & 1) !== 0 && status !== undefined) statuses[stream] = status.value;
    }
    return statuses;
  }
}

/** Resolves when promises and ticks of the present turn have run. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
