import { KvError } from '../api/index.ts';
import type { Clerk } from './clerk.ts';
import type { Lease } from './lease.ts';
import { CLERK_LIMITS } from './limits.ts';
import type { Condition } from './request.ts';
import type { Bytes } from './text.ts';

/*
 * The queue under locks and elections, with etcd's keys, so that its clients and ours stand in the
 * same one: who enters puts NAME/LEASE (hexadecimal) on its lease, once; the key that was created
 * first is in front; who waits watches the key before its own, and no other, so that the end of one
 * wakes one. A dead client's key goes with its lease.
 */

/** What locks and candidacies take. */
export interface CandidacyOptions {
  /** Time to live of the lease under it, milliseconds; granted for this and ended with it. */
  readonly ttlMs?: number;
  /** A lease to use instead; it outlives this. One lease has one place in a queue. */
  readonly lease?: Lease;
  /** Ends the waiting; without effect afterwards. Default: waits for as long as it takes. */
  readonly signal?: AbortSignal;
}

/** Who enters which queue. */
interface Entrance {
  readonly clerk: Clerk;
  readonly name: string;
  readonly key: string;
  readonly lease: Lease;
  /** It was granted for this. */
  readonly ownsLease: boolean;
}

interface Patience {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** No deadline: the signal and the lease bound these. */
const PATIENT = { timeoutMs: CLERK_LIMITS.timeoutMsMax };

/** A place at the front of a queue: what a lock that is held and a leadership have in common. */
export class Candidacy {
  readonly name: string;
  /** The key that stands for it, as etcd's clients name it: NAME/LEASE. */
  readonly key: string;
  /** Larger than that of everybody who was here before: the key's create revision. */
  readonly fencingToken: number;
  readonly lease: Lease;
  readonly #clerk: Clerk;
  readonly #ownsLease: boolean;
  #leaving: Promise<void> | null = null;

  /** Use `clerk.lock` and `clerk.elect`. */
  constructor(entrance: Entrance, createRevision: number) {
    this.#clerk = entrance.clerk;
    this.name = entrance.name;
    this.key = entrance.key;
    this.fencingToken = createRevision;
    this.lease = entrance.lease;
    this.#ownsLease = entrance.ownsLease;
  }

  /**
   * Enters the queue and waits until its front is reached.
   * @throws KvError LEASE_LOST when the lease did not last; CANCELLED_* after the signal;
   *   INVALID_ARGUMENT when the lease is in this queue already.
   */
  static async reach<T extends Candidacy>(
    this: new (
      entrance: Entrance,
      createRevision: number,
    ) => T,
    clerk: Clerk,
    { name, value }: { readonly name: string; readonly value: Bytes },
    options: CandidacyOptions,
  ): Promise<T> {
    const { signal, ttlMs = CLERK_LIMITS.leaseTtlMs } = options;
    const calls = signal === undefined ? {} : { signal };
    const lease = options.lease ?? (await clerk.lease({ ttlMs, ...PATIENT, ...calls }));
    const key = `${name}/${lease.id.toString(16)}`;
    const entrance = { clerk, name, key, lease, ownsLease: options.lease === undefined };
    const either = eitherOf([lease.signal, ...(signal === undefined ? [] : [signal])]);
    const patience = { ...PATIENT, signal: either.signal };
    try {
      const candidacy = new this(entrance, await enter(entrance, value, patience));
      await candidacy.#awaitTurn(patience);
      return candidacy;
    } catch (error) {
      await withdraw(entrance, error);
      throw lease.signal.aborted ? lease.signal.reason : lossOrError(error);
    } finally {
      either.release();
    }
  }

  /** For transactions: holds as long as this place is held. */
  get condition(): Condition {
    return { key: this.key, createRevision: this.fencingToken };
  }

  /** Aborted when the place must count as lost (LEASE_LOST, CLOSED), not when it is given up. */
  get signal(): AbortSignal {
    return this.lease.signal;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }

