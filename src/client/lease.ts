import { KvError } from '../api/index.ts';
import type { Timer } from '../io/index.ts';
import type { CallOptions, ClerkCore } from './core.ts';
import { CLERK_LIMITS } from './limits.ts';
import { integer, leaseId } from './request.ts';
import { expectType } from './result.ts';
import { type As, type Out, outOf } from './text.ts';

/** A lease to ask for. */
export interface GrantOptions extends CallOptions {
  /** Time to live, milliseconds; the cluster raises it to its least (2 s). */
  readonly ttlMs: number;
  /** 64 bits, not 0. Default: a random one. */
  readonly id?: bigint;
}

export interface GrantOutcome {
  readonly id: bigint;
  /** The time to live granted, milliseconds. */
  readonly ttlMs: number;
  /** The store's revision. */
  readonly revision: number;
}

export interface RevokeOutcome {
  /** The store's revision afterwards. */
  readonly revision: number;
  /** Keys that ended with it. */
  readonly deleted: number;
}

export interface LeaseStatus<A extends As = 'text'> {
  readonly id: bigint;
  /** Until it ends unless it is kept alive, milliseconds of log time. */
  readonly remainingMs: number;
  readonly ttlMs: number;
  /** Those that end with it, in order, if that was asked for. */
  readonly keys: readonly Out<A>[];
  readonly revision: number;
}

/**
 * The leases of the cluster, one command each. A lease whose clerk lives is better held: see
 * `clerk.lease`.
 */
export class Leases {
  readonly #core: ClerkCore;

  /** Use `clerk.leases`. */
  constructor(core: ClerkCore) {
    this.#core = core;
  }

  /**
   * Makes a lease, once.
   * @throws KvError LEASE_EXISTS, LEASES_FULL, LEASE_TTL_TOO_LARGE.
   */
  async grant(options: GrantOptions): Promise<GrantOutcome> {
    const id = leaseId(options.id ?? this.#randomId());
    const ttlMs = integer(options.ttlMs, 'ttlMs', 1);
    const operation = { type: 'leaseGrant', lease: id, ttlMs } as const;
    const { answer } = await this.#core.write('lease grant', operation, options);
    const granted = expectType(answer, 'leaseGrant', { what: 'lease grant', repeatedSeq: null });
    return { id, ttlMs: granted.ttlMs, revision: granted.revision };
  }

  /**
   * Lets a lease's time to live begin again; returns it, milliseconds.
   * @throws KvError LEASE_NOT_FOUND.
   */
  async keepAlive(id: bigint, options: CallOptions = {}): Promise<number> {
    const what = 'lease keep-alive';
    const operation = { type: 'leaseKeepAlive', lease: leaseId(id) } as const;
    const answer = await this.#core.repeat(what, operation, options);
    return expectType(answer, 'leaseKeepAlive', { what, repeatedSeq: null }).ttlMs;
  }

  /**
   * Ends a lease and its keys.
   * @throws KvError LEASE_NOT_FOUND.
   */
  async revoke(id: bigint, options: CallOptions = {}): Promise<RevokeOutcome> {
    const operation = { type: 'leaseRevoke', lease: leaseId(id) } as const;
    const { answer } = await this.#core.write('lease revoke', operation, options);
    const revoked = expectType(answer, 'leaseRevoke', { what: 'lease revoke', repeatedSeq: null });
    return { revision: revoked.revision, deleted: revoked.deleted };
  }

  /** How long a lease has to live; null when there is none. */
  async timeToLive<A extends As = 'text'>(
    id: bigint,
    options: CallOptions & { readonly keys?: boolean; readonly as?: A } = {},
  ): Promise<LeaseStatus<A> | null> {
    const what = 'lease time to live';
    const { keys = false, as = 'text' as A } = options;
    const query = { type: 'leaseTimeToLive', lease: leaseId(id), keys } as const;
    try {
      const answer = await this.#core.ask(what, { serializable: false, query }, options);
      const found = expectType(answer, 'leaseTimeToLive', { what, repeatedSeq: null });
      const { remainingMs, ttlMs, revision } = found;
      const outKeys = found.keys.map((key) => outOf(key, as, 'the key'));
      return { id, remainingMs, ttlMs, keys: outKeys, revision };
    } catch (error) {
      if (error instanceof KvError && error.code === 'LEASE_NOT_FOUND') return null;
      throw error;
    }
  }

  /** Ids of all leases, ascending. */
  async list(options: CallOptions = {}): Promise<readonly bigint[]> {
    const query = { serializable: false, query: { type: 'leases' } } as const;
    const answer = await this.#core.ask('lease list', query, options);
    return expectType(answer, 'leases', { what: 'lease list', repeatedSeq: null }).leases;
  }

  /** 63 random bits: positive also where ids are signed (etcd's clients), and never given twice. */
  #randomId(): bigint {
    const bits = new DataView(this.#core.random.bytes(8).buffer).getBigUint64(0);
    return BigInt.asUintN(63, bits) | 1n;
  }
}

/**
 *   alive ──keep-alive, every third of its life──▶ alive
 *     ├── it is not answered within the life that is left, or says that there is no such lease,
 *     │   or the clerk is closed ──▶ lost
 *     └── revoke ──▶ over
 */
type State = 'alive' | 'lost' | 'over';

/**
 * A lease that is kept alive for as long as the clerk lives. `signal` is aborted when that fails:
 * from then on the lease must count as over, whether or not the cluster has ended it yet. The life
 * that is left is counted on this machine's clock from the moment a keep-alive was sent, so it is
 * never thought longer than it is; only clocks that run at different speeds could break that, and
 * no process can look at a signal at the very moment it acts: see `Lock.fencingToken`.
 */
export class Lease {
  readonly id: bigint;
  /** Time to live, milliseconds. */
  readonly ttlMs: number;
  readonly #core: ClerkCore;
  readonly #leases: Leases;
  readonly #lost = new AbortController();
  readonly #forgetClosing: () => void;
  /** The lease lives until then at least, on the clock of this machine, milliseconds. */
  #aliveUntilMs: number;
  #timer: Timer;
  #state: State = 'alive';
  #revoking: Promise<void> | null = null;

