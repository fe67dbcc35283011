import { ByteReader, type ByteWriter, DecodeError } from '../lib/index.ts';

/* Keys and rows of the tables as bytes; the pictures are in docs/STATE.md. */

// ── keys and their history ─────────────────────────────────────────────────────────────────────

/** Where in `history` a change stands. */
export interface ChangeId {
  readonly revision: number;
  /** Counts the changes of one revision from 0. */
  readonly sub: number;
}

/** A row of `keys`: a key as it is, without its value, which stands with its last change. */
export interface KeyRow {
  readonly createRevision: number;
  readonly modRevision: number;
  /** With `modRevision` the change that made this row. */
  readonly modSub: number;
  readonly version: number;
  /** The lease that the key ends with; null for none. */
  readonly lease: bigint | null;
}

export function writeKeyRow(writer: ByteWriter, row: KeyRow): void {
  writer.varint(row.createRevision);
  writer.varint(row.modRevision);
  writer.varint(row.modSub);
  writer.varint(row.version);
  if (row.lease !== null) writer.u64(row.lease);
}

export function readKeyRow(bytes: Uint8Array): KeyRow {
  const reader = new ByteReader(bytes);
  const createRevision = reader.varint();
  const modRevision = reader.varint();
  const modSub = reader.varint();
  const version = reader.varint();
  const lease = reader.remaining > 0 ? reader.u64() : null;
  return { createRevision, modRevision, modSub, version, lease };
}

/** A row of `deleted`: the change that deleted the key. */
export function writeChangeId(writer: ByteWriter, { revision, sub }: ChangeId): void {
  writer.varint(revision);
  writer.varint(sub);
}

export function readChangeId(bytes: Uint8Array): ChangeId {
  return readChangeIdFrom(new ByteReader(bytes));
}

function readChangeIdFrom(reader: ByteReader): ChangeId {
  const revision = reader.varint();
  return { revision, sub: reader.varint() };
}

/** What a key was at some time, and which change had made it so. */
export type KeyState =
  | { readonly type: 'absent' }
  | { readonly type: 'live' | 'deleted'; readonly by: ChangeId };

export const ABSENT: KeyState = { type: 'absent' };

/** A row of `history`: what a change made of a key, and what the key was before. */
export interface Change {
  readonly key: Uint8Array;
  readonly before: KeyState;
  /** Null when the change deleted the key. Value: a view of the row. */
  readonly after: ChangedTo | null;
}

export interface ChangedTo {
  readonly createRevision: number;
  readonly version: number;
  readonly lease: bigint | null;
  readonly value: Uint8Array;
}

/** Flags of a row of `history`. */
const DELETES = 1;
const WAS_LIVE = 2;
const WAS_DELETED = 4;
const HAS_LEASE = 8;

/** A change to a new version; the value's bytes follow. */
export function writeUpdate(
  writer: ByteWriter,
  { key, before, after }: { key: Uint8Array; before: KeyState; after: Omit<ChangedTo, 'value'> },
): void {
  writer.bytes(key);
  writer.u8(flagOf(before) | (after.lease === null ? 0 : HAS_LEASE));
  if (before.type !== 'absent') writeChangeId(writer, before.by);
  writer.varint(after.createRevision);
  writer.varint(after.version);
  if (after.lease !== null) writer.u64(after.lease);
}

/** A change that deletes the key that `by` had made. */
export function writeDeletion(writer: ByteWriter, key: Uint8Array, by: ChangeId): void {
  writer.bytes(key);
  writer.u8(DELETES | WAS_LIVE);
  writeChangeId(writer, by);
}

export function readChange(bytes: Uint8Array): Change {
  const reader = new ByteReader(bytes);
  const key = reader.bytes();
  const flags = reader.u8();
  const before = readBefore(reader, flags);
  if ((flags & DELETES) !== 0) return { key, before, after: null };
  const createRevision = reader.varint();
  const version = reader.varint();
  const lease = (flags & HAS_LEASE) === 0 ? null : reader.u64();
  const value = reader.raw(reader.remaining);
  return { key, before, after: { createRevision, version, lease, value } };
}

