import { once } from 'node:events';
import {
  ClientClosedError,
  Etcd3,
  EtcdLeaseInvalidError,
  EtcdLockFailedError,
  type IKeyValue,
  Range,
  type Watcher,
} from 'etcd3';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { withExactlyOnce } from '../../src/etcd3/index.ts';
import type { Server } from '../../src/server/index.ts';
import { hostOf, startMembers } from './members.ts';

/* The public interface of the npm client `etcd3`, unmodified, on one member and on three. */

describe.each([1, 3])('on a cluster of %i', (size) => {
  let servers: Server[] = [];
  let root: Etcd3;
  let etcd: ReturnType<Etcd3['namespace']>;
  let namespaces = 0;

  beforeAll(async () => {
    servers = await startMembers(size);
    root = new Etcd3({ hosts: servers.map(hostOf) });
  });

  afterAll(async () => {
    root.close();
    await Promise.all(servers.map((server) => server.close()));
  });

  /** A part of the keys that no other test looks at. */
  function fresh(): ReturnType<Etcd3['namespace']> {
    etcd = root.namespace(`${++namespaces}/`);
    return etcd;
  }

  test('values are put and read in every form', async () => {
    fresh();
    await etcd.put('text').value('grün');
    await etcd.put('number').value(42);
    await etcd.put('json').value(JSON.stringify({ a: [1] }));
    await etcd.put('bytes').value(Buffer.from([0, 255, 10]));
    expect(await etcd.get('text')).toBe('grün');
    expect(await etcd.get('text').string('latin1')).not.toBe('grün');
    expect(await etcd.get('number').number()).toBe(42);
    expect(await etcd.get('json').json()).toEqual({ a: [1] });
    expect(await etcd.get('bytes').buffer()).toEqual(Buffer.from([0, 255, 10]));
    expect(await etcd.get('none').string()).toBeNull();
    expect([await etcd.get('text').exists(), await etcd.get('none').exists()]).toEqual([
      true,
      false,
    ]);
  });

  test('a key is read as it was, and keeps count of its changes', async () => {
    fresh();
    const { header } = await etcd.put('k').value('old').exec();
    const previous = await etcd.put('k').value('new').getPrevious();
    expect(previous.value.toString()).toBe('old');
    await etcd.put('k').touch();
    expect(await etcd.get('k').revision(header.revision).string()).toBe('old');
    const { kvs } = await etcd.get('k').serializable(false).exec();
    expect(kvs[0]).toMatchObject({ version: '3', create_revision: header.revision });
    expect(await etcd.getAll().minCreateRevision(header.revision).count()).toBe(1);
    expect(await etcd.getAll().maxModRevision(header.revision).keys()).toEqual([]);
  });

  test('ranges are read by prefix, by bounds, sorted, cut and counted', async () => {
    fresh();
    for (const [i, key] of ['a/2', 'a/1', 'b/1', 'c'].entries()) await etcd.put(key).value(i);
    expect(await etcd.getAll().strings()).toEqual({ 'a/1': '1', 'a/2': '0', 'b/1': '2', c: '3' });
    expect(await etcd.getAll().prefix('a/').numbers()).toEqual({ 'a/1': 1, 'a/2': 0 });
    expect(await etcd.getAll().inRange({ start: 'a/2', end: 'c' }).keys()).toEqual(['a/2', 'b/1']);
    expect(await etcd.getAll().inRange(Range.prefix('b')).keys()).toEqual(['b/1']);
    expect(await etcd.getAll().sort('Mod', 'Descend').limit(2).keys()).toEqual(['c', 'b/1']);
    expect(await etcd.getAll().sort('Value', 'Ascend').keys()).toEqual(['a/2', 'a/1', 'b/1', 'c']);
    expect(await etcd.getAll().all().count()).toBe(4);
    expect((await etcd.getAll().keyBuffers()).map(String)).toHaveLength(4);
    expect(await etcd.getAll().prefix('c').json()).toEqual({ c: 3 });
    expect(Object.keys(await etcd.getAll().buffers())).toHaveLength(4);
    const { more, count } = await etcd.getAll().limit(1).exec();
    expect([more, count]).toEqual([true, '4']);
  });

  test('keys are deleted one by one, by range and all', async () => {
    fresh();
    for (const key of ['1', '2', '3', '4', '5']) await etcd.put(key).value(`v${key}`);
    expect(await etcd.delete().key('1').getPrevious()).toMatchObject([
      { value: Buffer.from('v1') },
    ]);
    expect((await etcd.delete().key('1').exec()).deleted).toBe('0');
    expect((await etcd.delete().inRange({ start: '2', end: '4' }).exec()).deleted).toBe('2');
    expect((await etcd.delete().prefix('4').exec()).deleted).toBe('1');
    expect((await etcd.delete().all().exec()).deleted).toBe('1');
    expect(await etcd.getAll().count()).toBe(0);
  });

  test('a namespace in a namespace sees its own keys alone', async () => {
    fresh();
    const inner = etcd.namespace('inner/');
    await etcd.put('k').value('outer');
    await inner.put('k').value('inner');
    expect(await inner.getAll().strings()).toEqual({ k: 'inner' });
    expect(await etcd.getAll().keys()).toEqual(['inner/k', 'k']);
  });

  test('a transaction takes one of its branches', async () => {
    fresh();
    await etcd.put('k').value('1');
    const run = (value: string) =>
      etcd
        .if('k', 'Value', '==', value)
        .and('k', 'Version', '<', 2)
        .and('none', 'Create', '===', 0)
        .then(etcd.put('k').value('2'), etcd.get('k'), etcd.delete().key('gone'))
        .else(etcd.get('k'))
        .commit();
    const [won, lost] = [await run('1'), await run('1')];
    expect([won.succeeded, lost.succeeded]).toEqual([true, false]);
    expect(won.responses[1]?.response_range?.kvs[0]?.value.toString()).toBe('2');
    expect(lost.responses).toHaveLength(1);
  });

  // The numbers of its constant enum `Isolation`.
  test.each([
    ['serializable snapshot', 0],
    ['serializable', 1],
    ['repeatable reads', 2],
  ])('increments in software transactions get lost in none: %s', async (_name, isolation) => {
    fresh();
    await etcd.put('counter').value(0);
    const increment = () =>
      etcd.stm({ retries: 50, isolation }).transact(async (tx) => {
        const value = (await tx.get('counter').number()) ?? 0;
        await tx.put('counter').value(value + 1);
      });
    await Promise.all(Array.from({ length: 3 }, increment));
    expect(await etcd.get('counter').number()).toBe(3);
  });

  test('a software transaction sees its own writes and deletes', async () => {
    fresh();
    await etcd.put('gone').value('x');
    await etcd.stm().transact(async (tx) => {
      await tx.put('k').value('v');
      await tx.delete().key('gone');
      expect([await tx.get('k').string(), await tx.get('gone').string()]).toEqual(['v', null]);
    });
    expect(await etcd.getAll().strings()).toEqual({ k: 'v' });
  });

  test('a lock is held by one at a time, and given back', async () => {
    fresh();
    const [one, other] = [etcd.lock('l').ttl(10), etcd.lock('l')];
    await one.acquire();
    expect(await one.leaseId()).not.toBeNull();
    await expect(other.acquire()).rejects.toThrow(EtcdLockFailedError);
    await one.release();
    expect(await other.do(() => 'done')).toBe('done');
    expect(await etcd.getAll().count()).toBe(0);
  });

  test('an election has a leader, which proclaims, resigns and is followed', async () => {
    fresh();
    const election = etcd.election('e', 10);
    const first = await election.campaign('first').wait();
    const observer = await election.observe();
    expect([await election.leader(), observer.leader()]).toEqual(['first', 'first']);
    const said = once(observer, 'change');
    await first.proclaim('first again');
    expect(await said).toEqual(['first again']);
    const second = election.campaign('second');
    const elected = once(second, 'elected');
    await second.getCampaignKey();
    await first.resign();
    await elected;
    expect(await election.leader()).toBe('second');
    await second.resign();
    expect(await election.leader()).toBeUndefined();
    await observer.cancel();
  });

  test('a lease holds its keys until it is revoked', async () => {
    fresh();
    const lease = etcd.lease(60);
    await lease.put('leased').value('x');
    const kept = await lease.keepaliveOnce();
    expect(kept.TTL).toBe('60');
    await etcd.put('leased').ignoreLease().value('y');
    const { kvs } = await etcd.get('leased').exec();
    expect(kvs[0]?.lease).toBe(await lease.grant());
    await lease.revoke();
    expect([await etcd.get('leased').string(), lease.revoked()]).toEqual([null, true]);
    const put = etcd
      .put('k')
      .value('x')
      .lease(await lease.grant());
    await expect(put.exec()).rejects.toThrow(EtcdLeaseInvalidError);
  });

  test('a lease that is kept alive outlives its time, one that is let go does not', async () => {
    fresh();
    const [kept, released] = [etcd.lease(2), etcd.lease(2)];
    // Each third of its time it is kept alive.
    const renewals = once(kept, 'keepaliveSucceeded');
    await kept.put('kept').value('x');
    await released.put('released').value('x');
    const watcher = await etcd.watch().key('released').create();
    const gone = once(watcher, 'delete');
    released.release();
    await Promise.all([gone, renewals]);
    expect(await etcd.getAll().keys()).toEqual(['kept']);
    await watcher.cancel();
    await kept.revoke();
  });

  test('watchers see what they ask for, from where they ask for it', async () => {
    fresh();
    const { header } = await etcd.put('w/1').value('0').exec();
    const seen: Record<string, string[]> = {};
    const note = (name: string, watcher: Watcher): Watcher => {
      const list: string[] = [];
      seen[name] = list;
      const add = (kind: string) => (kv: IKeyValue, previous?: IKeyValue) =>
        void list.push(`${kind} ${kv.key} ${previous?.value ?? ''}`.trim());
      return watcher.on('put', add('put')).on('delete', add('delete'));
    };
    const watchers = [
      note('key', await etcd.watch().key('w/1').create()),
      note('prefix', await etcd.watch().prefix('w/').withPreviousKV().create()),
      note('range', await etcd.watch().inRange({ start: 'w/2', end: 'w/3' }).create()),
      note('puts', await etcd.watch().prefix('w/').only('put').create()),
      note('past', await etcd.watch().prefix('w/').startRevision(header.revision).create()),
      // The client takes its filters the wrong way round, on a real etcd as well.
      note('no deletes', await etcd.watch().prefix('w/').ignore('put').create()),
    ];
    const last = await etcd.watch().key('end').create();
    const end = once(last, 'put');
    await etcd.put('w/1').value('1');
    await etcd.put('w/2').value('2');
    await etcd.delete().key('w/1');
    await etcd.put('end').value('x');
    await end;
    await Promise.all([...watchers, last].map((watcher) => watcher.cancel()));
    expect(seen).toEqual({
      key: ['put w/1', 'delete w/1'],
      prefix: ['put w/1 0', 'put w/2', 'delete w/1 1'],
      range: ['put w/2'],
      puts: ['put w/1', 'put w/2'],
      past: ['put w/1', 'put w/1', 'put w/2', 'delete w/1'],
      'no deletes': ['put w/1', 'put w/2'],
    });
  });

  test('the cluster, its members and what there is to maintain', async () => {
    const { members } = await root.cluster.memberList({});
    expect(members.map(({ name }) => name).sort()).toEqual(['m1', 'm2', 'm3'].slice(0, size));
    const status = await root.maintenance.status();
    expect(members.map(({ ID }) => ID)).toContain(status.leader);
    expect((await root.maintenance.alarm({ action: 'Get' as never })).alarms).toEqual([]);
    await root.maintenance.defragment();
    expect((await root.maintenance.hash()).hash).toBeGreaterThan(0);
    await expect(root.getRoles()).rejects.toThrow();
  });

  test('what one member was given is read, and watched, at every other', async () => {
    fresh();
    const prefix = `${namespaces}/`;
    for (const given of servers) {
      for (const asked of servers) {
        const [writer, reader] = [given, asked].map(
          (server) => new Etcd3({ hosts: hostOf(server) }),
        ) as [Etcd3, Etcd3];
        const key = `${prefix}${given.memberId}-${asked.memberId}`;
        const watcher = await reader.watch().key(key).create();
        const told = once(watcher, 'put');
        await writer.put(key).value('news');
        expect(await reader.get(key).string()).toBe('news');
        expect((await told)[0]).toMatchObject({ value: Buffer.from('news') });
        await watcher.cancel();
        writer.close();
        reader.close();
      }
    }
  });

  test('a client that was closed says so', async () => {
    const closed = new Etcd3({ hosts: servers.map(hostOf) });
    closed.close();
    await expect(closed.get('k').string()).rejects.toThrow(ClientClosedError);
  });
});

