/**
 * etcd's v3 API on the store: a translation, no second store. What comes in over gRPC is checked
 * and refused in etcd's order and words, turned into a command or query of `api/`, and the answer
 * back into etcd's message. docs/ETCD.md says what differs.
 *
 *   codec.ts  messages/     the wire contract as tables
 *   context.ts  errors.ts   what all services share; etcd's error texts
 *   kv-*.ts                 KV: checks, translation, methods
 *   session-*.ts            writes of sessions: each exactly once (docs/SESSIONS.md)
 *   waiting-room.ts         those that overtook the one before them
 *   lease-service.ts        leases; keep-alives in the order in which they came
 *   state-rows.ts  key-bucket.ts   the state's rows, and what etcd would keep of them
 *   hash-kv.ts  database-hash.ts   etcd's hashes over that
 *   watch-hub.ts            wakes who follows the history, and shares what is read
 *   watch-stream.ts         the watchers of one stream: places in the history, nothing is queued
 *   queue.ts  observer.ts   what locks and elections are made of
 *   snapshot-*.ts           the state as a file of etcd's, and what such a file holds
 *   *-service.ts            members, maintenance, health; authentication that is not enabled
 */
export type { MessageType } from './codec.ts';
export type { EtcdMember } from './context.ts';
export { crc32c } from './crc32c.ts';
export type { OpenState } from './database-hash.ts';
export { EMPTY_EXCHANGE, ETCD_EXCHANGES, type EtcdExchange } from './exchanges.ts';
export { ETCD_LIMITS, type EtcdLimits } from './limits.ts';
export { ETCD_VERSION } from './maintenance-service.ts';
export { type EtcdOptions, etcdMethods } from './methods.ts';
export { SESSION_METADATA } from './session-open.ts';
export {
  type DatabaseBucket,
  type DatabaseChange,
  type DatabaseRow,
  databaseBuckets,
  readChangeRow,
  readCompactionRow,
  readLeaseRow,
  saysAuthEnabled,
} from './snapshot-buckets.ts';
export type { DatabaseFile, OpenDatabase } from './snapshot-file.ts';
export type { StateRows } from './state-rows.ts';
