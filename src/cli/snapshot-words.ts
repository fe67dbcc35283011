import type { DatabaseSummary, SnapshotSummary } from '../server/index.ts';
import { oneLine } from './exit.ts';
import { id, type OutputFormat } from './output.ts';

/** What a verified snapshot holds: one line, or JSON. */
export function summaryText(file: string, summary: SnapshotSummary, format: OutputFormat): string {
  return format === 'json' ? `${JSON.stringify(summaryJson(summary))}\n` : line(file, summary);
}

function line(file: string, summary: SnapshotSummary): string {
  const { position } = summary;
  const words = [
    oneLine(file),
    `revision=${position.revision}`,
    `keys=${summary.keys}`,
    `sessions=${summary.sessions}`,
    `leases=${summary.leases}`,
    `bytes=${summary.bytes}`,
    `index=${position.index}`,
    `term=${position.term}`,
    `cluster=${id(summary.clusterId)}`,
    `hash=${position.stateHash}`,
    `sha256=${summary.sha256}`,
  ];
  return `${words.join('  ')}\n`;
}

function summaryJson({ position, ...summary }: SnapshotSummary): object {
  return {
    revision: position.revision,
    keys: summary.keys,
    sessions: summary.sessions,
    leases: summary.leases,
    rows: summary.rows,
    bytes: summary.bytes,
    raft_index: position.index,
    raft_term: position.term,
    cluster_id: id(summary.clusterId),
    state_hash: position.stateHash,
    sha256: summary.sha256,
  };
}

/** The same of a file of etcd's. */
export function databaseText(file: string, summary: DatabaseSummary, format: OutputFormat): string {
  const { revision, compactRevision, changes, leases, rows, bytes, sha256 } = summary;
  const hash = summary.hash.toString(16);
  if (format === 'json') {
    const counts = { revision, compact_revision: compactRevision, changes, leases, rows, bytes };
    return `${JSON.stringify({ ...counts, hash, sha256 })}\n`;
  }
  const words = [
    oneLine(file),
    'format=etcd',
    `revision=${revision}`,
    `compacted=${compactRevision}`,
    `changes=${changes}`,
    `leases=${leases}`,
    `rows=${rows}`,
    `bytes=${bytes}`,
    `hash=${hash}`,
    `sha256=${sha256 ?? 'none'}`,
  ];
  return `${words.join('  ')}\n`;
}
