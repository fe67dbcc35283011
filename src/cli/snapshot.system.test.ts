import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { encodeSnapshotChunk } from '../api/index.ts';
import { Clerk } from '../client/index.ts';
import { GrpcServer } from '../client/testing/grpc-server.ts';
import { type Server, startServer } from '../server/index.ts';
import { makeSnapshot } from '../server/testing/snapshot.ts';
import { findFreePorts } from './cluster/index.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { run } from './program.ts';
import { TestHost } from './testing/host.ts';
import { eventually } from './testing/process.ts';

const NAMES = ['m1', 'm2', 'm3'] as const;

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-snapshot-'));
});

afterAll(() => rmSync(directory, { recursive: true }));

interface Ran {
  readonly code: ExitCode;
  readonly output: string;
  readonly errors: readonly string[];
}

/** Runs `quorate snapshot …` in this process. */
async function snapshot(...args: string[]): Promise<Ran> {
  const host = new TestHost();
  const code = await run(['snapshot', ...args], host);
  return { code, output: host.output, errors: host.errors };
}

/** The fields of a line such as `FILE  revision=7  keys=3`. */
function fieldsOf(line: string): Record<string, string> {
  const pairs = line.trimEnd().split('  ').slice(1);
  return Object.fromEntries(pairs.map((pair) => pair.split('=')));
}

/** The text of --initial-cluster for members on ports that nobody uses now. */
async function initialCluster(): Promise<string> {
  const ports = await findFreePorts(NAMES.length);
  return NAMES.map((name, at) => `${name}=http://127.0.0.1:${ports[at]}`).join(',');
}

/** A running cluster; its members keep their data in folders below `root`. */
class Cluster {
  readonly servers: readonly Server[];

  private constructor(servers: readonly Server[]) {
    this.servers = servers;
  }

  static async start(root: string, members: string, token: string): Promise<Cluster> {
    const cluster = members.split(',').map((item) => item.split('=') as [string, string]);
    const servers = cluster.map(([name, url]) =>
      startServer({
        name,
        dataDir: join(root, name),
        listenClientUrls: ['http://127.0.0.1:0'],
        listenPeerUrls: [url],
        initialCluster: cluster.map(([each, peerUrl]) => ({ name: each, peerUrls: [peerUrl] })),
        initialClusterToken: token,
      }),
    );
    const started = new Cluster(await Promise.all(servers));
    await Promise.all(started.servers.map(({ ready }) => ready));
    return started;
  }

  get endpoints(): string[] {
    return this.servers.flatMap(({ clientUrls }) => clientUrls);
  }

  /** The client URL of a member in that role. */
  endpointOf(role: 'leader' | 'follower'): string {
    const found = this.servers.find((server) => server.status().role === role);
    if (found?.clientUrls[0] === undefined) throw new Error(`no ${role}`);
    return found.clientUrls[0];
  }

  /** What all members are, once they have applied the same. */
  async agreed(): Promise<{ revision: number; stateHash: string; sessions: number }> {
    return await eventually('all members in the same state', 20_000, () => {
      const [first, ...others] = this.servers.map((server) => server.status());
      if (first === undefined) return null;
      const { revision, stateHash, sessions, appliedIndex } = first;
      const same = others.every(
        (each) => each.stateHash === stateHash && each.appliedIndex === appliedIndex,
      );
      return same ? { revision, stateHash, sessions } : null;
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.close()));
  }
}

