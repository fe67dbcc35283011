import type { ClusterMember } from '../api/index.ts';
import type { EtcdMember } from '../etcd/index.ts';
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
  readonly clientUrls: () => readonly string[];
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
    members: () => parts.members.map((member) => clusterMember(member, infoOf(member.memberId))),
    usage: () => state.store.usage(),
    isOutOfSpace: parts.isOutOfSpace,
    transferLeadership: (to) => service.replica.transferLeadership(to),
  };
}

function clusterMember(
  { memberId, name, peerUrls }: ConfiguredMember,
  info: MemberInfo | null,
): ClusterMember {
  const clientUrls = info?.clientUrls ?? [];
  return { memberId, name: info?.name ?? name, peerUrls, clientUrls, isLearner: false };
}
