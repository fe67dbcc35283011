import {
  type Append,
  type AppendResult,
  type ChangesPage,
  type ChangesRequest,
  type Delete,
  type DeleteResult,
  isSingleKey,
  type KeyRange,
  type KeyValue,
  KvError,
  type Put,
  type PutResult,
  type Range,
  type RangeResult,
} from '../api/index.ts';
import { assert, ByteWriter, EMPTY_BYTES } from '../lib/index.ts';
import { changesFrom } from './changes.ts';
import type { Leases } from './leases.ts';
import type { KvLimits } from './limits.ts';
import { keysAt, valueAt } from './mvcc-past.ts';
import { type FoundKey, select } from './range.ts';
import {
  ABSENT,
  CHANGE_KEY_BYTES,
  type ChangeId,
  type KeyRow,
  type KeyState,
  readChangeId,
  readKeyRow,
  setChangeKey,
  writeChangeId,
  writeDeletion,
  writeKeyRow,
  writeUpdate,
} from './rows.ts';
import type { Tables } from './tables.ts';

/** What a key was and is to be; its new value comes in two parts. */
interface NewVersion {
  readonly before: KeyRow | null;
  readonly lease: bigint | null;
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
}

/** What a key and its numbers cost in an answer besides their bytes, at most. */
const KEY_VALUE_OVERHEAD_BYTES = 56;

/**
 * Keys with all their versions: etcd's multi-version semantics. Every command that changes
 * something makes one new revision, and all its changes share it.
 *
 * `history` has a row for each change, in order, with what it made of its key and which change came
 * before: it is written at its end only, and a watch follows it. `keys` says of each key which
 * change was its last, `deleted` of those that are no more which change deleted them. A value is
 * written once, with its change.
 */
export class Mvcc {
  readonly #tables: Tables;
  readonly #limits: KvLimits;
  readonly #leases: Leases;
  readonly #row = new ByteWriter();
  readonly #changeKey = new Uint8Array(CHANGE_KEY_BYTES);
  #revision: number;
  /** Changes of the command in progress; each makes a sub-revision. */
  #changes = 0;
  /** What the answer of the command or query in progress may still hold. */
  #answerBytesLeft = 0;
  /** The oldest revision that can be read; 0 while nothing was compacted. */
  #compactRevision: number;

  constructor(options: {
    tables: Tables;
    limits: KvLimits;
    leases: Leases;
    revision: number;
    compactRevision: number;
  }) {
    this.#tables = options.tables;
    this.#limits = options.limits;
    this.#leases = options.leases;
    this.#revision = options.revision;
    this.#compactRevision = options.compactRevision;
  }

  /** Revision of the newest finished change; 1 in an empty store, grows by 1. */
  get revision(): number {
    return this.#revision;
  }

  /** The revision that a read sees now: inside a command that of its changes, if there are any. */
  get visibleRevision(): number {
    return this.#changes > 0 ? this.#revision + 1 : this.#revision;
  }

  get compactRevision(): number {
    return this.#compactRevision;
  }

  /** Before each command and each query; forgets what a refused command left unfinished. */
  begin(): void {
    this.#changes = 0;
    this.#answerBytesLeft = this.#limits.answerBytesMax;
  }

  /** After a command that was not refused: its changes, so many, become a revision if any. */
  commit(): number {
    const changes = this.#changes;
    this.#revision = this.visibleRevision;
    this.#changes = 0;
    return changes;
  }