  /** Gives the place up. Twice is safe. @throws KvError when that is not certain. */
  protected leave(): Promise<void> {
    this.#leaving ??= this.#leave();
    return this.#leaving;
  }

  /** Puts another value on the key. @throws KvError LEASE_LOST when the place is lost. */
  protected async change(value: Bytes): Promise<void> {
    const put = { put: this.key, value, lease: this.lease.id };
    const { succeeded } = await this.#clerk.txn({ compares: [this.condition], success: [put] });
    if (!succeeded) throw this.#lost();
  }

  async #awaitTurn(patience: Patience): Promise<void> {
    const last = {
      limit: 2,
      sortBy: 'createRevision',
      descending: true,
      maxCreateRevision: this.fencingToken,
      keysOnly: true,
      as: 'bytes',
      ...patience,
    } as const;
    for (;;) {
      const { revision, entries } = await this.#clerk.range({ prefix: `${this.name}/` }, last);
      const [own, ahead] = entries;
      if (own?.createRevision !== this.fencingToken) throw this.#lost();
      if (ahead === undefined) return;
      await this.#deletionOf(ahead.key, revision + 1, patience.signal);
    }
  }

  /** Waits until the key was deleted, or may have been. */
  async #deletionOf(key: Uint8Array, fromRevision: number, signal: AbortSignal): Promise<void> {
    const watch = await this.#clerk.watch(key, { fromRevision, signal, as: 'bytes' });
    try {
      for await (const { events } of watch) {
        if (events.some(({ type }) => type === 'delete')) return;
      }
    } catch (error) {
      // What happened meanwhile is forgotten: a look at the queue tells what came of it.
      if (!(error instanceof KvError && error.code === 'COMPACTED')) throw error;
    }
  }

  async #leave(): Promise<void> {
    if (this.#ownsLease) return await this.lease.revoke();
    await this.#clerk.txn({ compares: [this.condition], success: [{ delete: this.key }] });
  }

  #lost(): KvError {
    return new KvError('LEASE_LOST', `${this.key}: was deleted, with its lease or by hand`);
  }
}

/** Puts the key; returns its create revision. */
async function enter(entrance: Entrance, value: Bytes, patience: Patience): Promise<number> {
  const { clerk, name, key, lease } = entrance;
  const compares = [{ key, createRevision: 0 }];
  const success = [{ put: key, value, lease: lease.id }];
  const { succeeded, revision } = await clerk.txn({ compares, success }, patience);
  if (succeeded) return revision;
  const said = `${name}: lease ${lease.id.toString(16)} is in this queue already`;
  throw new KvError('INVALID_ARGUMENT', said);
}

/** The cluster may know that a lease is over before its holder does. */
function lossOrError(error: unknown): unknown {
  if (!(error instanceof KvError && error.code === 'LEASE_NOT_FOUND')) return error;
  return new KvError('LEASE_LOST', error.message, { cause: error });
}

/** Takes back what may have been put; where that fails too, the key ends with its lease. */
async function withdraw({ clerk, key, lease, ownsLease }: Entrance, why: unknown): Promise<void> {
  const isTaken = why instanceof KvError && why.code === 'INVALID_ARGUMENT';
  try {
    if (ownsLease) await lease.revoke();
    else if (!isTaken) await clerk.delete(key);
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
  }
}

/** Aborted with the first of the signals, until it is released. */
function eitherOf(signals: readonly AbortSignal[]): {
  readonly signal: AbortSignal;
  release(): void;
} {
  const either = new AbortController();
  const abort = (): void => either.abort(signals.find(({ aborted }) => aborted)?.reason);
  for (const signal of signals) signal.addEventListener('abort', abort);
  if (signals.some(({ aborted }) => aborted)) abort();
  return {
    signal: either.signal,
    release() {
      for (const signal of signals) signal.removeEventListener('abort', abort);
    },
  };
}