describe('a backup of a running cluster', () => {
  let cluster: Cluster;
  let clerk: Clerk;

  beforeAll(async () => {
    cluster = await Cluster.start(join(directory, 'first'), await initialCluster(), 'first');
    clerk = await Clerk.connect({ endpoints: cluster.endpoints, session: 'importer' });
    for (let n = 0; n < 300; n++) await clerk.put(`early-${n}`, `value ${n}`);
  });

  afterAll(async () => {
    await clerk?.close();
    await cluster?.close();
  });

  test('under load, from follower and leader, becomes a cluster with all of it', async () => {
    const acknowledged = { count: 0 };
    const load = { goesOn: true };
    const loading = (async () => {
      for (let n = 0; load.goesOn; n++) {
        await Promise.all(Array.from({ length: 50 }, (_, i) => clerk.put(`load-${n}-${i}`, 'x')));
        acknowledged.count = n + 1;
      }
    })();
    for (const role of ['follower', 'leader'] as const) {
      const before = acknowledged.count;
      await eventually('more load', 10_000, () => (acknowledged.count > before + 3 ? true : null));
      const rounds = acknowledged.count;
      const file = join(directory, `${role}.snap`);
      const saved = await snapshot('save', file, '--endpoints', cluster.endpointOf(role));
      expect(saved).toMatchObject({ code: EXIT.ok, errors: [] });
      expect(statSync(file).mode & 0o777).toBe(0o600);
      expect(await snapshot('status', file)).toEqual(saved);
      const { keys = '', cluster: id } = fieldsOf(saved.output);
      expect(Number(keys)).toBeGreaterThanOrEqual(300 + 50 * rounds);
      expect(BigInt(`0x${id}`)).toBe(cluster.servers[0]?.clusterId);
    }
    load.goesOn = false;
    await loading;

    const file = join(directory, 'follower.snap');
    const saved = JSON.parse((await snapshot('status', file, '-w', 'json')).output);
    const members = await initialCluster();
    const root = join(directory, 'second');
    for (const name of NAMES) {
      const flags = ['--name', name, '--data-dir', join(root, name)];
      flags.push('--initial-cluster', members, '--initial-cluster-token', 'second');
      const url = members.split(',').find((item) => item.startsWith(`${name}=`)) ?? '';
      flags.push('--initial-advertise-peer-urls', url.slice(name.length + 1));
      const restored = await snapshot('restore', file, ...flags);
      expect(restored).toMatchObject({ code: EXIT.ok, errors: [] });
      expect(fieldsOf(restored.output)).toMatchObject({
        revision: String(saved.revision),
        keys: String(saved.keys),
        hash: saved.state_hash,
        index: String(saved.raft_index),
      });
      expect(statSync(join(root, name)).mode & 0o077).toBe(0);
    }
    expect(readdirSync(root)).toEqual([...NAMES]);

    const second = await Cluster.start(root, members, 'second');
    try {
      expect(second.servers[0]?.clusterId).not.toBe(cluster.servers[0]?.clusterId);
      const { revision, sessions } = await second.agreed();
      expect({ revision, sessions }).toEqual({
        revision: saved.revision,
        sessions: saved.sessions,
      });
      await clerk.close();
      const again = await Clerk.connect({ endpoints: second.endpoints, session: 'importer' });
      expect(again.session?.lastSeq).toBeGreaterThanOrEqual(300);
      const { count } = await again.range({ prefix: '' }, { limit: 1 });
      expect(count).toBe(saved.keys);
      expect(await again.get('early-299')).toBe('value 299');
      await again.put('late', 'written after the restore');
      const own = join(directory, 'of-the-second.snap');
      const next = await snapshot('save', own, '--endpoints', second.endpointOf('follower'));
      expect(fieldsOf(next.output)).toMatchObject({
        keys: String(saved.keys + 1),
        cluster: second.servers[0]?.clusterId.toString(16).padStart(16, '0'),
      });
      await again.close();
      await second.agreed();
    } finally {
      await second.close();
    }
    // Members that were restored keep their data over a restart, as any.
    const third = await Cluster.start(root, members, 'second');
    const reader = await Clerk.connect({ endpoints: third.endpoints });
    expect(await reader.get('late')).toBe('written after the restore');
    await reader.close();
    await third.close();
  });

  test('needs a leader, or --local: then a lone member gives what it has', async () => {
    const [first, ...rest] = cluster.servers;
    for (const server of rest) await server.close();
    const url = first?.clientUrls[0] ?? '';
    const flags = ['--endpoints', url, '--timeout', '20s'];
    await eventually('no leader', 10_000, () => (first?.status().leader === null ? true : null));
    const file = join(directory, 'lone.snap');
    const refused = await snapshot('save', file, ...flags);
    expect(refused.code).toBe(EXIT.failed);
    expect(refused.errors).toHaveLength(1);
    expect(refused.errors[0]).toMatch(/--local.*\(no file was written\)$/);
    const saved = await snapshot('save', file, ...flags, '--local');
    expect(saved.code).toBe(EXIT.ok);
    expect(Number(fieldsOf(saved.output)['keys'])).toBeGreaterThan(300);
  });
});

