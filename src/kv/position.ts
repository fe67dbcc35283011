import { ByteReader, type ByteWriter } from '../lib/index.ts';
import type { TermStart } from './leases.ts';
import { hashText, ROW_SET_HASH_BYTES } from './row-hash.ts';
import type { ChangeId } from './rows.ts';
import { COUNTERS_KEY, POSITION_KEYS, POSITION_TABLE } from './tables.ts';

/**
 * Version of all row formats together (docs/STATE.md). It stands in the position row; a state of a
 * newer one is refused, one of an older one would have to be converted.
 */
const FORMAT_VERSION = 1;

/** An empty store has revision 1, as etcd's: so 0 can mean "never" in a compare. */
export const FIRST_REVISION = 1;
export const FIRST_SESSION_ID = 1;

/** Rows of a format that this program does not know: nothing was changed. */
export class StateFormatError extends Error {
  /** The version found. */
  readonly version: number;

  constructor(version: number) {
    super(
      `the state is in format ${version}, this program knows format ${FORMAT_VERSION}: ` +
        'start the version of Quorate that wrote it',
    );
    this.name = 'StateFormatError';
    this.version = version;
  }
}

/** How far a state goes: which entry of the log it contains last, and what it is then. */
export interface KvPosition {
  /** Index and term of the last entry applied; both 0 for none. */
  readonly index: number;
  readonly term: number;
  /** The cluster's configuration as the log gave it last, encoded; null while it never did. */
  readonly conf: Uint8Array | null;
  /** Revision of the newest change; 1 in an empty store. */
  readonly revision: number;
  /** Log time, milliseconds. */
  readonly logTimeMs: number;
  /** Hash over the whole replicated state, 32 hexadecimal digits. */
  readonly stateHash: string;
}

/** Looks up a row of a state; the bytes are read at once. */
export type RowLookup = (table: string, key: Uint8Array) => Uint8Array | null;

/**
 * The position of a state from its rows alone: of a store, of a view, of a snapshot restored.
 * @throws StateFormatError
 */
export function positionOf(get: RowLookup): KvPosition {
  const { index, term, hash } = readPositionRow(get(POSITION_TABLE, POSITION_KEYS.applied));
  const stateHash = hashText(hash);
  const conf = get(POSITION_TABLE, POSITION_KEYS.conf)?.slice() ?? null;
  const { revision, logTimeMs } = readCounters(get('counters', COUNTERS_KEY));
  return { index, term, conf, revision, logTimeMs, stateHash };
}

/**
 * The row that makes a state one of other members: put in the place of the state's own, it is
 * where a cluster that begins from this state has its first configuration from.
 */
export function configurationRow(conf: Uint8Array): {
  readonly table: string;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
} {
  return { table: POSITION_TABLE, key: POSITION_KEYS.conf, value: conf };
}

// ── the position row ───────────────────────────────────────────────────────────────────────────

/** This member's place in the log, and the hash of its state there. */
export interface PositionRow {
  readonly index: number;
  readonly term: number;
  /** As `RowSetHash.save` gave it. */
  readonly hash: Uint8Array;
}

export function writePositionRow(writer: ByteWriter, row: PositionRow): void {
  writer.u8(FORMAT_VERSION);
  writer.varint(row.index);
  writer.varint(row.term);
  writer.raw(row.hash);
}

/** Of an empty store when there is no row. @throws StateFormatError */
export function readPositionRow(row: Uint8Array | null): PositionRow {
  if (row === null) return { index: 0, term: 0, hash: new Uint8Array(ROW_SET_HASH_BYTES) };
  const reader = new ByteReader(row);
  const version = reader.u8();
  if (version !== FORMAT_VERSION) throw new StateFormatError(version);
  const index = reader.varint();
  const term = reader.varint();
  const hash = reader.raw(ROW_SET_HASH_BYTES).slice();
  reader.end();
  return { index, term, hash };
}

// ── the counters row ───────────────────────────────────────────────────────────────────────────

/** What is counted for ever; part of the replicated state. */
export interface Counters {
  /** Revision of the newest change. */
  readonly revision: number;
  /** Next session id to give out. */
  readonly nextSessionId: number;
  /** Log time, milliseconds. */
  readonly logTimeMs: number;
  /** The newest term, and the log time at which it began; both 0 before the first entry. */
  readonly termStart: TermStart;
  /** The oldest revision that can be read; 0 while nothing was compacted. */
  readonly compactRevision: number;
  /** The change that compaction looks at next; null when it has nothing to do. */
  readonly compactionNext: ChangeId | null;
}

export function writeCounters(writer: ByteWriter, counters: Counters): void {
  writer.varint(counters.revision);
  writer.varint(counters.nextSessionId);
  writer.varint(counters.logTimeMs);
  writer.varint(counters.termStart.term);
  writer.varint(counters.termStart.timeMs);
  writer.varint(counters.compactRevision);
  if (counters.compactionNext === null) return;
  writer.varint(counters.compactionNext.revision);
  writer.varint(counters.compactionNext.sub);
}

/** Those of an empty store when there is no row. */
export function readCounters(row: Uint8Array | null): Counters {
  if (row === null) {
    return {
      revision: FIRST_REVISION,
      nextSessionId: FIRST_SESSION_ID,
      logTimeMs: 0,
      termStart: { term: 0, timeMs: 0 },
      compactRevision: 0,
      compactionNext: null,
    };
  }
  const reader = new ByteReader(row);
  const revision = reader.varint();
  const nextSessionId = reader.varint();
  const logTimeMs = reader.varint();
  const termStart = { term: reader.varint(), timeMs: reader.varint() };
  const compactRevision = reader.varint();
  const compactionNext =
    reader.remaining === 0 ? null : { revision: reader.varint(), sub: reader.varint() };
  reader.end();
  return { revision, nextSessionId, logTimeMs, termStart, compactRevision, compactionNext };
}
