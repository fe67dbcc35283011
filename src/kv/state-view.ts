import { EMPTY_BYTES, type OrderedStore } from '../lib/index.ts';
import { readLease } from './leases.ts';
import { changeAt } from './mvcc-past.ts';
import { readCounters } from './position.ts';
import {
  type Change,
  type ChangeId,
  changeIdOf,
  changeKey,
  type KeyState,
  leaseOf,
  readChange,
  readChangeId,
  readKeyRow,
} from './rows.ts';
import { COUNTERS_KEY } from './tables.ts';

/**
 * What a state holds, read from its rows alone, of a store or of a view of one, for who translates
 * it into something else. Bytes are views with the lifetime that the rows have there. Everything
 * throws DecodeError on rows that are not those of a state.
 */
export class StateView {
  readonly #rows: Pick<OrderedStore, 'get' | 'range'>;

  constructor(rows: Pick<OrderedStore, 'get' | 'range'>) {
    this.#rows = rows;
  }

  /**
   * How far the history goes: the newest revision, the oldest that can be read (0 while nothing was
   * compacted), and whether rows that only older ones could see wait for their removal.
   */
  get span(): { revision: number; compactRevision: number; compacting: boolean } {
    const counters = readCounters(this.#rows.get('counters', COUNTERS_KEY));
    const { revision, compactRevision, compactionNext } = counters;
    return { revision, compactRevision, compacting: compactionNext !== null };
  }

  /** The changes from one on, ascending. */
  *history(from: ChangeId): Generator<{ readonly id: ChangeId; readonly change: Change }> {
    for (const { key, value } of this.#rows.range('history', { from: changeKey(from), to: null })) {
      yield { id: changeIdOf(key), change: readChange(value) };
    }
  }

  /** The last change of a key that had one and is not forgotten. */
  lastChangeOf(key: Uint8Array): ChangeId | null {
    const live = this.#rows.get('keys', key);
    if (live !== null) {
      const { modRevision, modSub } = readKeyRow(live);
      return { revision: modRevision, sub: modSub };
    }
    const deleted = this.#rows.get('deleted', key);
    return deleted === null ? null : readChangeId(deleted);
  }

  /** The change of the same key before one that is in the history; null when there was none. */
  changeBefore(id: ChangeId): ChangeId | null {
    const before: KeyState = changeAt(this.#rows, id).before;
    return before.type === 'absent' ? null : before.by;
  }

  /** Ascending; milliseconds of log time. */
  *leases(): Generator<{ readonly lease: bigint; readonly ttlMs: number }> {
    for (const { key, value } of this.#rows.range('leases', { from: EMPTY_BYTES, to: null })) {
      yield { lease: leaseOf(key), ttlMs: readLease(value).ttlMs };
    }
  }
}
