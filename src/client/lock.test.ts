import { describe, expect, test } from 'vitest';
import type { Clerk } from './clerk.ts';
import type { Lock } from './lock.ts';
import { putOf } from './request.ts';
import { MachineWorld } from './testing/machine-world.ts';
import { later } from './testing/world.ts';

const TTL_MS = 6_000;

async function clerksOf(world: MachineWorld, count: number): Promise<Clerk[]> {
  return await Promise.all(Array.from({ length: count }, () => world.clerk()));
}

/** Adds one under the lock, with a read and a write that do not know of each other. */
async function increment(clerk: Clerk): Promise<number> {
  await using lock = await clerk.lock('count', { ttlMs: TTL_MS });
  const before = Number((await clerk.get('counter')) ?? 0);
  await clerk.put('counter', String(before + 1));
  return lock.fencingToken;
}

describe('a lock', () => {
  test('is held by one at a time: increments under it are never lost', async () => {
    const world = new MachineWorld();
    const clerks = await clerksOf(world, 3);
    const work = clerks.map(async (clerk) => {
      const tokens: number[] = [];
      for (let i = 0; i < 10; i++) tokens.push(await increment(clerk));
      return tokens;
    });
    const tokens = await world.run(Promise.all(work), 600_000);
    expect(await world.run((clerks[0] as Clerk).get('counter'))).toBe('30');
    expect(new Set(tokens.flat()).size).toBe(30);
  });

  test('stays so while leaders die and connections break', async () => {
    const world = new MachineWorld();
    const clerks = await clerksOf(world, 2);
    const work = clerks.map(async (clerk) => {
      for (let i = 0; i < 20; i++) await increment(clerk);
    });
    const all = later(Promise.all(work));
    for (let round = 0; round < 60; round++) {
      await world.clock.advance(7);
      if (round % 3 === 0) world.failOver();
      else world.cluster.cutAll();
    }
    await world.run(all, 600_000);
    expect(await world.run((clerks[0] as Clerk).get('counter'))).toBe('40');
  });

  test('goes to those who wait in the order in which they came, with rising tokens', async () => {
    const world = new MachineWorld();
    const clerks = await clerksOf(world, 5);
    const order: number[] = [];
    const tokens: number[] = [];
    const waiting: Promise<void>[] = [];
    for (const [i, clerk] of clerks.entries()) {
      waiting.push(
        clerk.lock('l').then(async (lock) => {
          order.push(i);
          tokens.push(lock.fencingToken);
          await lock.release();
        }),
      );
      await world.clock.advance(2);
    }
    await world.run(Promise.all(waiting));
    expect(order).toEqual([0, 1, 2, 3, 4]);
    expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  });

  test('has its key where etcd’s clients have theirs, and waits for one of them', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    world.change({ type: 'leaseGrant', lease: 0xabcn, ttlMs: 60_000 });
    world.change(putOf('l/abc', '', { lease: 0xabcn }));
    const waiting = later(clerk.lock('l'));
    await world.clock.advance(3_000);
    world.change({ type: 'leaseRevoke', lease: 0xabcn });
    const lock = await world.run(waiting);
    expect(lock.key).toBe(`l/${lock.lease.id.toString(16)}`);
    expect(await world.run(clerk.getEntry(lock.key))).toMatchObject({
      value: '',
      lease: lock.lease.id,
      createRevision: lock.fencingToken,
    });
  });

  test('passes to the next when its holder is gone for a time to live', async () => {
    const world = new MachineWorld();
    const [holder, next] = (await clerksOf(world, 2)) as [Clerk, Clerk];
    const lost = await world.run(holder.lock('l', { ttlMs: TTL_MS }));
    await world.run(holder.close());
    expect(lost.signal.reason).toMatchObject({ code: 'CLOSED' });
    world.backend.tickFor(TTL_MS + 1_000);
    const lock = await world.run(next.lock('l', { ttlMs: TTL_MS }));
    expect(lock.fencingToken).toBeGreaterThan(lost.fencingToken);
    const guarded = { compares: [lost.condition], success: [{ put: 'a', value: 'late' }] };
    expect(await world.run(next.txn(guarded))).toMatchObject({ succeeded: false });
    const current = { compares: [lock.condition], success: [{ put: 'a', value: 'mine' }] };
    expect(await world.run(next.txn(current))).toMatchObject({ succeeded: true });
  });

  test('is not got after its lease was lost in the queue: LEASE_LOST', async () => {
    const world = new MachineWorld();
    const [holder, next] = (await clerksOf(world, 2)) as [Clerk, Clerk];
    await world.run(holder.lock('l'));
    const waiting = later(next.lock('l', { ttlMs: TTL_MS }));
    await world.clock.advance(1_000);
    world.cluster.leader = null;
    expect((await world.refusal(waiting)).code).toBe('LEASE_LOST');
  });

  test('is not got on a lease that is over before its holder knows: LEASE_LOST', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    world.change({ type: 'leaseRevoke', lease: lease.id });
    expect((await world.refusal(clerk.lock('l', { lease }))).code).toBe('LEASE_LOST');
  });

  test('is not got when its key was deleted by hand: LEASE_LOST', async () => {
    const world = new MachineWorld();
    const [holder, next] = (await clerksOf(world, 2)) as [Clerk, Clerk];
    const held = await world.run(holder.lock('l'));
    const waiting = later(next.lock('l', { ttlMs: TTL_MS }));
    await world.clock.advance(100);
    const all = await world.run(holder.range({ prefix: 'l/' }, { sortBy: 'createRevision' }));
    await world.run(holder.delete(all.entries[1]?.key ?? ''));
    await world.run(held.release());
    expect((await world.refusal(waiting)).code).toBe('LEASE_LOST');
  });

  test.each([0, 1, 2, 3, 4, 5, 500])('called off after %i ms leaves nothing', async (delayMs) => {
    const world = new MachineWorld();
    const [holder, next] = (await clerksOf(world, 2)) as [Clerk, Clerk];
    const held = await world.run(holder.lock('l'));
    const controller = new AbortController();
    const waiting = later(next.lock('l', { signal: controller.signal }));
    await world.clock.advance(delayMs);
    controller.abort('enough');
    expect((await world.refusal(waiting)).code).toMatch(/^CANCELLED_/);
    await world.run(held.release());
    const { entries } = await world.run(holder.range({ prefix: '' }));
    expect(entries).toEqual([]);
  });

  test.each([0, 1, 2, 3, 4, 500])(
    'called off after %i ms leaves nothing on a lease that stays',
    async (delayMs) => {
      const world = new MachineWorld();
      const [holder, next] = (await clerksOf(world, 2)) as [Clerk, Clerk];
      const held = await world.run(holder.lock('l'));
      const lease = await world.run(next.lease({ ttlMs: TTL_MS }));
      const controller = new AbortController();
      const waiting = later(next.lock('l', { lease, signal: controller.signal }));
      await world.clock.advance(delayMs);
      controller.abort('enough');
      expect((await world.refusal(waiting)).code).toMatch(/^CANCELLED_/);
      const { entries } = await world.run(holder.range({ prefix: '' }));
      expect(entries.map(({ key }) => key)).toEqual([held.key]);
      expect(await world.run(lease.timeToLive())).not.toBeNull();
    },
  );

  test('on a lease of the caller’s ends without it, and has one place in the queue', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const lease = await world.run(clerk.lease({ ttlMs: TTL_MS }));
    const lock: Lock = await world.run(clerk.lock('l', { lease }));
    const other = await world.run(clerk.lock('m', { lease }));
    expect((await world.refusal(later(clerk.lock('l', { lease })))).code).toBe('INVALID_ARGUMENT');
    expect(await world.run(clerk.getEntry(lock.key))).not.toBeNull();
    await world.run(lock.release());
    await world.run(lock.release());
    expect(await world.run(clerk.getEntry(lock.key))).toBeNull();
    expect(await world.run(clerk.getEntry(other.key))).not.toBeNull();
    expect(lease.signal.aborted).toBe(false);
    await world.run(lease.revoke());
    expect(await world.run(clerk.getEntry(other.key))).toBeNull();
  });

  test('that was lost does not take the place of who came after when it is released', async () => {
    const world = new MachineWorld();
    const [first, second] = (await clerksOf(world, 2)) as [Clerk, Clerk];
    const lease = await world.run(first.lease({ ttlMs: TTL_MS }));
    const lock = await world.run(first.lock('l', { lease }));
    await world.run(second.delete(lock.key));
    world.change(putOf(lock.key, 'somebody else', {}));
    await world.run(lock.release());
    expect(await world.run(second.get(lock.key))).toBe('somebody else');
  });
});
