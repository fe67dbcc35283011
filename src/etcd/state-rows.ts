import { ByteReader, type StoreEntry } from '../lib/index.ts';

/*
 * The state's rows, as docs/STATE.md draws them, for what etcd keeps row by row too. Read only, and
 * only what a change of a key says.
 */

/** Where a state's rows are read: the store of a member, or a view of it. */
export interface StateRows {
  /** A row of `counters`, `keys`, `deleted` or `history`; null when there is none. */
  get(table: string, key: Uint8Array): Uint8Array | null;
  /** The rows of `history` from a key on, ascending; views, see `OrderedStore`. */
  history(from: Uint8Array): Iterable<StoreEntry>;
}

/** How far the history goes. */
export interface HistorySpan {
  /** The oldest revision that can be read; 0 while nothing was compacted. */
  readonly compactRevision: number;
  /** The newest; 1 in an empty store. */
  readonly revision: number;
  /** Changes that only revisions below the compact revision could see wait for their removal. */
  readonly compacting: boolean;
}

/** Which change of the history: its revision, and which one of that revision, counted from 0. */
export interface ChangeId {
  readonly revision: number;
  readonly sub: number;
}

/** A change of a key. Bytes are views of its row. */
export interface Change {
  readonly key: Uint8Array;
  /** The change before it of the same key; null when there was none. */
  readonly before: ChangeId | null;
  /** What it made of the key; null when it deleted it. */
  readonly after: {
    readonly createRevision: number;
    readonly version: number;
    /** 0n for none. */
    readonly lease: bigint;
    readonly value: Uint8Array;
  } | null;
}

/** Flags of a change. */
const DELETES = 1;
const HAS_BEFORE = 2 | 4;
const HAS_LEASE = 8;

const COUNTERS_KEY = Uint8Array.of(0);
const EMPTY_STORE: HistorySpan = { compactRevision: 0, revision: 1, compacting: false };

/** @throws DecodeError on rows of another format, like all of these. */
export function readHistorySpan(rows: Pick<StateRows, 'get'>): HistorySpan {
  const row = rows.get('counters', COUNTERS_KEY);
  if (row === null) return EMPTY_STORE;
  const reader = new ByteReader(row);
  const revision = reader.varint();
  for (const _ of ['next session', 'log time', 'term', 'its begin']) reader.varint();
  const compactRevision = reader.varint();
  return { compactRevision, revision, compacting: reader.remaining > 0 };
}

export function readChange(row: Uint8Array): Change {
  const reader = new ByteReader(row);
  const key = reader.bytes();
  const flags = reader.u8();
  const before = (flags & HAS_BEFORE) === 0 ? null : readChangeId(reader);
  if ((flags & DELETES) !== 0) return { key, before, after: null };
  const createRevision = reader.varint();
  const version = reader.varint();
  const lease = (flags & HAS_LEASE) === 0 ? 0n : reader.u64();
  const value = reader.raw(reader.remaining);
  return { key, before, after: { createRevision, version, lease, value } };
}

/** The last change of a key that had one and is not forgotten. */
export function lastChangeOf(rows: StateRows, key: Uint8Array): ChangeId | null {
  const live = rows.get('keys', key);
  if (live !== null) {
    const reader = new ByteReader(live);
    reader.varint();
    return readChangeId(reader);
  }
  const deleted = rows.get('deleted', key);
  return deleted === null ? null : readChangeId(new ByteReader(deleted));
}

/** The key of a change in `history`. */
export function historyKey({ revision, sub }: ChangeId): Uint8Array {
  const key = new Uint8Array(12);
  const view = new DataView(key.buffer);
  view.setBigUint64(0, BigInt(revision));
  view.setUint32(8, sub);
  return key;
}

/** The change whose key in `history` this is. */
export function changeIdOf(key: Uint8Array): ChangeId {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength);
  return { revision: Number(view.getBigUint64(0)), sub: view.getUint32(8) };
}

function readChangeId(reader: ByteReader): ChangeId {
  const revision = reader.varint();
  return { revision, sub: reader.varint() };
}
