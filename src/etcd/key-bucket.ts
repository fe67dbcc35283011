import { KEY_VALUE } from './messages/common.ts';
import type { Change, ChangeId, HistorySpan, StateRows } from './state-rows.ts';

/*
 * What etcd would keep of our history in the bucket `key` of its file, row by row:
 *
 *   key    8 bytes revision | "_" | 8 bytes sub | "t" if the change deleted its key    big-endian
 *   value  a marshalled mvccpb.KeyValue; of a deleted key only its name
 *
 * Of the changes up to the compact revision only those are left that made a key what it was then;
 * of keys that were deleted by then there is nothing (etcd 3.4.23; since 3.4.34 a deletion at the
 * compact revision itself stays). As in etcd the others are still there while `compacting`: it then
 * says that a compaction is scheduled and not finished.
 */

/** A row of the bucket, and the change that it is about (views of the state's row). */
export interface BucketRow {
  readonly id: ChangeId;
  readonly change: Change;
  /** 17 bytes, or 18 when the change deleted its key. */
  readonly key: Uint8Array;
  /** Bytes of its own. */
  readonly value: Uint8Array;
}

/**
 * The rows up to `span.revision`, in order, from the change `from` on. The state may have gone on
 * since `span` was read, as long as nothing was compacted; while rows are taken it must not change,
 * so whoever wants many takes some in each turn.
 * @throws DecodeError
 */
export function* bucketRows(
  rows: Pick<StateRows, 'history'>,
  span: HistorySpan,
  from: ChangeId = OLDEST,
): Generator<BucketRow> {
  for (const { id, change } of rows.history(from)) {
    if (id.revision > span.revision) return;
    const isDeletion = change.after === null;
    if (isDeletion && id.revision <= span.compactRevision && !span.compacting) continue;
    yield { id, change, key: bucketKey(id, isDeletion), value: bucketValue(id, change) };
  }
}

const OLDEST: ChangeId = { revision: 0, sub: 0 };

const UNDERSCORE = 0x5f;
const TOMBSTONE = 0x74;

function bucketKey({ revision, sub }: ChangeId, isDeletion: boolean): Uint8Array {
  const key = new Uint8Array(isDeletion ? 18 : 17);
  const view = new DataView(key.buffer);
  view.setBigUint64(0, BigInt(revision));
  view.setUint8(8, UNDERSCORE);
  view.setBigUint64(9, BigInt(sub));
  if (isDeletion) view.setUint8(17, TOMBSTONE);
  return key;
}

function bucketValue({ revision }: ChangeId, { key, after }: Change): Uint8Array {
  if (after === null) return KEY_VALUE.encode({ key });
  const { createRevision, version, value, lease } = after;
  return KEY_VALUE.encode({
    key,
    create_revision: createRevision,
    mod_revision: revision,
    version,
    value,
    lease: lease ?? 0n,
  });
}
