import type { KeyRange, KeyValue } from '../api/index.ts';
import { assert, compareBytes, equalBytes } from '../lib/index.ts';
import { changeKey, type KeyState, readBefore, readChangeId, readKeyRow } from './rows.ts';
import type { Tables } from './tables.ts';

/**
 * The keys of a range as they were at a revision, in order; views, see `OrderedStore`. A key of
 * that time is in `keys` or in `deleted` now; from there its changes are followed back, newest
 * first, as many steps as there were since.
 */
export function* keysAt(tables: Tables, range: KeyRange, revision: number): Generator<KeyValue> {
  const live = tables.range('keys', range)[Symbol.iterator]();
  const gone = tables.range('deleted', range)[Symbol.iterator]();
  let nextLive = live.next();
  let nextGone = gone.next();
  while (true) {
    const liveKey = nextLive.done === true ? null : nextLive.value.key;
    const goneKey = nextGone.done === true ? null : nextGone.value.key;
    const key = smaller(liveKey, goneKey);
    if (key === null) return;
    let state: KeyState;
    if (nextLive.done !== true && liveKey !== null && equalBytes(liveKey, key)) {
      state = { type: 'live', row: readKeyRow(nextLive.value.value) };
      nextLive = live.next();
    } else {
      assert(nextGone.done !== true, 'a key came from nowhere');
      state = { type: 'deleted', by: readChangeId(nextGone.value.value) };
      nextGone = gone.next();
    }
    const then = stateAt(tables, state, revision);
    if (then.type === 'live') yield { key, ...then.row };
  }
}

/** Follows a key's changes back to what it was at `revision`. */
function stateAt(tables: Tables, now: KeyState, revision: number): KeyState {
  let state = now;
  while (true) {
    const change = changeThatMade(state);
    if (change === null || change.revision <= revision) return state;
    const row = tables.get('history', changeKey(change));
    assert(row !== null, 'change is not in the history', { ...change });
    state = readBefore(row);
  }
}

function changeThatMade(state: KeyState) {
  switch (state.type) {
    case 'absent':
      return null;
    case 'live':
      return { revision: state.row.modRevision, sub: state.row.modSub };
    case 'deleted':
      return state.by;
  }
}

function smaller(a: Uint8Array | null, b: Uint8Array | null): Uint8Array | null {
  if (a === null || b === null) return a ?? b;
  return compareBytes(a, b) <= 0 ? a : b;
}
