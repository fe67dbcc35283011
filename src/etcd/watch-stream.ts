import { type ChangeEvent, isInside, type KeyRange, KvError, keyRange } from '../api/index.ts';
import type { GrpcStream, GrpcStreamHandlers } from '../grpc/index.ts';
import type { Timer } from '../io/index.ts';
import { compareBytes } from '../lib/index.ts';
import type { Draft } from './codec.ts';
import { decoded, type EtcdContext, headerOf, NO_LEADER } from './context.ts';
import { etcdError } from './errors.ts';
import { keyValueOf } from './kv-translate.ts';
import { watchLeader } from './leader-watch.ts';
import { EVENT_TYPE, type EventMessage } from './messages/common.ts';
import {
  FILTER,
  WATCH_REQUEST,
  WATCH_RESPONSE,
  type WatchCreateRequest,
  type WatchResponse,
} from './messages/watch.ts';
import type { Follower, Pages, WatchHub } from './watch-hub.ts';

/** The id in answers that belong to no watcher. */
const NO_WATCH_ID = -1;

interface Watcher {
  readonly id: number;
  readonly range: KeyRange;
  readonly prevKv: boolean;
  /** Types of changes that are passed over. */
  readonly filters: ReadonlySet<ChangeEvent['type']>;
  readonly fragment: boolean;
  readonly progressNotify: boolean;
  /** Every wanted change below this revision was sent. */
  next: number;
  /** Nothing was sent since the last round of progress notifications. */
  isQuiet: boolean;
}

/**
 * One Watch stream with its watchers. A watcher is a place in the history: it goes on when its
 * client has read what was sent, and sees every change once, in order, or is told that the history
 * there is compacted.
 */
export class WatchStream implements Follower, GrpcStreamHandlers {
  readonly #context: EtcdContext;
  readonly #hub: WatchHub;
  readonly #stream: GrpcStream;
  readonly #watchers = new Map<number, Watcher>();
  /** The watchers in turn; null when it has to be made again. */
  #turns: readonly Watcher[] | null = null;
  /** Who comes first: the one at which the last turn ended. */
  #first = 0;
  #nextId = 0;
  /** Requests for progress that wait until all watchers have everything. */
  #progressWanted = 0;
  #progressTimer: Timer | null = null;
  readonly #leaderTimer: Timer | null;

  constructor(
    context: EtcdContext,
    { hub, stream, wantsLeader }: { hub: WatchHub; stream: GrpcStream; wantsLeader: boolean },
  ) {
    this.#context = context;
    this.#hub = hub;
    this.#stream = stream;
    this.#leaderTimer = wantsLeader ? watchLeader(context, () => stream.end(NO_LEADER)) : null;
    hub.add(this);
  }

  // ── what happens on the stream ───────────────────────────────────────────────────────────────

  onMessage(message: Uint8Array): void {
    const request = decoded(WATCH_REQUEST, message);
    if (request.create_request !== null) this.#create(request.create_request);
    else if (request.cancel_request !== null) this.#cancel(request.cancel_request.watch_id);
    else if (request.progress_request !== null) this.#progress();
  }

  onEnd(): void {
    this.#stream.end(null);
  }

  onDrain(): void {
    this.#hub.schedule();
  }

  onStopping(): void {
    this.#stream.end(etcdError('UNAVAILABLE', 'server stopped'));
  }

  onClosed(): void {
    this.#hub.remove(this);
    this.#watchers.clear();
    this.#turns = null;
    this.#progressTimer?.cancel();
    this.#leaderTimer?.cancel();
  }

  // ── requests ─────────────────────────────────────────────────────────────────────────────────

