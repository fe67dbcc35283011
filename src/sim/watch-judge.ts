import type { Entry, WatchBatch, WatchEvent } from '../client/index.ts';
import { bytesKey } from '../lib/index.ts';
import type { Counters } from './counters.ts';
import type { Replay, ReplayChange } from './replay.ts';
import { Violation } from './violation.ts';

type Batch = WatchBatch<'bytes'>;
type Event = WatchEvent<'bytes'>;
type Kv = Entry<'bytes'>;

/** What a watch looks at: one key, or all that begin so; an empty prefix is everything. */
export type Watched = { readonly key: string } | { readonly prefix: string };

/** A watch as it was wished for. */
export interface WatchWish {
  readonly watched: Watched;
  readonly prevKv: boolean;
  /** Where to begin; null: behind the newest revision. */
  readonly from: number | null;
}

/** A batch with at least so many bytes filled a page of the history. */
const FULL_PAGE_BYTES = 256 * 1024;

/**
 * Holds what one watch says against what the committed log made of the keys. A watch is judged
 * while it runs: of each batch every event, and that nothing is missing up to where it says it is.
 */
export class WatchJudge {
  readonly #replay: Replay;
  readonly #counters: Counters;
  readonly #who: string;
  readonly #wish: WatchWish;
  /** When it was called. */
  readonly #newestAtCall: number;
  /** When `next` was called. */
  #newestAtNext: number;
  /** Where it began, and the first revision that nothing was said about. */
  #from = 0;
  #next = 0;
  #sawEvents = false;

  /** To be made right before the call. */
  constructor(
    wish: WatchWish,
    parts: { readonly replay: Replay; readonly counters: Counters; readonly who: string },
  ) {
    this.#replay = parts.replay;
    this.#counters = parts.counters;
    this.#who = parts.who;
    this.#wish = wish;
    this.#newestAtCall = parts.replay.revision;
    this.#newestAtNext = parts.replay.revision;
  }

  /** Every change of what it watches below this was given out. */
  get nextRevision(): number {
    return this.#next;
  }

  /** The watch is there, and begins with this revision. */
  opened(from: number): void {
    this.#from = from;
    this.#next = from;
    const { revision } = this.#replay;
    const first = this.#wish.from ?? this.#newestAtCall + 1;
    const last = this.#wish.from ?? revision + 1;
    if (from >= first && from <= last) return;
    const place = first === last ? `${first}` : `${first} to ${last}`;
    this.#fail('a watch begins where it should', `it begins with ${from} instead of ${place}`);
  }

  /** A batch is waited for from now on. */
  asked(): void {
    this.#newestAtNext = this.#replay.revision;
  }

  batch({ revision, events }: Batch): void {
    const { revision: newest } = this.#replay;
    const isWaiting = revision === this.#from - 1 && events.length === 0;
    if (revision > newest && !isWaiting) {
      const what = `it speaks of revision ${revision}, ${newest} is the newest committed`;
      this.#fail('watches tell only what is committed', what);
    }
    if (revision < this.#next - 1) {
      this.#fail('watches do not go back', `to revision ${revision} from ${this.#next - 1}`);
    }
    if (events.length === 0 && revision < this.#newestAtNext) {
      const what = `nothing up to ${revision}, ${this.#newestAtNext} was committed when it asked`;
      this.#fail('no news is confirmed', what);
    }
    this.#compare(events, { to: revision });
    this.#count(events, newest);
    this.#next = revision + 1;
  }

