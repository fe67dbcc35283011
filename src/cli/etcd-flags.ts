/**
 * Flags of etcd (3.4 to 3.6) that are not ours, so that a unit file or an environment written for
 * etcd gets one clear answer for each.
 *
 * `ignored`: tuning without a meaning here; a warning. `refused`: leaving it out silently would
 * change who may read the data, how durable it is, or which cluster this is; an error.
 */
export function verdictOnEtcdFlag(name: string): 'ignored' | 'refused' | null {
  if (IGNORED.has(name)) return 'ignored';
  return REFUSED.has(name) ? 'refused' : null;
}

/** All names of both kinds, without dashes. */
export function etcdFlagNames(): string[] {
  return [...IGNORED, ...REFUSED];
}

const IGNORED: ReadonlySet<string> = new Set([
  'max-snapshots',
  'max-wals',
  'initial-election-tick-advance',
  'pre-vote',
  'strict-reconfig-check',
  'enable-v2',
  'enable-pprof',
  'metrics',
  'log-outputs',
  'logger',
  'log-package-levels',
  'enable-log-rotation',
  'log-rotation-config-json',
  'debug',
  'backend-batch-interval',
  'backend-batch-limit',
  'backend-bbolt-freelist-type',
  'experimental-initial-corrupt-check',
  'experimental-compaction-batch-limit',
  'experimental-watch-progress-notify-interval',
  'experimental-warning-apply-duration',
  'experimental-txn-mode-write-with-shared-buffer',
  'experimental-bootstrap-defrag-threshold-megabytes',
  'grpc-keepalive-min-time',
  'grpc-keepalive-interval',
  'grpc-keepalive-timeout',
  'socket-reuse-port',
  'socket-reuse-address',
  'raft-read-timeout',
  'raft-write-timeout',
  'max-concurrent-streams',
  'discovery-fallback',
  'unsafe-no-fsync',
  // What etcd shows to itself, between its gateway and its server.
  'client-cert-file',
  'client-key-file',
]);

const REFUSED: ReadonlySet<string> = new Set([
  'config-file',
  'wal-dir',
  'peer-auto-tls',
  'experimental-peer-skip-client-san-verification',
  'auth-token',
  'auth-token-ttl',
  'bcrypt-cost',
  'cors',
  'host-whitelist',
  'discovery',
  'discovery-srv',
  'discovery-srv-name',
  'discovery-proxy',
  'discovery-token',
  'discovery-endpoints',
  'proxy',
  'gateway',
  'force-new-cluster',
  'listen-metrics-urls',
  'listen-client-http-urls',
  'max-txn-ops',
  'max-request-bytes',
]);