  #create(request: WatchCreateRequest): void {
    const { revision } = this.#context.member.feed;
    const refusal = this.#refusal(request);
    if (refusal !== null) {
      const ended = { created: true, canceled: true, cancel_reason: refusal };
      return this.#send({ watch_id: NO_WATCH_ID, ...ended }, revision);
    }
    const watcher = this.#watcher(request, revision);
    this.#watchers.set(watcher.id, watcher);
    this.#turns = null;
    this.#send({ watch_id: watcher.id, created: true }, revision);
    if (watcher.progressNotify) this.#armProgress();
    if (watcher.next <= revision) this.#hub.schedule();
  }

  #refusal({ key, range_end, watch_id, start_revision }: WatchCreateRequest): string | null {
    const isRange = range_end.length > 1 || (range_end.length === 1 && range_end[0] !== 0);
    if (isRange && compareBytes(key, range_end) >= 0) return 'mvcc: watcher range is empty';
    if (start_revision < 0) return 'mvcc: required revision has been compacted';
    if (watch_id !== 0 && this.#watchers.has(watch_id)) {
      return 'mvcc: duplicate watch ID provided on the WatchStream';
    }
    const { watchersPerStreamMax } = this.#context.limits;
    return this.#watchers.size < watchersPerStreamMax ? null : 'too many watchers on one stream';
  }

  #watcher(request: WatchCreateRequest, revision: number): Watcher {
    const { key, range_end, filters, start_revision } = request;
    // The first of all keys is a zero byte, as there is no empty one.
    const from = key.length === 0 ? new Uint8Array(1) : key.slice();
    const passed = new Set<ChangeEvent['type']>();
    if (filters.includes(FILTER.NOPUT)) passed.add('put');
    if (filters.includes(FILTER.NODELETE)) passed.add('delete');
    return {
      id: request.watch_id === 0 ? this.#freeId() : request.watch_id,
      range: keyRange(from, range_end.slice()),
      prevKv: request.prev_kv,
      filters: passed,
      fragment: request.fragment,
      progressNotify: request.progress_notify,
      next: start_revision === 0 ? revision + 1 : start_revision,
      isQuiet: true,
    };
  }

  #freeId(): number {
    while (this.#watchers.has(this.#nextId)) this.#nextId++;
    return this.#nextId++;
  }

  /** An unknown id gets no answer: its watcher was cancelled before, and that was said. */
  #cancel(id: number): void {
    if (!this.#remove(id)) return;
    this.#send({ watch_id: id, canceled: true }, this.#context.member.feed.revision);
    this.#answerProgress();
  }

  #remove(id: number): boolean {
    this.#turns = null;
    return this.#watchers.delete(id);
  }

  // ── following ────────────────────────────────────────────────────────────────────────────────

  follow(pages: Pages): boolean {
    const turns = this.#turns ?? [...this.#watchers.values()];
    this.#turns = turns;
    let again = false;
    for (let i = 0; i < turns.length; i++) {
      const at = (this.#first + i) % turns.length;
      const watcher = turns[at];
      if (watcher === undefined || watcher.next > pages.revision) continue;
      const isBlocked = this.#stream.bufferedBytes >= this.#context.limits.watchUnreadBytesMax;
      if (isBlocked || !this.#advance(watcher, pages)) {
        this.#first = at;
        return !isBlocked;
      }
      if (watcher.next <= pages.revision) again = true;
    }
    this.#answerProgress();
    return again;
  }

  /** Sends the watcher's next page; false when there is none in this turn. */
  #advance(watcher: Watcher, pages: Pages): boolean {
    try {
      const { range, prevKv, next: from } = watcher;
      const page = pages.next({ from, range, prevKv });
      if (page === null) return false;
      this.#sendEvents(watcher, page.events, page.next - 1);
      watcher.next = page.next;
    } catch (cause) {
      if (!(cause instanceof KvError && cause.code === 'COMPACTED')) throw cause;
      this.#remove(watcher.id);
      const compact_revision = cause.compactRevision ?? 0;
      // As etcd: this answer stands for no revision.
      this.#send({ watch_id: watcher.id, canceled: true, compact_revision }, 0);
    }
    return true;
  }

  #sendEvents(watcher: Watcher, changes: readonly ChangeEvent[], revision: number): void {
    const { range, filters, id } = watcher;
    const wanted = changes.filter(({ type, kv }) => !filters.has(type) && isInside(kv.key, range));
    if (wanted.length === 0) return;
    watcher.isQuiet = false;
    const parts = watcher.fragment ? this.#fragments(wanted) : [wanted];
    for (const [i, part] of parts.entries()) {
      const fragment = i < parts.length - 1;
      this.#send({ watch_id: id, fragment, events: part.map(eventOf) }, revision);
    }
  }

  /** As few parts as the bound allows; one event always fits. */
  #fragments(changes: readonly ChangeEvent[]): readonly (readonly ChangeEvent[])[] {
    const parts: ChangeEvent[][] = [];
    let part: ChangeEvent[] = [];
    let bytes = 0;
    for (const change of changes) {
      const size = sizeOf(change);
      if (part.length > 0 && bytes + size > this.#context.limits.watchFragmentBytesMax) {
        parts.push(part);
        part = [];
        bytes = 0;
      }
      part.push(change);
      bytes += size;
    }
    return [...parts, part];
  }

  // ── progress ─────────────────────────────────────────────────────────────────────────────────

  #progress(): void {
    this.#progressWanted++;
    this.#answerProgress();
  }

  /** Says how far the stream is, when that is one place for all its watchers. */
  #answerProgress(): void {
    const { revision } = this.#context.member.feed;
    if (this.#progressWanted === 0 || !this.#isSynced(revision)) return;
    for (; this.#progressWanted > 0; this.#progressWanted--) {
      this.#send({ watch_id: NO_WATCH_ID }, revision);
    }
  }

  #isSynced(revision: number): boolean {
    for (const watcher of this.#watchers.values()) if (watcher.next <= revision) return false;
    return true;
  }

  /** Not all streams at the same moment: a tenth of the interval more, or less. */
  #armProgress(): void {
    if (this.#progressTimer !== null) return;
    const { clock, random, limits } = this.#context;
    const delayMs = limits.progressIntervalMs * (0.9 + (0.2 * random.uint32()) / 2 ** 32);
    this.#progressTimer = clock.setTimer(delayMs, () => {
      this.#progressTimer = null;
      this.#notifyProgress();
    });
  }

  #notifyProgress(): void {
    const { revision } = this.#context.member.feed;
    let isWanted = false;
    for (const watcher of this.#watchers.values()) {
      if (!watcher.progressNotify) continue;
      isWanted = true;
      if (watcher.isQuiet && watcher.next > revision)
        this.#send({ watch_id: watcher.id }, revision);
      watcher.isQuiet = true;
    }
    if (isWanted) this.#armProgress();
  }

  #send(response: Draft<WatchResponse>, revision: number): void {
    const header = headerOf(this.#context, revision);
    this.#stream.send(WATCH_RESPONSE.encode({ header, ...response }));
  }
}

function eventOf({ type, kv, prevKv }: ChangeEvent): Draft<EventMessage> {
  return {
    type: type === 'put' ? EVENT_TYPE.PUT : EVENT_TYPE.DELETE,
    kv: keyValueOf(kv),
    prev_kv: prevKv === null ? null : keyValueOf(prevKv),
  };
}

/** What an event's numbers and tags take besides its bytes, at most. */
const EVENT_OVERHEAD_BYTES = 128;

function sizeOf({ kv, prevKv }: ChangeEvent): number {
  const before = prevKv === null ? 0 : prevKv.key.length + prevKv.value.length;
  return kv.key.length + kv.value.length + before + EVENT_OVERHEAD_BYTES;
}
