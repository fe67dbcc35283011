import { assert, ByteWriter, type OrderedStore } from '../lib/index.ts';
import { Leases } from './leases.ts';
import { KV_LIMITS } from './limits.ts';
import { FIRST_REVISION, FIRST_SESSION_ID, writeCounters, writePositionRow } from './position.ts';
import {
  ABSENT,
  type ChangedTo,
  type ChangeId,
  changeKey,
  type KeyRow,
  type KeyState,
  readChangeId,
  readKeyRow,
  writeChangeId,
  writeDeletion,
  writeKeyRow,
  writeUpdate,
} from './rows.ts';
import { COUNTERS_KEY, POSITION_KEYS, POSITION_TABLE, Tables } from './tables.ts';

/** A change that another store made. */
export interface ImportedChange extends ChangeId {
  readonly key: Uint8Array;
  /** Null when it deleted the key. */
  readonly after: ChangedTo | null;
}

/** How far an imported history goes, and where the new state begins in its log. */
export interface ImportEnd {
  /** The newest revision; at least that of the last change, and `compactRevision`. */
  readonly revision: number;
  /** The oldest that can be read; 0 while nothing was compacted. */
  readonly compactRevision: number;
  /** As if an entry with this index and term had made the state. */
  readonly index: number;
  readonly term: number;
}

/** What was taken over. */
export interface ImportTotals {
  readonly keys: number;
  readonly leases: number;
  readonly changes: number;
}

/**
 * Makes a state from the history of another store, into tables that are empty. The same history
 * makes the same state, whoever imports it. Leases get their whole time to live from the first
 * entry of the log on, because that begins a term. What the other store had still to compact, this
 * one has.
 */
export class StateImport {
  readonly #store: OrderedStore;
  readonly #tables: Tables;
  readonly #leases: Leases;
  readonly #row = new ByteWriter();
  #last: ChangeId = { revision: 0, sub: 0 };
  #keys = 0;
  #changes = 0;

  constructor(store: OrderedStore) {
    this.#store = store;
    const tables = new Tables(store);
    this.#tables = tables;
    const start = { logTimeMs: 0, termStart: { term: 0, timeMs: 0 } };
    this.#leases = new Leases({ tables, limits: KV_LIMITS, ...start });
  }

  /** @throws KvError LEASE_EXISTS, LEASES_FULL. */
  addLease(lease: bigint, ttlMs: number): void {
    this.#leases.grant({ type: 'leaseGrant', lease, ttlMs });
  }

  /** In the order of revision and sub. The deletion of a key that is not there is passed over. */
  addChange(change: ImportedChange): void {
    const { revision, sub, key, after } = change;
    const last = this.#last;
    const isLater = revision > last.revision || (revision === last.revision && sub > last.sub);
    assert(isLater || this.#changes === 0, 'changes out of order', { revision, sub });
    this.#last = { revision, sub };
    const row = this.#tables.get('keys', key)?.slice() ?? null;
    if (after !== null) this.#put({ ...change, after }, row);
    else if (row !== null) this.#delete(change, row);
    else return;
    this.#changes++;
  }

  /** Once, when all changes and leases are there. */
  finish({ revision, compactRevision, index, term }: ImportEnd): ImportTotals {
    const isSound = revision >= Math.max(this.#last.revision, compactRevision, FIRST_REVISION);
    assert(isSound, 'the history goes beyond its end', { revision, compactRevision });
    this.#row.clear();
    writeCounters(this.#row, {
      revision,
      nextSessionId: FIRST_SESSION_ID,
      logTimeMs: 0,
      termStart: { term, timeMs: 0 },
      compactRevision,
      compactionNext: compactRevision === 0 ? null : { revision: 0, sub: 0 },
    });
    this.#tables.put('counters', COUNTERS_KEY, this.#row.view(), null);
    this.#row.clear();
    writePositionRow(this.#row, { index, term, hash: this.#tables.saveHash() });
    this.#store.put(POSITION_TABLE, POSITION_KEYS.applied, this.#row.view());
    return { keys: this.#keys, leases: this.#leases.count, changes: this.#changes };
  }

  #put(change: ImportedChange & { readonly after: ChangedTo }, row: Uint8Array | null): void {
    const { revision, sub, key, after } = change;
    const { createRevision, version, lease, value } = after;
    const was = row === null ? null : readKeyRow(row);
    const before = was === null ? this.#revive(key) : stateOf(was);
    this.#leases.move(key, was?.lease ?? null, lease);
    this.#row.clear();
    writeUpdate(this.#row, { key, before, after });
    this.#row.raw(value);
    this.#tables.put('history', changeKey(change), this.#row.view(), null);
    this.#row.clear();
    const now = { createRevision, modRevision: revision, modSub: sub, version, lease };
    writeKeyRow(this.#row, now);
    this.#tables.put('keys', key, this.#row.view(), row);
    if (row === null) this.#keys++;
  }

  #delete(change: ImportedChange, row: Uint8Array): void {
    const { key } = change;
    const { modRevision, modSub, lease } = readKeyRow(row);
    this.#leases.move(key, lease, null);
    this.#row.clear();
    writeDeletion(this.#row, key, { revision: modRevision, sub: modSub });
    this.#tables.put('history', changeKey(change), this.#row.view(), null);
    this.#row.clear();
    writeChangeId(this.#row, change);
    this.#tables.put('deleted', key, this.#row.view(), null);
    this.#tables.remove('keys', key, row);
    this.#keys--;
  }

  /** What a key that comes into being was before; a deleted one is no longer one. */
  #revive(key: Uint8Array): KeyState {
    const row = this.#tables.get('deleted', key);
    if (row === null) return ABSENT;
    const by = readChangeId(row);
    this.#tables.remove('deleted', key, row);
    return { type: 'deleted', by };
  }
}

function stateOf({ modRevision, modSub }: KeyRow): KeyState {
  return { type: 'live', by: { revision: modRevision, sub: modSub } };
}
