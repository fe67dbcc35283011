import { afterEach, describe, expect, test, vi } from 'vitest';
import { findFreePorts } from '../cli/cluster/index.ts';
import { GRPC_STATUS } from '../grpc/index.ts';
import { TestClient } from '../grpc/testing/client.ts';
import type { ServerOptions } from './options.ts';
import { type Server, startServer } from './server.ts';

const running: { close(): Promise<void> }[] = [];

afterEach(async () => {
  for (const one of running.splice(0).reverse()) await one.close();
});

async function member(options: ServerOptions = {}): Promise<Server> {
  const server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
    heartbeatIntervalMs: 20,
    electionTimeoutMs: 100,
    ...options,
  });
  running.push(server);
  return server;
}

async function leader(): Promise<Server> {
  const server = await member();
  await server.ready;
  return server;
}

function urlOf({ clientUrls }: Server): string {
  return clientUrls[0] ?? '';
}

function grpcClient(server: Server): TestClient {
  const client = new TestClient(Number(new URL(urlOf(server)).port));
  running.push(client);
  return client;
}

/** The page, by name and labels; and of each metric its type. */
async function scrape(server: Server): Promise<Map<string, number | string>> {
  const text = await (await fetch(`${urlOf(server)}/metrics`)).text();
  const page = new Map<string, number | string>();
  for (const line of text.split('\n').filter((one) => one !== '' && !one.startsWith('# HELP'))) {
    const end = line.lastIndexOf(' ');
    const value = line.slice(end + 1);
    page.set(line.slice(0, end), line.startsWith('# TYPE') ? value : Number(value));
  }
  return page;
}

/** `a` becomes `b`. */
const PUT = Buffer.from([0x0a, 1, 0x61, 0x12, 1, 0x62]);
const NO_BYTES = new Uint8Array(0);

/** Lines as etcd 3.4 writes them. */
function put(name: string, code = ''): string {
  return `${name}{${code}grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}`;
}

