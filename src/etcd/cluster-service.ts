import type { ClusterMember } from '../api/index.ts';
import type { GrpcUnaryMethod } from '../grpc/index.ts';
import { ask, clusterHeaderOf, type EtcdContext, type Methods, unary } from './context.ts';
import { etcdError } from './errors.ts';
import { MEMBER_LIST_REQUEST, MEMBER_LIST_RESPONSE } from './messages/cluster.ts';

/** etcdserverpb.Cluster */
export function clusterMethods(context: EtcdContext): Methods {
  return {
    MemberList: unary(context, MEMBER_LIST, async ({ linearizable }) => {
      if (linearizable) await ask(context, { type: 'leases' });
      const members = context.member.members().map(memberOf);
      return { header: clusterHeaderOf(context), members };
    }),
    MemberAdd: unavailable('adding members'),
    MemberRemove: unavailable('removing members'),
    MemberUpdate: unavailable('changing the URLs of members'),
    MemberPromote: unavailable('promoting learners'),
  };
}

const MEMBER_LIST = { request: MEMBER_LIST_REQUEST, response: MEMBER_LIST_RESPONSE };

function memberOf({ memberId, name, peerUrls, clientUrls, isLearner }: ClusterMember) {
  return { ID: memberId, name, peerURLs: peerUrls, clientURLs: clientUrls, isLearner };
}

/** A method of etcd that this server does not have, and says so. */
export function unavailable(what: string): GrpcUnaryMethod {
  return {
    type: 'unary',
    handle() {
      throw etcdError('UNIMPLEMENTED', `${what} is not possible through this API yet`);
    },
  };
}
