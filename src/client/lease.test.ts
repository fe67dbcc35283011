import { describe, expect, test } from 'vitest';
import type { Clerk } from './clerk.ts';
import { MachineWorld } from './testing/machine-world.ts';
import { later } from './testing/world.ts';

const TTL_MS = 6_000;

async function start(): Promise<{ world: MachineWorld; clerk: Clerk }> {
  const world = new MachineWorld();
  return { world, clerk: await world.clerk() };
}

describe('leases by id', () => {
  test('are granted, listed, asked for with their keys, and revoked with them', async () => {
    const { world, clerk } = await start();
    const { id, ttlMs } = await world.run(clerk.leases.grant({ ttlMs: TTL_MS }));
    expect(ttlMs).toBe(TTL_MS);
    expect(id < 2n ** 63n).toBe(true);
    await world.run(clerk.put('b', '', { lease: id }));
    await world.run(
      clerk.txn({
        compares: [{ key: 'b', lease: id }],
        success: [{ put: 'a', value: '', lease: id }],
      }),
    );
    expect(await world.run(clerk.getEntry('a'))).toMatchObject({ lease: id });
    expect(await world.run(clerk.leases.list())).toEqual([id]);
    const status = await world.run(clerk.leases.timeToLive(id, { keys: true }));
    expect(status).toMatchObject({ id, ttlMs: TTL_MS, keys: ['a', 'b'] });
    expect(await world.run(clerk.leases.revoke(id))).toMatchObject({ deleted: 2 });
    expect(await world.run(clerk.get('a'))).toBeNull();
    expect(await world.run(clerk.leases.timeToLive(id))).toBeNull();
    expect(await world.run(clerk.leases.list())).toEqual([]);
  });

  test('are granted once, however often the reply is lost', async () => {
    const { world, clerk } = await start();
    await world.run(clerk.put('a', ''));
    let losses = 3;
    world.cluster.fate = () => (losses-- > 0 ? 'cutAfter' : 'serve');
    await world.run(clerk.leases.grant({ ttlMs: TTL_MS, id: 77n }));
    expect(losses).toBeLessThan(0);
    expect(await world.run(clerk.leases.list())).toEqual([77n]);
  });

  test('that are not there are refused by name of the code', async () => {
    const { world, clerk } = await start();
    await world.run(clerk.leases.grant({ ttlMs: TTL_MS, id: 5n }));
    const codes: string[] = [];
    for (const run of [
      () => clerk.leases.grant({ ttlMs: TTL_MS, id: 5n }),
      () => clerk.leases.keepAlive(6n),
      () => clerk.leases.revoke(6n),
      () => clerk.put('a', '', { lease: 6n }),
      () => clerk.put('a', '', { lease: 0n }),
      () => clerk.leases.grant({ ttlMs: 0 }),
    ]) {
      codes.push((await world.refusal(run())).code);
    }
    expect(codes).toEqual([
      'LEASE_EXISTS',
      'LEASE_NOT_FOUND',
      'LEASE_NOT_FOUND',
      'LEASE_NOT_FOUND',
      'INVALID_ARGUMENT',
      'INVALID_ARGUMENT',
    ]);
  });

  test('are kept alive without a session: it takes no seq', async () => {
    const { world, clerk } = await start();
    const lease = { lease: 9n, ttlMs: TTL_MS };
    world.change({ type: 'leaseGrant', ...lease });
    expect(await world.run(clerk.leases.keepAlive(9n))).toBe(TTL_MS);
    expect(clerk.session).toBeNull();
  });
});

describe('a held lease', () => {
  test('lives for as long as its clerk does', async () => {
    const { world, clerk } = await start();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    world.backend.tickFor(100_000);
    await world.clock.advance(100_000);
    expect(lease.signal.aborted).toBe(false);
    expect(await world.run(lease.timeToLive())).toMatchObject({ ttlMs: TTL_MS });
  });

  test('outlives a failover', async () => {
    const { world, clerk } = await start();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    world.backend.tickFor(60_000);
    for (let round = 0; round < 10; round++) {
      world.failOver();
      await world.clock.advance(TTL_MS / 2);
    }
    expect(lease.signal.aborted).toBe(false);
  });

  test('is lost, at its time to live by this clock, when no keep-alive is answered', async () => {
    const { world, clerk } = await start();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    const sentMs = world.clock.nowMs();
    world.cluster.leader = null;
    await world.clock.advance(TTL_MS - 100);
    expect(lease.signal.aborted).toBe(false);
    await world.clock.advance(100);
    expect(lease.signal.aborted).toBe(true);
    expect(world.clock.nowMs() - sentMs).toBeLessThanOrEqual(TTL_MS);
    expect(lease.signal.reason).toMatchObject({ name: 'KvError', code: 'LEASE_LOST' });
    world.cluster.leader = 0;
    const { requests } = world.cluster;
    await world.clock.advance(60_000);
    expect(world.cluster.requests).toBe(requests);
  });

  test('is lost a time to live after the last keep-alive that was answered was sent', async () => {
    const { world, clerk } = await start();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    let sentMs = 0;
    world.cluster.fate = (arrival) => {
      if (arrival.type === 'command' && arrival.command.type === 'operation') {
        if (arrival.command.operation.type === 'leaseKeepAlive') sentMs = world.clock.nowMs() - 1;
      }
      return 'serve';
    };
    await world.clock.advance(3 * TTL_MS);
    const lastMs = sentMs;
    expect(lastMs).toBeGreaterThan(2 * TTL_MS);
    world.cluster.leader = null;
    await world.clock.advance(lastMs + TTL_MS - 50 - world.clock.nowMs());
    expect(lease.signal.aborted).toBe(false);
    await world.clock.advance(50);
    expect(lease.signal.aborted).toBe(true);
  });

  test('is lost when somebody else has revoked it', async () => {
    const { world, clerk } = await start();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    world.change({ type: 'leaseRevoke', lease: lease.id });
    await world.clock.advance(TTL_MS / 2);
    expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST' });
    await world.run(lease.revoke());
  });

  test('ends when it is revoked, twice is safe, and that is no loss', async () => {
    const { world, clerk } = await start();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    await world.run(Promise.all([lease.revoke(), lease.revoke()]));
    expect(await world.run(clerk.leases.list())).toEqual([]);
    await world.clock.advance(60_000);
    expect(lease.signal.aborted).toBe(false);
  });

  test('is lost with its clerk, and no timer remains', async () => {
    const { world, clerk } = await start();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    await world.run(clerk.close());
    expect(lease.signal.reason).toMatchObject({ code: 'CLOSED' });
    await world.clock.advance(10);
    expect(world.clock.timerCount).toBe(0);
    expect((await world.refusal(later(clerk.lease({ ttlMs: 1 })))).code).toBe('CLOSED');
  });
});