  /** It ended because the history there is gone. */
  compacted(compactRevision: number): void {
    const { replay, next } = { replay: this.#replay, next: this.#next };
    if (compactRevision <= next || !replay.wasCompactedTo(compactRevision)) {
      const what = `at ${next} it heard of ${compactRevision}, ${replay.compactRevision} is true`;
      this.#fail('compaction is told as it is', what);
    }
    const wasCompactedAtCall = this.#wish.from !== null && this.#wish.from < compactRevision;
    const kind = wasCompactedAtCall && next === this.#from ? 'begun in' : 'overtaken by';
    this.#counters.add(`sometimes: watch ${kind} what was compacted`);
  }

  #compare(events: readonly Event[], { to }: { to: number }): void {
    let position = 0;
    for (let revision = this.#next; revision <= to; revision++) {
      for (const change of this.#replay.changesOf(revision)) {
        if (!isWatched(change.key, this.#wish.watched)) continue;
        const event = events[position++];
        if (event === undefined || !isOf(event, change)) {
          const told = event === undefined ? 'nothing' : describe(event);
          this.#fail('watches tell every change once', `${told} for ${wordsOf(change)}`);
        }
        this.#compareBefore(event, change);
      }
    }
    const more = events[position];
    if (more === undefined) return;
    const what = `${describe(more)}, which is not in ${this.#next} to ${to}`;
    this.#fail('watches tell every change once', what);
  }

  #compareBefore({ prev }: Event, change: ReplayChange): void {
    const before = this.#wish.prevKv ? change.before : null;
    if (prev === null) {
      // What was before a compacted revision cannot be read any more.
      if (before === null || change.revision <= this.#replay.compactRevision) return;
    } else if (before !== null && isEntry(prev, before)) {
      return;
    }
    const told = prev === null ? 'nothing' : `version ${prev.version} of ${prev.modRevision}`;
    const what = `before ${wordsOf(change)} it tells ${told} instead of ${wordsOf(before)}`;
    this.#fail('watches tell what was before', what);
  }

  #count(events: readonly Event[], newest: number): void {
    if (events.length === 0) {
      this.#counters.add('sometimes: watch told that there is no news');
      return;
    }
    this.#counters.add('watch: events', events.length);
    if (!this.#sawEvents && this.#from > this.#newestAtCall + 1) {
      this.#counters.add('sometimes: watch begun in the future');
    }
    this.#sawEvents = true;
    if (this.#next < newest && bytesOf(events) >= FULL_PAGE_BYTES) {
      this.#counters.add('sometimes: watch got a full page');
    }
  }

  #fail(promise: string, what: string): never {
    const { watched } = this.#wish;
    const span = 'key' in watched ? watched.key : `${watched.prefix}*`;
    throw new Violation(promise, `${this.#who} watches ${span} from ${this.#from}: ${what}`);
  }
}

function isWatched(key: string, watched: Watched): boolean {
  return 'key' in watched ? key === watched.key : key.startsWith(watched.prefix);
}

function isOf(event: Event, change: ReplayChange): boolean {
  if (event.type === 'put') return change.type === 'put' && isEntry(event.entry, change);
  const { revision, key } = change;
  return change.type === 'delete' && event.revision === revision && bytesKey(event.key) === key;
}

function isEntry(kv: Kv, change: ReplayChange): boolean {
  return (
    kv.modRevision === change.revision &&
    kv.createRevision === change.createRevision &&
    kv.version === change.version &&
    bytesKey(kv.key) === change.key &&
    Buffer.compare(kv.value, change.value) === 0
  );
}

function bytesOf(events: readonly Event[]): number {
  let bytes = 0;
  for (const event of events) {
    if (event.type === 'put') bytes += event.entry.value.length;
    bytes += event.prev?.value.length ?? 0;
  }
  return bytes;
}

function describe(event: Event): string {
  if (event.type === 'delete') return `delete of ${bytesKey(event.key)} at ${event.revision}`;
  const { key, version, modRevision, value } = event.entry;
  return `put of ${bytesKey(key)} at ${modRevision}, version ${version}, ${value.length} bytes`;
}

function wordsOf(change: ReplayChange | null): string {
  if (change === null) return 'nothing';
  const { type, key, revision, version, value } = change;
  return `${type} of ${key} at ${revision}, version ${version}, ${value.length} bytes`;
}
