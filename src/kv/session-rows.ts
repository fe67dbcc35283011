import { ByteReader, type ByteWriter, equalBytes } from '../lib/index.ts';

/** A session, as its row in `sessions` says. */
export interface Session {
  readonly id: number;
  /** Starts with 1, grows by 1; commands of smaller ones are refused for ever. */
  incarnation: number;
  /** Last executed seq; 0 for none. */
  lastSeq: number;
  /** Answers up to this seq are dropped; ≤ lastSeq. The others are all in `answers`. */
  ackedSeq: number;
  /** Log time of the last command that was executed or answered, milliseconds. */
  activityMs: number;
  /** Idle life, milliseconds of log time: it ends at activityMs + ttlMs. */
  ttlMs: number;
  /** Bytes of the answers kept. */
  answerBytes: number;
  /** Its key in `names`. */
  readonly nameKey: Uint8Array;
}

export function writeSession(writer: ByteWriter, session: Session): void {
  writer.varint(session.incarnation);
  writer.varint(session.lastSeq);
  writer.varint(session.ackedSeq);
  writer.varint(session.activityMs);
  writer.varint(session.ttlMs);
  writer.varint(session.answerBytes);
  writer.raw(session.nameKey);
}

export function readSession(id: number, row: Uint8Array): Session {
  const reader = new ByteReader(row);
  return {
    id,
    incarnation: reader.varint(),
    lastSeq: reader.varint(),
    ackedSeq: reader.varint(),
    activityMs: reader.varint(),
    ttlMs: reader.varint(),
    answerBytes: reader.varint(),
    nameKey: reader.raw(reader.remaining).slice(),
  };
}

// ── names ──────────────────────────────────────────────────────────────────────────────────────

const BY_NONCE = 0;
const BY_NAME = 1;

/** A session is found by its name, an anonymous one by the nonce that opened it. */
export function nameKeyOf(name: Uint8Array, nonce: Uint8Array): Uint8Array {
  const anonymous = name.length === 0;
  const found = anonymous ? nonce : name;
  const key = new Uint8Array(1 + found.length);
  key[0] = anonymous ? BY_NONCE : BY_NAME;
  key.set(found, 1);
  return key;
}

export function isAnonymous(nameKey: Uint8Array): boolean {
  return nameKey[0] === BY_NONCE;
}

/** Where a name leads. */
export interface NameRow {
  readonly sessionId: number;
  /** Nonces of its incarnations, newest first; none for an anonymous session: the key has it. */
  readonly nonces: readonly Uint8Array[];
}

export function writeNameRow(writer: ByteWriter, row: NameRow): void {
  writer.varint(row.sessionId);
  for (const nonce of row.nonces) writer.raw(nonce);
}

/** The nonces are copies. */
export function readNameRow(row: Uint8Array, nonceBytes: number): NameRow {
  const reader = new ByteReader(row);
  const sessionId = reader.varint();
  const nonces: Uint8Array[] = [];
  while (reader.remaining > 0) nonces.push(reader.raw(nonceBytes).slice());
  return { sessionId, nonces };
}

/** Position of a nonce among those of a session; -1 for an unknown one. */
export function positionOf(nonces: readonly Uint8Array[], nonce: Uint8Array): number {
  return nonces.findIndex((known) => equalBytes(known, nonce));
}
