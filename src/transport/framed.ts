import type { Connection } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import type { TransportContext } from './context.ts';
import { decodeFrame, type Frame, FrameReader, KEEP_ALIVE_FRAME } from './frame.ts';
import { WIRE_LIMITS } from './limits.ts';

/** Why a connection ended. `text` is for people. */
export interface CloseReason {
  readonly kind:
    | 'ended'
    | 'badFrame'
    | 'timeout'
    | 'rejected'
    | 'replaced'
    | 'evicted'
    | 'idle'
    | 'removed'
    | 'shutdown';
  readonly text: string;
}

/** What a framed connection tells its owner. None is called after `onClose`, which comes once. */
export interface FramedHandlers {
  onOpen(): void;
  /** Any frame but keep-alives. */
  onFrame(frame: Frame): void;
  onDrain(): void;
  /** May come from inside `close` and `refuse`. */
  onClose(reason: CloseReason): void;
}

/**
 * A connection as a stream of frames: checks what arrives, keeps the link alive, finds it dead.
 *
 * `greeting` ── greeted() ──► `greeted`;  every state ends with one `onClose`.
 */
export class FramedConnection {
  readonly #context: TransportContext;
  readonly #connection: Connection;
  readonly #handlers: FramedHandlers;
  readonly #reader = new FrameReader(WIRE_LIMITS.handshakeBytesMax);
  #greeted = false;
  #closed = false;
  /** Ticks since the last byte arrived (or the connection opened). */
  #silentTicks = 0;
  /** Ticks since the start; matters until greeted. */
  #ageTicks = 0;
  /** Something was written since the last tick. */
  #wrote = false;
  /** The connection takes bulk: no `onDrain` is awaited. */
  #writable = true;
  #firstBytes: Uint8Array | null = null;

  constructor(context: TransportContext, connection: Connection, handlers: FramedHandlers) {
    this.#context = context;
    this.#connection = connection;
    this.#handlers = handlers;
  }

  /** The other side, for log lines. */
  get remote(): string {
    return this.#connection.remote;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** False while bulk should wait for `onDrain`. */
  get writable(): boolean {
    return this.#writable;
  }

  /** First bytes that ever arrived; null before. To name a foreign protocol. */
  get firstBytes(): Uint8Array | null {
    return this.#firstBytes;
  }

  start(): void {
    this.#context.connections.add();
    this.#connection.start({
      onOpen: () => {
        if (this.#closed) return;
        this.#silentTicks = 0;
        this.#handlers.onOpen();
      },
      onData: (bytes) => this.#receive(bytes),
      onDrain: () => {
        if (this.#closed) return;
        this.#writable = true;
        this.#handlers.onDrain();
      },
      onClose: (error) => {
        this.#end({ kind: 'ended', text: error?.message ?? 'closed by the other side' });
        this.#context.connections.release();
      },
    });
  }

  /** The handshake is complete: frames up to the lane's limit, keep-alives, death by silence. */
  greeted(payloadBytesMax: number): void {
    this.#greeted = true;
    this.#reader.payloadBytesMax = payloadBytesMax;
  }

  /** Hands `frames` frames to the connection. The array must not change afterwards. */
  write(bytes: Uint8Array, frames: number): void {
    if (this.#closed) return;
    this.#wrote = true;
    this.#context.counters.framesSent += frames;
    this.#context.counters.bytesSent += bytes.length;
    this.#writable = this.#connection.write(bytes);
  }

  /** One tick of `keepAliveMs` has passed. */
  tick(silentTicksMax: number): void {
    if (this.#closed) return;
    const { handshakeTimeoutMs, keepAliveMs } = this.#context.limits;
    this.#ageTicks++;
    this.#silentTicks++;
    if (!this.#greeted && this.#ageTicks * keepAliveMs > handshakeTimeoutMs) {
      return this.#timeout(`no handshake within ${handshakeTimeoutMs} ms`);
    }
    if (this.#silentTicks > silentTicksMax) {
      return this.#timeout(`silent for ${silentTicksMax * keepAliveMs} ms`);
    }
    // Bytes that still wait will be sign of life enough; more must not pile up behind them.
    if (this.#greeted && !this.#wrote && this.#connection.bufferedBytes === 0) {
      this.write(KEEP_ALIVE_FRAME, 1);
    }
    this.#wrote = false;
  }

  /** Closes because of what the other side sent. */
  refuse(text: string): void {
    if (this.#closed) return;
    this.#context.counters.badFrames++;
    this.close({ kind: 'badFrame', text });
  }

  /** Cuts the connection. Does nothing when it is closed. */
  close(reason: CloseReason): void {
    if (this.#closed) return;
    this.#connection.destroy();
    this.#end(reason);
  }

  #timeout(text: string): void {
    this.#context.counters.timeouts++;
    this.close({ kind: 'timeout', text });
  }

  #end(reason: CloseReason): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handlers.onClose(reason);
  }

  #receive(bytes: Uint8Array): void {
    if (this.#closed) return;
    this.#silentTicks = 0;
    this.#firstBytes ??= bytes.slice(0, 16);
    this.#context.counters.bytesReceived += bytes.length;
    this.#reader.push(bytes);
    while (!this.#closed) {
      const frame = this.#nextFrame();
      if (frame === null) return;
      if (frame.kind !== 'keepAlive') this.#handlers.onFrame(frame);
    }
  }

  /** The next frame; null when there is none yet, or a bad one closed the connection. */
  #nextFrame(): Frame | null {
    try {
      const payload = this.#reader.next();
      if (payload === null) return null;
      const frame = decodeFrame(payload);
      this.#context.counters.framesReceived++;
      return frame;
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.refuse(error.message);
      return null;
    }
  }
}