describe('the metrics that dashboards of etcd read', () => {
  test('count leaders and proposals, and time the durable writes of the log', async () => {
    const server = await leader();
    const body = JSON.stringify({ key: 'aw==', value: 'dg==' });
    await fetch(`${urlOf(server)}/v3/kv/put`, { method: 'POST', body });
    const values = await scrape(server);
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

  test('have etcd’s types', async () => {
    const page = await scrape(await leader());
    const types = {
      grpc_server_started_total: 'counter',
      grpc_server_handled_total: 'counter',
      grpc_server_msg_received_total: 'counter',
      grpc_server_msg_sent_total: 'counter',
      etcd_network_client_grpc_received_bytes_total: 'counter',
      etcd_network_client_grpc_sent_bytes_total: 'counter',
      etcd_network_peer_sent_failures_total: 'counter',
      etcd_disk_wal_fsync_duration_seconds: 'histogram',
      etcd_disk_backend_commit_duration_seconds: 'histogram',
      etcd_disk_backend_snapshot_duration_seconds: 'histogram',
    };
    for (const [name, type] of Object.entries(types)) {
      expect([name, page.get(`# TYPE ${name}`)]).toEqual([name, type]);
    }
  });

  test('count calls of gRPC by method and code, from 0 on, and the bytes of messages', async () => {
    const server = await leader();
    const before = await scrape(server);
    expect(before.get(put('grpc_server_started_total'))).toBe(0);
    expect(before.get(put('grpc_server_handled_total', 'grpc_code="OK",'))).toBe(0);
    expect(before.get(put('grpc_server_handled_total', 'grpc_code="DeadlineExceeded",'))).toBe(0);
    expect(before.get('etcd_network_client_grpc_received_bytes_total')).toBe(0);

    const client = grpcClient(server);
    const { status, messages } = await client.unary('/etcdserverpb.KV/Put', PUT);
    expect(status).toBe(GRPC_STATUS.OK);
    const refused = await client.unary('/etcdserverpb.KV/Put', NO_BYTES);
    expect(refused.status).toBe(GRPC_STATUS.INVALID_ARGUMENT);
    const after = await scrape(server);
    expect(after.get(put('grpc_server_started_total'))).toBe(2);
    expect(after.get(put('grpc_server_msg_received_total'))).toBe(2);
    expect(after.get(put('grpc_server_msg_sent_total'))).toBe(1);
    expect(after.get(put('grpc_server_handled_total', 'grpc_code="OK",'))).toBe(1);
    expect(after.get(put('grpc_server_handled_total', 'grpc_code="InvalidArgument",'))).toBe(1);
    expect(after.get('etcd_network_client_grpc_received_bytes_total')).toBe(PUT.length);
    expect(after.get('etcd_network_client_grpc_sent_bytes_total')).toBe(messages[0]?.length);
  });

  test('tell streams by their type, and those of this product as well', async () => {
    const page = await scrape(await leader());
    const started = [...page.keys()].filter((name) => name.startsWith('grpc_server_started_total'));
    const of = (method: string, service: string, type: string): string =>
      `grpc_server_started_total{grpc_method="${method}",` +
      `grpc_service="${service}",grpc_type="${type}"}`;
    expect(started).toEqual(
      expect.arrayContaining([
        of('Watch', 'etcdserverpb.Watch', 'bidi_stream'),
        of('Snapshot', 'etcdserverpb.Maintenance', 'server_stream'),
        of('Range', 'etcdserverpb.KV', 'unary'),
        of('Execute', 'quorate.v1.Clerk', 'bidi_stream'),
      ]),
    );
  });

  test.each(['/etcdserverpb.Maintenance/Snapshot', '/quorate.v1.Maintenance/Snapshot'])(
    'time a snapshot by %s, and the flush of the state before it',
    async (path) => {
      const server = await leader();
      const [commit, snapshot] = [
        'etcd_disk_backend_commit_duration_seconds',
        'etcd_disk_backend_snapshot_duration_seconds',
      ];
      const before = await scrape(server);
      expect(before.get(`${snapshot}_count`)).toBe(0);
      const { status } = await grpcClient(server).unary(path, NO_BYTES);
      expect(status).toBe(GRPC_STATUS.OK);
      const after = await scrape(server);
      expect(after.get(`${commit}_count`)).toBe(Number(before.get(`${commit}_count`)) + 1);
      expect(after.get(`${commit}_bucket{le="8.192"}`)).toBe(after.get(`${commit}_count`));
      expect(after.get(`${snapshot}_count`)).toBe(1);
      expect(after.get(`${snapshot}_sum`)).toBeGreaterThan(0);
      expect(after.get(`${snapshot}_bucket{le="655.36"}`)).toBe(1);
    },
  );
});

describe('of the links to other members', () => {
  const SENT = 'etcd_network_peer_sent_bytes_total';
  const RECEIVED = 'etcd_network_peer_received_bytes_total';

  test('no more bytes arrive at one member than the other has sent', async () => {
    const [first, second] = await findFreePorts(2);
    const cluster = [`a=http://127.0.0.1:${first}`, `b=http://127.0.0.1:${second}`].map((one) => {
      const [name = '', url = ''] = one.split('=');
      return { name, peerUrls: [url] };
    });
    const [a, b] = await Promise.all(
      cluster.map(({ name, peerUrls }) =>
        member({ name, initialCluster: cluster, listenPeerUrls: peerUrls }),
      ),
    );
    if (a === undefined || b === undefined) throw new Error('two members were to be started');
    await Promise.all([a.ready, b.ready]);
    const [ofA, ofB] = [await scrape(a), await scrape(b)];
    expect(ofA.get(SENT)).toBeGreaterThan(0);
    expect(ofB.get(RECEIVED)).toBeGreaterThan(0);
    const sentLater = (await scrape(a)).get(SENT);
    expect(ofB.get(RECEIVED)).toBeLessThanOrEqual(Number(sentLater));
  });

  test('lost messages are counted for each member by its id', async () => {
    const server = await member({
      name: 'a',
      initialCluster: [
        { name: 'a', peerUrls: ['http://127.0.0.1:2'] },
        // Nobody listens there.
        { name: 'b', peerUrls: ['http://127.0.0.1:1'] },
      ],
    });
    const line = /^etcd_network_peer_sent_failures_total\{To="([0-9a-f]+)"\}$/;
    await vi.waitFor(async () => {
      const failures = [...(await scrape(server))].filter(([name]) => line.test(name));
      expect(failures).toHaveLength(1);
      expect(failures[0]?.[0]).not.toContain(server.memberId.toString(16));
      expect(failures[0]?.[1]).toBeGreaterThan(0);
    });
  });
});
