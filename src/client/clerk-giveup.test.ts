import { describe, expect, it } from 'vitest';
import { CLERK_LIMITS } from './limits.ts';
import { later, World } from './testing/world.ts';

describe('a caller who stops waiting (fault model C5)', () => {
  it('not applied when nothing was sent', async () => {
    const world = new World();
    for (const member of world.cluster.members) member.condition = 'down';
    const clerk = await world.clerk();
    const refusal = await world.refusal(clerk.put('k', 'v', { timeoutMs: 300 }));
    expect([refusal.code, refusal.outcome]).toEqual(['DEADLINE_NOT_APPLIED', 'notApplied']);
    expect(refusal.message).toMatch(
      /^put: no answer within 300 ms, not applied; last trouble: m\d/,
    );
    expect(refusal.cause).toMatchObject({ code: 'UNREACHABLE' });
  });

  it('not applied when every attempt was definitely refused, and never is afterwards', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', 'a'));
    world.cluster.fate = () => ({ code: 'OVERLOADED' });
    const refusal = await world.refusal(clerk.append('k', 'b', { timeoutMs: 300 }));
    expect(refusal.code).toBe('DEADLINE_NOT_APPLIED');
    world.cluster.fate = () => 'serve';
    await world.run(clerk.append('k', 'c'));
    expect(world.cluster.store.text('k')).toBe('ac');
    expect(world.cluster.store.executions.map(({ operation }) => operation.type)).toEqual([
      'append',
      'skip',
      'append',
    ]);
  });

  it('unknown when an attempt may have run; the message says how to find out', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', 'a'));
    world.cluster.fate = () => 'mute';
    const refusal = await world.refusal(clerk.append('k', 'b', { timeoutMs: 300 }));
    expect([refusal.code, refusal.outcome]).toEqual(['DEADLINE_UNKNOWN', 'unknown']);
    expect(refusal.message).toContain(`ask resolve(2) of session ${clerk.session?.id}`);
    world.cluster.fate = () => 'serve';
    expect(await world.run(clerk.resolve(2))).toMatchObject({
      state: 'executed',
      result: { type: 'append', valueBytes: 2 },
    });
    await world.run(clerk.append('k', 'c'));
    expect(world.cluster.store.text('k')).toBe('abc');
    expect(await world.run(clerk.resolve(2))).toMatchObject({ state: 'executed' });
  });

  it('an unclear refusal keeps it unknown, however clear the later ones are', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', 'a'));
    let count = 0;
    world.cluster.fate = () => ({ code: count++ === 0 ? 'LEADERSHIP_LOST' : 'OVERLOADED' });
    const refusal = await world.refusal(clerk.append('k', 'b', { timeoutMs: 300 }));
    expect(refusal.code).toBe('DEADLINE_UNKNOWN');
  });

  it('a command that never ran is resolved as skipped, and can never run', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', 'a'));
    world.cluster.fate = () => ({ code: 'LEADERSHIP_LOST', lateMs: 5_000 });
    const refusal = await world.refusal(clerk.append('k', 'b', { timeoutMs: 20 }));
    expect(refusal.code).toBe('DEADLINE_UNKNOWN');
    world.cluster.fate = () => 'serve';
    expect(await world.run(clerk.resolve(2))).toEqual({ state: 'skipped' });
    await world.clock.advance(10_000);
    await world.run(clerk.append('k', 'c'));
    expect(world.cluster.store.text('k')).toBe('ac');
  });

  it('its place is filled without any further call', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', 'a'));
    world.cluster.leader = null;
    await world.refusal(clerk.append('k', 'b', { timeoutMs: 100 }));
    world.cluster.leader = 2;
    await world.clock.advance(CLERK_LIMITS.backoffIdleMaxMs + 100);
    expect(world.cluster.store.executions.at(-1)).toMatchObject({
      seq: 2,
      operation: { type: 'skip' },
    });
  });

  it('with nobody waiting, tries are rare; a new call does not wait for the next one', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', 'a'));
    world.cluster.leader = null;
    await world.refusal(clerk.append('k', 'b', { timeoutMs: 100 }));
    await world.clock.advance(10_000);
    const { requests } = world.cluster;
    await world.clock.advance(60_000);
    expect(world.cluster.requests - requests).toBeLessThan(70);
    world.cluster.leader = 1;
    const startMs = world.clock.nowMs();
    await world.run(clerk.append('k', 'c'));
    expect(world.clock.nowMs() - startMs).toBeLessThan(200);
    expect(world.cluster.store.text('k')).toBe('ac');
  });

  it('the commands behind it keep their order and run', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', '0'));
    world.cluster.leader = null;
    const abort = new AbortController();
    const calls = [1, 2, 3, 4, 5].map((token) =>
      later(clerk.append('k', String(token), token === 3 ? { signal: abort.signal } : {})),
    );
    await world.clock.advance(50);
    abort.abort(new Error('enough'));
    const third = await world.refusal(calls[2] as Promise<unknown>);
    expect(third.code).toBe('CANCELLED_NOT_APPLIED');
    expect(third.cause).toMatchObject({ message: 'enough' });
    world.cluster.leader = 0;
    await world.run(Promise.all([calls[0], calls[1], calls[3], calls[4]]));
    expect(world.cluster.store.text('k')).toBe('01245');
  });

  it('a refusal for good of one command does not stop the ones behind it', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', '0'));
    let count = 0;
    world.cluster.fate = () => (count++ === 0 ? { code: 'INVALID_ARGUMENT' } : 'serve');
    const calls = ['1', '2', '3'].map((token) => later(clerk.append('k', token)));
    expect((await world.refusal(calls[0] as Promise<unknown>)).code).toBe('INVALID_ARGUMENT');
    await world.run(Promise.all(calls.slice(1)));
    expect(world.cluster.store.text('k')).toBe('023');
  });

  it('a kept error of a newer version fills its place all the same', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', '0'));
    world.cluster.fate = (arrival) => {
      const { command } = arrival as { command: { session?: { seq: number } } };
      return command.session?.seq === 2 ? { code: 'BAD_PEER' } : 'serve';
    };
    const refusal = await world.refusal(clerk.append('k', '1', { timeoutMs: 100 }));
    expect(refusal.code).toBe('DEADLINE_UNKNOWN');
    // Seq 2 stayed free here: the clerk finds its session out of step and opens another one.
    const id = clerk.session?.id;
    await world.run(clerk.append('k', '2'));
    expect(clerk.session?.id).not.toBe(id);
    expect(world.cluster.store.text('k')).toBe('02');
  });
});

