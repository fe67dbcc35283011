import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clerk } from '../client/index.ts';
import { startServer } from '../server/index.ts';
import { findFreePorts } from './cluster/index.ts';
import { EXIT, type ExitCode } from './exit.ts';
import { run } from './program.ts';
import { TestHost } from './testing/host.ts';
import { eventually } from './testing/process.ts';

let directory: string;
let file: string;
let bytes: Buffer;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-snapshot-etcd-'));
  bytes = gunzipSync(readFileSync(new URL('../bbolt/golden/etcd-3.4.db.gz', import.meta.url)));
  file = write('etcd.db', bytes);
});

afterAll(() => rmSync(directory, { recursive: true }));

function write(name: string, content: Uint8Array): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

async function snapshot(...args: string[]) {
  const host = new TestHost();
  const code: ExitCode = await run(['snapshot', ...args], host);
  return { code, output: host.output, errors: host.errors };
}

/** One member, as the restored directory and the server are told alike. */
const MEMBER = ['--name', 'm1', '--initial-cluster', 'm1=http://127.0.0.1:2380'];

async function started(dataDir: string) {
  const server = await startServer({
    name: 'm1',
    initialCluster: [{ name: 'm1', peerUrls: ['http://127.0.0.1:2380'] }],
    listenPeerUrls: ['http://127.0.0.1:0'],
    listenClientUrls: ['http://127.0.0.1:0'],
    dataDir,
  });
  await server.ready;
  return server;
}

describe('a snapshot of etcd', () => {
  test('has a status: what etcdctl prints of it, and more', async () => {
    const sha256 = bytes.subarray(-32).toString('hex');
    const line = await snapshot('status', file);
    expect(line).toEqual({
      code: EXIT.ok,
      errors: [],
      output:
        `${file}  format=etcd  revision=16  compacted=7  changes=489  leases=2  rows=497  ` +
        `bytes=77824  hash=b68a1a09  sha256=${sha256}\n`,
    });
    const json = await snapshot('status', file, '-w', 'json');
    expect(JSON.parse(json.output)).toEqual({
      revision: 16,
      compact_revision: 7,
      changes: 489,
      leases: 2,
      rows: 497,
      bytes: 77_824,
      hash: 'b68a1a09',
      sha256,
    });
  });

  test('becomes a member, which goes on where etcd was and keeps it over a restart', async () => {
    const dataDir = join(directory, 'member');
    const restored = await snapshot('restore', file, '--data-dir', dataDir, ...MEMBER);
    expect(restored).toMatchObject({ code: EXIT.ok, errors: [] });
    expect(restored.output).toMatch(/ {2}revision=16 {2}keys=245 {2}index=1 {2}term=1 {2}hash=/);
    const first = await started(dataDir);
    const clerk = await Clerk.connect({ endpoints: first.clientUrls });
    expect(await clerk.get('a')).toBe('6');
    const { revision } = await clerk.put('a', '7');
    expect(revision).toBe(17);
    await clerk.close();
    await first.close();
    const second = await started(dataDir);
    const reader = await Clerk.connect({ endpoints: second.clientUrls });
    expect(await reader.get('a')).toBe('7');
    expect((await reader.get('large'))?.length).toBe(9_000);
    await reader.close();
    await second.close();
  });

  test('becomes three members that agree', async () => {
    const names = ['m1', 'm2', 'm3'];
    const ports = await findFreePorts(names.length);
    const urls = names.map((_, at) => `http://127.0.0.1:${ports[at]}`);
    const all = names.map((name, at) => `${name}=${urls[at]}`).join(',');
    const hashes = new Set<string | undefined>();
    for (const name of names) {
      const flags = ['--data-dir', join(directory, name), '--name', name, '--initial-cluster', all];
      const { code, output } = await snapshot('restore', file, ...flags);
      expect(code).toBe(EXIT.ok);
      hashes.add(/hash=(\w+)/.exec(output)?.[1]);
    }
    expect(hashes.size).toBe(1);
    const servers = await Promise.all(
      names.map((name, at) =>
        startServer({
          name,
          initialCluster: names.map((each, i) => ({ name: each, peerUrls: [urls[i] ?? ''] })),
          listenPeerUrls: [urls[at] ?? ''],
          listenClientUrls: ['http://127.0.0.1:0'],
          dataDir: join(directory, name),
        }),
      ),
    );
    await Promise.all(servers.map(({ ready }) => ready));
    const clerk = await Clerk.connect({
      endpoints: servers.flatMap(({ clientUrls }) => clientUrls),
    });
    await clerk.put('a', 'by three');
    await clerk.close();
    const states = await eventually('three equal states', 10_000, () => {
      const found = servers.map((server) => server.status());
      const isSame = found.every(({ appliedIndex }) => appliedIndex === found[0]?.appliedIndex);
      return isSame && found[0]?.revision === 17 ? found : null;
    });
    expect(new Set(states.map(({ stateHash }) => stateHash)).size).toBe(1);
    await Promise.all(servers.map((server) => server.close()));
  });

  test.each([
    ['has no SHA-256', () => bytes.subarray(0, -32), /it has no SHA-256.*--skip-hash-check/, []],
    ['was cut', () => bytes.subarray(0, 40_960), /it was cut off/, ['--skip-hash-check']],
    ['has a flipped bit', () => flipped(30_000), /SHA-256 is .* take another snapshot/, []],
  ])(
    'that %s is one line and exit code 1, and nothing is left',
    async (_how, make, said, flags) => {
      const damaged = write('damaged.db', make());
      const before = readdirSync(directory).sort();
      const dataDir = join(directory, 'none');
      const { code, output, errors } = await snapshot(
        ...['restore', damaged, '--data-dir', dataDir, ...MEMBER, ...flags],
      );
      expect({ code, output }).toEqual({ code: EXIT.failed, output: '' });
      expect(errors).toEqual([expect.stringMatching(said)]);
      expect(errors[0]).toMatch(/^error: \S+damaged\.db: (?!\/).* \(nothing was restored\)$/);
      expect(readdirSync(directory).sort()).toEqual(before);
    },
  );
});

function flipped(at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy.writeUInt8(copy.readUInt8(at) ^ 1, at);
  return copy;
}
