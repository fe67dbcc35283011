import type { SnapshotSummary } from '../server/index.ts';
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