describe('a signal', () => {
  it('before the call: nothing is sent', async () => {
    const world = new World();
    const clerk = await world.clerk();
    const signal = AbortSignal.abort(new Error('no'));
    for (const call of [
      clerk.put('k', 'v', { signal }),
      clerk.get('k', { signal }),
      clerk.status(null, { signal }),
    ]) {
      const refusal = await world.refusal(call);
      expect(refusal.code).toBe('CANCELLED_NOT_APPLIED');
      expect(refusal.cause).toMatchObject({ message: 'no' });
    }
    await world.clock.advance(100);
    expect([world.cluster.opened, world.clock.timerCount]).toEqual([0, 0]);
  });

  it('during the call: the outcome follows from what was sent', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    const abort = new AbortController();
    world.cluster.fate = () => 'drop';
    const sent = later(clerk.put('k', 'w', { signal: abort.signal }));
    const read = later(clerk.get('k', { signal: abort.signal }));
    await world.clock.advance(5);
    const unsent = later(clerk.put('k', 'x', { signal: abort.signal }));
    abort.abort();
    expect((await world.refusal(sent)).code).toBe('CANCELLED_UNKNOWN');
    expect((await world.refusal(read)).code).toBe('CANCELLED_NOT_APPLIED');
    expect((await world.refusal(unsent)).code).toBe('CANCELLED_NOT_APPLIED');
  });

  it('after the answer arrived: the answer wins', async () => {
    const world = new World();
    const clerk = await world.clerk();
    const abort = new AbortController();
    const call = clerk.put('k', 'v', { signal: abort.signal });
    void call.then(() => abort.abort());
    expect(await world.run(call)).toMatchObject({ seq: 1 });
  });
});

