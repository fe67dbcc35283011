import { decodeSnapshotRequest, encodeSnapshotChunk } from '../api/index.ts';
import {
  GrpcError,
  type GrpcMethod,
  type GrpcServerStreamHandlers,
  type GrpcStream,
} from '../grpc/index.ts';
import type { Clock, Log, Timer } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import { StoreError } from '../store/index.ts';
import { SNAPSHOT_LIMITS, type SnapshotLimits } from './limits.ts';
import type { RowsReader } from './state.ts';

/** A member's state on its way to an operator. */
export interface OpenedSnapshot {
  readonly reader: RowsReader;
  /** Of the whole stream, roughly. */
  readonly estimatedBytes: number;
}

/** What the method streams from. */
export interface SnapshotSource {
  /**
   * The durable state, flushed for this: with all that was acknowledged before the call, or, if
   * `local`, with what this member has. Rejects with an Error whose message is for the operator.
   */
  openSnapshot(options: { readonly local: boolean }): Promise<OpenedSnapshot>;
}

export interface SnapshotMethodsOptions {
  readonly source: SnapshotSource;
  readonly clock: Clock;
  readonly log: Log;
  /** Called with the damage when a row was not what was stored: the member has to stop. */
  readonly onDamage: (error: Error) => void;
  /** Default SNAPSHOT_LIMITS. */
  readonly limits?: Partial<SnapshotLimits>;
}

/** The methods of `quorate.v1.Maintenance`, by path. */
export function snapshotMethods(options: SnapshotMethodsOptions): ReadonlyMap<string, GrpcMethod> {
  const limits = { ...SNAPSHOT_LIMITS, ...options.limits };
  const streams = new Set<Outgoing>();
  const method: GrpcMethod = {
    type: 'serverStream',
    open(request, { remote }, stream) {
      const local = isLocal(request);
      if (streams.size >= limits.streamsMax) {
        const said = `this member streams ${streams.size} snapshots already: wait, or ask another`;
        throw new GrpcError('RESOURCE_EXHAUSTED', said);
      }
      const outgoing = new Outgoing({ ...options, limits }, stream, remote);
      streams.add(outgoing);
      outgoing.start(local);
      return {
        onDrain: () => outgoing.pump(),
        onStopping: () => outgoing.end(STOPPING),
        onClosed: () => {
          outgoing.end(null);
          streams.delete(outgoing);
        },
      } satisfies GrpcServerStreamHandlers;
    },
  };
  return new Map([['/quorate.v1.Maintenance/Snapshot', method]]);
}

const STOPPING = new GrpcError('UNAVAILABLE', 'this member is stopping');

function isLocal(request: Uint8Array): boolean {
  try {
    return decodeSnapshotRequest(request).local;
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new GrpcError('INVALID_ARGUMENT', `malformed message: ${cause.message}`, { cause });
  }
}

/**
 * One snapshot on its way. A chunk is made in each turn of the event loop while the client keeps
 * up; when `bufferedBytesMax` wait for it, nothing is made until they have left.
 */
class Outgoing {
  readonly #options: SnapshotMethodsOptions & { readonly limits: SnapshotLimits };
  readonly #stream: GrpcStream;
  readonly #remote: string;
  #opened: OpenedSnapshot | null = null;
  #isOver = false;
  /** A call of `pump` is on its way. */
  #isScheduled = false;
  /** Ends a stream whose client does not read; null while it does. */
  #stall: Timer | null = null;

  constructor(
    options: SnapshotMethodsOptions & { readonly limits: SnapshotLimits },
    stream: GrpcStream,
    remote: string,
  ) {
    this.#options = options;
    this.#stream = stream;
    this.#remote = remote;
  }

  start(local: boolean): void {
    const { source, log } = this.#options;
    source.openSnapshot({ local }).then(
      (opened) => {
        if (this.#isOver) {
          opened.reader.close();
          return;
        }
        this.#opened = opened;
        const { index } = opened.reader.position;
        log.info('snapshot: streaming', { to: this.#remote, index });
        this.pump();
      },
      (cause: Error) => this.end(new GrpcError('UNAVAILABLE', cause.message, { cause })),
    );
  }

  /** Makes the next chunk if the client can take it; otherwise it is called again. */
  pump(): void {
    const { clock, limits } = this.#options;
    if (this.#isOver || this.#isScheduled || this.#opened === null) return;
    if (this.#stream.bufferedBytes >= limits.bufferedBytesMax) {
      this.#stall ??= clock.setTimer(limits.stallMs, () => this.#stalled());
      return;
    }
    this.#stall?.cancel();
    this.#stall = null;
    const data = this.#next(this.#opened.reader);
    if (data === null) return;
    const { estimatedBytes } = this.#opened;
    this.#stream.send(encodeSnapshotChunk({ data, estimatedBytes }));
    this.#isScheduled = true;
    clock.defer(() => {
      this.#isScheduled = false;
      this.pump();
    });
  }

  /** Ends the stream, unless that has happened; null: with OK. */
  end(error: GrpcError | null): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stall?.cancel();
    this.#opened?.reader.close();
    this.#stream.end(error);
  }

  /** The next chunk; null when there is none and the stream has been ended. */
  #next(reader: RowsReader): Uint8Array | null {
    try {
      const data = reader.next();
      if (data === null) this.end(null);
      return data;
    } catch (cause) {
      if (!(cause instanceof StoreError)) throw cause;
      if (cause.code === 'CLOSED') {
        const said = 'the state was replaced while it was read, or this member is stopping';
        this.end(new GrpcError('UNAVAILABLE', said, { cause }));
      } else {
        this.end(new GrpcError('DATA_LOSS', `the state is damaged: ${cause.message}`, { cause }));
        this.#options.onDamage(cause);
      }
      return null;
    }
  }

  #stalled(): void {
    const { limits, log } = this.#options;
    log.warn('snapshot: the client does not read', { to: this.#remote });
    const said = `nothing was read for ${limits.stallMs} ms: the state can't be held that long`;
    this.end(new GrpcError('RESOURCE_EXHAUSTED', said));
  }
}
