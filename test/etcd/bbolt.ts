import { mkdtemp, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { findFreePorts } from '../../src/cli/cluster/index.ts';
import { run } from '../../src/cli/program.ts';
import { TestHost } from '../../src/cli/testing/host.ts';
import { Caller } from '../../src/etcd/testing/caller.ts';
import * as call from '../../src/etcd/testing/exchanges.ts';
import { Prng } from '../../src/lib/index.ts';
import { checkDatabaseFile, type Server, startServer } from '../../src/server/index.ts';
import { MachineWorld, randomOperation } from '../../src/server/testing/database.ts';
import { ALL, contentOf, demand, etcdctl, makeHistory, statusOf } from './bbolt-tools.ts';
import { RealEtcd } from './real-etcd.ts';

/*
 * From etcd to here and back, with etcd's own tools: after a snapshot was restored on the other
 * side, a client sees the same keys at every revision, the same events, leases and hashes.
 */

const SEED = Number(process.env['QUORATE_TEST_SEED'] ?? 1);
const STEPS = 600;

let directory: string;
let paths = 0;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quorate-bbolt-'));
});

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

afterAll(() => rm(directory, { recursive: true }));

/** Somewhere new. */
function path(name: string): string {
  paths++;
  return join(directory, `${paths}-${name}`);
}

/** A caller of a real etcd, on data of its own or on those that were restored. */
async function realEtcd(dataDir: string | null = null): Promise<{ side: Caller; address: string }> {
  const etcd = await RealEtcd.start(dataDir);
  closers.push(() => etcd.stop());
  return { side: callerOf(etcd.address), address: etcd.address };
}