/** Only the value of an update, which is what most reads want: nothing is made on the way to it. */
export function readValue(bytes: Uint8Array): Uint8Array {
  const reader = new ByteReader(bytes);
  reader.raw(reader.varint());
  const flags = reader.u8();
  if ((flags & DELETES) !== 0) throw new DecodeError('a deletion has no value', reader.offset);
  if ((flags & (WAS_LIVE | WAS_DELETED)) !== 0) {
    reader.varint();
    reader.varint();
  }
  reader.varint();
  reader.varint();
  if ((flags & HAS_LEASE) !== 0) reader.u64();
  return reader.raw(reader.remaining);
}

function flagOf(before: KeyState): number {
  if (before.type === 'absent') return 0;
  return before.type === 'live' ? WAS_LIVE : WAS_DELETED;
}

function readBefore(reader: ByteReader, flags: number): KeyState {
  if ((flags & (WAS_LIVE | WAS_DELETED)) === 0) return ABSENT;
  return { type: (flags & WAS_LIVE) !== 0 ? 'live' : 'deleted', by: readChangeIdFrom(reader) };
}

/** Key of a change in `history`: in order of revision, then of sub. */
export function changeKey(id: ChangeId): Uint8Array {
  const key = new Uint8Array(CHANGE_KEY_BYTES);
  setChangeKey(key, id);
  return key;
}

export const CHANGE_KEY_BYTES = 12;

/** The same, into bytes that are there. */
export function setChangeKey(key: Uint8Array, { revision, sub }: ChangeId): void {
  writeUint64(key, 0, revision);
  writeUint32(key, 8, sub);
}

/** The change whose key in `history` this is. */
export function changeIdOf(key: Uint8Array): ChangeId {
  return { revision: readUint32(key, 0) * 2 ** 32 + readUint32(key, 4), sub: readUint32(key, 8) };
}

// ── sessions ───────────────────────────────────────────────────────────────────────────────────

/** Key of a session in `sessions`: its id. */
export function sessionKey(sessionId: number): Uint8Array {
  const key = new Uint8Array(8);
  writeUint64(key, 0, sessionId);
  return key;
}

/** Key of an answer in `answers`: those of one session stand together in order of seq. */
export function answerKey(sessionId: number, seq: number): Uint8Array {
  const key = new Uint8Array(16);
  writeUint64(key, 0, sessionId);
  writeUint64(key, 8, seq);
  return key;
}

// ── leases ─────────────────────────────────────────────────────────────────────────────────────

/** Key of a lease in `leases`: its id. */
export function leaseKey(lease: bigint): Uint8Array {
  const key = new Uint8Array(LEASE_ID_BYTES);
  writeLeaseId(key, lease);
  return key;
}

/** Key in `leaseKeys` that says that a key ends with a lease. */
export function attachmentKey(lease: bigint, key: Uint8Array): Uint8Array {
  const row = new Uint8Array(LEASE_ID_BYTES + key.length);
  writeLeaseId(row, lease);
  row.set(key, LEASE_ID_BYTES);
  return row;
}

/** The id that a key of `leases` or of `leaseKeys` begins with. */
export function leaseOf(key: Uint8Array): bigint {
  return (BigInt(readUint32(key, 0)) << 32n) | BigInt(readUint32(key, 4));
}

/** The user's key of a row of `leaseKeys`; a view. */
export function attachedKeyOf(row: Uint8Array): Uint8Array {
  return row.subarray(LEASE_ID_BYTES);
}

function writeLeaseId(bytes: Uint8Array, lease: bigint): void {
  writeUint32(bytes, 0, Number(lease >> 32n));
  writeUint32(bytes, 4, Number(lease & 0xffff_ffffn));
}

const LEASE_ID_BYTES = 8;

// ── numbers in keys ────────────────────────────────────────────────────────────────────────────

/** Big-endian, so that numbers are in order. */
function writeUint64(bytes: Uint8Array, at: number, value: number): void {
  writeUint32(bytes, at, Math.floor(value / 2 ** 32));
  writeUint32(bytes, at + 4, value >>> 0);
}

function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function readUint32(bytes: Uint8Array, at: number): number {
  const high = ((bytes[at] as number) << 8) | (bytes[at + 1] as number);
  const low = ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number);
  return high * 0x1_0000 + low;
}
