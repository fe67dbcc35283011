import { EMPTY_BYTES } from '../lib/index.ts';
import { Candidacy, type CandidacyOptions } from './candidacy.ts';
import type { Clerk } from './clerk.ts';

/** What `clerk.lock` takes. */
export type LockOptions = CandidacyOptions;

/**
 * A lock that is held: by its key, which is in front of all others under its name, for as long as
 * its lease lives. No lock with a lease is mutual exclusion by itself: its holder may be stopped
 * for longer than the lease lives, and goes on as if it held it. Therefore give `fencingToken` to
 * whatever is protected, which refuses a smaller one than it has seen; and within Quorate put
 * `condition` into the transactions that are done under the lock.
 */
export class Lock extends Candidacy {
  /**
   * Gives the lock to the next. One that is lost is as good. Twice is safe.
   * @throws KvError when that is not certain: it then ends with its lease.
   */
  release(): Promise<void> {
    return this.leave();
  }
}

/** Waits for a lock. @throws KvError as `Candidacy.reach`. */
export async function acquireLock(clerk: Clerk, name: string, options: LockOptions): Promise<Lock> {
  return await Lock.reach(clerk, { name, value: EMPTY_BYTES }, options);
}
