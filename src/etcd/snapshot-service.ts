import { createHash } from 'node:crypto';
import { GrpcError, type GrpcServerStreamMethod, type GrpcStream } from '../grpc/index.ts';
import type { Clock, Timer } from '../io/index.ts';
import { type Deferred, deferred } from '../lib/index.ts';
import { demandLeader, type EtcdContext } from './context.ts';
import { etcdError } from './errors.ts';
import type { EtcdLimits } from './limits.ts';
import { SNAPSHOT_RESPONSE } from './messages/cluster.ts';
import type { OpenDatabase } from './snapshot-file.ts';

/** Maintenance.Snapshot: the file, and then its SHA-256 in a message of its own. */
export function snapshotMethod(context: EtcdContext): GrpcServerStreamMethod {
  const { limits } = context;
  let streams = 0;
  return {
    type: 'serverStream',
    open(_request, call, stream) {
      demandLeader(context, call);
      if (streams === limits.snapshotsMax) {
        throw etcdError('RESOURCE_EXHAUSTED', `this member sends ${streams} snapshots already`);
      }
      streams++;
      const outgoing = new Outgoing(context, stream);
      outgoing
        .send()
        .then(
          () => stream.end(null),
          (cause: Error) => stream.end(asGrpcError(cause)),
        )
        .finally(() => streams--);
      return outgoing;
    },
  };
}

function asGrpcError(cause: Error): GrpcError {
  return cause instanceof GrpcError
    ? cause
    : new GrpcError('UNAVAILABLE', cause.message, { cause });
}

/** One file on its way: no more of it is read than the client takes. */
class Outgoing {
  readonly #open: OpenDatabase;
  readonly #clock: Clock;
  readonly #limits: EtcdLimits;
  readonly #stream: GrpcStream;
  readonly #over = new AbortController();
  /** Resolved when the client has read what waits for it, rejected when it does not. */
  #room: Deferred<void> | null = null;

  constructor({ member, clock, limits }: EtcdContext, stream: GrpcStream) {
    this.#open = (options) => member.openDatabase(options);
    this.#clock = clock;
    this.#limits = limits;
    this.#stream = stream;
  }

  async send(): Promise<void> {
    const { signal } = this.#over;
    const file = await this.#open({ signal });
    try {
      const hash = createHash('sha256');
      for (let offset = 0; offset < file.bytes; ) {
        const length = Math.min(this.#limits.snapshotBlobBytes, file.bytes - offset);
        const blob = await file.read({ offset, length });
        signal.throwIfAborted();
        hash.update(blob);
        offset += blob.length;
        this.#send(blob, file.bytes - offset);
        await this.#haveRoom();
      }
      this.#send(hash.digest(), 0);
    } finally {
      await file.close();
    }
  }

  onDrain(): void {
    this.#room?.resolve();
  }

  onClosed(): void {
    this.#end(etcdError('CANCELLED', 'the client is gone'));
  }

  onStopping(): void {
    this.#end(etcdError('UNAVAILABLE', 'server stopped'));
  }

  #send(blob: Uint8Array, remaining: number): void {
    this.#stream.send(SNAPSHOT_RESPONSE.encode({ remaining_bytes: remaining, blob }));
  }

  async #haveRoom(): Promise<void> {
    const { snapshotUnreadBytesMax, snapshotStallMs } = this.#limits;
    if (this.#stream.bufferedBytes < snapshotUnreadBytesMax) return;
    const room = deferred<void>();
    this.#room = room;
    const stall: Timer = this.#clock.setTimer(snapshotStallMs, () => {
      const said = `nothing of the snapshot was read for ${snapshotStallMs} ms`;
      this.#end(etcdError('RESOURCE_EXHAUSTED', said));
    });
    try {
      await room.promise;
    } finally {
      stall.cancel();
      this.#room = null;
    }
  }

  #end(reason: GrpcError): void {
    this.#over.abort(reason);
    this.#room?.reject(reason);
  }
}
