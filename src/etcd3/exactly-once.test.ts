import { Etcd3, EtcdLeaseInvalidError, type IOptions } from 'etcd3';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { createGrpcServer, unaryMethod } from '../grpc/index.ts';
import { silentLog } from '../io/index.ts';
import { Prng } from '../lib/index.ts';
import { openDoor } from '../server/door.ts';
import { type Server, startServer } from '../server/index.ts';
import { ExactlyOnceError, type ExactlyOnceOptions, withExactlyOnce } from './index.ts';
import { DeafRelay } from './testing/deaf-relay.ts';

/* The npm client on one member, through a relay that loses answers. */

let server: Server;
const opened: (() => unknown)[] = [];

beforeAll(async () => {
  server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['http://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
  });
  await server.ready;
});

afterEach(async () => {
  for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
});

afterAll(() => server.close());

async function relayed(): Promise<DeafRelay> {
  const relay = await DeafRelay.start(server.clientUrls[0] ?? '');
  opened.push(() => relay.close());
  return relay;
}

function plain(
  hosts: string | string[] = (server.clientUrls[0] ?? '').slice('http://'.length),
  options: Partial<IOptions> = {},
): Etcd3 {
  const etcd = new Etcd3({ hosts, ...options });
  opened.push(() => etcd.close());
  return etcd;
}

/** Neither repetitions nor a circuit breaker, which would be open for five seconds. */
const UNPROTECTED = (() => {
  const policy = { execute: (run: () => unknown) => run() } as never;
  return { global: policy, host: () => policy };
})();

let sessions = 0;

function once(etcd: Etcd3, options: Partial<ExactlyOnceOptions> = {}): Promise<Etcd3> {
  return withExactlyOnce(etcd, { session: `test-${++sessions}`, ...options });
}

