import {
  type Changes,
  type ChangesResult,
  changesRequestOf,
  changesResultOf,
  type ErrorResult,
  encodeAnswer,
  isInside,
  isSingleKey,
  KvError,
  type Reply,
  type StateFeed,
  type Withdraw,
} from '../api/index.ts';
import type { Clock, Timer } from '../io/index.ts';
import { bytesKey } from '../lib/index.ts';
import { FOLLOW_LIMITS, type FollowLimits } from './limits.ts';

/** A query for changes, with somewhere to begin and time to wait. */
export type WaitingQuery = Changes & { readonly from: number };

/** What followers stand on. */
export interface FollowersParts {
  readonly feed: StateFeed;
  readonly clock: Clock;
  /** Calls `done` when this member has all that was acknowledged: null, or an encoded refusal. */
  readonly confirm: (done: (refusal: Uint8Array | null) => void) => void;
  readonly refusals: FollowerRefusals;
  /** Default FOLLOW_LIMITS. */
  readonly limits?: Partial<FollowLimits>;
}

/** Encoded refusals. */
export interface FollowerRefusals {
  /** The member stops. */
  readonly stopped: Uint8Array;
  /** It has too many followers. */
  readonly overloaded: Uint8Array;
  /** The follower is gone. */
  readonly withdrawn: Uint8Array;
}

interface Follower {
  readonly query: WaitingQuery;
  readonly reply: Reply;
  readonly timer: Timer;
  /** Nothing below this revision is left to tell, nor up to the one that all have reached. */
  readonly from: number;
}

/** What there is to say to a follower now. */
interface Look {
  readonly answer: ChangesResult | ErrorResult;
  /** False while that is only "nothing yet". */
  readonly isNews: boolean;
}

const EVERYTHING = { from: new Uint8Array(0), to: null } as const;

/**
 * Queries for changes that wait until there are some. Nothing is queued for anybody: a follower is
 * a place in the history, answered with what is there, and comes back with another place. What is
 * applied in one turn of the event loop is looked at once for all of them; then each whom it
 * concerns reads for himself. Who has waited long enough without news is told so when a quorum has
 * confirmed it: so a member that is cut off does not keep its followers in the past.
 */
export class Followers {
  readonly #parts: FollowersParts;
  /** Those of one key, by that key. */
  readonly #byKey = new Map<string, Set<Follower>>();
  /** Those of more. */
  readonly #ranges = new Set<Follower>();
  readonly #followersMax: number;
  #count = 0;
  /** All followers know of what is up to this revision. */
  #reached: number;
  #isScheduled = false;
  #isClosed = false;

