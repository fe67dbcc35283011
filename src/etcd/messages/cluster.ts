import { bool, bytes, id, int, list, MessageType, message, string } from '../codec.ts';
import { RESPONSE_HEADER } from './common.ts';

/* The messages of etcdserverpb.Cluster and etcdserverpb.Maintenance. */

const MEMBER = new MessageType('Member', {
  ID: id(1),
  name: string(2),
  peerURLs: list(string(3)),
  clientURLs: list(string(4)),
  isLearner: bool(5),
});

export const MEMBER_LIST_REQUEST = new MessageType('MemberListRequest', { linearizable: bool(1) });

export const MEMBER_LIST_RESPONSE = new MessageType('MemberListResponse', {
  header: message(1, () => RESPONSE_HEADER),
  members: list(message(2, () => MEMBER)),
});

export const STATUS_RESPONSE = new MessageType('StatusResponse', {
  header: message(1, () => RESPONSE_HEADER),
  version: string(2),
  /** Bytes of the state's file. */
  dbSize: int(3),
  leader: id(4),
  raftIndex: int(5),
  raftTerm: int(6),
  raftAppliedIndex: int(7),
  errors: list(string(8)),
  /** Bytes of the file that hold something. */
  dbSizeInUse: int(9),
  isLearner: bool(10),
});

export const ALARM_ACTION = { GET: 0, ACTIVATE: 1, DEACTIVATE: 2 } as const;
export const ALARM_TYPE = { NONE: 0, NOSPACE: 1, CORRUPT: 2 } as const;

export const ALARM_REQUEST = new MessageType('AlarmRequest', {
  action: int(1),
  memberID: id(2),
  alarm: int(3),
});

const ALARM_MEMBER = new MessageType('AlarmMember', { memberID: id(1), alarm: int(2) });

export const ALARM_RESPONSE = new MessageType('AlarmResponse', {
  header: message(1, () => RESPONSE_HEADER),
  alarms: list(message(2, () => ALARM_MEMBER)),
});

export const HASH_RESPONSE = new MessageType('HashResponse', {
  header: message(1, () => RESPONSE_HEADER),
  hash: int(2),
});

export const HASH_KV_REQUEST = new MessageType('HashKVRequest', { revision: int(1) });

export const HASH_KV_RESPONSE = new MessageType('HashKVResponse', {
  header: message(1, () => RESPONSE_HEADER),
  hash: int(2),
  /** The oldest revision that can be read; -1 while nothing was compacted. */
  compact_revision: int(3),
});

/** Without a header, as etcd 3.4 sends it. */
export const SNAPSHOT_RESPONSE = new MessageType('SnapshotResponse', {
  /** Bytes of the file that come behind these. */
  remaining_bytes: int(2),
  blob: bytes(3),
});

export const MOVE_LEADER_REQUEST = new MessageType('MoveLeaderRequest', { targetID: id(1) });
