import type { KeyValue } from './command.ts';
import type { KeyRange } from './key-range.ts';

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
