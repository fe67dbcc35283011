import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from 'vitest';
import { ProcessCluster } from '../../src/cli/cluster/index.ts';
import { DeafRelay } from '../../src/etcd3/testing/deaf-relay.ts';
import type { Server } from '../../src/server/index.ts';
import { GoClient, type GoWriters } from './go-process.ts';
import { hostOf, startMembers } from './members.ts';

/* The interceptor for Go, as it stands in docs/SESSIONS.md, with etcd's own client. */

let go: GoClient;
const opened: (() => unknown)[] = [];

beforeAll(async () => {
  go = await GoClient.build();
}, 120_000);

afterEach(async () => {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
});

afterAll(() => go?.close());

/** A client with the interceptor, or without. */
function writers(endpoints: readonly string[], session: string | null): GoWriters {
  const started = go.start(endpoints, session);
  opened.push(() => started.close());
  return started;
}

/** Version and value of every key that begins so. */
async function written(host: string, prefix: string): Promise<string[]> {
  const etcd = new Etcd3({ hosts: host });
  try {
    const { kvs } = await etcd.getAll().prefix(prefix).exec();
    return kvs.map(({ version, value }) => `${version} × ${value.toString()}`);
  } finally {
    etcd.close();
  }
}

describe('Go: a write whose answer is lost', () => {
  async function world() {
    const [server] = (await startMembers(1)) as [Server];
    opened.push(() => server.close());
    const relay = await DeafRelay.start(server.clientUrls[0] ?? '');
    opened.push(() => relay.close());
    return { server, relay };
  }

  /** One write, which happens; then its answer is lost. */
  async function losingItsAnswer(
    { server, relay }: Awaited<ReturnType<typeof world>>,
    client: GoWriters,
  ): Promise<string[]> {
    expect(await client.round('warm-up')).toEqual(['ok']);
    const { revision } = server.status();
    relay.deafen();
    const ended = client.round('lost');
    while (server.status().revision === revision) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    relay.cut();
    return await ended;
  }

  test('ends in an error with the client as it is', async () => {
    const lost = await world();
    const client = writers([lost.relay.address], null);
    expect(await losingItsAnswer(lost, client)).toEqual([expect.stringMatching(/^error: /)]);
  });

  test('succeeds in a session, and happened once', async () => {
    const lost = await world();
    const client = writers([lost.relay.address], 'orders');
    expect(await losingItsAnswer(lost, client)).toEqual(['ok']);
    expect(await written(hostOf(lost.server), 'lost')).toEqual(['1 × 0']);
  });
});

test('Go: a client whose session was taken over is told so, and writes nothing', async () => {
  const [server] = (await startMembers(1)) as [Server];
  opened.push(() => server.close());
  const [first, second] = [writers([hostOf(server)], 'one'), writers([hostOf(server)], 'one')];
  expect(await first.round('first')).toEqual(['ok']);
  expect(await second.round('second')).toEqual(['ok']);
  expect(await first.round('third')).toEqual([expect.stringMatching(/^error: .*Aborted/)]);
  expect(await written(hostOf(server), 'third')).toEqual([]);
});

test('Go: writes of 150 happen once and in order while the leader is killed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'quorate-go-cluster-'));
  opened.push(() => rmSync(directory, { recursive: true }));
  const cluster = await ProcessCluster.start({
    command: [process.execPath, inject('quorateMain'), 'serve'],
    directory,
  });
  opened.push(() => cluster.close());
  const hosts = cluster.endpoints.map((url) => new URL(url).host);
  const leader = (await cluster.leader()) ?? '';
  let killed: Promise<void> | null = null;
  const ends = await writers(hosts, 'go').round('k/', { writers: 150, writes: 8 }, (count) => {
    if (count === 300) killed = cluster.kill(leader);
  });
  await killed;
  expect(ends).toEqual(Array.from({ length: 1_200 }, () => 'ok'));
  const [alive] = hosts.filter((_, at) => `m${at + 1}` !== leader);
  expect(await written(alive ?? '', 'k/')).toEqual(Array.from({ length: 150 }, () => '8 × 7'));
});
