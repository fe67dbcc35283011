import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { MemberStatus } from '../api/index.ts';
import { ETCD_VERSION, type EtcdMember } from '../etcd/index.ts';
import type { MethodTally } from '../grpc/index.ts';
import { type DiskTimes, registerDisk } from './metrics-disk.ts';
import { grpcMetrics } from './metrics-grpc.ts';
import { type PeerSources, registerSendFailures } from './metrics-peers.ts';

/** What a scrape reads, besides the member's status. */
export interface MetricSources {
  readonly status: () => MemberStatus;
  /** Commands that wait for their answer. */
  readonly parked: () => number;
  /** Established links to other members. */
  readonly connectedPeers: () => number;
  /** The state, for metrics that have etcd's names. */
  readonly etcd: Pick<EtcdMember, 'usage' | 'feed'>;
  /** Bytes that the state may take; 0: no bound. */
  readonly quotaBytes: number;
  /** Members whose state is not this one's: etcd's CORRUPT alarm. */
  readonly disagreeingMembers: () => number;
  /** Leaders seen, one after the other. */
  readonly leaderChanges: () => number;
  /** Commands that this member led and did not bring to an end. */
  readonly failedProposals: () => number;
  readonly diskTimes: DiskTimes;
  /** Of all methods served by gRPC; always the same ones. */
  readonly calls: () => readonly MethodTally[];
  readonly peers: PeerSources;
  /** Walks over everything stored that found nothing wrong, since the start. */
  readonly scrubs: () => number;
  /** Of the ports that speak TLS. */
  readonly certificateEnds: () => readonly CertificateEnd[];
}

/** When the first certificate of a port ends. */
export interface CertificateEnd {
  readonly port: 'client' | 'peer';
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

type Readings = readonly [name: string, help: string, read: (status: MemberStatus) => number][];

/** Prometheus metrics of one member, read at scrape time; the text of `GET /metrics`. */
export function createMetrics(sources: MetricSources): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  for (const [name, help, read] of [...ownGauges(sources), ...etcdGauges(sources)]) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read(sources.status()));
      },
    });
  }
  const labelled = (name: string, help: string, labels: Readonly<Record<string, string>>): void => {
    const gauge = new Gauge({ name, help, labelNames: Object.keys(labels), registers: [registry] });
    gauge.set(labels, 1);
  };
  for (const [name, help, read] of etcdCounters(sources)) {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read(sources.status()));
      },
    });
  }
  registerDisk(registry, sources.diskTimes);
  registerSendFailures(registry, sources.peers);
  const { memberId } = sources.status();
  labelled('etcd_server_id', 'This member.', { server_id: memberId.toString(16) });
  labelled('etcd_server_version', 'The etcd that this one is like.', {
    server_version: ETCD_VERSION,
  });
  labelled('etcd_cluster_version', 'Likewise.', {
    cluster_version: ETCD_VERSION.replace(/\.\d+$/, ''),
  });
  new Gauge({
    name: 'quorate_tls_certificate_expires_seconds',
    help: 'End of the own certificate that ends first, seconds since 1970.',
    labelNames: ['port'],
    registers: [registry],
    collect() {
      for (const { port, expiresMs } of sources.certificateEnds()) {
        this.set({ port }, expiresMs / 1000);
      }
    },
  });
  let calls: (() => string) | null = null;
  return async () => {
    calls ??= grpcMetrics(sources.calls());
    return `${await registry.metrics()}\n${calls()}`;
  };
}

function ownGauges(sources: MetricSources): Readings {
  const { parked, connectedPeers, disagreeingMembers, scrubs } = sources;
  return [
    ['quorate_server_has_leader', '1 when a leader is known.', hasLeader],
    ['quorate_server_is_leader', '1 when this member leads.', isLeader],
    ['quorate_raft_term', 'Latest term seen.', (s) => s.term],
    ['quorate_raft_commit_index', 'Highest log index known committed.', (s) => s.commitIndex],
    ['quorate_raft_applied_index', 'Highest log index applied.', (s) => s.appliedIndex],
    ['quorate_kv_revision', 'Revision of the newest change.', (s) => s.revision],
    ['quorate_sessions', 'Live sessions.', (s) => s.sessions],
    ['quorate_wal_bytes', 'Bytes of the log on disk.', (s) => s.logBytes],
    ['quorate_proposals_pending', 'Commands waiting for their answer.', parked],
    ['quorate_peers_connected', 'Established links to peers.', connectedPeers],
    ['quorate_members_disagreeing', 'Members with another state: an alarm.', disagreeingMembers],
    ['quorate_state_scrubs', 'Times that all stored rows were verified since the start.', scrubs],
  ];
}

/** What alerts and dashboards made for etcd look at. */
function etcdGauges({ etcd, parked, quotaBytes }: MetricSources): Readings {
  const { feed } = etcd;
  return [
    ['etcd_server_has_leader', '1 when a leader is known.', hasLeader],
    ['etcd_server_is_leader', '1 when this member leads.', isLeader],
    ['etcd_server_is_learner', '1 when this member does not vote.', () => 0],
    ['etcd_server_proposals_pending', 'Commands waiting for their answer.', parked],
    ['etcd_server_quota_backend_bytes', 'Bytes the state may take.', () => quotaBytes],
    [
      'etcd_mvcc_db_total_size_in_bytes',
      "Bytes of the state's file.",
      () => etcd.usage().fileBytes,
    ],
    ['etcd_mvcc_db_total_size_in_use_in_bytes', 'Bytes in use.', () => etcd.usage().usedBytes],
    ['etcd_debugging_mvcc_current_revision', 'Newest revision.', () => feed.revision],
    ['etcd_debugging_mvcc_compact_revision', 'Oldest readable one.', () => feed.compactRevision],
  ];
}

function etcdCounters(sources: MetricSources): Readings {
  const { leaderChanges, failedProposals, calls, peers } = sources;
  const inAll = (read: (tally: MethodTally) => number): number =>
    calls().reduce((sum, tally) => sum + read(tally), 0);
  return [
    ['etcd_server_leader_changes_seen_total', 'Leaders seen.', leaderChanges],
    ['etcd_server_proposals_committed_total', 'Highest index committed.', (s) => s.commitIndex],
    ['etcd_server_proposals_applied_total', 'Highest index applied.', (s) => s.appliedIndex],
    ['etcd_server_proposals_failed_total', 'Commands that were not decided.', failedProposals],
    [
      'etcd_network_client_grpc_received_bytes_total',
      'Bytes of the messages of gRPC clients.',
      () => inAll(({ receivedBytes }) => receivedBytes),
    ],
    [
      'etcd_network_client_grpc_sent_bytes_total',
      'Bytes of the messages to gRPC clients.',
      () => inAll(({ sentBytes }) => sentBytes),
    ],
    ...(peers.sendFailures.size === 0 ? [] : peerCounters(peers)),
  ];
}

/** A member on its own has none of them, as with etcd. */
function peerCounters({ traffic }: PeerSources): Readings {
  return [
    [
      'etcd_network_peer_received_bytes_total',
      'Bytes of all other members.',
      () => traffic()?.bytesReceived ?? 0,
    ],
    [
      'etcd_network_peer_sent_bytes_total',
      'Bytes to all other members.',
      () => traffic()?.bytesSent ?? 0,
    ],
  ];
}

function hasLeader({ leader }: MemberStatus): number {
  return leader === null ? 0 : 1;
}

function isLeader({ role }: MemberStatus): number {
  return role === 'leader' ? 1 : 0;
}