describe('when a member of three ends', () => {
  let servers: Server[] = [];
  let etcd: Etcd3;

  beforeEach(async () => {
    servers = await startMembers(3);
    etcd = new Etcd3({ hosts: servers.map(hostOf) });
  });

  afterEach(async () => {
    etcd.close();
    await Promise.all(servers.map((server) => server.close()));
  });

  /** Closes the leader; resolves with a client of the others. */
  async function closeLeader(): Promise<Etcd3> {
    const leader = servers.find((server) => server.status().role === 'leader');
    await leader?.close();
    return new Etcd3({ hosts: servers.filter((server) => server !== leader).map(hostOf) });
  }

  test('watchers go on at another and miss nothing, leases live, and writes go on', async () => {
    // Kept alive each second.
    const lease = etcd.lease(3);
    await lease.put('leased').value('x');
    const seen: string[] = [];
    const watcher = await etcd.watch().prefix('w/').create();
    watcher.on('put', (kv) => void seen.push(kv.value.toString()));
    for (const i of [1, 2]) await etcd.put(`w/${i}`).value(i);
    const others = await closeLeader();
    for (const i of [3, 4]) await others.put(`w/${i}`).value(i);
    while (seen.length < 4) await new Promise((resolve) => setImmediate(resolve));
    expect(seen).toEqual(['1', '2', '3', '4']);
    await once(lease, 'keepaliveSucceeded');
    expect(await others.get('leased').string()).toBe('x');
    others.close();
  });

  test('writes of a session that are under way happen once, and in their order', async () => {
    await withExactlyOnce(etcd, { session: 'failover' });
    const puts = Array.from({ length: 100 }, (_, i) => etcd.put(`s/${i}`).value(i).exec());
    await puts[20];
    const others = await closeLeader();
    const revisions = (await Promise.all(puts)).map(({ header }) => Number(header.revision));
    expect(revisions).toEqual(revisions.map((_, i) => (revisions[0] ?? 0) + i));
    const { kvs } = await others.getAll().prefix('s/').exec();
    expect(kvs.map(({ version }) => version)).toEqual(puts.map(() => '1'));
    others.close();
  });
});
