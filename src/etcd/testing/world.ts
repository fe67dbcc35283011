import type { StateFeed } from '../../api/index.ts';
import { encodeCommand, type Operation } from '../../api/index.ts';
import type { GrpcError, GrpcStream } from '../../grpc/index.ts';
import { ManualClock } from '../../grpc/testing/manual-clock.ts';
import { KvStateMachine, StateView } from '../../kv/index.ts';
import { memoryStore } from '../../store/index.ts';
import { fragileStore } from '../../store/testing/index.ts';
import type { EtcdContext, EtcdMember } from '../context.ts';
import { ETCD_LIMITS, type EtcdLimits } from '../limits.ts';
import { WATCH_RESPONSE, type WatchResponse } from '../messages/watch.ts';
import type { StateRows } from '../state-rows.ts';

/** A state machine and what services stand on, in one process, with time that the test moves. */
export class WatchWorld {
  readonly clock = new ManualClock();
  readonly #store = fragileStore(memoryStore());
  readonly machine = new KvStateMachine({ store: this.#store });
  /** The machine's rows. */
  readonly rows: StateRows = new StateView(this.#store);
  readonly context: EtcdContext;
  hasLeader = true;
  #index = 0;
  readonly #listeners = new Set<() => void>();

  constructor(limits: Partial<EtcdLimits> = {}) {
    const { machine } = this;
    const feed: StateFeed = {
      get revision() {
        return machine.revision;
      },
      get compactRevision() {
        return machine.compactRevision;
      },
      get compacting() {
        return machine.compacting;
      },
      changes: (request) => machine.changes(request),
      onApplied: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
    };
    const world = this;
    const member = {
      clusterId: 1n,
      memberId: 2n,
      term: 3,
      get hasLeader() {
        return world.hasLeader;
      },
      feed,
      rows: () => world.rows,
    } as Partial<EtcdMember> as EtcdMember;
    const random = { uint32: () => 0, bytes: (length: number) => new Uint8Array(length) };
    this.context = { member, clock: this.clock, random, limits: { ...ETCD_LIMITS, ...limits } };
  }

  /** Who listens for changes. */
  get listeners(): number {
    return this.#listeners.size;
  }

  /** Applies the operations as one entry of the log. */
  apply(...operations: Operation[]): void {
    const commands = operations.map((operation) =>
      encodeCommand({ type: 'operation', session: null, operation }),
    );
    const batch = { term: 1, timeMs: 1_000_000, commands, conf: null };
    this.machine.apply({ ...batch, index: ++this.#index });
    for (const listener of [...this.#listeners]) listener();
  }
}

/** A stream whose client reads when the test says so. */
export class TestStream implements GrpcStream {
  /** Received by the client. */
  readonly read: WatchResponse[] = [];
  ended: GrpcError | null | undefined;
  #unread: Uint8Array[] = [];

  get bufferedBytes(): number {
    return this.#unread.reduce((sum, message) => sum + message.length, 0);
  }

  send(message: Uint8Array): void {
    this.#unread.push(message);
  }

  end(error: GrpcError | null): void {
    if (this.ended === undefined) this.ended = error;
  }

  pause(): void {}

  resume(): void {}

  /** The client reads all; returns what that was. */
  take(): WatchResponse[] {
    const taken = this.#unread.map((message) => WATCH_RESPONSE.decode(message));
    this.#unread = [];
    this.read.push(...taken);
    return taken;
  }
}