  constructor(parts: FollowersParts) {
    this.#parts = parts;
    this.#followersMax = parts.limits?.followersMax ?? FOLLOW_LIMITS.followersMax;
    this.#reached = parts.feed.revision;
    parts.feed.onApplied(() => this.#schedule());
  }

  /**
   * Answers as soon as there is something to tell, and when the query's time is over. What is
   * returned ends the wait, so that no quorum is asked for somebody who is gone.
   */
  follow(query: WaitingQuery, reply: Reply): Withdraw | undefined {
    const { clock, refusals } = this.#parts;
    if (this.#isClosed) return void reply(refusals.stopped);
    const { answer, isNews } = this.#look(query, query.from);
    if (isNews) return void reply(encodeAnswer(answer));
    if (this.#count >= this.#followersMax) return void reply(refusals.overloaded);
    const timer = clock.setTimer(query.waitMs, () => this.#timeIsOver(follower));
    const from = answer.type === 'changes' ? answer.next : query.from;
    const follower: Follower = { query, reply, timer, from };
    this.#add(follower);
    return () => {
      if (this.#remove(follower)) reply(refusals.withdrawn);
    };
  }

  /** Refuses all that wait. Twice is safe. */
  close(): void {
    this.#isClosed = true;
    for (const follower of this.#all()) {
      this.#remove(follower);
      follower.reply(this.#parts.refusals.stopped);
    }
  }

  // ── something was applied ────────────────────────────────────────────────────────────────────

  #schedule(): void {
    if (this.#isScheduled || this.#isClosed) return;
    if (this.#parts.feed.revision <= this.#reached) return;
    this.#isScheduled = true;
    this.#parts.clock.defer(() => {
      this.#isScheduled = false;
      this.#run();
    });
  }

  #run(): void {
    const from = this.#reached + 1;
    for (const follower of this.#concerned()) {
      const { answer, isNews } = this.#look(follower.query, Math.max(from, follower.from));
      if (!isNews) continue;
      this.#remove(follower);
      follower.reply(encodeAnswer(answer));
    }
    this.#schedule();
  }

  /** Whom the next page of the history concerns. */
  #concerned(): ReadonlySet<Follower> {
    const { feed } = this.#parts;
    const concerned = new Set<Follower>();
    if (this.#count === 0) {
      this.#reached = feed.revision;
      return concerned;
    }
    const from = this.#reached + 1;
    const everything = { range: EVERYTHING, from, skip: 0, prevKv: false, waitMs: 0 };
    try {
      const request = changesRequestOf({ type: 'changes', ...everything }, feed.revision);
      const { events, next } = feed.changes(request);
      for (const { kv } of events) {
        for (const follower of this.#byKey.get(bytesKey(kv.key)) ?? []) concerned.add(follower);
        for (const follower of this.#ranges) {
          if (isInside(kv.key, follower.query.range)) concerned.add(follower);
        }
      }
      this.#reached = next - 1;
      return concerned;
    } catch (cause) {
      if (!isCompacted(cause)) throw cause;
      this.#reached = feed.revision;
      return new Set(this.#all());
    }
  }

  // ── one follower ─────────────────────────────────────────────────────────────────────────────

  #look(query: WaitingQuery, from: number): Look {
    const { feed } = this.#parts;
    const { revision } = feed;
    try {
      const page = feed.changes(changesRequestOf({ ...query, from }, revision));
      const isNews = page.events.length > 0 || page.next <= revision;
      return { answer: changesResultOf(query, page, revision), isNews };
    } catch (cause) {
      if (!isCompacted(cause)) throw cause;
      const { code, message, compactRevision } = cause;
      const refusal = { type: 'error', code, message, leader: null } as const;
      return { answer: { ...refusal, compactRevision: compactRevision ?? 0 }, isNews: true };
    }
  }

  #timeIsOver(follower: Follower): void {
    this.#remove(follower);
    // From here on nobody looks for him at what is applied: he reads all of it himself.
    const from = Math.max(follower.from, this.#reached + 1);
    this.#parts.confirm((refusal) => {
      if (refusal !== null) return follower.reply(refusal);
      follower.reply(encodeAnswer(this.#look(follower.query, from).answer));
    });
  }

  #add(follower: Follower): void {
    this.#count++;
    const { range } = follower.query;
    if (!isSingleKey(range)) {
      this.#ranges.add(follower);
      return;
    }
    const key = bytesKey(range.from);
    this.#byKey.set(key, (this.#byKey.get(key) ?? new Set()).add(follower));
  }

  /** False for one that does not wait any more. */
  #remove(follower: Follower): boolean {
    const key = bytesKey(follower.query.range.from);
    const same = this.#byKey.get(key);
    if (!this.#ranges.delete(follower) && same?.delete(follower) !== true) return false;
    if (same?.size === 0) this.#byKey.delete(key);
    this.#count--;
    follower.timer.cancel();
    return true;
  }

  #all(): Follower[] {
    return [...this.#ranges, ...[...this.#byKey.values()].flatMap((same) => [...same])];
  }
}

function isCompacted(cause: unknown): cause is KvError {
  return cause instanceof KvError && cause.code === 'COMPACTED';
}
