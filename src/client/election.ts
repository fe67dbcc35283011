import { KvError } from '../api/index.ts';
import { Candidacy, type CandidacyOptions } from './candidacy.ts';
import type { Clerk } from './clerk.ts';
import { CLERK_LIMITS } from './limits.ts';
import type { Entry } from './result.ts';
import type { As, Bytes } from './text.ts';

/** What `clerk.elect` takes. */
export type ElectOptions = CandidacyOptions;

/** What `clerk.observe` takes. */
export interface ObserveOptions<A extends As> {
  readonly signal?: AbortSignal;
  /** Default: `text`. */
  readonly as?: A;
}

/**
 * An election that was won, for as long as its lease lives: with the words of the warning at
 * `Lock`, there may be an earlier leader who does not know yet that he is none.
 */
export class Leadership extends Candidacy {
  /** Tells who observes another value. @throws KvError LEASE_LOST when another one may lead. */
  proclaim(value: Bytes): Promise<void> {
    return this.change(value);
  }

  /**
   * Lets the next one lead. Lost leadership is as good. Twice is safe.
   * @throws KvError when that is not certain: it then ends with its lease.
   */
  resign(): Promise<void> {
    return this.leave();
  }
}

/** Campaigns until it leads. @throws KvError as `Candidacy.reach`. */
export async function campaign(
  clerk: Clerk,
  { name, value }: { readonly name: string; readonly value: Bytes },
  options: ElectOptions,
): Promise<Leadership> {
  return await Leadership.reach(clerk, { name, value }, options);
}

/**
 * Who leads and what it proclaims, now and whenever that changes. Who led only between two looks is
 * passed over; nothing is told while nobody leads.
 */
export async function* observeLeaders<A extends As>(
  clerk: Clerk,
  name: string,
  options: ObserveOptions<A>,
): AsyncGenerator<Entry<A>, void, undefined> {
  const { signal, as } = options;
  const calls = {
    ...(signal === undefined ? {} : { signal }),
    ...(as === undefined ? {} : { as }),
    timeoutMs: CLERK_LIMITS.timeoutMsMax,
  };
  const prefix = { prefix: `${name}/` };
  /** Revision of what was told last; every change has one of its own. */
  let toldRevision = 0;
  for (;;) {
    const first = { ...calls, limit: 1, sortBy: 'createRevision' } as const;
    const { revision, entries } = await clerk.range(prefix, first);
    const [leader] = entries;
    if (leader !== undefined && leader.modRevision !== toldRevision) {
      toldRevision = leader.modRevision;
      yield leader;
    }
    const watched = leader === undefined ? prefix : leader.key;
    const watch = await clerk.watch(watched, { ...calls, fromRevision: revision + 1 });
    try {
      follow: for await (const { events } of watch) {
        for (const event of events) {
          // Nobody led, or the leader has gone: who leads now is another question.
          if (leader === undefined || event.type === 'delete') break follow;
          toldRevision = event.entry.modRevision;
          yield event.entry;
        }
      }
    } catch (error) {
      // What was missed is forgotten: a look tells how it is now.
      if (!(error instanceof KvError && error.code === 'COMPACTED')) throw error;
    }
  }
}
