import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { findFreePorts } from '../src/cli/cluster/index.ts';
import { Clerk } from '../src/client/index.ts';
import { type Server, type ServerOptions, startServer } from '../src/server/index.ts';

const ANY = ['http://127.0.0.1:0'];
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(options: ServerOptions): Promise<Server> {
  const server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ANY,
    listenPeerUrls: ANY,
    ...options,
  });
  cleanups.push(() => server.close());
  return server;
}

async function connect(servers: readonly Server[]): Promise<Clerk> {
  const clerk = await Clerk.connect({ endpoints: servers.flatMap((server) => server.clientUrls) });
  cleanups.push(() => clerk.close());
  return clerk;
}

async function startThree(): Promise<Server[]> {
  const names = ['a', 'b', 'c'];
  const ports = await findFreePorts(3);
  const initialCluster = names.map((name, at) => ({
    name,
    peerUrls: [`http://127.0.0.1:${ports[at]}`],
  }));
  return Promise.all(
    initialCluster.map(({ name, peerUrls }) =>
      start({ name, initialCluster, listenPeerUrls: peerUrls }),
    ),
  );
}

describe('startServer embeds a member in this process', () => {
  test('a lone member in memory serves at once, and leaves nothing behind', async () => {
    const server = await start({});
    await server.ready;
    const clerk = await connect([server]);
    await clerk.put('k', 'v');
    expect(await clerk.get('k')).toBe('v');
    expect(server.status()).toMatchObject({ role: 'leader', revision: 2 });
    await clerk.close();
    await server.close();
    await server.close();
    expect(await server.stopped).toBeNull();
  });

  test('three members in one process replicate, on whichever the clerk lands', async () => {
    const servers = await startThree();
    for (const server of servers) {
      const clerk = await Clerk.connect({ endpoints: server.clientUrls });
      cleanups.push(() => clerk.close());
      await clerk.append('k', 'x');
    }
    expect(await (await connect(servers)).get('k')).toBe('xxx');
  });

  test('a leader that is closed hands over first: writes go on without an election timeout', async () => {
    const servers = await startThree();
    const clerk = await connect(servers);
    await clerk.put('k', 'v');
    const leader = servers.find((server) => server.status().role === 'leader');
    const term = leader?.status().term ?? 0;
    await leader?.close();
    await clerk.put('k', 'w');
    const rest = servers.filter((server) => server !== leader).map((server) => server.status());
    expect(rest.map((status) => status.role)).toContain('leader');
    expect(rest.every((status) => status.term === term + 1)).toBe(true);
  });

  test('what was written is there after a restart on the same directory', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'quorate-embed-'));
    cleanups.push(() => rmSync(dataDir, { recursive: true, force: true }));
    const [peer] = await findFreePorts(1);
    const listenPeerUrls = [`http://127.0.0.1:${peer}`];
    const before = await start({ dataDir, listenPeerUrls });
    const first = await connect([before]);
    for (let n = 0; n < 100; n++) await first.append('k', `${n};`);
    await first.close();
    const { revision, sessions } = before.status();
    await before.close();
    const after = await start({ dataDir, listenPeerUrls });
    const second = await connect([after]);
    expect((await second.get('k'))?.split(';')).toHaveLength(101);
    expect(after.status()).toMatchObject({ revision, sessions });
  });
});
