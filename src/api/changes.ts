import type { Changes, ChangesResult, KeyValue } from './command.ts';
import type { KeyRange } from './key-range.ts';
import { API_LIMITS } from './limits.ts';

/*
 * The history as whoever watches it reads it: page by page, from a revision on. Catching up and
 * following are the same: at the end of the history a page is empty, and `next` is the revision
 * that comes next.
 */

/** Which changes are wanted. */
export interface ChangesRequest {
  /** The first revision, ≥ 1; one that does not exist yet is waited for. */
  readonly from: number;
  /** Changes of other keys are passed over. */
  readonly range: KeyRange;
  /** Say also what each key was before. */
  readonly prevKv: boolean;
  /** Changes looked at, ≥ 1; a revision is never split, so its last one may go beyond. */
  readonly changesMax: number;
  /** Key and value bytes in the page; likewise. */
  readonly bytesMax: number;
}

/** What a revision made of one key. */
export interface ChangeEvent {
  readonly type: 'put' | 'delete';
  /** After the change; of a deleted key only the key and the revision of the deletion. */
  readonly kv: KeyValue;
  /** Null when not asked for, when there was none, and when it is compacted. */
  readonly prevKv: KeyValue | null;
}

export interface ChangesPage {
  /** In order of revision, then as the command made them; whole revisions. */
  readonly events: readonly ChangeEvent[];
  /** Where the next page begins: every wanted change below it was in a page up to this one. */
  readonly next: number;
}

/** What a query asks the history for, when the newest revision is `revision`. */
export function changesRequestOf(query: Changes, revision: number): ChangesRequest {
  return {
    from: query.from ?? revision + 1,
    range: query.range,
    prevKv: query.prevKv,
    changesMax: API_LIMITS.changesPerPageMax,
    bytesMax: API_LIMITS.changesPageBytesMax,
  };
}

/**
 * The answer to a query that the page was read for: without what was told already, and cut where
 * one answer is full. That happens inside a revision only if its changes alone fill more than one.
 */
export function changesResultOf(
  query: Changes,
  page: ChangesPage,
  revision: number,
): ChangesResult {
  const events: ChangeEvent[] = [];
  let bytes = 0;
  /** The revision in hand, and how many of its events came before. */
  let [current, inside] = [query.from, 0];
  for (const event of page.events) {
    const { modRevision } = event.kv;
    if (modRevision !== current) [current, inside] = [modRevision, 0];
    const isTold = modRevision === query.from && inside < query.skip;
    inside++;
    if (isTold) continue;
    bytes += bytesOf(event.kv) + (event.prevKv === null ? 0 : bytesOf(event.prevKv));
    const isFull = bytes > API_LIMITS.changesAnswerBytesMax && events.length > 0;
    if (isFull) return { type: 'changes', revision, events, next: modRevision, skip: inside - 1 };
    events.push(event);
  }
  return { type: 'changes', revision, events, next: page.next, skip: 0 };
}

/** Numbers and tags of one key with its value in an answer, at most. */
const KEY_VALUE_OVERHEAD_BYTES = 64;

function bytesOf({ key, value }: KeyValue): number {
  return key.length + value.length + KEY_VALUE_OVERHEAD_BYTES;
}
