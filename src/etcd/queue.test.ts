import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findFreePorts } from '../cli/cluster/index.ts';
import { utf8Bytes } from '../lib/index.ts';
import { type Server, startServer } from '../server/index.ts';
import { Caller } from './testing/caller.ts';
import * as call from './testing/exchanges.ts';

/* Locks and elections at three members. test/etcd/queues.ts compares them with etcd's. */

const FAST = { heartbeatIntervalMs: 50, electionTimeoutMs: 300 };

let servers: Server[];
let callers: Caller[];

beforeAll(async () => {
  const ports = await findFreePorts(3);
  const initialCluster = ports.map((port, at) => {
    return { name: `m${at}`, peerUrls: [`http://127.0.0.1:${port}`] };
  });
  const start = ({ name, peerUrls }: (typeof initialCluster)[number]): Promise<Server> =>
    startServer({
      name,
      initialCluster,
      listenPeerUrls: peerUrls,
      listenClientUrls: ['http://127.0.0.1:0'],
      dataDir: { memory: true },
      ...FAST,
    });
  servers = await Promise.all(initialCluster.map(start));
  await Promise.all(servers.map(({ ready }) => ready));
  callers = servers.map(({ clientUrls }) => new Caller(new URL(clientUrls[0] ?? '').host));
});

afterAll(async () => {
  for (const caller of callers) caller.close();
  await Promise.all(servers.map((server) => server.close()));
});

/** Requests go to all members in turn. */
let turn = 0;
function caller(): Caller {
  return callers[turn++ % callers.length] as Caller;
}

async function lease(): Promise<bigint> {
  const outcome = await caller().call(call.GRANT, { TTL: 1_000 });
  if (!outcome.ok) throw new Error(outcome.text);
  return outcome.response.ID;
}

async function lock(name: string, ID: bigint): Promise<Uint8Array> {
  const outcome = await caller().call(call.LOCK, { name: utf8Bytes(name), lease: ID });
  if (!outcome.ok) throw new Error(outcome.text);
  return outcome.response.key;
}

/** Resolves when so many stand in the queue. */
async function queued(name: string, length: number): Promise<void> {
  const range = { key: utf8Bytes(`${name}/`), range_end: utf8Bytes(`${name}0`) };
  for (;;) {
    const outcome = await caller().call(call.RANGE, range);
    if (outcome.ok && outcome.response.count === length) return;
  }
}

describe('a lock', () => {
  test('is held by one at a time, and by all in the end, whichever member they ask', async () => {
    let holders = 0;
    let turns = 0;
    await Promise.all(
      Array.from({ length: 12 }, async () => {
        const key = await lock('one', await lease());
        expect(++holders).toBe(1);
        turns++;
        await caller().call(call.PUT, { key: utf8Bytes('work'), value: utf8Bytes(`${turns}`) });
        holders--;
        await caller().call(call.UNLOCK, { key });
      }),
    );
    expect(turns).toBe(12);
    await queued('one', 0);
  });

  test('is not had by who lost the place while waiting', async () => {
    const holder = await lock('lost', await lease());
    const ID = await lease();
    const waiting = caller().call(call.LOCK, { name: utf8Bytes('lost'), lease: ID });
    await queued('lost', 2);
    await caller().call(call.REVOKE, { ID });
    await caller().call(call.UNLOCK, { key: holder });
    expect(await waiting).toMatchObject({ ok: false, text: 'mutex: session is expired' });
  });

  test('is left to the next when its waiter gives up, and when its lease ends', async () => {
    const first = await lease();
    await lock('left', first);
    const given = caller().start(call.LOCK, { name: utf8Bytes('left'), lease: await lease() });
    await queued('left', 2);
    const next = lock('left', await lease());
    await queued('left', 3);
    given.cancel();
    await queued('left', 2);
    await caller().call(call.REVOKE, { ID: first });
    await caller().call(call.UNLOCK, { key: await next });
    await queued('left', 0);
  });

  test('is waited for although the history of its holder is compacted meanwhile', async () => {
    const key = await lock('old', await lease());
    const waiting = lock('old', await lease());
    await queued('old', 2);
    const put = await caller().call(call.PUT, { key: utf8Bytes('newer') });
    const revision = put.ok ? (put.response.header?.revision ?? 0) : 0;
    await caller().call(call.COMPACT, { revision, physical: true });
    await caller().call(call.UNLOCK, { key });
    await caller().call(call.UNLOCK, { key: await waiting });
  });
});

describe('an election', () => {
  test('is observed from leader to leader', async () => {
    const name = utf8Bytes('e');
    const stream = caller().stream(call.OBSERVE);
    stream.send({ name });
    stream.finish();
    const said: string[] = [];
    for (const value of ['a', 'b', 'c']) {
      const ID = await lease();
      await caller().call(call.CAMPAIGN, { name, lease: ID, value: utf8Bytes(value) });
      const { kv, header } = await stream.next();
      said.push(Buffer.from(kv?.value ?? []).toString());
      expect(header?.revision).toBeGreaterThanOrEqual(kv?.mod_revision ?? 0);
      await caller().call(call.REVOKE, { ID });
    }
    expect(said).toEqual(['a', 'b', 'c']);
    stream.cancel();
  });

  test('is not won by who lost the place while waiting', async () => {
    const [first, ID] = [await lease(), await lease()];
    const name = utf8Bytes('gone');
    await caller().call(call.CAMPAIGN, { name, lease: first });
    const waiting = caller().call(call.CAMPAIGN, { name, lease: ID });
    await queued('gone', 2);
    await caller().call(call.REVOKE, { ID });
    await caller().call(call.REVOKE, { ID: first });
    expect(await waiting).toMatchObject({ ok: false, text: 'election: not leader' });
  });
});

test('who waits at a member that is closed is told, or loses the connection', async () => {
  const name = utf8Bytes('closing');
  await lock('closing', await lease());
  const [server, at] = [servers[2] as Server, callers[2] as Caller];
  const waiting = at.call(call.LOCK, { name, lease: await lease() });
  await queued('closing', 2);
  const observing = at.stream(call.OBSERVE);
  observing.send({ name });
  observing.finish();
  await observing.next();
  await server.close();
  expect(await waiting).toMatchObject({ ok: false });
  expect(await observing.ended).toMatchObject({ ok: false, text: 'etcdserver: server stopped' });
});
