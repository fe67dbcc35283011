import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Cluster, ourCluster, realCluster } from './clusters.ts';
import { Etcdctl, plain } from './etcdctl-process.ts';
import { RealEtcd } from './real-etcd.ts';

/*
 * Every command of etcdctl 3.4 that is about keys, members and maintenance, on a real etcd, and on
 * one and three members of ours, with and without TLS: they print the same.
 */

let directory: string;
let real: Cluster;
let clusters: readonly Cluster[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'etcdctl-'));
  real = await realCluster();
  clusters = [
    await ourCluster(1, false),
    await ourCluster(1, true),
    await ourCluster(3, false),
    await ourCluster(3, true),
  ];
});

afterAll(async () => {
  for (const cluster of clusters) await cluster.close();
  await real.close();
  await rm(directory, { recursive: true });
});

/** The same commands on etcd and on ours: they say the same. */
async function compare(talk: (ctl: Etcdctl, cluster: Cluster) => Promise<void>): Promise<void> {
  const said = async (cluster: Cluster): Promise<readonly string[]> => {
    const ctl = cluster.ctl();
    await talk(ctl, cluster);
    return ctl.said;
  };
  const expected = await said(real);
  expect(expected.length).toBeGreaterThan(0);
  for (const cluster of clusters) {
    const ours = await said(cluster);
    const at = expected.findIndex((text, n) => text !== ours[n]);
    const difference = `${cluster.title} says "${ours[at]}" where etcd says "${expected[at]}"`;
    expect(ours, difference).toEqual(expected);
  }
}

test('get, put, del, txn and compaction', async () => {
  await compare(async (ctl) => {
    await ctl.say('put a 1');
    await ctl.say('put a 2 --prev-kv');
    await ctl.say('put a --ignore-value --prev-kv');
    await ctl.say('put none --ignore-value');
    await ctl.sayFrom('from input', 'put', 'b');
    await ctl.say('put', 'c', '\u00e4\n\u{1f512}');
    await ctl.say('get a');
    await ctl.say('get a -w json');
    await ctl.say('get a -w fields');
    await ctl.say('get a --hex');
    await ctl.say('get a z --sort-by=modify --order=descend');
    await ctl.say('get --from-key b --limit=1');
    await ctl.say('get --prefix --keys-only', '');
    await ctl.say('get a --rev=2 --print-value-only');
    await ctl.say('get a --rev=1000');
    await ctl.say('get a --consistency=s');
    await hashed(ctl);
    await ctl.sayFrom('mod("a") > "0"\n\nput a 3\nget a\n\nput b 4\n\n', 'txn');
    await ctl.sayFrom('value("a") = "9"\n\nput a 3\n\nget b\ndel c\n\n', 'txn');
    await ctl.sayFrom('create("a") = "0"\n\n\n\n', 'txn');
    await ctl.say('del a b --prev-kv');
    await ctl.say('del --prefix', '');
    await ctl.say('del none');
    await ctl.say('compaction 3');
    await ctl.say('compaction 3');
    await ctl.say('compaction 1000');
    await ctl.say('compaction 4 --physical');
    await ctl.say('get a --rev=2');
    await hashed(ctl);
  });
});

/** The hash of the first member's keys, when it has all that was written. */
async function hashed(ctl: Etcdctl): Promise<void> {
  await ctl.first().run(['get', 'anything']);
  await ctl.first().say('endpoint hashkv');
}

test('watch', async () => {
  await compare(async (ctl) => {
    const first = await ctl.run(['put', 'w1', '0', '-w', 'json']);
    const { revision } = (JSON.parse(first.stdout) as { header: { revision: number } }).header;
    const all = ctl.start(['watch', 'w', '--prefix', '--prev-kv', `--rev=${revision}`]);
    const one = ctl.start(['watch', 'w2', `--rev=${revision}`]);
    await all.lines(3);
    await ctl.run(['put', 'w1', '1']);
    await ctl.run(['put', 'w2', '2']);
    await ctl.run(['del', 'w1']);
    // type, key, value; and what was there before.
    const lines = [...(await all.lines(16)), ...(await one.lines(3))];
    const ended = await Promise.all([all.interrupt(), one.interrupt()]);
    ctl.said.push([...lines, ...ended.map(({ code }) => `(${code})`)].join('\n'));
    await ctl.run(['compaction', `${revision}`]);
    const compacted = ctl.start(['watch', 'w1', '--rev=1']);
    const { code, stderr } = await compacted.ended;
    ctl.said.push(`compacted: ${code} ${stderr.includes('required revision has been compacted')}`);
  });
});

