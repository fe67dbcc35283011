import { bytesKey, utf8Bytes } from '../lib/index.ts';
import type { EtcdContext } from './context.ts';
import { crc32c } from './crc32c.ts';
import { errorOf } from './errors.ts';
import { type DatabaseRow, type DatabaseState, databaseBuckets } from './snapshot-buckets.ts';

/*
 * The hash over all that a member of etcd keeps, but for its place in the log: CRC-32C over the
 * names of the buckets and their rows. A member here has the hash of one there that has the same
 * keys, leases, ids and URLs.
 */

/** A state that does not change while it is open. */
export interface OpenState {
  readonly state: Omit<DatabaseState, 'index'>;
  /** Safe to call twice. */
  close(): void;
}

const PLACE_IN_LOG = 'consistent_index';

/** Rows of etcd that nobody who reads our file misses: that nothing was done about users yet. */
const ETCDS_OWN: Readonly<Record<string, readonly DatabaseRow[]>> = {
  auth: [{ key: utf8Bytes('authRevision'), value: Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 1) }],
};

/**
 * The hash of this member's state, and the store's revision in it.
 * @throws GrpcError (rejects) when the member is closed.
 */
export async function hashDatabase({
  member,
  clock,
}: EtcdContext): Promise<{ readonly hash: number; readonly revision: number }> {
  const opened = await member.openState();
  if (opened === null) throw errorOf({ code: 'STOPPING', message: '' });
  const { state, close } = opened;
  try {
    let hash = 0;
    for (const { name, batches } of databaseBuckets({ ...state, index: 0 })) {
      hash = withRows(crc32c(name, hash), ETCDS_OWN[bytesKey(name)] ?? []);
      for (const batch of batches) {
        hash = withRows(hash, batch);
        await new Promise<void>((resolve) => clock.defer(resolve));
        if (member.rows() === null) throw errorOf({ code: 'STOPPING', message: '' });
      }
    }
    return { hash, revision: state.rows.span.revision };
  } finally {
    close();
  }
}

function withRows(sum: number, rows: readonly DatabaseRow[]): number {
  let hash = sum;
  for (const { key, value } of rows) {
    if (bytesKey(key) !== PLACE_IN_LOG) hash = crc32c(value, crc32c(key, hash));
  }
  return hash;
}
