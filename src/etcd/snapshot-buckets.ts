import type { ClusterMember } from '../api/index.ts';
import { bytesKey, compareBytes, DecodeError, utf8Bytes } from '../lib/index.ts';
import { id, int, MessageType } from './codec.ts';
import { bucketRows } from './key-bucket.ts';
import { KEY_VALUE } from './messages/common.ts';
import type { Change, ChangeId, HistorySpan, StateRows } from './state-rows.ts';

/*
 * The file of an etcd 3.4, bucket by bucket; 64-bit numbers are big-endian.
 *
 *   key      the history: see key-bucket.ts
 *   lease    id → marshalled leasepb.Lease
 *   meta     consistent_index → the last entry of the log that is in here
 *            finishedCompactRev, scheduledCompactRev → 8 bytes revision | "_" | 8 bytes 0
 *   members  id in hexadecimal → JSON      cluster  clusterVersion → "3.4.0"
 *   auth     authEnabled → 1 if it is      alarm, authRoles, authUsers, members_removed
 *
 * A new cluster that is made from the file takes key, lease, and how far it was compacted.
 */

/** A row of a bucket. */
export interface DatabaseRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A bucket, its rows in order and in batches that take a few milliseconds to make. */
export interface DatabaseBucket {
  readonly name: Uint8Array;
  readonly batches: Iterable<readonly DatabaseRow[]>;
}

/** A state that does not change while it is read. */
export interface DatabaseState {
  readonly rows: StateRows;
  /** The last entry of the log that is in it. */
  readonly index: number;
  readonly members: readonly ClusterMember[];
}

/** Rows of the history that are looked at for one batch … */
const BATCH_ROWS = 256;
/** … and their bytes, unless it is a single one. */
const BATCH_BYTES = 64 * 1024;
const CLUSTER_VERSION = '3.4.0';

/** leasepb.Lease */
const LEASE = new MessageType('Lease', { ID: id(1), TTL: int(2), RemainingTTL: int(3) });

/** All buckets, in the order of their names. */
export function databaseBuckets(state: DatabaseState): readonly DatabaseBucket[] {
  const { rows, index, members } = state;
  const { span } = rows;
  const buckets: readonly (readonly [string, Iterable<readonly DatabaseRow[]>])[] = [
    ['alarm', []],
    ['auth', []],
    ['authRoles', []],
    ['authUsers', []],
    ['cluster', [[row('clusterVersion', utf8Bytes(CLUSTER_VERSION))]]],
    ['key', keyBatches(rows, span)],
    ['lease', leaseBatches(rows)],
    ['members', [members.map(memberRow).sort(byKey)]],
    ['members_removed', []],
    ['meta', [metaRows(index, span)]],
  ];
  return buckets.map(([name, batches]) => ({ name: utf8Bytes(name), batches }));
}

/** As long as a batch is not full, rows that are not there any more count too. */
function* keyBatches(rows: StateRows, span: HistorySpan): Generator<readonly DatabaseRow[]> {
  let next: ChangeId | null = { revision: 0, sub: 0 };
  while (next !== null) {
    const from: ChangeId = next;
    next = null;
    const page: Pick<StateRows, 'history'> = {
      *history(start) {
        let looked = 0;
        let bytes = 0;
        for (const entry of rows.history(start)) {
          if (looked === BATCH_ROWS || bytes >= BATCH_BYTES) {
            next = entry.id;
            return;
          }
          looked++;
          bytes += entry.change.key.length + (entry.change.after?.value.length ?? 0);
          yield entry;
        }
      },
    };
    yield [...bucketRows(page, span, from)];
  }
}

function* leaseBatches(rows: StateRows): Generator<readonly DatabaseRow[]> {
  let batch: DatabaseRow[] = [];
  for (const { lease: ID, ttlMs } of rows.leases()) {
    const value = LEASE.encode({ ID, TTL: Math.ceil(ttlMs / 1_000) });
    batch.push({ key: uint64Bytes(ID), value });
    if (batch.length < BATCH_ROWS) continue;
    yield batch;
    batch = [];
  }
  yield batch;
}

function memberRow({ memberId, name, peerUrls, clientUrls }: ClusterMember): DatabaseRow {
  const rest = JSON.stringify({ peerURLs: peerUrls, name, clientURLs: clientUrls });
  // An id may be above what a number of JavaScript can say.
  return row(memberId.toString(16), utf8Bytes(`{"id":${memberId},${rest.slice(1)}`));
}

