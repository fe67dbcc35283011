import { Etcd3 } from 'etcd3';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { findFreePorts } from '../../src/cli/cluster/index.ts';
import { type Server, startServer } from '../../src/server/index.ts';

/* The npm client `etcd3`, unmodified, on three members: most calls reach one that does not lead. */

let servers: Server[] = [];
const clients: Etcd3[] = [];

beforeAll(async () => {
  const names = ['m1', 'm2', 'm3'];
  const ports = await findFreePorts(names.length);
  const initialCluster = names.map((name, at) => ({
    name,
    peerUrls: [`http://127.0.0.1:${ports[at]}`],
  }));
  servers = await Promise.all(
    initialCluster.map(({ name, peerUrls }) =>
      startServer({
        name,
        initialCluster,
        listenPeerUrls: peerUrls,
        listenClientUrls: ['http://127.0.0.1:0'],
        dataDir: { memory: true },
      }),
    ),
  );
  await Promise.all(servers.map(({ ready }) => ready));
});

afterAll(async () => {
  for (const each of clients) each.close();
  await Promise.all(servers.map((server) => server.close()));
});

function client(server: Server | undefined): Etcd3 {
  const made = new Etcd3({ hosts: server?.clientUrls[0]?.replace('http://', '') ?? '' });
  clients.push(made);
  return made;
}

function follower(): Server | undefined {
  return servers.find((server) => server.status().role !== 'leader');
}

test('what is put at one member is read at every other', async () => {
  for (const [i, server] of servers.entries()) {
    await client(server).put(`key-${i}`).value(`${i}`);
    for (const other of servers) expect(await client(other).get(`key-${i}`).string()).toBe(`${i}`);
  }
  expect(await client(follower()).getAll().prefix('key-').keys()).toEqual([
    'key-0',
    'key-1',
    'key-2',
  ]);
});

test('a transaction and a lease through a member that does not lead', async () => {
  const etcd = client(follower());
  const lease = etcd.lease(60);
  await lease.put('leased').value('x');
  const result = await etcd
    .if('leased', 'Version', '==', 1)
    .then(etcd.put('then').value('yes'))
    .else(etcd.put('else').value('no'))
    .commit();
  expect(result.succeeded).toBe(true);
  await lease.revoke();
  expect(await etcd.get('leased').string()).toBeNull();
});

test('a watcher at a member that does not lead sees what another member was given', async () => {
  const watcher = await client(follower()).watch().key('watched').create();
  const seen = new Promise<string>((resolve) => {
    watcher.on('put', (kv) => resolve(kv.value.toString()));
  });
  await client(servers[0]).put('watched').value('news');
  expect(await seen).toBe('news');
  await watcher.cancel();
});

test('a lock is held by one at a time', async () => {
  const [one, other] = [client(servers[0]).lock('lock'), client(servers[1]).lock('lock')];
  await one.acquire();
  await expect(other.acquire()).rejects.toThrow();
  await one.release();
  await other.acquire();
  await other.release();
});

test('writes go on at a follower when the leader is closed', async () => {
  const etcd = client(follower());
  const leader = servers.find((server) => server.status().role === 'leader');
  await leader?.close();
  await etcd.put('after').value('yes');
  expect(await etcd.get('after').string()).toBe('yes');
});
