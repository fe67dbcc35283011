import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Clerk, KvError } from '../../client/index.ts';
import { eventually, quorateCommand } from '../testing/process.ts';
import { ProcessCluster } from './process-cluster.ts';

let directory: string;
let cluster: ProcessCluster;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-cluster-'));
  const command = [...quorateCommand(), 'serve'];
  cluster = await ProcessCluster.start({ command, directory, proxied: true });
});

afterAll(async () => {
  await cluster?.close();
  rmSync(directory, { recursive: true });
});

/** The leader that all running members agree on, another one than `former`. */
function agreedLeader(former: string | null = null): Promise<string> {
  return eventually('the members agree on a leader', 10_000, async () => {
    const statuses = await cluster.statuses();
    const leaders = new Set([...statuses.values()].map(({ leader }) => leader?.memberId ?? null));
    const leader = await cluster.leader();
    return leaders.size === 1 && leader !== null && leader !== former ? leader : null;
  });
}

/** The cluster through links of a client's own, so that cutting them concerns nobody else. */
async function clerkOf(client: string): Promise<Clerk> {
  return Clerk.connect({ endpoints: await cluster.endpointsOf(client), discover: false });
}

describe('a cluster of processes', () => {
  test('goes on when its leader is killed, and takes it back later', async () => {
    await using clerk = await clerkOf('kill');
    await clerk.put('kill', 'before');
    const leader = await agreedLeader();
    await cluster.kill(leader);
    expect(cluster.member(leader).running).toBe(false);
    await clerk.put('kill', 'after');
    await cluster.restart(leader);
    await cluster.member(leader).ready();
    expect(await clerk.get('kill')).toBe('after');
  });

  test('chooses another leader while the old one is frozen, which then follows', async () => {
    const leader = await agreedLeader();
    cluster.member(leader).pause();
    const next = await eventually('another leader', 10_000, async () => {
      const now = await cluster.leader();
      return now !== null && now !== leader ? now : null;
    });
    cluster.member(leader).resume();
    await eventually('the old leader follows', 10_000, async () => {
      const status = await cluster.member(leader).status();
      return status.role === 'follower' ? true : null;
    });
    expect(next).not.toBe(leader);
  });

  test('chooses another leader when the links of the old one are cut, and heals', async () => {
    const leader = await agreedLeader();
    const others = [...cluster.members.keys()].filter((name) => name !== leader);
    cluster.links.partition([[leader], others]);
    const next = await eventually('the majority has a leader', 10_000, async () => {
      const statuses = await cluster.statuses();
      return others.find((name) => statuses.get(name)?.role === 'leader') ?? null;
    });
    cluster.links.heal();
    expect(others).toContain(next);
    await agreedLeader();
  });

  test('answers nobody over a cut client link, and everybody else', async () => {
    await agreedLeader();
    await using cut = await clerkOf('cut');
    await using whole = await clerkOf('whole');
    for (const name of cluster.members.keys())
      (await cluster.links.client('cut', name)).cut('silent');
    const failure = await cut.put('k', 'v', { timeoutMs: 300 }).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(KvError);
    await whole.put('k', 'v');
    cluster.links.heal();
    await cut.put('k', 'w');
    expect(await whole.get('k')).toBe('w');
  });

  test('has members with equal state hashes once they have applied the same entries', async () => {
    await using clerk = await clerkOf('hash');
    await clerk.put('hash', 'x');
    const hashes = await eventually('all members have applied the same', 10_000, async () => {
      const statuses = [...(await cluster.statuses()).values()];
      const applied = new Set(statuses.map(({ appliedIndex }) => appliedIndex));
      return statuses.length === 3 && applied.size === 1
        ? new Set(statuses.map(({ stateHash }) => stateHash))
        : null;
    });
    expect(hashes.size).toBe(1);
  });
});

test('a member that cannot start says why, with its own last line', async () => {
  const name = [...cluster.members.keys()][0] ?? '';
  const { spec } = cluster.member(name);
  const flags = ['--data-dir', join(directory, 'other'), '--name', 'a=b'];
  const other = new (await import('./member-process.ts')).MemberProcess(
    { ...spec, flags, logPath: join(directory, 'other.log') },
    () => {},
  );
  await expect(other.start()).rejects.toThrow(/ended \(exit code 2\): error: --name: 'a=b'/);
});
