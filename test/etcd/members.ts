import { findFreePorts } from '../../src/cli/cluster/index.ts';
import { type Server, startServer } from '../../src/server/index.ts';

/** A cluster of members in this process, without disks; resolves when they have a leader. */
export async function startMembers(count: number): Promise<Server[]> {
  const names = Array.from({ length: count }, (_, i) => `m${i + 1}`);
  const ports = await findFreePorts(count);
  const initialCluster = names.map((name, i) => ({
    name,
    peerUrls: [`http://127.0.0.1:${ports[i]}`],
  }));
  const servers = await Promise.all(
    initialCluster.map(({ name, peerUrls }) =>
      startServer({
        name,
        initialCluster,
        listenPeerUrls: peerUrls,
        listenClientUrls: ['http://127.0.0.1:0'],
        dataDir: { memory: true },
      }),
    ),
  );
  await Promise.all(servers.map(({ ready }) => ready));
  return servers;
}

/** `host:port` of a member, as etcd's clients are given it. */
export function hostOf(server: Server | undefined): string {
  return new URL(server?.clientUrls[0] ?? '').host;
}
