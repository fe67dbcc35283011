import { createHash } from 'node:crypto';
import type { MemberId } from '../raft/index.ts';
import type { InitialMember } from './options.ts';

export interface InitialIds {
  readonly clusterId: bigint;
  /** By the member's name. */
  readonly members: ReadonlyMap<string, MemberId>;
}

/**
 * By etcd's rule, from what all members are told alike, so that they agree without talking. A
 * cluster that turns TLS on stays the same cluster: the scheme does not count (with etcd it does,
 * so those of a cluster with `https` URLs differ from etcd's).
 */
export function initialIds(members: readonly InitialMember[], token: string): InitialIds {
  const ids = new Map(members.map((member) => [member.name, memberIdOf(member, token)]));
  const sorted = [...ids.values()].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  return { clusterId: clusterIdOf(sorted), members: ids };
}

function placesOf({ peerUrls }: InitialMember): readonly string[] {
  return peerUrls.map((url) => url.replace(/^https:/i, 'http:')).sort();
}

/** SHA-1 of the URLs and the token (etcd: server/etcdserver/api/membership). */
function memberIdOf(member: InitialMember, token: string): bigint {
  return firstBytes(createHash('sha1').update(placesOf(member).join('')).update(token).digest());
}

/** SHA-1 of the members' ids, ascending. */
function clusterIdOf(members: readonly bigint[]): bigint {
  const bytes = Buffer.alloc(8 * members.length);
  for (const [i, id] of members.entries()) bytes.writeBigUInt64BE(id, 8 * i);
  return firstBytes(createHash('sha1').update(bytes).digest());
}

/** Never 0, which is nobody. */
function firstBytes(digest: Buffer): bigint {
  const id = digest.readBigUInt64BE(0);
  return id === 0n ? 1n : id;
}
