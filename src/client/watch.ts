import { type ChangeEvent, type ChangesResult, KvError, validateQuery } from '../api/index.ts';
import { type CallOptions, type ClerkCore, refuse } from './core.ts';
import { CLERK_LIMITS } from './limits.ts';
import { integer, keyRangeOf, type Span } from './request.ts';
import { type Entry, entryOf, expectType } from './result.ts';
import { type As, type Out, outOf } from './text.ts';

/** What to watch of a span. */
export interface WatchOptions<A extends As> extends CallOptions {
  /**
   * Begin with this revision, which may be in the past or not exist yet. Default: behind the newest
   * revision at the time of the call, so that every change made afterwards is seen.
   */
  readonly fromRevision?: number;
  /** Say also what each key was before. Default: false. */
  readonly prevKv?: boolean;
  /** Give out batches without events too, every few seconds while nothing happens. */
  readonly progress?: boolean;
  /** Default: `text`, which refuses what is not UTF-8. */
  readonly as?: A;
}

/** What became of one key. */
export type WatchEvent<A extends As = 'text'> = {
  /** What the key was before, if that was asked for, there was something and is not compacted. */
  readonly prev: Entry<A> | null;
} & (
  | { readonly type: 'put'; readonly entry: Entry<A> }
  | { readonly type: 'delete'; readonly key: Out<A>; readonly revision: number }
);

/** Whole revisions: what one command did is in one batch. */
export interface WatchBatch<A extends As = 'text'> {
  /** Every change of the span up to this revision was given out. Ascending. */
  readonly revision: number;
  /** In order of revision. */
  readonly events: readonly WatchEvent<A>[];
}

/** The place of a watch in the history: what the next question asks for. */
interface Place {
  readonly from: number;
  readonly skip: number;
}

/**
 * Follows the changes of a span: every one of them, once, in order, over reconnects and changes of
 * the leader, for as long as it takes. It is a place in the history and keeps nothing: a batch is
 * fetched when it is asked for, so a slow reader costs nobody memory. It may be left with `break`.
 * Iterating ends with a KvError: COMPACTED when the history there is gone (`compactRevision` is the
 * oldest that can be watched from), CANCELLED_NOT_APPLIED after the signal, CLOSED with the clerk.
 */
export class Watch<A extends As = 'text'> implements AsyncIterableIterator<WatchBatch<A>> {
  readonly #core: ClerkCore;
  readonly #span: Span;
  readonly #options: WatchOptions<A>;
  readonly #batches: AsyncGenerator<WatchBatch<A>, undefined, undefined>;
  /** Ends the question under way: aborted when the watch is left, or called off. */
  readonly #ending = new AbortController();
  #place: Place;
  #isLeft = false;

  /** Use `clerk.watch`. */
  constructor(
    core: ClerkCore,
    watched: { readonly span: Span; readonly options: WatchOptions<A>; readonly from: number },
  ) {
    this.#core = core;
    this.#span = watched.span;
    this.#options = watched.options;
    this.#place = { from: watched.from, skip: 0 };
    this.#batches = this.#run();
  }

  /** Where a watch has to begin to go on behind the last batch: everything below was given out. */
  get nextRevision(): number {
    return this.#place.from;
  }

  /** The next batch; waits for it. */
  next(): Promise<IteratorResult<WatchBatch<A>, undefined>> {
    return this.#batches.next();
  }

  /** Leaves the watch, also while a batch is waited for: that wait ends as done. Twice is safe. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#isLeft = true;
    this.#ending.abort();
    await this.#batches.return(undefined);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }

  async *#run(): AsyncGenerator<WatchBatch<A>, undefined, undefined> {
    const { signal, progress = false } = this.#options;
    const callOff = (): void => this.#ending.abort(signal?.reason);
    signal?.addEventListener('abort', callOff);
    if (signal?.aborted === true) callOff();
    try {
      for (;;) {
        const batch = await this.#fetch();
        if (batch.events.length > 0 || progress) yield batch;
      }
    } catch (error) {
      if (this.#isLeft) return undefined;
      throw error;
    } finally {
      signal?.removeEventListener('abort', callOff);
    }
  }

  /** Events of whole revisions; none when there was no news for a while. */
  async #fetch(): Promise<WatchBatch<A>> {
    const events: WatchEvent<A>[] = [];
    let place = this.#place;
    for (;;) {
      const page = await this.#ask(place);
      for (const event of page.events) events.push(this.#eventOf(event));
      place = { from: page.next, skip: page.skip };
      // The changes of one revision that fill several answers belong together.
      if (page.skip > 0) continue;
      this.#place = place;
      const isCaughtUp = page.next > page.revision;
      if (events.length > 0 || isCaughtUp) return { revision: page.next - 1, events };
    }
  }

  async #ask({ from, skip }: Place): Promise<ChangesResult> {
    const { prevKv = false } = this.#options;
    const { watchWaitMs: waitMs } = CLERK_LIMITS;
    const range = keyRangeOf(this.#span);
    const query = { type: 'changes', range, from, skip, prevKv, waitMs } as const;
    for (;;) {
      try {
        const answer = await this.#core.poll(query, this.#ending.signal);
        return expectType(answer, 'changes', { what: 'watch', repeatedSeq: null });
      } catch (error) {
        // The longest time that a timer can carry is over; a watch has no deadline.
        if (!(error instanceof KvError && error.code === 'DEADLINE_NOT_APPLIED')) throw error;
      }
    }
  }

  #eventOf({ type, kv, prevKv }: ChangeEvent): WatchEvent<A> {
    const as = this.#options.as ?? ('text' as A);
    const prev = prevKv === null ? null : entryOf(prevKv, as);
    if (type === 'put') return { type, entry: entryOf(kv, as), prev };
    return { type, key: outOf(kv.key, as, 'the key'), revision: kv.modRevision, prev };
  }
}

/**
 * A watch at its place in the history.
 * @throws KvError INVALID_ARGUMENT, and like a read when it has to ask for the newest revision.
 */
export async function openWatch<A extends As>(
  core: ClerkCore,
  span: Span,
  options: WatchOptions<A>,
): Promise<Watch<A>> {
  const range = keyRangeOf(span);
  const { fromRevision, prevKv = false } = options;
  const query = { type: 'changes', range, from: null, skip: 0, prevKv, waitMs: 0 } as const;
  if (fromRevision !== undefined) {
    const from = integer(fromRevision, 'fromRevision', 1);
    refuse('watch', validateQuery({ serializable: false, query: { ...query, from } }));
    return new Watch(core, { span, options, from });
  }
  const answer = await core.ask('watch', { serializable: false, query }, options);
  const { next } = expectType(answer, 'changes', { what: 'watch', repeatedSeq: null });
  return new Watch(core, { span, options, from: next });
}