describe('a stream', () => {
  let bytes: Uint8Array;
  let server: GrpcServer;
  let work: string;

  beforeAll(async () => {
    ({ bytes } = await makeSnapshot(2_000));
  });

  beforeEach(() => {
    work = mkdtempSync(join(directory, 'stream-'));
  });

  afterEach(() => server.close());

  /** A server that streams these bytes and then ends with this gRPC status, or breaks. */
  async function serve(sent: Uint8Array, status: string | 'cut'): Promise<void> {
    server = await GrpcServer.start((stream) => {
      stream.respond(
        { ':status': 200, 'content-type': 'application/grpc' },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': status }));
      for (let at = 0; at < sent.length; at += 10_000) {
        const data = sent.subarray(at, at + 10_000);
        stream.write(frame(encodeSnapshotChunk({ data, estimatedBytes: 1_000_000 })));
      }
      if (status === 'cut') setTimeout(() => server.cut(), 50);
      else stream.end();
    });
  }

  function frame(message: Uint8Array): Uint8Array {
    const head = Buffer.alloc(5);
    head.writeUInt32BE(message.length, 1);
    return Buffer.concat([head, message]);
  }

  function save(...flags: string[]): Promise<Ran> {
    return snapshot('save', join(work, 'b.snap'), '--endpoints', server.address, ...flags);
  }

  test('that is whole becomes the file, byte for byte, and nothing else stays', async () => {
    await serve(bytes, '0');
    expect((await save()).code).toBe(EXIT.ok);
    expect(readFileSync(join(work, 'b.snap')).equals(bytes)).toBe(true);
    expect(readdirSync(work)).toEqual(['b.snap']);
  });

  test.each([
    ['breaks', () => serve(bytes.subarray(0, bytes.length / 2), 'cut'), /\S/],
    ['ends with an error', () => serve(bytes.subarray(0, bytes.length / 2), '14'), /status 14/],
    ['ends too early', () => serve(bytes.subarray(0, -1), '0'), /it ends too early/],
    ['has a flipped bit', () => serve(flipped(bytes, bytes.length / 2), '0'), /checksum/],
  ])('that %s leaves no file, and says so in one line', async (_how, serving, said) => {
    await serving();
    const { code, output, errors } = await save();
    expect({ code, output }).toEqual({ code: EXIT.failed, output: '' });
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(said);
    expect(errors[0]).toMatch(/\(no file was written\)$/);
    expect(readdirSync(work)).toEqual([]);
  });

  test('never takes the place of a file, unless it is told to', async () => {
    await serve(bytes, '0');
    writeFileSync(join(work, 'b.snap'), 'precious');
    const refused = await save();
    expect(refused.code).toBe(EXIT.usage);
    expect(refused.errors[0]).toMatch(/exists: name another file, or add --force/);
    expect(readFileSync(join(work, 'b.snap'), 'utf8')).toBe('precious');
    expect((await save('--force')).code).toBe(EXIT.ok);
    expect(readFileSync(join(work, 'b.snap')).equals(bytes)).toBe(true);
  });

  test('does not meet another one: what it left behind is named', async () => {
    await serve(bytes, '0');
    writeFileSync(join(work, 'b.snap.part'), 'half');
    const refused = await save();
    expect(refused).toMatchObject({
      code: EXIT.usage,
      errors: [expect.stringMatching(/b\.snap\.part: exists/)],
    });
    expect((await save('--force')).code).toBe(EXIT.ok);
    expect(readdirSync(work)).toEqual(['b.snap']);
  });

  test('comes from the next endpoint when the first does not answer', async () => {
    await serve(bytes, '0');
    const [port] = await findFreePorts(1);
    const endpoints = `127.0.0.1:${port},${server.address}`;
    const file = join(work, 'second.snap');
    expect((await snapshot('save', file, '--endpoints', endpoints)).code).toBe(EXIT.ok);
  });
});

/** The bytes with one bit of the byte at `at` turned round. */
function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const place = Math.floor(at);
  return Buffer.from(bytes).fill((bytes[place] as number) ^ 1, place, place + 1);
}

