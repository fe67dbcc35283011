import { describe, expect, test } from 'vitest';
import type { Clerk } from './clerk.ts';
import { MachineWorld } from './testing/machine-world.ts';
import { later } from './testing/world.ts';

describe('an election', () => {
  test('is won by one; the next leads when it resigns, with a larger token', async () => {
    const world = new MachineWorld();
    const [a, b] = [await world.clerk(), await world.clerk()];
    const first = await world.run(a.elect('e', 'A'));
    let isElected = false;
    const waiting = later(
      b.elect('e', 'B').then((leadership) => {
        isElected = true;
        return leadership;
      }),
    );
    await world.clock.advance(30_000);
    expect(isElected).toBe(false);
    await world.run(first.resign());
    const second = await world.run(waiting);
    expect(second.fencingToken).toBeGreaterThan(first.fencingToken);
    expect((await world.refusal(first.proclaim('still A'))).code).toBe('LEASE_LOST');
    expect(await world.run(b.get(second.key))).toBe('B');
  });

  test('is observed: every leader, and what each proclaims', async () => {
    const world = new MachineWorld();
    const [a, b, observer] = [await world.clerk(), await world.clerk(), await world.clerk()];
    const told: string[] = [];
    const tokens: number[] = [];
    const controller = new AbortController();
    const observing = later(
      (async () => {
        for await (const leader of observer.observe('e', { signal: controller.signal })) {
          told.push(leader.value);
          tokens.push(leader.createRevision);
        }
      })(),
    );
    await world.clock.advance(100);
    expect(told).toEqual([]);
    const first = await world.run(a.elect('e', 'A'));
    await world.clock.advance(50);
    await world.run(first.proclaim('A again'));
    await world.clock.advance(50);
    const waiting = later(b.elect('e', 'B'));
    await world.clock.advance(50);
    world.failOver();
    await world.clock.advance(200);
    await world.run(first.resign());
    const second = await world.run(waiting);
    await world.clock.advance(50);
    await world.run(second.proclaim('B again'));
    await world.clock.advance(50);
    expect(told).toEqual(['A', 'A again', 'B', 'B again']);
    expect(tokens).toEqual([
      first.fencingToken,
      first.fencingToken,
      second.fencingToken,
      second.fencingToken,
    ]);
    controller.abort();
    expect((await world.refusal(observing)).code).toBe('CANCELLED_NOT_APPLIED');
  });

  test('tells an observer who comes later who leads now, and may be left', async () => {
    const world = new MachineWorld();
    const clerk: Clerk = await world.clerk();
    await world.run(clerk.elect('e', 'A'));
    const first = await world.run(
      (async () => {
        for await (const leader of clerk.observe('e')) return leader.value;
        return null;
      })(),
    );
    expect(first).toBe('A');
  });

  test('goes on being observed when the history was compacted meanwhile', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const leadership = await world.run(clerk.elect('e', 'A'));
    const observer = clerk.observe('e');
    expect((await world.run(observer.next())).value?.value).toBe('A');
    for (let i = 0; i < 5; i++) world.put('other', String(i));
    const { revision } = await world.run(clerk.range('other'));
    await world.run(clerk.compact(revision));
    const next = later(observer.next());
    await world.clock.advance(100);
    await world.run(leadership.proclaim('A again'));
    expect((await world.run(next)).value?.value).toBe('A again');
  });
});
