import { afterEach, describe, expect, test } from 'vitest';
import { type Server, startServer } from './server.ts';

const running: Server[] = [];

afterEach(async () => {
  for (const server of running.splice(0)) await server.close();
});

/** What the page of a new member says that has executed a command, by name and labels. */
async function scraped(): Promise<Map<string, number>> {
  const server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
    heartbeatIntervalMs: 20,
    electionTimeoutMs: 100,
  });
  running.push(server);
  await server.ready;
  const [url = ''] = server.clientUrls;
  const body = JSON.stringify({ key: 'aw==', value: 'dg==' });
  await fetch(`${url}/v3/kv/put`, { method: 'POST', body });
  const text = await (await fetch(`${url}/metrics`)).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const end = line.lastIndexOf(' ');
      return [line.slice(0, end), Number(line.slice(end + 1))];
    }),
  );
}

describe('the metrics that dashboards of etcd read', () => {
  test('count leaders and proposals, and time the durable writes of the log', async () => {
    const values = await scraped();
    expect(values.get('etcd_server_leader_changes_seen_total')).toBe(1);
    expect(values.get('etcd_server_proposals_failed_total')).toBe(0);
    expect(values.get('etcd_server_proposals_committed_total')).toBeGreaterThan(1);
    expect(values.get('etcd_server_has_leader')).toBe(1);
    expect(values.get('etcd_cluster_version{cluster_version="3.4"}')).toBe(1);
    const writes = values.get('etcd_disk_wal_fsync_duration_seconds_count') ?? 0;
    expect(writes).toBeGreaterThan(1);
    expect(values.get('etcd_disk_wal_fsync_duration_seconds_bucket{le="+Inf"}')).toBe(writes);
    expect(values.get('etcd_disk_wal_fsync_duration_seconds_sum')).toBeGreaterThan(0);
  });
});