/** A member of ours; in memory, or on data that were restored. */
async function member(dataDir: string | null = null): Promise<{ side: Caller; address: string }> {
  const server = await startServer({
    name: 'm1',
    initialCluster: [{ name: 'm1', peerUrls: ['http://127.0.0.1:2380'] }],
    dataDir: dataDir ?? { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
  });
  closers.push(() => server.close());
  await server.ready;
  const address = addressOf(server);
  return { side: callerOf(address), address };
}

function addressOf(server: Server): string {
  return new URL(server.clientUrls[0] ?? '').host;
}

function callerOf(address: string): Caller {
  const caller = new Caller(address);
  closers.push(async () => caller.close());
  return caller;
}

async function save(address: string, file: string): Promise<string> {
  await etcdctl('--endpoints', address, 'snapshot', 'save', file);
  return file;
}

/** `etcdctl snapshot restore`, and an etcd on what came out. */
async function restoredEtcd(file: string): Promise<Caller> {
  const dataDir = path('etcd');
  await etcdctl('snapshot', 'restore', file, '--data-dir', dataDir);
  return (await realEtcd(dataDir)).side;
}

/** `quorate snapshot restore`, and a member on what came out. */
async function restoredMember(file: string, ...flags: string[]) {
  const dataDir = path('member');
  const who = ['--name', 'm1', '--initial-cluster', 'm1=http://127.0.0.1:2380'];
  const host = new TestHost();
  const args = ['snapshot', 'restore', file, '--data-dir', dataDir, ...who, ...flags];
  const code = await run(args, host);
  expect(host.errors).toEqual([]);
  expect(code).toBe(0);
  return member(dataDir);
}

/** Both tools say the same of a file. */
async function expectSameStatus(file: string): Promise<void> {
  const theirs = await statusOf(file);
  const ours = await checkDatabaseFile(file);
  expect(ours).toMatchObject({
    hash: theirs.hash,
    revision: theirs.revision,
    rows: theirs.totalKey,
    bytes: theirs.totalSize,
    sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
}

test(`a real etcd goes on from a member's snapshot (seed ${SEED})`, async () => {
  const { side, address } = await member();
  await makeHistory(side, { seed: SEED, steps: STEPS });
  const expected = await contentOf(side);
  const file = await save(address, path('ours.db'));
  await expectSameStatus(file);
  const etcd = await restoredEtcd(file);
  expect(await contentOf(etcd)).toEqual(expected);
  // And it can change it: pages are split and merged, history is compacted.
  await makeHistory(etcd, { seed: SEED + 1, steps: STEPS });
  const { header, kvs } = await demand(etcd, call.RANGE, ALL);
  const compaction = { revision: header?.revision ?? 0, physical: true };
  await demand(etcd, call.COMPACT, compaction);
  expect((await demand(etcd, call.RANGE, ALL)).kvs).toEqual(kvs);
});

test(`a member goes on from an etcd's snapshot, and an etcd from the member's`, async () => {
  const { side, address } = await realEtcd();
  await makeHistory(side, { seed: SEED + 2, steps: STEPS });
  const expected = await contentOf(side);
  const file = await save(address, path('theirs.db'));
  await expectSameStatus(file);
  const restored = await restoredMember(file);
  expect(await contentOf(restored.side)).toEqual(expected);
  await makeHistory(restored.side, { seed: SEED + 3, steps: STEPS / 2 });
  const changed = await contentOf(restored.side);
  const again = await restoredEtcd(await save(restored.address, path('back.db')));
  expect(await contentOf(again)).toEqual(changed);
});

test('three members give the same file, whichever is asked, and become an etcd', async () => {
  const names = ['m1', 'm2', 'm3'];
  const ports = await findFreePorts(names.length);
  const initialCluster = names.map((name, at) => ({
    name,
    peerUrls: [`http://127.0.0.1:${ports[at]}`],
  }));
  const servers = await Promise.all(
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
  closers.push(async () => void (await Promise.all(servers.map((server) => server.close()))));
  await Promise.all(servers.map(({ ready }) => ready));
  const follower = servers.find((server) => server.status().role !== 'leader');
  const side = callerOf(addressOf(follower as Server));
  await makeHistory(side, { seed: SEED + 4, steps: 100 });
  const expected = await contentOf(side);
  const files: string[] = [];
  for (const server of servers) files.push(await save(addressOf(server), path('three.db')));
  const statuses = await Promise.all(files.map(statusOf));
  expect(new Set(statuses.map(({ revision }) => revision)).size).toBe(1);
  expect(await contentOf(await restoredEtcd(files[1] as string))).toEqual(expected);
});

test("a copy of an etcd's own file is taken when its hash is not asked for", async () => {
  const { side, address } = await realEtcd();
  await makeHistory(side, { seed: SEED + 5, steps: 50 });
  const expected = await contentOf(side);
  const file = await save(address, path('hashed.db'));
  await truncate(file, (await stat(file)).size - 32);
  const host = new TestHost();
  const code = await run(['snapshot', 'restore', file, '--data-dir', path('none')], host);
  expect(code).toBe(1);
  expect(host.errors.join()).toMatch(/has no SHA-256.*--skip-hash-check.*nothing was restored/);
  const restored = await restoredMember(file, '--skip-hash-check');
  expect(await contentOf(restored.side)).toEqual(expected);
});

test('a compaction that the file finds half done is done by whoever goes on from it', async () => {
  const world = await MachineWorld.make();
  const prng = new Prng(SEED);
  for (let i = 0; i < 3_000; i++) world.apply(randomOperation(prng, world, false));
  world.apply({ type: 'compact', revision: world.machine.revision - 50 });
  expect(world.machine.compacting).toBe(true);
  const file = path('compacting.db');
  await writeFile(file, await world.database());
  await expectSameStatus(file);
  const [etcd, restored] = [await restoredEtcd(file), await restoredMember(file)];
  // A further compaction, waited for, is done after the first one on either side.
  for (const side of [etcd, restored.side]) {
    const revision = world.machine.revision - 40;
    await demand(side, call.COMPACT, { revision, physical: true });
  }
  expect(await contentOf(restored.side)).toEqual(await contentOf(etcd));
});

test('a cluster with authentication on is not opened to everybody', async () => {
  const { side, address } = await realEtcd();
  await makeHistory(side, { seed: SEED, steps: 5 });
  for (const words of ['user add root:secret', 'user grant-role root root', 'auth enable']) {
    await etcdctl('--endpoints', address, ...words.split(' '));
  }
  const file = path('auth.db');
  await etcdctl('--endpoints', address, '--user', 'root:secret', 'snapshot', 'save', file);
  const host = new TestHost();
  expect(await run(['snapshot', 'restore', file, '--data-dir', path('m')], host)).toBe(1);
  expect(host.errors.join()).toMatch('etcdctl auth disable');
  await etcdctl('--endpoints', address, '--user', 'root:secret', 'auth', 'disable');
  const expected = await contentOf(side);
  const restored = await restoredMember(await save(address, path('open.db')));
  expect(await contentOf(restored.side)).toEqual(expected);
});

test('etcdctl and quorate refuse the same damaged file', async () => {
  const { side, address } = await member();
  await makeHistory(side, { seed: SEED + 6, steps: 20 });
  const file = await save(address, path('damaged.db'));
  const bytes = await readFile(file);
  bytes.writeUInt8(bytes.readUInt8(9_000) ^ 1, 9_000);
  await writeFile(file, bytes);
  await expect(etcdctl('snapshot', 'restore', file, '--data-dir', path('e'))).rejects.toThrow(
    'sha256',
  );
  const host = new TestHost();
  expect(await run(['snapshot', 'restore', file, '--data-dir', path('m')], host)).toBe(1);
  expect(host.errors.join()).toMatch('SHA-256 is');
});
