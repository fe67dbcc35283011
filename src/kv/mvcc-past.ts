import type { KeyRange } from '../api/index.ts';
import { assert, compareBytes, equalBytes } from '../lib/index.ts';
import type { FoundKey } from './range.ts';
import {
  type Change,
  type ChangeId,
  changeKey,
  type KeyState,
  readChange,
  readChangeId,
  readKeyRow,
  readValue,
} from './rows.ts';
import type { Tables } from './tables.ts';

/**
 * The keys of a range as they were at a revision that is not compacted, in order; views, see
 * `OrderedStore`. A key of that time is in `keys` or in `deleted` now; from there its changes are
 * followed back, newest first, as many steps as there were since.
 */
export function* keysAt(tables: Tables, range: KeyRange, revision: number): Generator<FoundKey> {
  for (const { key, state } of keysEver(tables, range)) {
    const then = stateAt(tables, state, revision);
    if (then.type !== 'live') continue;
    const { after } = changeAt(tables, then.by);
    assert(after !== null, 'a live key was deleted by its own change', { ...then.by });
    const { createRevision, version, lease } = after;
    const { revision: modRevision, sub: modSub } = then.by;
    yield { key, row: { createRevision, modRevision, modSub, version, lease } };
  }
}

/** Every key of a range that is, or that was and is not forgotten yet. */
function* keysEver(
  tables: Tables,
  range: KeyRange,
): Generator<{ key: Uint8Array; state: KeyState }> {
  const live = tables.range('keys', range)[Symbol.iterator]();
  const gone = tables.range('deleted', range)[Symbol.iterator]();
  let nextLive = live.next();
  let nextGone = gone.next();
  while (true) {
    const liveKey = nextLive.done === true ? null : nextLive.value.key;
    const goneKey = nextGone.done === true ? null : nextGone.value.key;
    const key = smaller(liveKey, goneKey);
    if (key === null) return;
    if (nextLive.done !== true && liveKey !== null && equalBytes(liveKey, key)) {
      yield { key, state: { type: 'live', by: lastChange(nextLive.value.value) } };
      nextLive = live.next();
    } else {
      assert(nextGone.done !== true, 'a key came from nowhere');
      yield { key, state: { type: 'deleted', by: readChangeId(nextGone.value.value) } };
      nextGone = gone.next();
    }
  }
}

/** Follows a key's changes back to what it was at `revision`. */
function stateAt(tables: Tables, now: KeyState, revision: number): KeyState {
  let state = now;
  while (state.type !== 'absent' && state.by.revision > revision) {
    state = changeAt(tables, state.by).before;
  }
  return state;
}

/** Where the rows of `history` are. */
interface HistoryRows {
  get(table: 'history', key: Uint8Array): Uint8Array | null;
}

/** A change that must be there; views of its row. */
export function changeAt(tables: HistoryRows, id: ChangeId): Change {
  return readChange(rowAt(tables, id));
}

/** The value that a change gave its key; a view. */
export function valueAt(tables: Tables, id: ChangeId): Uint8Array {
  return readValue(rowAt(tables, id));
}

function rowAt(tables: HistoryRows, id: ChangeId): Uint8Array {
  const row = tables.get('history', changeKey(id));
  assert(row !== null, 'change is not in the history', { id });
  return row;
}

function lastChange(keyRow: Uint8Array): ChangeId {
  const { modRevision, modSub } = readKeyRow(keyRow);
  return { revision: modRevision, sub: modSub };
}

function smaller(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null) return a ?? b;
  return compareBytes(a, b) <= 0 ? a : b;
}
