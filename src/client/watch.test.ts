import { describe, expect, test } from 'vitest';
import { encodeAnswer, KvError } from '../api/index.ts';
import { CLERK_LIMITS } from './limits.ts';
import { putOf } from './request.ts';
import { batchOf, MachineWorld, wordsOf } from './testing/machine-world.ts';
import { later } from './testing/world.ts';

describe('a watch', () => {
  test('sees every change from the moment it was opened, in order, and no other key', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    world.put('a', 'before');
    const watch = await world.run(clerk.watch({ prefix: 'a' }));
    world.put('a', '1');
    world.put('b', 'other');
    world.put('a2', '2');
    world.change({ type: 'delete', range: { from: bytes('a'), to: bytes('b') }, prevKv: false });
    expect(await world.run(wordsOf(watch, 4))).toEqual(['1', '2', '-a', '-a2']);
    const next = later(wordsOf(watch, 1));
    world.put('a3', 'later');
    expect(await world.run(next)).toEqual(['later']);
  });

  test('begins with a revision of the past, and tells what was before', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    world.put('a', '1'); // revision 2
    world.put('a', '2');
    world.put('a', '3');
    const watch = await world.run(clerk.watch('a', { fromRevision: 3, prevKv: true }));
    const { events, revision } = await world.run(batchOf(watch));
    expect(revision).toBe(4);
    expect(events).toMatchObject([
      { type: 'put', entry: { value: '2', modRevision: 3, version: 2 }, prev: { value: '1' } },
      { type: 'put', entry: { value: '3', modRevision: 4, version: 3 }, prev: { value: '2' } },
    ]);
    expect(watch.nextRevision).toBe(5);
  });

  test('may begin with a revision that does not exist yet, and sees nothing below it', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a', { fromRevision: 4 }));
    const taken = later(wordsOf(watch, 1));
    world.put('a', '2');
    await world.clock.advance(100);
    world.put('a', '3');
    await world.clock.advance(100);
    world.put('a', '4');
    expect(await world.run(taken)).toEqual(['4']);
  });

  test('goes on behind the last batch when its leader dies: no gap, no duplicate', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('n'));
    const expected: string[] = [];
    const taken: string[] = [];
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < round % 4; i++) {
        expected.push(`${round}.${i}`);
        world.put('n', `${round}.${i}`);
      }
      const waiting = later(wordsOf(watch, expected.length - taken.length));
      if (round % 3 === 1) world.failOver();
      if (round % 3 === 2) world.cluster.cutAll();
      taken.push(...(await world.run(waiting)));
    }
    expect(taken).toEqual(expected);
  });

  test('hears of a change while it waits, without asking again and again', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const waiting = later(watch.next());
    await world.clock.advance(CLERK_LIMITS.watchWaitMs - 100);
    expect(world.cluster.requests).toBeLessThanOrEqual(4);
    const saidMs = world.clock.nowMs();
    world.put('a', 'x');
    await world.run(waiting);
    expect(world.clock.nowMs() - saidMs).toBeLessThan(10);
  });

  test('that is left costs its member nothing more, and others on the link go on', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const left = await world.run(clerk.watch('a'));
    const other = await world.run(clerk.watch('b'));
    const ended = later(left.next());
    const waiting = later(wordsOf(other, 1));
    await world.clock.advance(100);
    const openedBefore = world.cluster.opened;
    await world.run(left.return());
    expect(await world.run(ended)).toEqual({ done: true, value: undefined });
    await world.clock.advance(CLERK_LIMITS.watchWaitMs);
    const { withdrawals, opened } = world.cluster;
    expect([withdrawals, opened, world.backend.confirmations]).toEqual([1, openedBefore, 1]);
    world.put('b', 'told');
    expect(await world.run(waiting)).toEqual(['told']);
  });

  test('that is left while it is nowhere withdraws nothing', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const ended = later(watch.next());
    await world.clock.advance(100);
    for (const i of world.cluster.members.keys()) world.cluster.kill(i);
    await world.clock.advance(10);
    await world.run(watch.return());
    await world.run(ended);
    world.failOver();
    await world.run(clerk.get('a'));
    expect(world.cluster.withdrawals).toBe(0);
  });

  test('waits for as long as it takes, also without a leader, and holds nobody up', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const waiting = later(wordsOf(watch, 1));
    await world.clock.advance(10 * 60_000);
    world.cluster.leader = null;
    await world.clock.advance(60_000);
    world.cluster.leader = 1;
    expect(await world.run(clerk.get('b'))).toBeNull();
    world.put('a', 'at last');
    expect(await world.run(waiting)).toEqual(['at last']);
  });

  test('leaves a member that no quorum confirms any more', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const waiting = later(wordsOf(watch, 1));
    await world.clock.advance(100);
    const openedBefore = world.cluster.opened;
    const code = 'READ_UNCONFIRMED';
    world.backend.refusal = encodeAnswer({ type: 'error', code, message: 'alone', leader: null });
    await world.clock.advance(CLERK_LIMITS.watchWaitMs + 1_000);
    expect(world.cluster.opened).toBeGreaterThan(openedBefore);
    world.backend.refusal = null;
    world.put('a', 'found');
    expect(await world.run(waiting)).toEqual(['found']);
  });

  test('leaves a member that has fallen silent, and a prompt request does so sooner', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const waiting = later(wordsOf(watch, 1));
    await world.clock.advance(3_000);
    world.cluster.member(0).condition = 'mute';
    const startMs = world.clock.nowMs();
    world.cluster.leader = 1;
    await world.run(clerk.get('b'));
    expect(world.clock.nowMs() - startMs).toBeLessThan(1_500);
    world.put('a', 'found');
    expect(await world.run(waiting)).toEqual(['found']);

    world.cluster.member(0).condition = 'up';
    const again = later(wordsOf(watch, 1));
    await world.clock.advance(100);
    world.cluster.member(1).condition = 'mute';
    world.cluster.leader = 2;
    await world.clock.advance(CLERK_LIMITS.watchWaitMs + 5_000);
    world.put('a', 'found too');
    const endMs = world.clock.nowMs() + 1_000;
    expect(await world.run(again)).toEqual(['found too']);
    expect(world.clock.nowMs()).toBeLessThan(endMs);
  });

  test('gives out whole revisions, however large: more than one answer holds', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    for (let i = 0; i < 8; i++) world.put(`k${i}`, 'x'.repeat(1024 * 1024));
    const watch = await world.run(clerk.watch({ prefix: 'k' }, { prevKv: true }));
    world.change({ type: 'delete', range: { from: bytes('k'), to: bytes('l') }, prevKv: false });
    const { events } = await world.run(batchOf(watch));
    expect(events.map(({ prev }) => [prev?.key, prev?.value.length])).toEqual(
      Array.from({ length: 8 }, (_, i) => [`k${i}`, 1024 * 1024]),
    );
    const pages = world.backend.queries.filter(
      (query) => query.type === 'changes' && query.skip > 0,
    );
    expect(pages.length).toBeGreaterThan(1);
    world.put('k', 'next');
    expect(await world.run(wordsOf(watch, 1))).toEqual(['next']);
  });

  test('ends with COMPACTED and the oldest revision when the history there is gone', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    for (let i = 0; i < 5; i++) world.put('a', String(i)); // revisions 2 to 6
    const watch = await world.run(clerk.watch('a', { fromRevision: 2 }));
    world.change({ type: 'compact', revision: 5 });
    const error = await world.refusal(watch.next());
    expect(error).toMatchObject({ code: 'COMPACTED', compactRevision: 5 });
    expect(await world.run(watch.next())).toEqual({ done: true, value: undefined });
    const { compactRevision } = error;
    const again = await world.run(clerk.watch('a', { fromRevision: compactRevision ?? 0 }));
    expect(await world.run(wordsOf(again, 2))).toEqual(['3', '4']);
  });

  test('passes over what it has seen when its history is compacted', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const taken = later(wordsOf(watch, 1));
    await world.clock.advance(10);
    for (let i = 0; i < 5; i++) world.put('b', String(i));
    await world.clock.advance(10);
    world.change({ type: 'compact', revision: 5 });
    world.put('a', 'seen');
    expect(await world.run(taken)).toEqual(['seen']);
  });

  test('tells its progress in batches without events, only if asked to', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a', { progress: true }));
    world.put('b');
    expect((await world.run(watch.next())).value).toEqual({ revision: 2, events: [] });
  });

  test('may be left with break, and then nothing of it remains', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    world.put('a', '1');
    const seen: number[] = [];
    await world.run(
      (async () => {
        for await (const { revision } of await clerk.watch('a', { fromRevision: 2 })) {
          seen.push(revision);
          break;
        }
      })(),
    );
    expect(seen).toEqual([2]);
    await world.clock.advance(CLERK_LIMITS.watchWaitMs * 2);
    const { requests } = world.cluster;
    await world.clock.advance(CLERK_LIMITS.watchWaitMs * 3);
    expect(world.cluster.requests).toBe(requests);
  });

  test('may be left while a batch is waited for: that wait ends as done', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const waiting = watch.next();
    await world.clock.advance(50);
    await world.run(watch.return());
    expect(await world.run(waiting)).toEqual({ done: true, value: undefined });
    await world.run(watch.return());
  });

  test.each([
    ['before', 0],
    ['while', 50],
  ])('is called off by its signal %s it waits', async (_when, delayMs) => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const controller = new AbortController();
    const { signal } = controller;
    const watch = await world.run(clerk.watch('a', { signal }));
    if (delayMs === 0) controller.abort('enough');
    const waiting = later(watch.next());
    await world.clock.advance(delayMs);
    controller.abort('enough');
    expect(await world.refusal(waiting)).toMatchObject({
      code: 'CANCELLED_NOT_APPLIED',
      cause: 'enough',
    });
  });

  test('ends with its clerk', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const waiting = later(watch.next());
    await world.clock.advance(50);
    await world.run(clerk.close());
    expect(await world.refusal(waiting)).toMatchObject({ code: 'CLOSED' });
    await world.clock.advance(20_000);
    expect(world.clock.timerCount).toBe(0);
    expect(await world.refusal(clerk.watch('a'))).toMatchObject({ code: 'CLOSED' });
  });

  test('of an empty key or a revision below 1 is refused before it begins', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    for (const opening of [
      clerk.watch(''),
      clerk.watch('', { fromRevision: 1 }),
      clerk.watch('a', { fromRevision: 0 }),
    ]) {
      expect(await world.refusal(opening)).toMatchObject({ code: 'INVALID_ARGUMENT' });
    }
    expect(world.cluster.requests).toBe(0);
  });

  test('costs nothing while nobody takes a batch, and then tells all of it', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    const watch = await world.run(clerk.watch('a'));
    const { requests } = world.cluster;
    for (let i = 0; i < 5_000; i++) world.backend.change(putOf('a', String(i), {}));
    await world.clock.advance(60_000);
    expect(world.cluster.requests).toBe(requests);
    const all = await world.run(wordsOf(watch, 5_000));
    expect(all).toEqual(Array.from({ length: 5_000 }, (_, i) => String(i)));
  });

  test('gives out bytes if asked to, and refuses to call them text', async () => {
    const world = new MachineWorld();
    const clerk = await world.clerk();
    world.backend.change(putOf('a', Uint8Array.of(0xff), {}));
    const options = { fromRevision: 2 };
    const watch = await world.run(clerk.watch('a', { ...options, as: 'bytes' }));
    const { value } = await world.run(watch.next());
    expect(value?.events).toMatchObject([{ entry: { value: Uint8Array.of(0xff) } }]);
    const asText = await world.run(clerk.watch('a', options));
    const error = await world.refusal(asText.next());
    expect(error).toBeInstanceOf(KvError);
    expect(error.code).toBe('INVALID_ARGUMENT');
  });
});

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