/** Resolves when a change more was made. */
async function changed(since: number): Promise<void> {
  while (server.status().revision === since) await turn();
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

async function versionOf(key: string): Promise<number> {
  const { kvs } = await plain().get(key).exec();
  return Number(kvs[0]?.version ?? 0);
}

/** Starts the write, and loses its answer once it has happened. */
async function losingItsAnswer<T>(relay: DeafRelay, write: () => Promise<T>): Promise<T> {
  const { revision } = server.status();
  relay.deafen();
  const result = write();
  await changed(revision);
  relay.cut();
  return result;
}

describe('a write whose answer is lost', () => {
  test('happens twice with the client as it is', async () => {
    const relay = await relayed();
    const etcd = plain(relay.address);
    await etcd.get('warm-up').exec();
    await losingItsAnswer(relay, () => etcd.put('twice').value('x').exec());
    expect(await versionOf('twice')).toBe(2);
  });

  test('happens once in a session', async () => {
    const relay = await relayed();
    const etcd = await once(plain(relay.address));
    await losingItsAnswer(relay, () => etcd.put('once').value('x').exec());
    await losingItsAnswer(relay, () => etcd.namespace('name/').put('once').value('x').exec());
    expect([await versionOf('once'), await versionOf('name/once')]).toEqual([1, 1]);
  });

  test('gets the answer that was lost: what was deleted, which branch was taken', async () => {
    const relay = await relayed();
    const etcd = await once(plain(relay.address));
    await etcd.put('lost').value('x');
    const created = await losingItsAnswer(relay, () =>
      etcd.if('lock', 'Create', '==', 0).then(etcd.put('lock').value('mine')).commit(),
    );
    expect(created.succeeded).toBe(true);
    const { deleted } = await losingItsAnswer(relay, () => etcd.delete().key('lost').exec());
    expect(deleted).toBe('1');
  });

  test('grants one lease, and not another that nobody knows', async () => {
    const relay = await relayed();
    const etcd = await once(plain(relay.address));
    const before = await leases();
    const lease = etcd.lease(60, { autoKeepAlive: false });
    // A grant makes no revision of its own.
    relay.deafen();
    const granted = lease.grant();
    while ((await leases()) === before) await turn();
    relay.cut();
    await granted;
    expect(await leases()).toBe(before + 1);
    await lease.revoke();
    expect(await leases()).toBe(before);
  });
});

async function leases(): Promise<number> {
  const etcd = plain();
  const { leases } = await etcd['leaseClient'].leaseLeases();
  return leases.length;
}

test('writes at the same time are executed in their order, each once, over any cut', async () => {
  const seed = 7;
  const random = new Prng(seed);
  const relays = [await relayed(), await relayed(), await relayed()];
  const etcd = await once(plain(relays.map(({ address }) => address)));
  const { revision } = server.status();
  let isDone = false;
  const storm = (async () => {
    while (!isDone) {
      const relay = relays[random.below(relays.length)];
      const from = server.status().revision;
      relay?.deafen();
      for (let i = 0; i < 50 && server.status().revision === from && !isDone; i++) await turn();
      relay?.cut();
      // Some get through before the next cut.
      for (let i = 0; i < 200 && !isDone; i++) await turn();
    }
  })();
  const writes = 300;
  const answers: string[] = [];
  for (let i = 0; i < writes; i += 30) {
    const batch = Array.from({ length: 30 }, (_, at) => etcd.put(`storm-${i + at}`).value('x'));
    answers.push(...(await Promise.all(batch.map((put) => put.exec()))).map(revisionOf));
  }
  isDone = true;
  await storm;
  const expected = Array.from({ length: writes }, (_, i) => `${revision + 1 + i}`);
  expect(answers, `seed ${seed}`).toEqual(expected);
  expect(server.status().revision, `seed ${seed}`).toBe(revision + writes);
});

test('more writes at once than connections have room for go on when one is cut', async () => {
  const relays = [await relayed(), await relayed(), await relayed()];
  const hosts = relays.map(({ address }) => address);
  const etcd = await once(plain(hosts, { faultHandling: UNPROTECTED }));
  const { revision } = server.status();
  const writes = 900;
  const answers = Array.from({ length: writes }, (_, i) => etcd.put(`many-${i}`).value('x').exec());
  for (const [at, relay] of relays.entries()) {
    await answers[20 + 200 * at];
    relay.deafen();
    relay.cut();
  }
  const expected = Array.from({ length: writes }, (_, i) => `${revision + 1 + i}`);
  expect((await Promise.all(answers)).map(revisionOf)).toEqual(expected);
});

function revisionOf({ header }: { header: { revision: string } }): string {
  return header.revision;
}

describe('an error', () => {
  test('of the store is thrown as the client throws it, and the next write follows', async () => {
    const etcd = await once(plain());
    const put = etcd.put('leased').value('x').lease('12345');
    await expect(put.exec()).rejects.toThrow(EtcdLeaseInvalidError);
    await etcd.put('after').value('x');
    expect(await versionOf('after')).toBe(1);
  });

  test('by the deadline of a call leaves it in doubt, and its number is used up', async () => {
    const relay = await relayed();
    const etcd = await once(plain(relay.address, { faultHandling: UNPROTECTED }));
    const { revision } = server.status();
    relay.deafen();
    const put = etcd
      .put('late')
      .value('x')
      .options({ deadline: Date.now() + 300 })
      .exec();
    put.catch(() => {});
    await changed(revision);
    await expect(put).rejects.toMatchObject({ name: 'ExactlyOnceError', outcome: 'unknown' });
    await etcd.put('next').value('x');
    expect([await versionOf('late'), await versionOf('next')]).toEqual([1, 1]);
  });

  test('by their deadlines comes also to those that wait for the others', async () => {
    const relay = await relayed();
    const etcd = await once(plain(relay.address, { faultHandling: UNPROTECTED }));
    await relay.close();
    const deadline = Date.now() + 300;
    const puts = Array.from({ length: 60 }, (_, i) =>
      etcd.put(`queue-${i}`).value('x').options({ deadline }).exec(),
    );
    const rejected = { status: 'rejected', reason: expect.any(ExactlyOnceError) };
    const ends = await Promise.allSettled(puts);
    expect(ends).toEqual(puts.map(() => rejected));
    // The last one never had a number.
    expect(ends.at(-1)).toMatchObject({ reason: { outcome: 'notApplied' } });
  });

  test('of a request that never leaves is told, and the next write follows', async () => {
    const grpcOptions = { 'grpc.max_send_message_length': 1_000 };
    const etcd = await once(plain(undefined, { grpcOptions, faultHandling: UNPROTECTED }));
    const put = etcd.put('huge').value('x'.repeat(1_000)).exec();
    await expect(put).rejects.toThrow(ExactlyOnceError);
    await etcd.put('small').value('x');
    expect([await versionOf('huge'), await versionOf('small')]).toEqual([0, 1]);
  });

  test('comes when nobody answers for so long', async () => {
    const relay = await relayed();
    const etcd = await once(plain(relay.address), { timeoutMs: 300 });
    await relay.close();
    await expect(etcd.put('nobody').value('x').exec()).rejects.toThrow(ExactlyOnceError);
    expect(await versionOf('nobody')).toBe(0);
  });

  test('comes to a client that was closed', async () => {
    const etcd = await once(plain());
    etcd.close();
    const put = etcd.put('closed').value('x').exec();
    await expect(put).rejects.toMatchObject({ outcome: 'notApplied' });
  });
});

describe('a session', () => {
  test('belongs to the client that opened it last: the others can write no more', async () => {
    const [first, second] = [plain(), plain()];
    await once(first, { session: 'shared' });
    await first.put('owner').value('first');
    await once(second, { session: 'shared' });
    for (let i = 0; i < 2; i++) {
      const put = first.put('owner').value('zombie').exec();
      await expect(put).rejects.toMatchObject({ outcome: 'notApplied' });
    }
    await second.put('owner').value('second');
    expect([await plain().get('owner').string(), await versionOf('owner')]).toEqual(['second', 2]);
  });

  test('that was idle too long is opened again, unasked', async () => {
    const etcd = await once(plain(), { sessionTtlMs: 1_000 });
    const other = plain();
    await etcd.put('idle').value('1');
    const { sessions } = server.status();
    // Log time goes on with what is written.
    while (server.status().sessions === sessions) await other.put('busy').value('x');
    await etcd.put('idle').value('2');
    expect(await versionOf('idle')).toBe(2);
  });

  test('cannot be had from a server that keeps none', async () => {
    const methods = new Map([['/etcdserverpb.Maintenance/Status', unaryMethod(async () => EMPTY)]]);
    const grpc = createGrpcServer({ methods, log: silentLog });
    const listen = { host: '127.0.0.1', port: 0 };
    const door = await openDoor({ listen, grpc, http: () => {}, log: silentLog });
    opened.push(
      () => grpc.close(),
      () => door.close(),
    );
    const etcd = plain(`127.0.0.1:${door.address.port}`);
    await expect(once(etcd)).rejects.toThrow('this server keeps no sessions');
    etcd.close();
  });

  test('is one for each client', async () => {
    const etcd = await once(plain());
    await expect(once(etcd)).rejects.toThrow('this client has a session already');
  });
});

const EMPTY = new Uint8Array(0);

test('locks, leases and reads work as they do without a session', async () => {
  const etcd = await once(plain());
  const lock = etcd.lock('critical');
  await lock.do(async () => {
    await expect(etcd.lock('critical').acquire()).rejects.toThrow();
  });
  const lease = etcd.lease(60);
  await lease.put('leased-too').value('x');
  expect(await etcd.get('leased-too').string()).toBe('x');
  await lease.revoke();
  expect(await etcd.get('leased-too').string()).toBeNull();
});
