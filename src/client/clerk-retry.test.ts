import { describe, expect, it } from 'vitest';
import { encodeAnswer } from '../api/index.ts';
import type { Arrival, Fate } from './testing/fake-cluster.ts';
import { later, World } from './testing/world.ts';

/** The command that writes such a value: when it arrives first, its fate is another one. */
function firstTime(fates: Record<string, Fate>): (arrival: Arrival) => Fate {
  const left = new Map(Object.entries(fates));
  return (arrival) => {
    if (arrival.type !== 'command' || arrival.command.type !== 'operation') return 'serve';
    const { operation } = arrival.command;
    if (operation.type !== 'append') return 'serve';
    const name = new TextDecoder().decode(operation.value);
    const fate = left.get(name);
    left.delete(name);
    return fate ?? 'serve';
  };
}

function written(world: World): string[] {
  return world.cluster.store.executions.map(({ operation }) =>
    operation.type === 'append' ? new TextDecoder().decode(operation.value) : operation.type,
  );
}

describe('a command is executed once (fault model C1)', () => {
  it.each<[string, Fate]>([
    ['a request that never arrives', 'drop'],
    ['a lost reply', 'mute'],
    ['a connection cut before it is executed', 'cut'],
    ['a connection cut after it was executed', 'cutAfter'],
    ['lost leadership, never executed', { code: 'LEADERSHIP_LOST' }],
    ['lost leadership, executed while it is retried', { code: 'LEADERSHIP_LOST', lateMs: 2 }],
    ['lost leadership, executed after the retry', { code: 'LEADERSHIP_LOST', lateMs: 200 }],
    ['a timeout of the server', { code: 'REQUEST_TIMEOUT', lateMs: 1 }],
    ['overload', { code: 'OVERLOADED' }],
    ['a member that is going to stop', { code: 'STOPPING' }],
    ['a full window of kept answers', { code: 'SESSION_WINDOW_FULL' }],
    ['an answer that cannot be decoded', { answer: Uint8Array.of(0xff, 0xff) }],
    ['an error code of a newer version', { answer: newerError() }],
  ])('despite %s', async (_name, fate) => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', 'a'));
    world.cluster.fate = firstTime({ b: fate });
    const calls = ['b', 'c', 'd'].map((token) => clerk.append('k', token));
    expect(await world.run(Promise.all(calls))).toMatchObject([{ seq: 2 }, { seq: 3 }, { seq: 4 }]);
    await world.clock.advance(1_000);
    expect(world.cluster.store.text('k')).toBe('abcd');
    expect(written(world)).toEqual(['a', 'b', 'c', 'd']);
  });

  it('one refused in the middle of a pipeline: the rest is sent again from the gap', async () => {
    const world = new World();
    const clerk = await world.clerk();
    world.cluster.fate = firstTime({ '7': { code: 'OVERLOADED' } });
    const tokens = Array.from({ length: 20 }, (_, index) => String(index));
    await world.run(Promise.all(tokens.map((token) => clerk.append('k', token))));
    expect(written(world)).toEqual(tokens);
  });
});

describe('requests travel together', () => {
  it('all of one turn in one message, once a member has shown that it serves', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', '0'));
    const before = world.cluster.members.reduce((sum, { messages }) => sum + messages, 0);
    await world.run(Promise.all(Array.from({ length: 100 }, () => clerk.append('k', 'x'))));
    const after = world.cluster.members.reduce((sum, { messages }) => sum + messages, 0);
    expect(after - before).toBe(1);
  });

  it('an answer acknowledges the ones before it: the server forgets them', async () => {
    const world = new World();
    const clerk = await world.clerk();
    for (let count = 0; count < 10; count++) await world.run(clerk.append('k', 'x'));
    const [session] = world.cluster.store.sessions.values();
    expect([...(session?.answers.keys() ?? [])]).toEqual([10]);
  });
});

