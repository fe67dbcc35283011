import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MemberStatus } from '../api/index.ts';
import { findFreePorts } from '../cli/cluster/index.ts';
import { Clerk } from '../client/index.ts';
import type { Log } from '../io/index.ts';
import { type Server, type ServerOptions, startServer } from './index.ts';

const NAMES = ['a', 'b', 'c'];
const ANY = ['http://127.0.0.1:0'];

/** Members on real directories, to be stopped, damaged and started again. */
class Cluster {
  readonly #root: string;
  readonly #members: readonly { readonly name: string; readonly peerUrls: readonly string[] }[];
  readonly servers = new Map<string, Server>();
  readonly lines: string[] = [];

  constructor(root: string, ports: readonly number[]) {
    this.#root = root;
    this.#members = ports.map((port, at) => ({
      name: NAMES[at] as string,
      peerUrls: [`http://127.0.0.1:${port}`],
    }));
  }

  directory(name: string): string {
    return join(this.#root, name);
  }

  async start(name: string, more: Partial<ServerOptions> = {}): Promise<Server> {
    const self = this.#members.find((member) => member.name === name);
    const say = (message: string): void => void this.lines.push(`${name}: ${message}`);
    const log: Log = { debug: () => {}, info: say, warn: say, error: say };
    const server = await startServer({
      name,
      dataDir: this.directory(name),
      initialCluster: this.#members,
      listenPeerUrls: self?.peerUrls ?? [],
      listenClientUrls: ANY,
      heartbeatIntervalMs: 20,
      electionTimeoutMs: 200,
      log,
      ...more,
    });
    this.servers.set(name, server);
    return server;
  }

  async startAll(): Promise<void> {
    await Promise.all(this.#members.map(({ name }) => this.start(name)));
  }

  async stop(name: string): Promise<void> {
    await this.servers.get(name)?.close();
    this.servers.delete(name);
  }

  async close(): Promise<void> {
    for (const name of [...this.servers.keys()]) await this.stop(name);
  }

  async use<T>(work: (clerk: Clerk) => Promise<T>): Promise<T> {
    const endpoints = [...this.servers.values()].flatMap((server) => server.clientUrls);
    const clerk = await Clerk.connect({ endpoints });
    try {
      return await work(clerk);
    } finally {
      await clerk.close();
    }
  }

  append(text: string): Promise<unknown> {
    return this.use((clerk) => clerk.append('k', text));
  }

  read(): Promise<unknown> {
    return this.use((clerk) => clerk.get('k'));
  }

  /** Resolves when all members have applied the same and their states are equal. */
  async agreed(): Promise<void> {
    await expect
      .poll(
        () => {
          const all = [...this.servers.values()].map((server) => server.status());
          return new Set(all.map((each) => `${each.appliedIndex} ${each.stateHash}`)).size;
        },
        { timeout: 10_000 },
      )
      .toBe(1);
  }
}

let root = '';
let cluster: Cluster;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'quorate-rejoin-'));
});
afterEach(async () => {
  await cluster.close();
  await rm(root, { recursive: true, force: true });
});

async function make(members: number): Promise<void> {
  cluster = new Cluster(root, await findFreePorts(members));
  await cluster.startAll();
}

async function firstSegment(name: string): Promise<string> {
  const directory = join(cluster.directory(name), 'wal');
  const names = (await readdir(directory)).filter((each) => each.endsWith('.wal'));
  return join(directory, names.sort()[0] as string);
}

/** Flips a bit of the second batch behind the preamble: valid batches follow. */
async function damageLog(name: string): Promise<void> {
  const path = await firstSegment(name);
  const bytes = await readFile(path);
  const at = 3 * 4096 + 40;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await writeFile(path, bytes);
}

async function damageStateFile(name: string): Promise<void> {
  const directory = join(cluster.directory(name), 'state');
  const file = (await readdir(directory)).find((each) => each.endsWith('.lmdb')) as string;
  const path = join(directory, file);
  const { size } = await stat(path);
  await writeFile(path, Buffer.alloc(Math.max(size, 8192), 0x5a));
}

