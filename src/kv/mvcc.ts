import {
  type AppendResult,
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
import { ByteWriter, EMPTY_BYTES } from '../lib/index.ts';
import type { KvLimits } from './limits.ts';
import { keysAt } from './mvcc-past.ts';
import {
  type ChangeId,
  changeKey,
  type KeyRow,
  readKeyRow,
  WAS,
  writeChangeId,
  writeKeyRow,
} from './rows.ts';
import type { Tables } from './tables.ts';

/** What a key and its numbers cost in an answer besides their bytes, at most. */
const KEY_VALUE_OVERHEAD_BYTES = 48;

/**
 * Keys with all their versions: etcd's multi-version semantics. Every command that changes
 * something makes one new revision, and all its changes share it.
 *
 * `keys` holds what is. `history` has a row for each change, in order, with what the key was before
 * it: written at its end only, followed by a watch, and to forget the past is to cut its beginning.
 * `deleted` says of the keys that are no more which change deleted them.
 */
export class Mvcc {
  readonly #tables: Tables;
  readonly #limits: KvLimits;
  readonly #row = new ByteWriter();
  #revision: number;
  /** Changes of the command in progress; each makes a sub-revision. */
  #changes = 0;
  /** What the answer of the command or query in progress may still hold. */
  #answerBytesLeft = 0;

  constructor(options: { tables: Tables; limits: KvLimits; revision: number }) {
    this.#tables = options.tables;
    this.#limits = options.limits;
    this.#revision = options.revision;
  }

  /** Revision of the newest finished change; 1 in an empty store, grows by 1. */
  get revision(): number {
    return this.#revision;
  }

  /** The revision that a read sees now: inside a command that of its changes, if there are any. */
  get visibleRevision(): number {
    return this.#changes > 0 ? this.#revision + 1 : this.#revision;
  }

  /** Before each command and each query; forgets what a refused command left unfinished. */
  begin(): void {
    this.#changes = 0;
    this.#answerBytesLeft = this.#limits.answerBytesMax;
  }

  /** After a command that was not refused: its changes, if any, become a revision. */
  commit(): void {
    this.#revision = this.visibleRevision;
    this.#changes = 0;
  }

  // ── reading ──────────────────────────────────────────────────────────────────────────────────

  /** The key as it is now, or null. */
  get(key: Uint8Array): KeyRow | null {
    const row = this.#tables.get('keys', key);
    return row === null ? null : readKeyRow(row);
  }

  /** The keys of a range as they are now, in order; views, see `OrderedStore`. */
  *keys(range: KeyRange): Generator<KeyValue> {
    for (const { key, value } of this.#tables.range('keys', range)) {
      yield { key, ...readKeyRow(value) };
    }
  }

  /**
   * Keys and values in the result are views: copied by whoever changes the state before encoding.
   * @throws KvError FUTURE_REVISION, TOO_LARGE.
   */
  range(range: Range): RangeResult {
    const { revision } = range;
    if (revision !== null && revision > this.#revision) {
      throw new KvError('FUTURE_REVISION', 'required revision is a future revision');
    }
    if (revision !== null && revision < this.visibleRevision) {
      return this.#rangeAt(range, revision);
    }
    if (isSingleKey(range.range)) return this.#rangeOfOne(range);
    const count = this.#tables.count('keys', range.range);
    const kvs: KeyValue[] = [];
    const wanted = range.countOnly ? 0 : Math.min(range.limit ?? count, count);
    if (wanted > 0) {
      for (const kv of this.keys(range.range)) {
        kvs.push(this.#answerWith(kv, range.keysOnly));
        if (kvs.length === wanted) break;
      }
    }
    return this.#rangeResult(range, kvs, count);
  }

  #rangeOfOne(range: Range): RangeResult {
    const key = range.range.from;
    const row = this.get(key);
    if (row === null) return this.#rangeResult(range, [], 0);
    const kvs = range.countOnly ? [] : [this.#answerWith({ key, ...row }, range.keysOnly)];
    return this.#rangeResult(range, kvs, 1);
  }

  /** A range in the past: for the count, every key that ever was in it has to be looked at. */
  #rangeAt(range: Range, revision: number): RangeResult {
    const kvs: KeyValue[] = [];
    const wanted = range.countOnly ? 0 : (range.limit ?? Number.MAX_SAFE_INTEGER);
    let count = 0;
    for (const kv of keysAt(this.#tables, range.range, revision)) {
      count++;
      if (kvs.length < wanted) kvs.push(this.#answerWith(kv, range.keysOnly));
    }
    return this.#rangeResult(range, kvs, count);
  }

  #rangeResult(range: Range, kvs: readonly KeyValue[], count: number): RangeResult {
    const more = !range.countOnly && kvs.length < count;
    return { type: 'range', revision: this.visibleRevision, kvs, more, count };
  }

  #answerWith(kv: KeyValue, keysOnly: boolean): KeyValue {
    const answered = keysOnly ? { ...kv, value: EMPTY_BYTES } : kv;
    this.#spend(answered);
    return answered;
  }

  #spend({ key, value }: { key: Uint8Array; value: Uint8Array }): void {
    this.#answerBytesLeft -= key.length + value.length + KEY_VALUE_OVERHEAD_BYTES;
    if (this.#answerBytesLeft < 0) {
      const max = this.#limits.answerBytesMax;
      throw new KvError('TOO_LARGE', `answer is larger than ${max} bytes, ask for less`);
    }
  }

  // ── changing ─────────────────────────────────────────────────────────────────────────────────

  put({ key, value, prevKv }: Put): PutResult {
    const old = this.#tables.get('keys', key);
    const before = old === null ? null : readKeyRow(old);
    const previous = prevKv && before !== null ? ownedKeyValue(key, before) : null;
    if (previous !== null) this.#spend(previous);
    this.#writeKey(key, old, before, EMPTY_BYTES, value);
    return { type: 'put', revision: this.visibleRevision, prevKv: previous };
  }

  /** @throws KvError TOO_LARGE when the value would outgrow its limit. */
  append({ key, value }: { key: Uint8Array; value: Uint8Array }): AppendResult {
    const old = this.#tables.get('keys', key);
    const before = old === null ? null : readKeyRow(old);
    const head = before?.value ?? EMPTY_BYTES;
    const valueBytes = head.length + value.length;
    if (valueBytes > this.#limits.valueBytesMax) {
      const max = this.#limits.valueBytesMax;
      throw new KvError('TOO_LARGE', `value would be longer than ${max} bytes`);
    }
    this.#writeKey(key, old, before, head, value);
    return { type: 'append', revision: this.visibleRevision, valueBytes };
  }

  delete({ range, prevKv }: Delete): DeleteResult {
    const doomed: { key: Uint8Array; old: Uint8Array }[] = [];
    const prevKvs: KeyValue[] = [];
    for (const { key, value } of this.#tables.range('keys', range)) {
      const one = { key: key.slice(), old: value.slice() };
      doomed.push(one);
      if (!prevKv) continue;
      const previous = { key: one.key, ...readKeyRow(one.old) };
      this.#spend(previous);
      prevKvs.push(previous);
    }
    for (const { key, old } of doomed) this.#deleteKey(key, old);
    return { type: 'delete', revision: this.visibleRevision, deleted: doomed.length, prevKvs };
  }

  #deleteKey(key: Uint8Array, old: Uint8Array): void {
    const change = this.#nextChange();
    this.#recordChange(change, key, WAS.live, old);
    this.#row.clear();
    writeChangeId(this.#row, change);
    this.#tables.put('deleted', key, this.#row.view(), null);
    this.#tables.remove('keys', key, old);
  }

  /** The new version of a key; its value comes in two parts. */
  #writeKey(
    key: Uint8Array,
    old: Uint8Array | null,
    before: KeyRow | null,
    head: Uint8Array,
    tail: Uint8Array,
  ): void {
    const change = this.#nextChange();
    if (old !== null) this.#recordChange(change, key, WAS.live, old);
    else this.#recordCreation(change, key);
    const row = this.#row;
    row.clear();
    writeKeyRow(row, {
      createRevision: before?.createRevision ?? change.revision,
      modRevision: change.revision,
      modSub: change.sub,
      version: (before?.version ?? 0) + 1,
    });
    row.raw(head);
    row.raw(tail);
    this.#tables.put('keys', key, row.view(), old);
  }

  #recordCreation(change: ChangeId, key: Uint8Array): void {
    const deletion = this.#tables.get('deleted', key);
    if (deletion === null) {
      this.#recordChange(change, key, WAS.absent, EMPTY_BYTES);
      return;
    }
    this.#recordChange(change, key, WAS.deleted, deletion);
    this.#tables.remove('deleted', key, deletion);
  }

  #recordChange(change: ChangeId, key: Uint8Array, was: number, before: Uint8Array): void {
    const row = this.#row;
    row.clear();
    row.bytes(key);
    row.u8(was);
    row.raw(before);
    this.#tables.put('history', changeKey(change), row.view(), null);
  }

  #nextChange(): ChangeId {
    return { revision: this.#revision + 1, sub: this.#changes++ };
  }
}

/** A key with bytes of its own. */
export function ownedKeyValue(key: Uint8Array, row: Omit<KeyValue, 'key'>): KeyValue {
  const { createRevision, modRevision, version, value } = row;
  return { key: key.slice(), value: value.slice(), createRevision, modRevision, version };
}
