import {
  decodeSnapshotChunk,
  encodeSnapshotRequest,
  KvError,
  type SnapshotChunk,
} from '../api/index.ts';
import { type Clock, systemClock } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import { type ClerkTls, type Dial, dialer } from './dial.ts';
import { type Endpoint, endpointText } from './endpoint.ts';
import { GrpcCall } from './grpc-call.ts';
import { CLERK_LIMITS } from './limits.ts';
import { checkOptions } from './options.ts';

export type { SnapshotChunk };

/** Bytes that came and were not taken; beyond, nothing is read until half of them are gone. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

export interface FetchSnapshotOptions {
  /** Members' client addresses, as for a clerk; the first that answers is the one. */
  readonly endpoints: string | readonly string[];
  /** For `https` endpoints, as for a clerk. */
  readonly tls?: ClerkTls;
  /**
   * What the member has, also without a leader; else all that was acknowledged before the call.
   * Default: false.
   */
  readonly local?: boolean;
  /** How long the member may be silent, milliseconds. Default: 5000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  /** Default: the machine's. */
  readonly clock?: Clock;
}

/**
 * The whole state of one member as it is now (docs/SNAPSHOT.md), while writes go on. What a slow
 * taker has not taken waits at the member, which gives up after half a minute without progress.
 * Only a snapshot that was verified to its end is one: the stream may break at any time.
 * @throws KvError: INVALID_ARGUMENT, UNREACHABLE, CONNECTION_LOST, BAD_PEER, and
 *   DEADLINE_NOT_APPLIED and CANCELLED_NOT_APPLIED for timeout and signal.
 */
export async function* fetchSnapshot(
  options: FetchSnapshotOptions,
): AsyncGenerator<SnapshotChunk, void, undefined> {
  const { endpoints, requestTimeoutMs: timeoutMs } = checkOptions({
    endpoints: options.endpoints,
    ...(options.tls === undefined ? {} : { tls: options.tls }),
    requestTimeoutMs: options.timeoutMs ?? CLERK_LIMITS.requestTimeoutMs,
  });
  const { local = false, signal, clock = systemClock } = options;
  const dial = dialer(options.tls);
  const { incoming, first } = await firstThatAnswers(
    endpoints,
    (endpoint) => new Incoming(endpoint, { local, timeoutMs, clock, dial, signal: signal ?? null }),
  );
  try {
    for (let chunk = first; chunk !== null; chunk = await incoming.next()) yield chunk;
  } finally {
    incoming.close();
  }
}

async function firstThatAnswers(
  endpoints: readonly Endpoint[],
  open: (endpoint: Endpoint) => Incoming,
): Promise<{ incoming: Incoming; first: SnapshotChunk | null }> {
  let failure: KvError | null = null;
  for (const endpoint of endpoints) {
    const incoming = open(endpoint);
    try {
      return { incoming, first: await incoming.next() };
    } catch (error) {
      incoming.close();
      if (!(error instanceof KvError) || error.code === 'CANCELLED_NOT_APPLIED') throw error;
      failure = error;
    }
  }
  throw failure ?? new KvError('INVALID_ARGUMENT', 'endpoints: at least one is needed');
}

interface IncomingOptions {
  readonly local: boolean;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly dial: Dial;
  readonly signal: AbortSignal | null;
}

/** One stream, and what has come of it and was not taken. */
class Incoming {
  readonly #place: string;
  readonly #options: IncomingOptions;
  readonly #call: GrpcCall;
  readonly #waiting: SnapshotChunk[] = [];
  #waitingBytes = 0;
  #isPaused = false;
  /** How it ended: 'complete', or why not; null while it goes on. */
  #end: 'complete' | KvError | null = null;
  /** Wakes whoever waits for the next chunk. */
  #wake: (() => void) | null = null;

  constructor(endpoint: Endpoint, options: IncomingOptions) {
    this.#place = endpointText(endpoint);
    this.#options = options;
    this.#call = new GrpcCall(endpoint, '/quorate.v1.Maintenance/Snapshot', options, {
      onMessage: (message) => this.#take(message),
      onEnd: (error) => this.#finish(error ?? 'complete'),
    });
    this.#call.send(encodeSnapshotRequest({ local: options.local }));
    this.#call.endSending();
  }

  /** The next chunk; null when the stream has ended as it should. */
  async next(): Promise<SnapshotChunk | null> {
    const { clock, signal, timeoutMs } = this.#options;
    const cancel = (): void =>
      this.#fail(new KvError('CANCELLED_NOT_APPLIED', 'the snapshot was called off'));
    if (signal?.aborted === true) cancel();
    if (this.#waiting.length === 0 && this.#end === null) {
      const timer = clock.setTimer(timeoutMs, () => {
        const said = `${this.#place}: silent for ${timeoutMs} ms`;
        this.#fail(new KvError('DEADLINE_NOT_APPLIED', said));
      });
      signal?.addEventListener('abort', cancel);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      signal?.removeEventListener('abort', cancel);
      timer.cancel();
    }
    const chunk = signal?.aborted === true ? undefined : this.#waiting.shift();
    if (chunk === undefined) return this.#ended();
    this.#waitingBytes -= chunk.data.length;
    if (this.#isPaused && this.#waitingBytes <= WAITING_BYTES_MAX / 2) {
      this.#isPaused = false;
      this.#call.resume();
    }
    return chunk;
  }

  /** Leaves the stream, wherever it is. Safe to call twice. */
  close(): void {
    this.#call.close();
  }

  #ended(): null {
    if (this.#end instanceof KvError) throw this.#end;
    return null;
  }

  #take(message: Uint8Array): void {
    try {
      const chunk = decodeSnapshotChunk(message);
      this.#waiting.push(chunk);
      this.#waitingBytes += chunk.data.length;
    } catch (cause) {
      if (!(cause instanceof DecodeError)) throw cause;
      const said = `${this.#place}: unreadable message: ${cause.message}`;
      this.#fail(new KvError('BAD_PEER', said, { cause }));
      return;
    }
    if (!this.#isPaused && this.#waitingBytes > WAITING_BYTES_MAX) {
      this.#isPaused = true;
      this.#call.pause();
    }
    this.#wakeUp();
  }

  #fail(error: KvError): void {
    this.#call.close();
    this.#finish(error);
  }

  #finish(end: 'complete' | KvError): void {
    this.#end ??= end;
    this.#wakeUp();
  }

  #wakeUp(): void {
    this.#wake?.();
    this.#wake = null;
  }
}
