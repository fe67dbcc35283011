import type { MessageType } from './codec.ts';
import * as cluster from './messages/cluster.ts';
import { EMPTY_REQUEST, HEADER_ONLY } from './messages/common.ts';
import * as kv from './messages/kv.ts';
import * as lease from './messages/lease.ts';
import * as queue from './messages/queue.ts';
import * as watch from './messages/watch.ts';

/** What goes in and out of a method. */
export interface EtcdExchange {
  readonly request: MessageType<unknown>;
  readonly response: MessageType<unknown>;
}

type Row = readonly [method: string, request: MessageType<never>, response: MessageType<never>];

function service(name: string, rows: readonly unknown[]): [string, EtcdExchange][] {
  return (rows as readonly Row[]).map(([method, request, response]) => [
    `/${name}/${method}`,
    { request, response } as unknown as EtcdExchange,
  ]);
}

/** The messages of etcd's methods, by path. (Of Auth there are only refusals.) */
export const ETCD_EXCHANGES: ReadonlyMap<string, EtcdExchange> = new Map([
  ...service('etcdserverpb.KV', [
    ['Range', kv.RANGE_REQUEST, kv.RANGE_RESPONSE],
    ['Put', kv.PUT_REQUEST, kv.PUT_RESPONSE],
    ['DeleteRange', kv.DELETE_RANGE_REQUEST, kv.DELETE_RANGE_RESPONSE],
    ['Txn', kv.TXN_REQUEST, kv.TXN_RESPONSE],
    ['Compact', kv.COMPACTION_REQUEST, HEADER_ONLY],
  ]),
  ...service('etcdserverpb.Watch', [['Watch', watch.WATCH_REQUEST, watch.WATCH_RESPONSE]]),
  ...service('etcdserverpb.Lease', [
    ['LeaseGrant', lease.LEASE_GRANT_REQUEST, lease.LEASE_GRANT_RESPONSE],
    ['LeaseRevoke', lease.LEASE_ID_REQUEST, HEADER_ONLY],
    ['LeaseKeepAlive', lease.LEASE_ID_REQUEST, lease.LEASE_KEEP_ALIVE_RESPONSE],
    ['LeaseTimeToLive', lease.LEASE_TIME_TO_LIVE_REQUEST, lease.LEASE_TIME_TO_LIVE_RESPONSE],
    ['LeaseLeases', EMPTY_REQUEST, lease.LEASE_LEASES_RESPONSE],
  ]),
  ...service('etcdserverpb.Cluster', [
    ['MemberList', cluster.MEMBER_LIST_REQUEST, cluster.MEMBER_LIST_RESPONSE],
  ]),
  ...service('etcdserverpb.Maintenance', [
    ['Status', EMPTY_REQUEST, cluster.STATUS_RESPONSE],
    ['Alarm', cluster.ALARM_REQUEST, cluster.ALARM_RESPONSE],
    ['Defragment', EMPTY_REQUEST, HEADER_ONLY],
    ['Hash', EMPTY_REQUEST, cluster.HASH_RESPONSE],
    ['HashKV', cluster.HASH_KV_REQUEST, cluster.HASH_KV_RESPONSE],
    ['Snapshot', EMPTY_REQUEST, cluster.SNAPSHOT_RESPONSE],
    ['MoveLeader', cluster.MOVE_LEADER_REQUEST, HEADER_ONLY],
  ]),
  ...service('v3lockpb.Lock', [
    ['Lock', queue.LOCK_REQUEST, queue.LOCK_RESPONSE],
    ['Unlock', queue.UNLOCK_REQUEST, HEADER_ONLY],
  ]),
  ...service('v3electionpb.Election', [
    ['Campaign', queue.CAMPAIGN_REQUEST, queue.CAMPAIGN_RESPONSE],
    ['Proclaim', queue.PROCLAIM_REQUEST, HEADER_ONLY],
    ['Leader', queue.LEADER_REQUEST, queue.LEADER_RESPONSE],
    ['Observe', queue.LEADER_REQUEST, queue.LEADER_RESPONSE],
    ['Resign', queue.RESIGN_REQUEST, HEADER_ONLY],
  ]),
]);

/** Of a method that has no messages of its own here. */
export const EMPTY_EXCHANGE = {
  request: EMPTY_REQUEST,
  response: HEADER_ONLY,
} as EtcdExchange;