test('lease', async () => {
  await compare(async (ctl) => {
    const granted = await ctl.say('lease grant 100');
    const id = granted.split(' ')[1] ?? '';
    await ctl.say('put leased 1', `--lease=${id}`);
    await ctl.say('lease list');
    await ctl.say('lease timetolive', id, '--keys');
    await ctl.say('lease keep-alive --once', id);
    const keeping = ctl.start(['lease', 'keep-alive', id]);
    ctl.said.push(plain((await keeping.lines(1)).join('')));
    await keeping.interrupt();
    await ctl.say('lease revoke', id);
    await ctl.say('get leased');
    await ctl.say('lease revoke', id);
    await ctl.say('lease timetolive', id);
    await ctl.say('lease keep-alive --once', id);
    await ctl.say('lease grant 9000000001');
    await ctl.say('put leased 1', `--lease=${id}`);
  });
});

test('lock and elect', async () => {
  await compare(async (ctl) => {
    await ctl.say('lock l', 'echo', 'held');
    const holder = ctl.start(['lock', 'l']);
    ctl.said.push(plain((await holder.lines(1)).join()));
    const waiter = ctl.start(['lock', 'l', 'echo', 'had to wait']);
    await keysUnder(ctl, 'l/', 2);
    expect(waiter.process.exitCode).toBeNull();
    await holder.interrupt();
    const { code, stdout } = await waiter.ended;
    ctl.said.push(`${stdout}(${code})`);
    await keysUnder(ctl, 'l/', 0);

    const leader = ctl.start(['elect', 'e', 'first']);
    ctl.said.push(plain((await leader.lines(2)).join('\n')));
    const listener = ctl.start(['elect', 'e', '--listen']);
    await listener.lines(2);
    const heir = ctl.start(['elect', 'e', 'second']);
    await keysUnder(ctl, 'e/', 2);
    await leader.interrupt();
    ctl.said.push(plain((await heir.lines(2)).join('\n')));
    ctl.said.push(plain((await listener.lines(4)).join('\n')));
    await Promise.all([heir.interrupt(), listener.interrupt()]);
    await keysUnder(ctl, 'e/', 0);
  });
});

/** Resolves when there are so many keys with this prefix. */
async function keysUnder(ctl: Etcdctl, prefix: string, count: number): Promise<void> {
  const args = ['get', '--prefix', prefix, '--keys-only'];
  await expect
    .poll(async () => (await ctl.run(args)).stdout.split('\n').filter((line) => line !== '').length)
    .toBe(count);
}

test('endpoint, member list, alarm, defrag', async () => {
  // A line for each member, all alike: said once.
  const once = (text: string): string => [...new Set(plain(text).split('\n'))].join('\n');
  await compare(async (ctl) => {
    for (const command of ['endpoint health', 'endpoint health --cluster', 'defrag']) {
      const { code, stdout, stderr } = await ctl.run(command.split(' '));
      ctl.said.push(`${once(stdout + stderr)} (${code})`);
    }
    const status = await ctl.run(['endpoint', 'status', '--cluster']);
    const fields = status.stdout
      .trim()
      .split('\n')
      .map((line) => line.split(', '));
    const isLeader = fields.map(([, , , , leader]) => leader);
    expect(isLeader.filter((leader) => leader === 'true')).toHaveLength(1);
    for (const [, , version, , , learner] of fields) ctl.said.push(`${version} ${learner}`);
    ctl.said.splice(-fields.length, fields.length - 1);
    const members = await ctl.run(['member', 'list']);
    ctl.said.push(once(members.stdout.replaceAll(/, (m\d|default),/g, ', <name>,')));
    await ctl.say('alarm list');
    await ctl.say('alarm disarm');
  });
});

test('snapshot save and status', async () => {
  await compare(async (ctl, { title }) => {
    const file = join(directory, `${title}.db`);
    await ctl.first().run(['get', 'anything']);
    const saved = await ctl.first().run(['snapshot', 'save', file]);
    expect(saved).toMatchObject({ code: 0 });
    const status = await ctl.run(['snapshot', 'status', file, '-w', 'json']);
    const { revision } = JSON.parse(status.stdout) as { revision: number };
    ctl.said.push(`snapshot at ${revision}`);
  });
});

