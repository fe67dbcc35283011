/**
 * etcd's v3 API on the store: a translation, no second store. What comes in over gRPC is checked
 * and refused in etcd's order and words, turned into a command or query of `api/`, and the answer
 * back into etcd's message. docs/ETCD.md says what differs.
 *
 *   codec.ts  messages/     the wire contract as tables
 *   context.ts  errors.ts   what all services share; etcd's error texts
 *   kv-*.ts                 KV: checks, translation, methods
 *   lease-service.ts        leases; keep-alives in the order in which they came
 *   watch-hub.ts            wakes who follows the history, and shares what is read
 *   watch-stream.ts         the watchers of one stream: places in the history, nothing is queued
 *   *-service.ts            members, maintenance, health; authentication that is not enabled
 */
export type { EtcdMember } from './context.ts';
export { ETCD_LIMITS, type EtcdLimits } from './limits.ts';
export { ETCD_VERSION } from './maintenance-service.ts';
export { type EtcdOptions, etcdMethods } from './methods.ts';