describe('finding the leader', () => {
  it('a hint is followed at once: one refused request, no pause', async () => {
    const world = new World();
    for (const leader of [0, 1, 2]) {
      world.cluster.leader = leader;
      const clerk = await world.clerk();
      const startMs = world.clock.nowMs();
      await world.run(clerk.put('k', 'v'));
      expect(world.clock.nowMs() - startMs).toBeLessThan(15);
      await world.run(clerk.close());
    }
  });

  it('the leader is remembered: later commands cost one request each', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    const { requests } = world.cluster;
    for (let count = 0; count < 20; count++) await world.run(clerk.put('k', 'v'));
    expect(world.cluster.requests - requests).toBe(20);
  });

  it('a broken connection to a healthy leader is mended at once', async () => {
    for (let seed = 1; seed <= 10; seed++) {
      const world = new World({ seed });
      const clerk = await world.clerk();
      await world.run(clerk.put('k', '0'));
      world.cluster.cutAll();
      const startMs = world.clock.nowMs();
      await world.run(clerk.put('k', '1'));
      expect(world.clock.nowMs() - startMs, `seed ${seed}`).toBeLessThan(50);
    }
  });

  it('a killed leader costs at most 200 ms more than the election', async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const world = new World({ seed, size: 5 });
      const clerk = await world.clerk();
      await world.run(clerk.put('k', '0'));
      world.cluster.kill(0);
      world.cluster.hinted = seed % 2 === 0 ? null : 0;
      const call = later(clerk.put('k', '1'));
      await world.clock.advance(700);
      world.cluster.leader = 3;
      world.cluster.hinted = undefined;
      const startMs = world.clock.nowMs();
      await world.run(call);
      expect(world.clock.nowMs() - startMs, `seed ${seed}`).toBeLessThan(200);
    }
  });

  it('an outage is not answered with hammering: few requests and connections', async () => {
    const world = new World({ size: 3 });
    const clerk = await world.clerk();
    await world.run(Promise.all(Array.from({ length: 500 }, () => clerk.append('k', 'x'))));
    const { requests, opened } = world.cluster;
    world.cluster.leader = null;
    const calls = Array.from({ length: 500 }, () => later(clerk.append('k', 'x')));
    await world.clock.advance(4_000);
    // 500 that found the leader gone; then one probe at a time.
    expect(world.cluster.requests - requests).toBeLessThan(500 + 80);
    expect(world.cluster.opened - opened).toBeLessThan(80);
    world.cluster.leader = 1;
    await world.run(Promise.all(calls));
    expect(world.cluster.store.text('k')).toHaveLength(1_000);
    expect(world.cluster.requests - requests).toBeLessThan(500 + 80 + 510);
  });

  it('members that name each other as leader do not send the clerk in circles', async () => {
    const world = new World({ size: 2 });
    const clerk = await world.clerk();
    world.cluster.leader = null;
    const { members } = world.cluster;
    let turn = 0;
    Object.defineProperty(world.cluster, 'hinted', { get: () => turn++ % members.length });
    const call = clerk.put('k', 'v', { timeoutMs: 2_000 });
    expect((await world.refusal(call)).code).toBe('DEADLINE_NOT_APPLIED');
    expect(world.cluster.requests).toBeLessThan(100);
  });

  it('a silent leader is left after a second, a deaf member after half of one', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', '0'));
    world.cluster.member(0).condition = 'mute';
    world.cluster.member(1).condition = 'deaf';
    world.cluster.leader = 2;
    const startMs = world.clock.nowMs();
    await world.run(clerk.put('k', '1'));
    expect(world.clock.nowMs() - startMs).toBeLessThan(1_700);
    expect(world.cluster.store.text('k')).toBe('1');
  });

  it('a connection lost while idle is not mended before there is something to do', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', '0'));
    const { opened } = world.cluster;
    world.cluster.cutAll();
    await world.clock.advance(60_000);
    expect(world.cluster.opened).toBe(opened);
    await world.run(clerk.put('k', '1'));
    expect(world.cluster.opened).toBeGreaterThan(opened);
  });

  it('without discovery the clerk stays on its endpoints', async () => {
    const world = new World({ size: 5 });
    world.cluster.leader = 4;
    const some = world.cluster.endpoints.slice(0, 2);
    const inside = await world.clerk({ endpoints: some, discover: false });
    const refusal = await world.refusal(inside.put('k', 'v', { timeoutMs: 1_000 }));
    expect(refusal.code).toBe('DEADLINE_NOT_APPLIED');
    expect(world.cluster.members.slice(2).map(({ opened }) => opened)).toEqual([0, 0, 0]);
    const outside = await world.clerk({ endpoints: some });
    await world.run(outside.put('k', 'v'));
    expect(world.cluster.member(4).requests).toBeGreaterThan(0);
  });

  it('a member of another cluster gets no request', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', '0'));
    const { requests } = world.cluster.member(1);
    world.cluster.member(1).clusterId = 8n;
    world.cluster.leader = 1;
    const refusal = await world.refusal(clerk.put('k', '1', { timeoutMs: 2_000 }));
    expect(refusal.outcome).toBe('notApplied');
    expect(world.cluster.member(1).requests).toBe(requests);
  });
});

/** Error code 999: no version has it. */
function newerError(): Uint8Array {
  const known = encodeAnswer({ type: 'error', code: 'CORRUPT', message: '', leader: null });
  const [tag, length, codeTag] = known;
  expect([length, known[3]]).toEqual([2, 80]);
  return Uint8Array.of(tag ?? 0, 3, codeTag ?? 0, 0xe7, 0x07);
}
