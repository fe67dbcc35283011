import { ByteReader, type ByteWriter } from '../lib/index.ts';

/* Keys and rows of the tables as bytes; the pictures are in docs/STATE.md. */

// ── keys and their history ─────────────────────────────────────────────────────────────────────

/** Where in `history` a change stands. */
export interface ChangeId {
  readonly revision: number;
  /** Counts the changes of one revision from 0. */
  readonly sub: number;
}

/** A row of `keys`: a key as it is. */
export interface KeyRow {
  readonly createRevision: number;
  readonly modRevision: number;
  /** With `modRevision` the change that made this row. */
  readonly modSub: number;
  readonly version: number;
  /** A view of the row. */
  readonly value: Uint8Array;
}

/** Everything but the value, which follows raw. */
export function writeKeyRow(writer: ByteWriter, row: Omit<KeyRow, 'value'>): void {
  writer.varint(row.createRevision);
  writer.varint(row.modRevision);
  writer.varint(row.modSub);
  writer.varint(row.version);
}

export function readKeyRow(bytes: Uint8Array): KeyRow {
  return readKeyRowFrom(new ByteReader(bytes));
}

function readKeyRowFrom(reader: ByteReader): KeyRow {
  const createRevision = reader.varint();
  const modRevision = reader.varint();
  const modSub = reader.varint();
  const version = reader.varint();
  const value = reader.raw(reader.remaining);
  return { createRevision, modRevision, modSub, version, value };
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

/** What a key was at some time. */
export type KeyState =
  | { readonly type: 'absent' }
  | { readonly type: 'live'; readonly row: KeyRow }
  | { readonly type: 'deleted'; readonly by: ChangeId };

/** First byte of what follows the key in a row of `history`: what the key was before the change. */
export const WAS = { absent: 0, live: 1, deleted: 2 } as const;

/** What the key was before the change that this row of `history` stands for. */
export function readBefore(historyRow: Uint8Array): KeyState {
  const reader = new ByteReader(historyRow);
  reader.raw(reader.varint());
  switch (reader.u8()) {
    case WAS.live:
      return { type: 'live', row: readKeyRowFrom(reader) };
    case WAS.deleted:
      return { type: 'deleted', by: readChangeIdFrom(reader) };
    default:
      return { type: 'absent' };
  }
}

/** Key of a change in `history`: in order of revision, then of sub. */
export function changeKey({ revision, sub }: ChangeId): Uint8Array {
  const key = new Uint8Array(12);
  writeUint64(key, 0, revision);
  writeUint32(key, 8, sub);
  return key;
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