test('snapshot restore: a real etcd goes on from a file that came over TLS', async () => {
  for (const cluster of clusters.filter(({ title }) => title.endsWith('with TLS'))) {
    const ctl = cluster.ctl();
    for (const n of [1, 2, 3]) await ctl.run(['put', `restored/${n}`, `${cluster.title} ${n}`]);
    const all = ['get', '--prefix', 'restored/', '-w', 'json'];
    const kvsOf = ({ stdout }: { stdout: string }): unknown => JSON.parse(stdout).kvs;
    const expected = kvsOf(await ctl.first().run(all));
    const [file, dataDir] = [`${cluster.title}.file`, cluster.title].map((name) =>
      join(directory, name),
    ) as [string, string];
    expect(await ctl.first().run(['snapshot', 'save', file])).toMatchObject({ code: 0 });
    expect(await ctl.run(['snapshot', 'status', file])).toMatchObject({ code: 0 });
    expect(await ctl.run(['snapshot', 'restore', file, '--data-dir', dataDir])).toMatchObject({
      code: 0,
    });
    const etcd = await RealEtcd.start(dataDir);
    try {
      expect(kvsOf(await new Etcdctl([etcd.address]).run(all))).toEqual(expected);
    } finally {
      await etcd.stop();
    }
  }
});

test('endpoint hashkv: three members have the same hash', async () => {
  for (const cluster of clusters.filter(({ members }) => members === 3)) {
    const ctl = cluster.ctl();
    await ctl.run(['put', 'hashed', cluster.title]);
    for (const member of ctl.each()) await member.run(['get', 'hashed']);
    const { stdout } = await ctl.run(['endpoint', 'hashkv']);
    const hashes = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(', ')[1]);
    expect(hashes, cluster.title).toEqual(Array(3).fill(hashes[0]));
  }
});

test('make-mirror', async () => {
  const destination = await ourCluster(1, false);
  try {
    await compare(async (ctl, { title }) => {
      await ctl.run(['put', 'mirrored/before', title]);
      const [to = ''] = destination.ctl().endpoints;
      const mirror = ctl.start(['make-mirror', to, '--prefix=mirrored/']);
      const copied = async (key: string, value: string): Promise<void> => {
        const { stdout } = await destination.ctl().run(['get', '--print-value-only', key]);
        expect(stdout.trim()).toBe(value);
      };
      await expect
        .poll(() => copied('mirrored/before', title), { timeout: 10_000 })
        .toBeUndefined();
      await ctl.run(['put', 'mirrored/after', title]);
      await expect.poll(() => copied('mirrored/after', title), { timeout: 10_000 }).toBeUndefined();
      await ctl.run(['del', '--prefix', 'mirrored/']);
      await expect.poll(() => copied('mirrored/after', ''), { timeout: 10_000 }).toBeUndefined();
      const { code } = await mirror.interrupt();
      ctl.said.push(`mirrored (${code})`);
    });
  } finally {
    await destination.close();
  }
});

describe('move-leader', () => {
  test('is refused by one member, as in etcd', async () => {
    const said = async (cluster: Cluster): Promise<readonly string[]> => {
      const ctl = cluster.ctl();
      await ctl.say('move-leader 1f');
      return ctl.said;
    };
    for (const cluster of clusters) expect(await said(cluster)).toEqual(await said(real));
  });

  test('hands over to another of three', async () => {
    for (const cluster of clusters.filter(({ members }) => members === 3)) {
      const ctl = cluster.ctl();
      const { leader, followers } = await roles(ctl);
      const [heir = ''] = followers;
      const { stdout } = await ctl.run(['move-leader', heir]);
      expect(stdout.trim(), cluster.title).toBe(`Leadership transferred from ${leader} to ${heir}`);
      await expect.poll(async () => (await roles(ctl)).leader).toBe(heir);
    }
  });
});

/** Ids, as etcdctl writes them. */
async function roles(ctl: Etcdctl): Promise<{ leader: string | null; followers: string[] }> {
  const { stdout } = await ctl.run(['endpoint', 'status']);
  const members = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(', '));
  const ids = (leads: string) =>
    members.filter(([, , , , leader]) => leader === leads).map(([, id = '']) => id);
  return { leader: ids('true')[0] ?? null, followers: ids('false') };
}

test('check perf: the load s for a minute', { timeout: 120_000 }, async () => {
  const [cluster] = clusters;
  const { code, stdout } = (await cluster?.ctl().run(['check', 'perf', '--load=s'])) ?? {};
  expect(stdout).toContain('PASS: Throughput is');
  expect(stdout).not.toContain('FAIL');
  expect(code).toBe(0);
});
