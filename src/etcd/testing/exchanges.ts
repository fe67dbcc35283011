/** The calls of etcd's API with their message types. */

import * as cluster from '../messages/cluster.ts';
import { EMPTY_REQUEST, HEADER_ONLY } from '../messages/common.ts';
import * as health from '../messages/health.ts';
import * as kv from '../messages/kv.ts';
import * as lease from '../messages/lease.ts';
import * as queue from '../messages/queue.ts';
import * as watch from '../messages/watch.ts';

const KV = '/etcdserverpb.KV';
const LEASE = '/etcdserverpb.Lease';
const ELECTION = '/v3electionpb.Election';
const MAINTENANCE = '/etcdserverpb.Maintenance';

export const RANGE = {
  path: `${KV}/Range`,
  request: kv.RANGE_REQUEST,
  response: kv.RANGE_RESPONSE,
};
export const PUT = { path: `${KV}/Put`, request: kv.PUT_REQUEST, response: kv.PUT_RESPONSE };
export const DELETE_RANGE = {
  path: `${KV}/DeleteRange`,
  request: kv.DELETE_RANGE_REQUEST,
  response: kv.DELETE_RANGE_RESPONSE,
};
export const TXN = { path: `${KV}/Txn`, request: kv.TXN_REQUEST, response: kv.TXN_RESPONSE };
export const COMPACT = {
  path: `${KV}/Compact`,
  request: kv.COMPACTION_REQUEST,
  response: HEADER_ONLY,
};
export const GRANT = {
  path: `${LEASE}/LeaseGrant`,
  request: lease.LEASE_GRANT_REQUEST,
  response: lease.LEASE_GRANT_RESPONSE,
};
export const REVOKE = {
  path: `${LEASE}/LeaseRevoke`,
  request: lease.LEASE_ID_REQUEST,
  response: HEADER_ONLY,
};
export const KEEP_ALIVE = {
  path: `${LEASE}/LeaseKeepAlive`,
  request: lease.LEASE_ID_REQUEST,
  response: lease.LEASE_KEEP_ALIVE_RESPONSE,
};
export const TIME_TO_LIVE = {
  path: `${LEASE}/LeaseTimeToLive`,
  request: lease.LEASE_TIME_TO_LIVE_REQUEST,
  response: lease.LEASE_TIME_TO_LIVE_RESPONSE,
};
export const LEASES = {
  path: `${LEASE}/LeaseLeases`,
  request: EMPTY_REQUEST,
  response: lease.LEASE_LEASES_RESPONSE,
};
export const WATCH = {
  path: '/etcdserverpb.Watch/Watch',
  request: watch.WATCH_REQUEST,
  response: watch.WATCH_RESPONSE,
};
export const MEMBER_LIST = {
  path: '/etcdserverpb.Cluster/MemberList',
  request: cluster.MEMBER_LIST_REQUEST,
  response: cluster.MEMBER_LIST_RESPONSE,
};
export const STATUS = {
  path: `${MAINTENANCE}/Status`,
  request: EMPTY_REQUEST,
  response: cluster.STATUS_RESPONSE,
};
export const ALARM = {
  path: `${MAINTENANCE}/Alarm`,
  request: cluster.ALARM_REQUEST,
  response: cluster.ALARM_RESPONSE,
};
export const HASH = {
  path: `${MAINTENANCE}/Hash`,
  request: EMPTY_REQUEST,
  response: cluster.HASH_RESPONSE,
};
export const HASH_KV = {
  path: `${MAINTENANCE}/HashKV`,
  request: cluster.HASH_KV_REQUEST,
  response: cluster.HASH_KV_RESPONSE,
};
export const MOVE_LEADER = {
  path: `${MAINTENANCE}/MoveLeader`,
  request: cluster.MOVE_LEADER_REQUEST,
  response: HEADER_ONLY,
};
export const AUTHENTICATE = {
  path: '/etcdserverpb.Auth/Authenticate',
  request: EMPTY_REQUEST,
  response: HEADER_ONLY,
};
export const LOCK = {
  path: '/v3lockpb.Lock/Lock',
  request: queue.LOCK_REQUEST,
  response: queue.LOCK_RESPONSE,
};
export const UNLOCK = {
  path: '/v3lockpb.Lock/Unlock',
  request: queue.UNLOCK_REQUEST,
  response: HEADER_ONLY,
};
export const CAMPAIGN = {
  path: `${ELECTION}/Campaign`,
  request: queue.CAMPAIGN_REQUEST,
  response: queue.CAMPAIGN_RESPONSE,
};
export const PROCLAIM = {
  path: `${ELECTION}/Proclaim`,
  request: queue.PROCLAIM_REQUEST,
  response: HEADER_ONLY,
};
export const LEADER = {
  path: `${ELECTION}/Leader`,
  request: queue.LEADER_REQUEST,
  response: queue.LEADER_RESPONSE,
};
export const OBSERVE = { ...LEADER, path: `${ELECTION}/Observe` };
export const RESIGN = {
  path: `${ELECTION}/Resign`,
  request: queue.RESIGN_REQUEST,
  response: HEADER_ONLY,
};
export const HEALTH_CHECK = {
  path: '/grpc.health.v1.Health/Check',
  request: health.HEALTH_CHECK_REQUEST,
  response: health.HEALTH_CHECK_RESPONSE,
};
