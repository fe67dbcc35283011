import { collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { MemberStatus } from '../api/index.ts';

/** What a scrape reads, besides the member's status. */
export interface MetricSources {
  readonly status: () => MemberStatus;
  /** Commands that wait for their answer. */
  readonly parked: () => number;
  /** Established links to other members. */
  readonly connectedPeers: () => number;
  /** Of the ports that speak TLS. */
  readonly certificateEnds: () => readonly CertificateEnd[];
}

/** When the first certificate of a port ends. */
export interface CertificateEnd {
  readonly port: 'client' | 'peer';
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

/** Prometheus metrics of one member, read at scrape time; the text of `GET /metrics`. */
export function createMetrics(sources: MetricSources): () => Promise<string> {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const gauge = (name: string, help: string, read: (status: MemberStatus) => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read(sources.status()));
      },
    });
  };
  gauge('quorate_server_has_leader', '1 when a leader is known.', (s) =>
    s.leader === null ? 0 : 1,
  );
  gauge('quorate_server_is_leader', '1 when this member leads.', (s) =>
    s.role === 'leader' ? 1 : 0,
  );
  gauge('quorate_raft_term', 'Latest term seen.', (s) => s.term);
  gauge('quorate_raft_commit_index', 'Highest log index known committed.', (s) => s.commitIndex);
  gauge('quorate_raft_applied_index', 'Highest log index applied.', (s) => s.appliedIndex);
  gauge('quorate_kv_revision', 'Revision of the newest change.', (s) => s.revision);
  gauge('quorate_sessions', 'Live sessions.', (s) => s.sessions);
  gauge('quorate_wal_bytes', 'Bytes of the log on disk.', (s) => s.logBytes);
  gauge('quorate_proposals_pending', 'Commands waiting for their answer.', () => sources.parked());
  gauge('quorate_peers_connected', 'Established links to peers.', () => sources.connectedPeers());
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
  return () => registry.metrics();
}
