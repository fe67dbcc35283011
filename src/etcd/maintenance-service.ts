import { unavailable } from './cluster-service.ts';
import { clusterHeaderOf, type EtcdContext, headerOf, type Methods, unary } from './context.ts';
import { errorOf, etcdError } from './errors.ts';
import {
  ALARM_ACTION,
  ALARM_REQUEST,
  ALARM_RESPONSE,
  ALARM_TYPE,
  HASH_RESPONSE,
  MOVE_LEADER_REQUEST,
  STATUS_RESPONSE,
} from './messages/cluster.ts';
import { EMPTY_REQUEST, HEADER_ONLY } from './messages/common.ts';

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
      const isAsked =
        (memberID === 0n || memberID === member.memberId) && alarm !== ALARM_TYPE.CORRUPT;
      // A full state has room again when rows were removed: an alarm cannot be talked away.
      const isRaised = action === ALARM_ACTION.GET && isAsked && member.isOutOfSpace();
      const alarms = isRaised ? [{ memberID: member.memberId, alarm: ALARM_TYPE.NOSPACE }] : [];
      // As etcd: without a header.
      return { alarms };
    }),
    // Pages that compaction freed are used again: there is nothing to defragment, or to wait for.
    Defragment: unary(context, DEFRAGMENT, async () => ({ header: clusterHeaderOf(context) })),
    Hash: unary(context, HASH, async () => {
      const { stateHash } = member.service.status();
      const header = headerOf(context, member.feed.revision);
      return { header, hash: Number.parseInt(stateHash.slice(0, 8), 16) };
    }),
    HashKV: unavailable('a hash of the keys at a revision'),
    MoveLeader: unary(context, MOVE_LEADER, async ({ targetID }) => {
      await moveLeader(context, targetID);
      return { header: clusterHeaderOf(context) };
    }),
    Snapshot: unavailable('a snapshot in the format of etcd'),
    Downgrade: unavailable('a downgrade'),
  };
}

const STATUS = { request: EMPTY_REQUEST, response: STATUS_RESPONSE };
const ALARM = { request: ALARM_REQUEST, response: ALARM_RESPONSE };
const DEFRAGMENT = { request: EMPTY_REQUEST, response: HEADER_ONLY };
const HASH = { request: EMPTY_REQUEST, response: HASH_RESPONSE };
const MOVE_LEADER = { request: MOVE_LEADER_REQUEST, response: HEADER_ONLY };

function status(context: EtcdContext) {
  const { member } = context;
  const { leader, commitIndex, appliedIndex, term, revision } = member.service.status();
  const { usedBytes, fileBytes } = member.usage();
  const errors: string[] = [];
  if (leader === null) errors.push('etcdserver: no leader');
  if (member.isOutOfSpace()) errors.push(`memberID:${member.memberId} alarm:NOSPACE `);
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