/** What is compacted and not removed yet is so by the next one, who finds it only scheduled. */
function metaRows(index: number, span: HistorySpan): readonly DatabaseRow[] {
  const { compactRevision, compacting } = span;
  const indexRow = row('consistent_index', uint64Bytes(index));
  if (compactRevision === 0) return [indexRow];
  const revision = new Uint8Array(17);
  revision.set(uint64Bytes(compactRevision));
  revision[8] = UNDERSCORE;
  const scheduled = row(SCHEDULED_COMPACTION, revision);
  return compacting
    ? [indexRow, scheduled]
    : [indexRow, row(FINISHED_COMPACTION, revision), scheduled];
}

const FINISHED_COMPACTION = 'finishedCompactRev';
const SCHEDULED_COMPACTION = 'scheduledCompactRev';
/** Nobody gets there; what is above leaves no room to go on. */
const REVISION_MAX = 2 ** 52;
const UNDERSCORE = 0x5f;
const TOMBSTONE = 0x74;

function row(key: string, value: Uint8Array): DatabaseRow {
  return { key: utf8Bytes(key), value };
}

function byKey(a: DatabaseRow, b: DatabaseRow): number {
  return compareBytes(a.key, b.key);
}

function uint64Bytes(value: number | bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(value));
  return bytes;
}

// ── reading ────────────────────────────────────────────────────────────────────────────────────

/** A change of a key, from a row of bucket `key`; bytes are views of the row. */
export interface DatabaseChange extends ChangeId, Change {}

/** @throws DecodeError when it is no such row, or contradicts itself. */
export function readChangeRow({ key, value }: DatabaseRow): DatabaseChange {
  const isDeletion = key.length === 18 && key[17] === TOMBSTONE;
  if (key.length !== 17 && !isDeletion) throw new DecodeError('a row is no change of a key', 0);
  const change = readRevision(key.subarray(0, 17));
  const kv = KEY_VALUE.decode(value);
  if (kv.key.length === 0) throw new DecodeError('a change of no key', 0);
  if (isDeletion) return { ...change, key: kv.key, after: null };
  const { create_revision: createRevision, mod_revision: modRevision, version, lease } = kv;
  const isSound =
    modRevision === change.revision &&
    createRevision >= 1 &&
    createRevision <= modRevision &&
    version >= 1;
  if (!isSound) throw new DecodeError(`the change of revision ${change.revision} is none`, 0);
  const after = { createRevision, version, lease: lease === 0n ? null : lease, value: kv.value };
  return { ...change, key: kv.key, after };
}

/** Seconds, as etcd counts. @throws DecodeError */
export function readLeaseRow({ key, value }: DatabaseRow): { lease: bigint; ttlSeconds: number } {
  const { ID, TTL } = LEASE.decode(value);
  const isSound = key.length === 8 && ID !== 0n && TTL >= 0 && ID === readUint64(key, 0);
  if (!isSound) throw new DecodeError(`the lease ${ID.toString(16)} is none`, 0);
  return { lease: ID, ttlSeconds: TTL };
}

/**
 * The revision of a row of bucket `meta` that says how far the history was compacted, or shall be;
 * null for any other row. @throws DecodeError
 */
export function readCompactionRow({ key, value }: DatabaseRow): number | null {
  const name = bytesKey(key);
  if (name !== FINISHED_COMPACTION && name !== SCHEDULED_COMPACTION) return null;
  return readRevision(value).revision;
}

/** Whether this row of bucket `auth` says that clients have to log in. */
export function saysAuthEnabled({ key, value }: DatabaseRow): boolean {
  return bytesKey(key) === 'authEnabled' && value[0] === 1;
}

function readRevision(bytes: Uint8Array): ChangeId {
  const isSound = bytes.length === 17 && bytes[8] === UNDERSCORE;
  const revision = isSound ? Number(readUint64(bytes, 0)) : 0;
  const sub = isSound ? Number(readUint64(bytes, 9)) : 0;
  if (!isSound || revision > REVISION_MAX || sub >= 2 ** 32) {
    throw new DecodeError('a row has no revision', 0);
  }
  return { revision, sub };
}

function readUint64(bytes: Uint8Array, at: number): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(at);
}