  /** Use `clerk.lease`. `sentMs`: when it was asked for. */
  constructor(
    core: ClerkCore,
    leases: Leases,
    granted: { readonly id: bigint; readonly ttlMs: number; readonly sentMs: number },
  ) {
    this.id = granted.id;
    this.ttlMs = granted.ttlMs;
    this.#core = core;
    this.#leases = leases;
    this.#aliveUntilMs = granted.sentMs + granted.ttlMs;
    this.#timer = this.#renewLater();
    this.#forgetClosing = core.onClose(() => {
      this.#lose(new KvError('CLOSED', `${this.#name}: the clerk that kept it alive was closed`));
    });
  }

  /** Aborted when the lease is lost, with a KvError (LEASE_LOST, CLOSED) as the reason. */
  get signal(): AbortSignal {
    return this.#lost.signal;
  }

  /** How long the lease has to live, as the cluster says; null when it is over. */
  timeToLive(options: CallOptions = {}): Promise<LeaseStatus | null> {
    return this.#leases.timeToLive(this.id, options);
  }

  /**
   * Ends the lease and its keys. One that is over already is as good. Twice is safe.
   * @throws KvError when no member could be asked: then it ends by itself.
   */
  revoke(options: CallOptions = {}): Promise<void> {
    this.#revoking ??= this.#revoke(options);
    return this.#revoking;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.revoke();
  }

  get #name(): string {
    return `lease ${this.id.toString(16)}`;
  }

  async #revoke(options: CallOptions): Promise<void> {
    this.#stop('over');
    try {
      await this.#leases.revoke(this.id, options);
    } catch (error) {
      if (!(error instanceof KvError && error.code === 'LEASE_NOT_FOUND')) throw error;
    }
  }

  #renewLater(): Timer {
    const delayMs = Math.floor(this.ttlMs / CLERK_LIMITS.keepAlivesPerLife);
    return this.#core.clock.setTimer(delayMs, () => {
      this.#renew().catch((error: unknown) => {
        if (!(error instanceof KvError)) throw error;
        this.#lose(this.#lossBy(error));
      });
    });
  }

  /** The clerk asks again for as long as there is life left. */
  async #renew(): Promise<void> {
    const sentMs = this.#core.clock.nowMs();
    const timeoutMs = Math.max(1, Math.floor(this.#aliveUntilMs - sentMs));
    const ttlMs = await this.#leases.keepAlive(this.id, { timeoutMs });
    if (this.#state !== 'alive') return;
    this.#aliveUntilMs = sentMs + ttlMs;
    this.#timer = this.#renewLater();
  }

  #lossBy(cause: KvError): KvError {
    const why = cause.code === 'LEASE_NOT_FOUND' ? 'it is over' : 'not kept alive in time';
    return new KvError('LEASE_LOST', `${this.#name}: ${why}: ${cause.message}`, { cause });
  }

  #lose(reason: KvError): void {
    if (this.#state !== 'alive') return;
    this.#stop('lost');
    this.#lost.abort(reason);
  }

  #stop(state: Exclude<State, 'alive'>): void {
    this.#state = state;
    this.#timer.cancel();
    this.#forgetClosing();
  }
}

/**
 * Grants a lease and keeps it alive.
 * @throws KvError as `Leases.grant`.
 */
export async function holdLease(
  core: ClerkCore,
  leases: Leases,
  options: GrantOptions,
): Promise<Lease> {
  const sentMs = core.clock.nowMs();
  const { id, ttlMs } = await leases.grant(options);
  return new Lease(core, leases, { id, ttlMs, sentMs });
}