  /**
   * Reads below `revision` are refused from now on; the rows go later, see `Compaction`.
   * @throws KvError COMPACTED when it is not above the last one, FUTURE_REVISION.
   */
  compactTo(revision: number): void {
    if (revision <= this.#compactRevision) throw compacted(this.#compactRevision);
    if (revision > this.#revision) throw inFuture();
    this.#compactRevision = revision;
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────

  /** The key as it is now, or null. */
  find(key: Uint8Array): KeyRow | null {
    const row = this.#tables.get('keys', key);
    return row === null ? null : readKeyRow(row);
  }

  /** The keys of a range as they are now, in order; views, see `OrderedStore`. */
  *keys(range: KeyRange): Generator<FoundKey> {
    for (const { key, value } of this.#tables.range('keys', range)) {
      yield { key, row: readKeyRow(value) };
    }
  }

  /** The value of a key as it is now; a view. */
  valueOf({ modRevision, modSub }: KeyRow): Uint8Array {
    return valueAt(this.#tables, { revision: modRevision, sub: modSub });
  }

  /**
   * Keys and values in the result are views: copied by whoever changes the state before encoding.
   * @throws KvError FUTURE_REVISION, COMPACTED, TOO_LARGE.
   */
  range(range: Range): RangeResult {
    const { revision } = range;
    if (revision !== null && revision > this.#revision) throw inFuture();
    if (revision !== null && revision < this.#compactRevision) {
      throw compacted(this.#compactRevision);
    }
    if (revision !== null && revision < this.visibleRevision) {
      return this.#rangeOf(range, keysAt(this.#tables, range.range, revision));
    }
    if (range.order !== undefined || range.bounds !== undefined) {
      return this.#rangeOf(range, this.keys(range.range));
    }
    return isSingleKey(range.range) ? this.#rangeOfOne(range) : this.#rangeOfFirst(range);
  }

  /** Looks at every key of the range. */
  #rangeOf(range: Range, keys: Iterable<FoundKey>): RangeResult {
    const { found, more, count } = select(range, keys, (row) => this.valueOf(row));
    const kvs = found.map(({ key, row }) => this.#answerWith(key, row, range.keysOnly));
    return { type: 'range', revision: this.visibleRevision, kvs, more, count };
  }

  #rangeOfOne(range: Range): RangeResult {
    const key = range.range.from;
    const row = this.find(key);
    const wanted = row === null || range.countOnly ? [] : [row];
    const kvs = wanted.map((each) => this.#answerWith(key, each, range.keysOnly));
    const count = row === null ? 0 : 1;
    return { type: 'range', revision: this.visibleRevision, kvs, more: false, count };
  }

  /** The first keys as they are: the others are counted, not looked at. */
  #rangeOfFirst(range: Range): RangeResult {
    const count = this.#tables.count('keys', range.range);
    const kvs: KeyValue[] = [];
    const wanted = range.countOnly ? 0 : Math.min(range.limit ?? count, count);
    if (wanted > 0) {
      for (const { key, row } of this.keys(range.range)) {
        kvs.push(this.#answerWith(key, row, range.keysOnly));
        if (kvs.length === wanted) break;
      }
    }
    const more = !range.countOnly && kvs.length < count;
    return { type: 'range', revision: this.visibleRevision, kvs, more, count };
  }

  /**
   * A page of the history.
   * @throws KvError COMPACTED.
   */
  changes(request: ChangesRequest): ChangesPage {
    const span = { compactRevision: this.#compactRevision, revision: this.#revision };
    if (request.from < span.compactRevision) throw compacted(span.compactRevision);
    return changesFrom(this.#tables, span, request);
  }

  #answerWith(key: Uint8Array, row: KeyRow, keysOnly: boolean): KeyValue {
    const { createRevision, modRevision, version, lease } = row;
    const value = keysOnly ? EMPTY_BYTES : this.valueOf(row);
    const kv = { key, value, createRevision, modRevision, version };
    return this.#spend(lease === null ? kv : { ...kv, lease });
  }

  /**
   * The keys that end with a lease, in order; copies.
   * @throws KvError TOO_LARGE.
   */
  attachedKeys(lease: bigint): Uint8Array[] {
    const keys = this.#leases.keysOf(lease);
    for (const key of keys) this.#spendBytes(key.length);
    return keys;
  }

  /** Counts what goes into the answer. */
  #spend(kv: KeyValue): KeyValue {
    this.#spendBytes(kv.key.length + kv.value.length);
    return kv;
  }

  #spendBytes(bytes: number): void {
    this.#answerBytesLeft -= bytes + KEY_VALUE_OVERHEAD_BYTES;
    if (this.#answerBytesLeft >= 0) return;
    const max = this.#limits.answerBytesMax;
    throw new KvError('TOO_LARGE', `answer is larger than ${max} bytes, ask for less`);
  }

  // ── changing ─────────────────────────────────────────────────────────────────────────────────

  /** @throws KvError LEASE_NOT_FOUND; INVALID_ARGUMENT for a missing key that is to keep parts. */
  put(put: Put): PutResult {
    const { key, prevKv } = put;
    const old = this.#tables.get('keys', key);
    const before = old === null ? null : readKeyRow(old);
    if (put.lease !== undefined) this.#leases.demand(put.lease);
    if (before === null && (put.ignoreValue === true || put.ignoreLease === true)) {
      throw new KvError('INVALID_ARGUMENT', 'key not found');
    }
    const previous =
      prevKv && before !== null ? ownedKeyValue(this.#answerWith(key, before, false)) : null;
    const keptValue = put.ignoreValue === true && before !== null;
    const lease = put.ignoreLease === true ? (before?.lease ?? null) : (put.lease ?? null);
    this.#writeKey(key, old, {
      before,
      lease,
      head: keptValue ? this.valueOf(before) : EMPTY_BYTES,
      tail: put.value,
    });
    return { type: 'put', revision: this.visibleRevision, prevKv: previous };
  }

  /** @throws KvError TOO_LARGE when the value would outgrow its limit. */
  append({ key, value }: Append): AppendResult {
    const old = this.#tables.get('keys', key);
    const before = old === null ? null : readKeyRow(old);
    const head = before === null ? EMPTY_BYTES : this.valueOf(before);
    const valueBytes = head.length + value.length;
    if (valueBytes > this.#limits.valueBytesMax) {
      const max = this.#limits.valueBytesMax;
      throw new KvError('TOO_LARGE', `value would be longer than ${max} bytes`);
    }
    this.#writeKey(key, old, { before, lease: before?.lease ?? null, head, tail: value });
    return { type: 'append', revision: this.visibleRevision, valueBytes };
  }

  delete({ range, prevKv }: Delete): DeleteResult {
    const doomed: { key: Uint8Array; old: Uint8Array }[] = [];
    const prevKvs: KeyValue[] = [];
    for (const { key, value } of this.#tables.range('keys', range)) {
      doomed.push({ key: key.slice(), old: value.slice() });
      if (prevKv) prevKvs.push(ownedKeyValue(this.#answerWith(key, readKeyRow(value), false)));
    }
    for (const { key, old } of doomed) this.#deleteKey(key, old);
    return { type: 'delete', revision: this.visibleRevision, deleted: doomed.length, prevKvs };
  }

  /** Deletes the keys that end with a lease; returns how many. */
  deleteAttached(lease: bigint): number {
    const keys = this.#leases.keysOf(lease);
    for (const key of keys) {
      const old = this.#tables.get('keys', key);
      assert(old !== null, 'a key that is not there ends with a lease', { lease });
      this.#deleteKey(key, old.slice());
    }
    return keys.length;
  }

  #deleteKey(key: Uint8Array, old: Uint8Array): void {
    const change = this.#nextChange();
    const { modRevision, modSub, lease } = readKeyRow(old);
    this.#leases.move(key, lease, null);
    const row = this.#row;
    row.clear();
    writeDeletion(row, key, { revision: modRevision, sub: modSub });
    this.#putChange(change);
    row.clear();
    writeChangeId(row, change);
    this.#tables.put('deleted', key, row.view(), null);
    this.#tables.remove('keys', key, old);
  }

  /** A new version of a key. `old`: its row so far. */
  #writeKey(key: Uint8Array, old: Uint8Array | null, version: NewVersion): void {
    const { before, lease, head, tail } = version;
    const change = this.#nextChange();
    this.#leases.move(key, before?.lease ?? null, lease);
    const after: KeyRow = {
      createRevision: before?.createRevision ?? change.revision,
      modRevision: change.revision,
      modSub: change.sub,
      version: (before?.version ?? 0) + 1,
      lease,
    };
    const state = before === null ? this.#revive(key) : lastState(before);
    const row = this.#row;
    row.clear();
    writeUpdate(row, { key, before: state, after });
    row.raw(head);
    row.raw(tail);
    this.#putChange(change);
    row.clear();
    writeKeyRow(row, after);
    this.#tables.put('keys', key, row.view(), old);
  }

  /** Puts the row that was written to the end of the history. */
  #putChange(change: ChangeId): void {
    setChangeKey(this.#changeKey, change);
    this.#tables.put('history', this.#changeKey, this.#row.view(), null);
  }

  /** What a key that is to be created was before; a deleted one is no longer one. */
  #revive(key: Uint8Array): KeyState {
    const deletion = this.#tables.get('deleted', key);
    if (deletion === null) return ABSENT;
    const by = readChangeId(deletion);
    this.#tables.remove('deleted', key, deletion);
    return { type: 'deleted', by };
  }

  #nextChange(): ChangeId {
    return { revision: this.#revision + 1, sub: this.#changes++ };
  }
}

function lastState({ modRevision, modSub }: KeyRow): KeyState {
  return { type: 'live', by: { revision: modRevision, sub: modSub } };
}

function inFuture(): KvError {
  return new KvError('FUTURE_REVISION', 'required revision is a future revision');
}

function compacted(compactRevision: number): KvError {
  return new KvError('COMPACTED', 'required revision has been compacted', { compactRevision });
}

/** A key with bytes of its own. */
export function ownedKeyValue(kv: KeyValue): KeyValue {
  return { ...kv, key: kv.key.slice(), value: kv.value.slice() };
}
