import { unavailable } from './cluster-service.ts';
import {
  clusterHeaderOf,
  type EtcdContext,
  type EtcdMember,
  headerOf,
  type Methods,
  unary,
} from './context.ts';
import { hashDatabase } from './database-hash.ts';
import { errorOf, etcdError } from './errors.ts';
import { hashKeys } from './hash-kv.ts';
import {
  ALARM_ACTION,
  ALARM_REQUEST,
  ALARM_RESPONSE,
  ALARM_TYPE,
  HASH_KV_REQUEST,
  HASH_KV_RESPONSE,
  HASH_RESPONSE,
  MOVE_LEADER_REQUEST,
  STATUS_RESPONSE,
} from './messages/cluster.ts';
import { EMPTY_REQUEST, HEADER_ONLY } from './messages/common.ts';
import { snapshotMethod } from './snapshot-service.ts';

/** The etcd that this one answers like: clients look at it to know what they may ask. */
export const ETCD_VERSION = '3.4.23';

/** etcdserverpb.Maintenance */
export function maintenanceMethods(context: EtcdContext): Methods {
  const { member } = context;
  return {
    Status: unary(context, STATUS, async () => status(context)),
    Alarm: unary(context, ALARM, async ({ action, memberID, alarm }) => {
      if (action === ALARM_ACTION.ACTIVATE) {
        throw etcdError('UNIMPLEMENTED', 'alarms are raised by the members themselves');
      }
      // A full state has room again when rows were removed, and a member whose state differs stops:
      // an alarm cannot be talked away.
      const isAsked = (each: AlarmMember): boolean =>
        (memberID === 0n || memberID === each.memberID) &&
        (alarm === ALARM_TYPE.NONE || alarm === each.alarm);
      const alarms = action === ALARM_ACTION.GET ? alarmsOf(member).filter(isAsked) : [];
      // As etcd: without a header.
      return { alarms };
    }),
    // Pages that compaction freed are used again: there is nothing to defragment, or to wait for.
    // As etcd: without a header.
    Defragment: unary(context, DEFRAGMENT, async () => ({})),
    Hash: unary(context, HASH, async () => {
      const { hash, revision } = await hashDatabase(context);
      return { header: headerOf(context, revision), hash };
    }),
    HashKV: unary(context, HASH_KV, async (request) => {
      const { hash, revision, compactRevision } = await hashKeys(context, request.revision);
      const header = headerOf(context, revision);
      return { header, hash, compact_revision: compactRevision === 0 ? -1 : compactRevision };
    }),
    MoveLeader: unary(context, MOVE_LEADER, async ({ targetID }) => {
      await moveLeader(context, targetID);
      return { header: clusterHeaderOf(context) };
    }),
    Snapshot: snapshotMethod(context),
    Downgrade: unavailable('a downgrade'),
  };
}

const STATUS = { request: EMPTY_REQUEST, response: STATUS_RESPONSE };
const ALARM = { request: ALARM_REQUEST, response: ALARM_RESPONSE };
const DEFRAGMENT = { request: EMPTY_REQUEST, response: HEADER_ONLY };
const HASH = { request: EMPTY_REQUEST, response: HASH_RESPONSE };
const HASH_KV = { request: HASH_KV_REQUEST, response: HASH_KV_RESPONSE };
const MOVE_LEADER = { request: MOVE_LEADER_REQUEST, response: HEADER_ONLY };

interface AlarmMember {
  readonly memberID: bigint;
  readonly alarm: number;
}

/** What this member knows of: its own want of space, and members with another state. */
function alarmsOf(member: EtcdMember): AlarmMember[] {
  const full = member.isOutOfSpace()
    ? [{ memberID: member.memberId, alarm: ALARM_TYPE.NOSPACE }]
    : [];
  const corrupt = member.disagreeing().map((memberID) => ({ memberID, alarm: ALARM_TYPE.CORRUPT }));
  return [...full, ...corrupt];
}

function status(context: EtcdContext) {
  const { member } = context;
  const { leader, commitIndex, appliedIndex, term, revision } = member.service.status();
  const { usedBytes, fileBytes } = member.usage();
  const errors: string[] = [];
  if (leader === null) errors.push('etcdserver: no leader');
  for (const { memberID, alarm } of alarmsOf(member)) {
    errors.push(
      `memberID:${memberID} alarm:${alarm === ALARM_TYPE.NOSPACE ? 'NOSPACE' : 'CORRUPT'} `,
    );
  }
  return {
    header: headerOf(context, revision),
    version: ETCD_VERSION,
    dbSize: fileBytes,
    dbSizeInUse: usedBytes,
    leader: leader?.memberId ?? 0n,
    raftIndex: commitIndex,
    raftTerm: term,
    raftAppliedIndex: appliedIndex,
    errors,
  };
}

/** Resolves when another member leads. */
async function moveLeader({ member, clock, limits }: EtcdContext, target: bigint): Promise<void> {
  const { service, memberId } = member;
  if (service.status().role !== 'leader') throw etcdError('FAILED_PRECONDITION', 'not leader');
  if (target === memberId) return;
  const heir = member.members().find((each) => each.memberId === target);
  if (heir === undefined || heir.isLearner || !member.transferLeadership(target)) {
    throw etcdError('FAILED_PRECONDITION', 'bad leader transferee');
  }
  const endMs = clock.nowMs() + limits.moveLeaderMs;
  while (service.status().leader?.memberId !== target) {
    if (clock.nowMs() > endMs) throw errorOf({ code: 'REQUEST_TIMEOUT', message: '' });
    await new Promise<void>((resolve) => clock.setTimer(limits.moveLeaderLookMs, resolve));
  }
}