describe('a file', () => {
  let bytes: Uint8Array;
  let work: string;

  beforeAll(async () => {
    ({ bytes } = await makeSnapshot(500));
  });

  beforeEach(() => {
    work = mkdtempSync(join(directory, 'file-'));
  });

  function write(name: string, content: Uint8Array | string): string {
    const path = join(work, name);
    writeFileSync(path, content);
    return path;
  }

  test.each([
    ['has a flipped bit', () => flipped(bytes, bytes.length / 3), /checksum at byte \d+/],
    ['was cut', () => bytes.subarray(0, bytes.length - 100), /it ends too early at byte/],
    ['is empty', () => '', /it ends too early/],
    ['is something else', () => 'bbolt or whatever', /it is no snapshot/],
  ])(
    'that %s is one line and exit code 1, and nothing is restored',
    async (_how, content, said) => {
      const file = write('b.snap', content());
      const dataDir = join(work, 'data');
      for (const args of [
        ['status', file],
        ['restore', file, '--data-dir', dataDir],
      ]) {
        const { code, output, errors } = await snapshot(...args);
        expect({ code, output }).toEqual({ code: EXIT.failed, output: '' });
        expect(errors).toHaveLength(1);
        expect(errors[0]).toMatch(said);
        expect(errors[0]).toContain(`error: ${file}: `);
      }
      expect(readdirSync(work)).toEqual(['b.snap']);
    },
  );

  test('is restored for a single member with no flag but the directory', async () => {
    const file = write('b.snap', bytes);
    const dataDir = join(work, 'data');
    mkdirSync(dataDir, { mode: 0o700 });
    mkdirSync(join(work, 'data.part', 'state'), { recursive: true });
    expect(await snapshot('restore', file, '--data-dir', dataDir)).toMatchObject({ code: EXIT.ok });
    expect(readdirSync(work)).toEqual(['b.snap', 'data']);
    expect(readdirSync(dataDir).sort()).toEqual(['LOCK', 'state', 'wal']);
  });

  test('never takes the place of a directory with something in it', async () => {
    const file = write('b.snap', bytes);
    const dataDir = join(work, 'data');
    mkdirSync(dataDir);
    write('data/precious', 'x');
    const refused = await snapshot('restore', file, '--data-dir', dataDir);
    expect(refused).toMatchObject({
      code: EXIT.usage,
      errors: [expect.stringMatching(/--data-dir: .* is not empty/)],
    });
    rmSync(dataDir, { recursive: true });
    mkdirSync(`${dataDir}.part`);
    write('data.part/precious', 'x');
    const foreign = await snapshot('restore', file, '--data-dir', dataDir);
    expect(foreign).toMatchObject({
      code: EXIT.usage,
      errors: [expect.stringMatching(/holds 'precious'/)],
    });
    expect(existsSync(dataDir)).toBe(false);
    expect(readdirSync(`${dataDir}.part`)).toEqual(['precious']);
  });

  test('restored for members that do not fit together is refused by flag', async () => {
    const flags = ['--data-dir', join(work, 'data'), '--initial-cluster', 'a=http://h:1'];
    const refused = await snapshot('restore', join(work, 'none'), ...flags, '--name', 'b');
    expect(refused).toMatchObject({
      code: EXIT.usage,
      errors: [expect.stringMatching(/--initial-cluster: .*'b'/)],
    });
  });
});

test('`quorate snapshot` alone, or with a word it does not know, names its commands', async () => {
  for (const args of [[], ['sav']]) {
    const { code, errors } = await snapshot(...args);
    expect(code).toBe(EXIT.usage);
    expect(errors).toEqual([expect.stringMatching(/save, status or restore/)]);
  }
});
