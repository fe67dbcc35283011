/*
 * What the tables of messages do not tell, because protobuf's bytes do not show it: fields that are
 * not what their kind stands for in JSON (`int`: a 64-bit integer as a string; `id`: unsigned).
 */

/** Names of an enum by their numbers. */
export type EnumNames = readonly string[];

const ALARM_TYPES = ['NONE', 'NOSPACE', 'CORRUPT'];

/** By `Message.field`. */
export const ENUMS: ReadonlyMap<string, EnumNames> = new Map([
  ['RangeRequest.sort_order', ['NONE', 'ASCEND', 'DESCEND']],
  ['RangeRequest.sort_target', ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE']],
  ['Compare.result', ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL']],
  ['Compare.target', ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE']],
  ['Event.type', ['PUT', 'DELETE']],
  ['WatchCreateRequest.filters', ['NOPUT', 'NODELETE']],
  ['AlarmRequest.action', ['GET', 'ACTIVATE', 'DEACTIVATE']],
  ['AlarmRequest.alarm', ALARM_TYPES],
  ['AlarmMember.alarm', ALARM_TYPES],
]);

/** 32-bit integers: numbers in JSON. */
export const SMALL_INTEGERS: ReadonlySet<string> = new Set([
  'HashResponse.hash',
  'HashKVResponse.hash',
]);

/** Ids of leases are signed, those of clusters and members are not. */
export const SIGNED_IDS: ReadonlySet<string> = new Set([
  'KeyValue.lease',
  'PutRequest.lease',
  'Compare.lease',
  'LeaseGrantRequest.ID',
  'LeaseGrantResponse.ID',
  'LeaseRevokeRequest.ID',
  'LeaseKeepAliveResponse.ID',
  'LeaseTimeToLiveRequest.ID',
  'LeaseTimeToLiveResponse.ID',
  'LeaseStatus.ID',
  'LockRequest.lease',
  'LeaderKey.lease',
  'CampaignRequest.lease',
]);
