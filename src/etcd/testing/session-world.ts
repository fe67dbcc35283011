import type { ErrorCode, KvService, Query, Reply, StateFeed } from '../../api/index.ts';
import { encodeAnswer } from '../../api/index.ts';
import { type GrpcCall, GrpcError } from '../../grpc/index.ts';
import { ManualClock } from '../../grpc/testing/manual-clock.ts';
import { KvStateMachine } from '../../kv/index.ts';
import { memoryStore } from '../../store/index.ts';
import type { EtcdMember } from '../context.ts';
import type { EtcdLimits } from '../limits.ts';
import { etcdMethods } from '../methods.ts';

/** What the log does with a command: takes it, loses it, or takes it and loses the answer. */
export type Fate = 'applied' | { readonly code: ErrorCode; readonly isApplied: boolean };

/** How a call ended, with the headers or trailers that came along. */
export interface Ended {
  readonly bytes: Uint8Array | null;
  readonly error: GrpcError | null;
  readonly headers: ReadonlyMap<string, string>;
}

/** A cluster whose log is one function, and members on it: they differ in their ids and terms. */
export class SessionWorld {
  readonly clock = new ManualClock();
  readonly machine = new KvStateMachine({ store: memoryStore() });
  /** Of the next commands, in order; then all are applied. */
  readonly fates: Fate[] = [];
  isClosed = false;
  #index = 0;
  #timeMs = 1_000_000;
  readonly #listeners = new Set<() => void>();

  /** Lets log time pass. */
  passLogTime(ms: number): void {
    this.#timeMs += ms;
  }

  /** The services of one member. */
  member(memberId: bigint, limits: Partial<EtcdLimits> = {}): SessionMember {
    const { machine } = this;
    const service: Pick<KvService, 'execute' | 'read'> = {
      execute: (command, reply) => this.#execute(command, reply),
      read: (query: Query, reply: Reply) => void reply(machine.query(query)),
    };
    const feed: Pick<StateFeed, 'revision' | 'onApplied'> = {
      get revision() {
        return machine.revision;
      },
      onApplied: (listener) => {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
      },
    };
    const member = { clusterId: 1n, memberId, term: Number(memberId), hasLeader: true };
    // A closed member has no rows to show.
    const rows = (): unknown => (this.isClosed ? null : {});
    return new SessionMember(
      { ...member, service, feed, rows } as unknown as EtcdMember,
      this.clock,
      limits,
    );
  }

  #execute(command: Uint8Array, reply: Reply): void {
    const fate = this.fates.shift() ?? 'applied';
    if (fate !== 'applied' && !fate.isApplied) return reply(refusal(fate.code));
    const batch = { term: 1, timeMs: this.#timeMs, commands: [command.slice()], conf: null };
    const [answer] = this.machine.apply({ ...batch, index: ++this.#index });
    for (const listener of [...this.#listeners]) listener();
    reply(fate === 'applied' ? (answer as Uint8Array) : refusal(fate.code));
  }
}

/** etcd's methods at one member, called without a network. */
export class SessionMember {
  readonly #methods: ReturnType<typeof etcdMethods>;
  #nonces = 0;

  constructor(member: EtcdMember, clock: ManualClock, limits: Partial<EtcdLimits>) {
    const random = {
      uint32: () => 0,
      bytes: (length: number) => new Uint8Array(length).fill(++this.#nonces),
    };
    this.#methods = etcdMethods({ member, clock, random, limits });
  }

  async call(
    path: string,
    request: Uint8Array,
    metadata: Readonly<Record<string, string>>,
    signal: AbortSignal = new AbortController().signal,
  ): Promise<Ended> {
    const method = this.#methods.get(path);
    if (method?.type !== 'unary') throw new Error(`no method ${path}`);
    const headers = new Map<string, string>();
    const call = {
      metadata: (name: string) => metadata[name] ?? null,
      setHeader: (name: string, value: string) => void headers.set(name, value),
      signal,
    } as Partial<GrpcCall> as GrpcCall;
    return new Promise((resolve, reject) => {
      const fail = (error: unknown): void => {
        if (error instanceof GrpcError) resolve({ bytes: null, error, headers });
        else reject(error);
      };
      const answer = (bytes: Uint8Array): void => resolve({ bytes, error: null, headers });
      try {
        method.handle(request, call, { answer, fail });
      } catch (error) {
        fail(error);
      }
    });
  }
}

function refusal(code: ErrorCode): Uint8Array {
  return encodeAnswer({ type: 'error', code, message: code, leader: null });
}