async function damageCurrent(name: string): Promise<void> {
  await writeFile(join(cluster.directory(name), 'state', 'CURRENT'), 'quorate state 1\ngene');
}

const wipe = (name: string): Promise<void> =>
  rm(cluster.directory(name), { recursive: true, force: true });

describe('a member of three comes back from what it lost (docs/decisions/0007)', () => {
  test.each([
    ['a flipped bit in the middle of its log', damageLog],
    ['a wiped directory', wipe],
  ])(
    '%s: it heals, and what was acknowledged survives the next crash',
    async (_what, damage) => {
      await make(3);
      for (const text of ['1', '2', '3']) await cluster.append(text);
      await cluster.stop('a');
      await cluster.append('4');
      await damage('a');
      await cluster.start('a');
      await cluster.append('5');
      await cluster.agreed();
      expect(cluster.lines.some((line) => /^a: coming back/.test(line))).toBe(true);
      // Now its vote is needed: of the two that are left it is one.
      await cluster.stop('b');
      await cluster.append('6');
      expect(await cluster.read()).toBe('123456');
    },
    30_000,
  );

  test.each([
    ['state file', damageStateFile],
    ['CURRENT', damageCurrent],
  ])(
    'a damaged %s is made again from a log that holds everything',
    async (_what, damage) => {
      await make(3);
      await cluster.append('1');
      await cluster.stop('a');
      await damage('a');
      await cluster.start('a');
      await cluster.append('2');
      await cluster.agreed();
      expect(cluster.lines).toContain(
        'a: the state is made again from the log, which holds everything from the first entry',
      );
    },
    30_000,
  );

  test('state and log damaged: both are brought back by the others', async () => {
    await make(3);
    await cluster.append('1');
    await cluster.stop('a');
    await damageLog('a');
    await damageStateFile('a');
    await cluster.start('a');
    await cluster.append('2');
    await cluster.agreed();
    expect(await cluster.read()).toBe('12');
  }, 30_000);

  test('two of three wiped wait instead of leading without the data', async () => {
    await make(3);
    await cluster.append('1');
    await cluster.agreed();
    await cluster.stop('a');
    await cluster.stop('b');
    await wipe('a');
    await wipe('b');
    const stop = new AbortController();
    const starts = ['a', 'b'].map((name) => cluster.start(name, { signal: stop.signal }));
    const outcomes = Promise.allSettled(starts);
    const warned = (name: string): boolean =>
      cluster.lines.some((line) => line.startsWith(`${name}: this directory is empty but`));
    await expect.poll(() => warned('a') && warned('b'), { timeout: 10_000 }).toBe(true);
    const c = (): MemberStatus | undefined => cluster.servers.get('c')?.status();
    await expect.poll(() => c()?.leader, { timeout: 10_000 }).toBeNull();
    expect(c()).toMatchObject({ revision: 2 });
    stop.abort(new Error('enough'));
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  }, 30_000);
});

test('two of three members of a new cluster form it', async () => {
  cluster = new Cluster(root, await findFreePorts(3));
  await Promise.all([cluster.start('a'), cluster.start('b')]);
  await cluster.append('1');
  await cluster.start('c');
  await cluster.agreed();
  expect(await cluster.read()).toBe('1');
}, 30_000);

test('a sole member refuses a damaged log, naming its place, and cuts it when told', async () => {
  await make(1);
  await cluster.append('1');
  await cluster.stop('a');
  const path = await firstSegment('a');
  await damageLog('a');
  await expect(cluster.start('a')).rejects.toThrow(
    new RegExp(`${path}: .* at byte \\d+.*--truncate-damaged-log`),
  );
  const server = await cluster.start('a', { truncateDamagedLog: true });
  await server.ready;
  await cluster.append('2');
  expect(await cluster.read()).toMatch(/2$/);
  expect(await readdir(join(cluster.directory('a'), 'wal'))).toContainEqual(
    expect.stringMatching(/\.damaged$/),
  );
}, 30_000);
