import { findFreePorts } from '../../src/cli/cluster/index.ts';
import { Authority } from '../../src/io/testing/authority.ts';
import { type Server, type ServerOptions, startServer } from '../../src/server/index.ts';
import { Etcdctl } from './etcdctl-process.ts';
import { RealEtcd } from './real-etcd.ts';

/** Nobody is elected because the machine was slow: what is compared says nothing of elections. */
const ELECTION_TIMEOUT_MS = 3_000;

/** A running cluster, and how etcdctl reaches it. */
export interface Cluster {
  readonly title: string;
  readonly members: number;
  ctl(): Etcdctl;
  close(): Promise<void>;
}

/** One member of the etcd in the PATH. */
export async function realCluster(): Promise<Cluster> {
  const etcd = await RealEtcd.start();
  return {
    title: 'etcd',
    members: 1,
    ctl: () => new Etcdctl([etcd.address]),
    close: () => etcd.stop(),
  };
}

/** Members of ours, in memory; with TLS both ports show and ask for certificates. */
export async function ourCluster(members: 1 | 3, tls: boolean): Promise<Cluster> {
  const authority = tls ? new Authority('everybody') : null;
  const ports = await findFreePorts(members);
  const scheme = tls ? 'https' : 'http';
  const initialCluster = ports.map((port, at) => {
    return { name: `m${at}`, peerUrls: [`${scheme}://127.0.0.1:${port}`] };
  });
  const start = ({ name, peerUrls }: (typeof initialCluster)[number]): Promise<Server> =>
    startServer({
      name,
      initialCluster,
      listenPeerUrls: peerUrls,
      listenClientUrls: [`${scheme}://127.0.0.1:0`],
      dataDir: { memory: true },
      electionTimeoutMs: ELECTION_TIMEOUT_MS,
      ...(authority === null ? {} : certificates(authority)),
    });
  const servers = await Promise.all(initialCluster.map(start));
  await Promise.all(servers.map(({ ready }) => ready));
  const endpoints = servers.map(({ clientUrls }) => clientUrls[0] ?? '');
  const flags = authority === null ? [] : flagsOf(authority);
  return {
    title: `${members} of ours${tls ? ' with TLS' : ''}`,
    members,
    ctl: () => new Etcdctl(endpoints, flags),
    async close() {
      await Promise.all(servers.map((server) => server.close()));
      authority?.remove();
    },
  };
}

function certificates(authority: Authority): Pick<ServerOptions, 'clientTls' | 'peerTls'> {
  const trust = { trustedCaFile: authority.caFile };
  return {
    clientTls: { ...authority.issue(), ...trust },
    peerTls: { ...authority.issue(), ...trust },
  };
}

function flagsOf(authority: Authority): string[] {
  const { certFile, keyFile } = authority.issue({ commonName: 'client' });
  return [`--cacert=${authority.caFile}`, `--cert=${certFile}`, `--key=${keyFile}`];
}
