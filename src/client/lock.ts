import { EMPTY_BYTES } from '../lib/index.ts';
import { Candidacy, type CandidacyOptions } from './candidacy.ts';
import type { Clerk } from './clerk.ts';
import type { Lease } from './lease.ts';
import type { Condition } from './request.ts';

/** What `clerk.lock` takes. */
export type LockOptions = CandidacyOptions;

/**
 * A lock that is held: by its key, which is in front of all others under its name, for as long as
 * its lease lives. No lock with a lease is mutual exclusion by itself: its holder may be stopped
 * for longer than the lease lives, and goes on as if it held it. Therefore give `fencingToken` to
 * whatever is protected, which refuses a smaller one than it has seen; and within Quorate put
 * `condition` into the transactions that are done under the lock.
 */
export class Lock {
  readonly #place: Candidacy;

  /** Use `clerk.lock`. */
  constructor(place: Candidacy) {
    this.#place = place;
  }

  get name(): string {
    return this.#place.name;
  }

  /** The key that holds it, as etcd's clients name it: NAME/LEASE. */
  get key(): string {
    return this.#place.key;
  }

  /** Larger than that of every earlier holder of this lock: the key's create revision. */
  get fencingToken(): number {
    return this.#place.createRevision;
  }

  /** For transactions: holds as long as the lock is held. */
  get condition(): Condition {
    return this.#place.condition;
  }

  get lease(): Lease {
    return this.#place.lease;
  }

  /** Aborted when the lock must count as lost (LEASE_LOST, CLOSED), not when it is released. */
  get signal(): AbortSignal {
    return this.#place.lease.signal;
  }

  /**
   * Gives the lock to the next. One that is lost is as good. Twice is safe.
   * @throws KvError when that is not certain: it then ends with its lease.
   */
  release(): Promise<void> {
    return this.#place.leave();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** Waits for a lock. @throws KvError as `Candidacy.reach`. */
export async function acquireLock(clerk: Clerk, name: string, options: LockOptions): Promise<Lock> {
  return new Lock(await Candidacy.reach(clerk, { name, value: EMPTY_BYTES }, options));
}
