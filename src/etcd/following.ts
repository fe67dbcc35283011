import { type ChangeEvent, isInside, type KeyRange, KvError } from '../api/index.ts';
import type { Follower, Pages, WatchHub } from './watch-hub.ts';

export interface FollowingOptions {
  readonly range: KeyRange;
  /** The first revision looked at. */
  readonly from: number;
  /** Takes a change; its bytes are views that live until it returns. True: enough. */
  readonly onChange: (change: ChangeEvent) => boolean;
  /** Compaction has overtaken: what came next cannot be told. It is over. */
  readonly onCompacted: () => void;
  /** True while no more is taken; `resume` when that is over. */
  readonly isBlocked?: () => boolean;
}

/** Follows the changes of some keys until it has seen enough, or is stopped. */
export class Following implements Follower {
  readonly #hub: WatchHub;
  readonly #options: FollowingOptions;
  #next: number;
  #isOver = false;

  constructor(hub: WatchHub, options: FollowingOptions) {
    this.#hub = hub;
    this.#options = options;
    this.#next = options.from;
    hub.add(this);
    hub.schedule();
  }

  follow(pages: Pages): boolean {
    if (this.#isOver || this.#next > pages.revision) return false;
    if (this.#options.isBlocked?.() === true) return false;
    try {
      const { range } = this.#options;
      const page = pages.next({ from: this.#next, range, prevKv: false });
      if (page === null) return true;
      this.#take(page.events);
      this.#next = page.next;
    } catch (cause) {
      if (!(cause instanceof KvError && cause.code === 'COMPACTED')) throw cause;
      this.stop();
      this.#options.onCompacted();
    }
    return !this.#isOver && this.#next <= pages.revision;
  }

  /** There is room again. */
  resume(): void {
    this.#hub.schedule();
  }

  /** Safe to call twice. */
  stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#hub.remove(this);
  }

  #take(changes: readonly ChangeEvent[]): void {
    const { range, onChange } = this.#options;
    for (const change of changes) {
      if (!isInside(change.kv.key, range) || !onChange(change)) continue;
      return this.stop();
    }
  }
}
