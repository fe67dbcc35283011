import type { ClusterMember } from '../api/index.ts';
import type { EtcdMember, OpenState } from '../etcd/index.ts';
import { StateView } from '../kv/index.ts';
import type { MemberInfo, Transport } from '../transport/index.ts';
import type { ConfiguredMember, ServerConfig } from './config.ts';
import type { MemberFeed } from './feed.ts';
import type { Forwarder } from './forwarder.ts';
import type { ServiceParts } from './service.ts';
import type { MemberState } from './state.ts';

export interface EtcdMemberParts {
  readonly config: Pick<ServerConfig, 'clusterId' | 'memberId' | 'name'>;
  /** All members, this one among them. */
  readonly members: readonly ConfiguredMember[];
  readonly service: ServiceParts;
  readonly forwarder: Forwarder;
  readonly feed: MemberFeed;
  readonly state: MemberState;
  readonly isOutOfSpace: () => boolean;
  readonly disagreeing: () => readonly bigint[];
  readonly clientUrls: () => readonly string[];
  readonly openDatabase: EtcdMember['openDatabase'];
  /** Null while there is none. */
  readonly transport: () => Transport | null;
}

/** A member as clients of etcd see it: they may ask any, and know nothing of leaders. */
export function etcdMember(parts: EtcdMemberParts): EtcdMember {
  const { config, service, forwarder, feed, state } = parts;
  const { clusterId, memberId, name } = config;
  const infoOf = (id: bigint): MemberInfo | null => {
    if (id === memberId) return { name, clientUrls: parts.clientUrls() };
    return parts.transport()?.peerInfo(id) ?? null;
  };
  const members = (): readonly ClusterMember[] =>
    parts.members.map((member) => clusterMember(member, infoOf(member.memberId)));
  return {
    clusterId,
    memberId,
    get term() {
      return service.replica.status().term;
    },
    get hasLeader() {
      return service.replica.status().leader !== null;
    },
    service: {
      execute: (command, reply) => forwarder.execute(command, reply),
      read: (query, reply) => forwarder.read(query, reply),
      status: service.status,
    },
    feed,
    rows: () => (service.isOpen() ? new StateView(state.store) : null),
    members,
    openDatabase: parts.openDatabase,
    openState: () => openState(parts, members()),
    usage: () => state.store.usage(),
    isOutOfSpace: parts.isOutOfSpace,
    disagreeing: parts.disagreeing,
    transferLeadership: (to) => service.replica.transferLeadership(to),
  };
}

async function openState(
  { state, service }: EtcdMemberParts,
  members: readonly ClusterMember[],
): Promise<OpenState | null> {
  const failure = await new Promise<Error | null>((resolve) => state.flush(resolve));
  if (!service.isOpen()) return null;
  if (failure !== null) throw failure;
  const view = state.store.view();
  return { state: { rows: new StateView(view), members }, close: () => view.close() };
}

function clusterMember(
  { memberId, name, peerUrls }: ConfiguredMember,
  info: MemberInfo | null,
): ClusterMember {
  const clientUrls = info?.clientUrls ?? [];
  return { memberId, name: info?.name ?? name, peerUrls, clientUrls, isLearner: false };
}
