import {
  type ChangeEvent,
  type ChangesPage,
  type ChangesRequest,
  isInside,
  type KeyValue,
} from '../api/index.ts';
import { EMPTY_BYTES } from '../lib/index.ts';
import { changeAt } from './mvcc-past.ts';
import { type Change, type ChangedTo, changeIdOf, changeKey, readChange } from './rows.ts';
import type { Tables } from './tables.ts';

/** The part of the history that can be read. */
export interface HistorySpan {
  readonly compactRevision: number;
  /** The newest revision. */
  readonly revision: number;
}

/** One page; `from` is not compacted. Keys and values are views, see `OrderedStore`. */
export function changesFrom(
  tables: Tables,
  span: HistorySpan,
  request: ChangesRequest,
): ChangesPage {
  const { from, range, changesMax, bytesMax } = request;
  const events: ChangeEvent[] = [];
  const end = span.revision + 1;
  let looked = 0;
  let bytes = 0;
  let lastRevision = from;
  const rows = {
    from: changeKey({ revision: from, sub: 0 }),
    to: changeKey({ revision: end, sub: 0 }),
  };
  for (const { key, value } of tables.range('history', rows)) {
    const { revision } = changeIdOf(key);
    const isFull = looked >= changesMax || bytes >= bytesMax;
    if (isFull && revision !== lastRevision) return { events, next: revision };
    lastRevision = revision;
    looked++;
    const change = readChange(value);
    if (!isInside(change.key, range)) continue;
    const event = eventOf(tables, span, { revision, change, prevKv: request.prevKv });
    bytes += sizeOf(event.kv) + (event.prevKv === null ? 0 : sizeOf(event.prevKv));
    events.push(event);
  }
  return { events, next: Math.max(from, end) };
}

function eventOf(
  tables: Tables,
  { compactRevision }: HistorySpan,
  { revision, change, prevKv }: { revision: number; change: Change; prevKv: boolean },
): ChangeEvent {
  const { key, before, after } = change;
  // As etcd: what was before is a read at the revision before, and that may be compacted.
  const isKnown = prevKv && before.type === 'live' && revision > compactRevision;
  const was = isKnown ? changeAt(tables, before.by).after : null;
  return {
    type: after === null ? 'delete' : 'put',
    kv: after === null ? tombstone(key, revision) : keyValueOf(key, revision, after),
    prevKv: isKnown && was !== null ? keyValueOf(key, before.by.revision, was) : null,
  };
}

/** A key as the change at `modRevision` made it. */
function keyValueOf(key: Uint8Array, modRevision: number, after: ChangedTo): KeyValue {
  const { value, createRevision, version, lease } = after;
  const kv = { key, value, createRevision, modRevision, version };
  return lease === null ? kv : { ...kv, lease };
}

function tombstone(key: Uint8Array, modRevision: number): KeyValue {
  return { key, value: EMPTY_BYTES, createRevision: 0, modRevision, version: 0 };
}

function sizeOf({ key, value }: KeyValue): number {
  return key.length + value.length;
}
