import { utf8Bytes } from '../lib/index.ts';
import type { EtcdContext } from './context.ts';
import { crc32c } from './crc32c.ts';
import { errorOf } from './errors.ts';
import { type BucketRow, bucketRows } from './key-bucket.ts';
import type { ChangeId, HistorySpan, StateRows } from './state-rows.ts';

/*
 * The hash by which members of etcd compare their keys: CRC-32C over the name of the bucket and
 * every row up to a revision, so it is the same here and there. Of the rows up to the compact
 * revision C only those count that are still in force at the revision asked for, so that a member
 * that has not removed the others yet has the same hash; if no key lives at that revision, etcd
 * leaves that out.
 */

export interface KeysHash {
  readonly hash: number;
  /** Of the store, when the hash was begun. */
  readonly revision: number;
  /** The one that the hash depends on; 0 while nothing was compacted. */
  readonly compactRevision: number;
}

const BUCKET_NAME = utf8Bytes('key');

/**
 * The hash of this member's keys at a revision; 0: the newest.
 * @throws GrpcError (rejects) for a revision that is compacted, with that one itself, or in the
 * future; when compactions do not let it get to its end; when the member is closed.
 */
export async function hashKeys(context: EtcdContext, revision: number): Promise<KeysHash> {
  const { feed } = context.member;
  for (let attempt = 0; attempt < context.limits.hashAttemptsMax; attempt++) {
    await compactionsEnd(context);
    const now = { revision: feed.revision, compactRevision: feed.compactRevision };
    if (revision > 0 && revision <= now.compactRevision) throw refusal('COMPACTED');
    if (revision > now.revision) throw refusal('FUTURE_REVISION');
    const at = revision === 0 ? now.revision : revision;
    const hash = await hashAt(context, { ...now, revision: at, compacting: false });
    if (hash !== null) return { hash, ...now };
  }
  throw refusal('REQUEST_TIMEOUT');
}

/** Null when something was compacted meanwhile. */
async function hashAt(context: EtcdContext, span: HistorySpan): Promise<number | null> {
  const { revision, compactRevision } = span;
  let livesAny = false;
  const isLooked = await forEachRow(context, span, (row, rows) => {
    livesAny = isInForce(rows, row, revision);
    return !livesAny;
  });
  let hash = crc32c(BUCKET_NAME);
  const isHashed = await forEachRow(context, span, (row, rows) => {
    const isOld = row.id.revision <= compactRevision;
    if (isOld && livesAny && !isInForce(rows, row, revision)) return true;
    hash = crc32c(row.value, crc32c(row.key, hash));
    return true;
  });
  return isLooked && isHashed ? hash : null;
}

/**
 * Visits the bucket's rows in order, some in each turn, until `visit` returns false.
 * @returns false when something was compacted meanwhile: then rows may be missing.
 */
async function forEachRow(
  { member, clock, limits }: EtcdContext,
  span: HistorySpan,
  visit: (row: BucketRow, rows: StateRows) => boolean,
): Promise<boolean> {
  let from: ChangeId | null = { revision: 0, sub: 0 };
  while (from !== null) {
    const rows = member.rows();
    if (rows === null) throw refusal('STOPPING');
    if (member.feed.compactRevision !== span.compactRevision) return false;
    let bytes = 0;
    const page: Generator<BucketRow> = bucketRows(rows, span, from);
    from = null;
    for (const row of page) {
      if (!visit(row, rows)) return true;
      bytes += row.key.length + row.value.length;
      if (bytes < limits.hashPageBytesMax) continue;
      from = { revision: row.id.revision, sub: row.id.sub + 1 };
      break;
    }
    if (from !== null) await new Promise<void>((resolve) => clock.defer(resolve));
  }
  return true;
}

/** True when the change made the key what it is at `revision`. A step for each change since. */
function isInForce(rows: StateRows, { id, change }: BucketRow, revision: number): boolean {
  if (change.after === null) return false;
  let last = rows.lastChangeOf(change.key);
  while (last !== null && last.revision > revision) last = rows.changeBefore(last);
  return last !== null && last.revision === id.revision && last.sub === id.sub;
}

/** Resolves when there is nothing left to remove: rejects when that takes too long. */
function compactionsEnd({ member, clock, limits }: EtcdContext): Promise<void> {
  const { feed } = member;
  return new Promise((resolve, reject) => {
    if (!feed.compacting) return resolve();
    const stop = feed.onApplied(() => {
      if (feed.compacting) return;
      stop();
      timer.cancel();
      resolve();
    });
    const timer = clock.setTimer(limits.compactionWaitMs, () => {
      stop();
      reject(refusal('REQUEST_TIMEOUT'));
    });
  });
}

function refusal(code: 'COMPACTED' | 'FUTURE_REVISION' | 'REQUEST_TIMEOUT' | 'STOPPING') {
  return errorOf({ code, message: '' });
}
