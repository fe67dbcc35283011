import type { ChangesPage, KeyRange, StateFeed } from '../api/index.ts';
import type { EtcdContext } from './context.ts';
import type { EtcdLimits } from './limits.ts';

/** Somebody who follows the history. */
export interface Follower {
  /**
   * Goes on as far as the pages of this turn reach and its reader takes it; true when it could go
   * on at once in another turn.
   */
  follow(pages: Pages): boolean;
}

/** The history, as far as it is read in one turn of the event loop. */
export interface Pages {
  /** The newest revision. */
  readonly revision: number;
  /**
   * The next page for who is at `from`, perhaps with changes outside the range. Null when enough
   * read in this turn.
   * @throws KvError COMPACTED.
   */
  next(wanted: WantedPage): ChangesPage | null;
}

export interface WantedPage {
  readonly from: number;
  readonly range: KeyRange;
  readonly prevKv: boolean;
}

/**
 * Wakes those who follow the history when there is more of it. Nothing is kept for anybody: a
 * follower is a place in the history, and reads on from there when its client can take more. Those
 * at the newest end, usually all, share what is read; those behind read for themselves, so many in
 * one turn.
 */
export class WatchHub {
  readonly #context: EtcdContext;
  #followers: Follower[] = [];
  /** Who comes first in the next turn: the one for whom there was no time. */
  #first = 0;
  /** How far the turns have come that were shared: whoever is behind it reads for himself. */
  #revision = 0;
  #isScheduled = false;
  #unsubscribe: (() => void) | null = null;

  constructor(context: EtcdContext) {
    this.#context = context;
  }

  add(follower: Follower): void {
    this.#followers.push(follower);
    const { feed } = this.#context.member;
    this.#unsubscribe ??= feed.onApplied(() => {
      if (feed.revision > this.#revision) this.schedule();
    });
  }

  remove(follower: Follower): void {
    this.#followers = this.#followers.filter((each) => each !== follower);
    if (this.#followers.length > 0) return;
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  /** Somebody can go on. */
  schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#context.clock.defer(() => {
      this.#isScheduled = false;
      this.#run();
    });
  }

  #run(): void {
    const { member, limits } = this.#context;
    const pages = new TurnPages(member.feed, { liveFrom: this.#revision + 1, limits });
    const followers = this.#followers;
    let again = false;
    for (let i = 0; i < followers.length; i++) {
      const at = (this.#first + i) % followers.length;
      if (followers[at]?.follow(pages) === true) again = true;
      if (pages.isSpent) {
        this.#first = at;
        return this.schedule();
      }
    }
    this.#revision = pages.reached;
    if (again) this.schedule();
  }
}

class TurnPages implements Pages {
  readonly revision: number;
  readonly #feed: StateFeed;
  readonly #limits: EtcdLimits;
  readonly #liveFrom: number;
  /** What came since the last turn, all of it: with and without what was before. */
  readonly #live: { with: ChangesPage | null; without: ChangesPage | null } = {
    with: null,
    without: null,
  };
  #read = 0;

  constructor(feed: StateFeed, options: { liveFrom: number; limits: EtcdLimits }) {
    this.#feed = feed;
    this.#limits = options.limits;
    this.#liveFrom = options.liveFrom;
    this.revision = feed.revision;
  }

  /** Enough was read for one turn. */
  get isSpent(): boolean {
    return this.#read > this.#limits.watchPagesPerTurnMax;
  }

  /** The revision up to which all have what they share. */
  get reached(): number {
    const { with: some, without: others } = this.#live;
    const end = this.revision + 1;
    return Math.min(some?.next ?? end, others?.next ?? end) - 1;
  }

  next(wanted: WantedPage): ChangesPage | null {
    if (wanted.from === this.#liveFrom) {
      const kind = wanted.prevKv ? 'with' : 'without';
      this.#live[kind] ??= this.#page({ ...wanted, range: EVERYTHING });
      return this.#live[kind];
    }
    this.#read++;
    return this.isSpent ? null : this.#page(wanted);
  }

  #page(wanted: WantedPage): ChangesPage {
    const { watchPageChangesMax: changesMax, watchPageBytesMax: bytesMax } = this.#limits;
    return this.#feed.changes({ ...wanted, changesMax, bytesMax });
  }
}

const EVERYTHING: KeyRange = { from: new Uint8Array(0), to: null };