describe('bounds', () => {
  it('calls beyond the window wait, calls beyond the queue are refused', async () => {
    const world = new World();
    world.cluster.leader = null;
    const clerk = await world.clerk({ requestTimeoutMs: 1_000_000 });
    const calls = Array.from({ length: CLERK_LIMITS.queueRequestsMax }, () =>
      later(clerk.put('k', 'x')),
    );
    const refusal = await world.refusal(clerk.put('k', 'y'));
    expect([refusal.code, refusal.outcome]).toEqual(['OVERLOADED', 'notApplied']);
    world.cluster.leader = 0;
    await world.run(Promise.all(calls));
    expect(world.cluster.store.executions).toHaveLength(CLERK_LIMITS.queueRequestsMax);
  });

  it('the window is bounded in count and in bytes', async () => {
    const world = new World();
    const clerk = await world.clerk({ requestTimeoutMs: 1_000_000 });
    await world.run(clerk.put('k', ''));
    const { requests } = world.cluster;
    world.cluster.fate = () => 'drop';
    const small = Array.from({ length: CLERK_LIMITS.windowRequestsMax + 50 }, () =>
      later(clerk.append('k', 'x')),
    );
    await world.clock.advance(100);
    expect(world.cluster.requests - requests).toBe(CLERK_LIMITS.windowRequestsMax);
    await world.run(clerk.close());
    await Promise.allSettled(small);

    const other = new World();
    const big = await other.clerk({ requestTimeoutMs: 1_000_000 });
    await other.run(big.put('k', ''));
    other.cluster.fate = () => 'drop';
    const before = other.cluster.requests;
    const mebibyte = new Uint8Array(1024 * 1024);
    const large = Array.from({ length: 20 }, (_, index) => later(big.put(`k${index}`, mebibyte)));
    await other.clock.advance(100);
    expect(other.cluster.requests - before).toBe(7);
    await other.run(big.close());
    await Promise.allSettled(large);
  });

  it('reads are bounded too', async () => {
    const world = new World();
    world.cluster.leader = null;
    const clerk = await world.clerk();
    const calls = Array.from({ length: CLERK_LIMITS.readsQueueMax }, () => later(clerk.get('k')));
    expect((await world.refusal(clerk.get('k'))).code).toBe('OVERLOADED');
    world.cluster.leader = 0;
    await world.run(Promise.all(calls));
  });
});

describe('close', () => {
  it('rejects what is under way, ends an anonymous session, leaks nothing', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    const id = clerk.session?.id;
    world.cluster.fate = (arrival) =>
      arrival.type === 'command' && arrival.command.type === 'closeSession' ? 'serve' : 'drop';
    const sent = later(clerk.put('k', 'w'));
    const read = later(clerk.get('k'));
    await world.clock.advance(5);
    const unsent = later(clerk.put('k', 'x'));
    const closing = clerk.close();
    expect(clerk.close()).toBe(closing);
    await world.run(closing);
    expect((await world.refusal(sent)).code).toBe('CANCELLED_UNKNOWN');
    expect((await world.refusal(read)).code).toBe('CLOSED');
    expect((await world.refusal(unsent)).code).toBe('CLOSED');
    expect((await world.refusal(clerk.put('k', 'y'))).code).toBe('CLOSED');
    expect((await world.refusal(clerk.get('k'))).code).toBe('CLOSED');
    expect(world.cluster.store.closedIds).toEqual([id]);
    expect([world.clock.timerCount, world.cluster.openChannels]).toEqual([0, 0]);
  });

  it('keeps a named session', async () => {
    const world = new World();
    const clerk = await world.clerk({ session: 'job' });
    await world.run(clerk.put('k', 'v'));
    await world.run(clerk[Symbol.asyncDispose]());
    expect([world.cluster.store.closedIds, world.cluster.store.sessions.size]).toEqual([[], 1]);
    expect([world.clock.timerCount, world.cluster.openChannels]).toEqual([0, 0]);
  });

  it('takes at most half a second when nobody answers', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    world.cluster.fate = () => 'drop';
    const startMs = world.clock.nowMs();
    await world.run(clerk.close());
    expect(world.clock.nowMs() - startMs).toBeLessThanOrEqual(CLERK_LIMITS.closeTimeoutMs + 2);
    expect([world.clock.timerCount, world.cluster.openChannels]).toEqual([0, 0]);
  });

  it('works in every state of the connection', async () => {
    for (let ms = 0; ms < 60; ms++) {
      const world = new World({ seed: ms });
      if (ms % 3 === 0) world.cluster.leader = null;
      if (ms % 3 === 1) world.cluster.kill(1);
      const clerk = await world.clerk();
      const call = later(clerk.put('k', 'v'));
      await world.clock.advance(ms);
      await world.run(clerk.close());
      await world.clock.advance(10);
      await Promise.allSettled([call]);
      expect([world.clock.timerCount, world.cluster.openChannels], `${ms} ms`).toEqual([0, 0]);
    }
  });
});
