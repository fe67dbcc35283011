import { describe, expect, it } from 'vitest';
import { CLERK_LIMITS } from './limits.ts';
import type { Fate } from './testing/fake-cluster.ts';
import { later, World } from './testing/world.ts';

describe('a session', () => {
  it('is opened by the first write; a clerk that only reads has none', async () => {
    const world = new World();
    const clerk = await world.clerk();
    expect(await world.run(clerk.get('k'))).toBeNull();
    expect([clerk.session, world.cluster.store.sessions.size]).toEqual([null, 0]);
    await world.run(clerk.put('k', 'v'));
    expect(clerk.session).toMatchObject({ name: null, incarnation: 1, resumed: false, lastSeq: 0 });
    expect(world.cluster.store.sessions.size).toBe(1);
  });

  it.each<[string, Fate]>([
    ['a lost reply', 'mute'],
    ['a cut connection', 'cutAfter'],
    ['lost leadership', { code: 'LEADERSHIP_LOST', lateMs: 0 }],
    ['too many sessions for a while', { code: 'SESSIONS_FULL' }],
  ])('is opened once despite %s: every repetition has the same nonce', async (_name, fate) => {
    const world = new World();
    const fates = [fate];
    world.cluster.fate = () => fates.shift() ?? 'serve';
    const clerk = await world.clerk({ session: 'job' });
    expect(clerk.session).toMatchObject({ incarnation: 1 });
    expect(world.cluster.store.sessions.size).toBe(1);
  });

  it('with a name tells a restarted client what ran last, and how it ended', async () => {
    const world = new World();
    const first = await world.clerk({ session: 'job' });
    await world.run(first.put('k', 'a'));
    const { revision } = await world.run(first.append('k', 'b'));
    await world.run(first.close());
    const second = await world.clerk({ session: 'job' });
    expect(second.session).toMatchObject({
      name: 'job',
      incarnation: 2,
      resumed: true,
      lastSeq: 2,
    });
    expect(second.session?.lastAnswer).toEqual({
      state: 'executed',
      result: { type: 'append', revision, valueBytes: 2 },
    });
    expect(await world.run(second.append('k', 'c'))).toMatchObject({ seq: 3, valueBytes: 3 });
  });

  it('that cannot be opened in time fails the connecting, and leaves nothing behind', async () => {
    const world = new World();
    for (const member of world.cluster.members) member.condition = 'down';
    const refusal = await world.refusal(world.connect({ session: 'job', requestTimeoutMs: 700 }));
    expect(refusal.code).toBe('DEADLINE_NOT_APPLIED');
    expect(refusal.message).toMatch(/^opening session "job": no answer within 700 ms, .*refused/);
    expect([world.clock.timerCount, world.cluster.openChannels]).toEqual([0, 0]);
  });

  it('whose opening is called off fails the connecting', async () => {
    const world = new World();
    world.cluster.leader = null;
    const abort = new AbortController();
    const connecting = later(world.connect({ session: 'job', signal: abort.signal }));
    await world.clock.advance(300);
    abort.abort();
    expect((await world.refusal(connecting)).code).toBe('CANCELLED_NOT_APPLIED');
    expect([world.clock.timerCount, world.cluster.openChannels]).toEqual([0, 0]);
    const early = await world.refusal(world.connect({ signal: abort.signal }));
    expect(early.code).toBe('CANCELLED_NOT_APPLIED');
  });

  it('refused for good fails the writes that wait for it; the next one tries again', async () => {
    const world = new World();
    const clerk = await world.clerk();
    world.cluster.fate = () => ({ code: 'INVALID_ARGUMENT' });
    expect((await world.refusal(clerk.put('k', 'v'))).code).toBe('INVALID_ARGUMENT');
    world.cluster.fate = () => 'serve';
    await world.run(clerk.put('k', 'v'));
  });
});

describe('seqs that the caller counts', () => {
  it('the next is executed, an executed one gets its first answer, a gap is refused', async () => {
    const world = new World();
    const clerk = await world.clerk({ session: 'script' });
    const first = await world.run(clerk.append('k', 'a', { seq: 1 }));
    const second = await world.run(clerk.append('k', 'b', { seq: 2 }));
    expect(await world.run(clerk.append('k', 'a', { seq: 1 }))).toEqual(first);
    expect(await world.run(clerk.append('k', 'b', { seq: 2 }))).toEqual(second);
    const beyond = await world.refusal(clerk.append('k', 'd', { seq: 4 }));
    expect(beyond.code).toBe('OUT_OF_ORDER');
    expect(beyond.message).toMatch(/the next one is 3/);
    expect(world.cluster.store.text('k')).toBe('ab');
  });

  it('a script that starts over gets the answers of its last 64 commands', async () => {
    const world = new World();
    const count = CLERK_LIMITS.explicitSeqKept + 10;
    const answers: unknown[] = [];
    for (let run = 0; run < 2; run++) {
      const clerk = await world.clerk({ session: 'script' });
      for (let seq = run === 0 ? 1 : 11; seq <= count; seq++) {
        const answer = await world.run(clerk.append('k', 'x', { seq }));
        if (run === 0) answers[seq] = answer;
        else expect(answer).toEqual(answers[seq]);
      }
      await world.run(clerk.close());
    }
    const clerk = await world.clerk({ session: 'script' });
    expect((await world.refusal(clerk.append('k', 'x', { seq: 1 }))).code).toBe('SESSION_STALE');
    expect(world.cluster.store.text('k')).toHaveLength(count);
  });

  it('a seq under way, or of another kind of command, or without a name, is refused', async () => {
    const world = new World();
    const clerk = await world.clerk({ session: 'script' });
    const first = later(clerk.append('k', 'a', { seq: 1 }));
    const second = later(clerk.append('k', 'b', { seq: 2 }));
    expect((await world.refusal(clerk.append('k', 'a', { seq: 1 }))).code).toBe('INVALID_ARGUMENT');
    await world.run(Promise.all([first, second]));
    const other = await world.refusal(clerk.put('k', 'a', { seq: 1 }));
    expect(other.message).toBe('put: seq 1 was another command, of type "append"');
    const anonymous = await world.clerk();
    expect((await world.refusal(anonymous.put('k', 'v', { seq: 1 }))).message).toMatch(/named/);
    expect((await world.refusal(clerk.put('k', 'v', { seq: 0 }))).code).toBe('INVALID_ARGUMENT');
  });

  it('a repetition that is not answered in time is said to be in doubt, not undone', async () => {
    const world = new World();
    const clerk = await world.clerk({ session: 'script' });
    await world.run(clerk.append('k', 'a', { seq: 1 }));
    world.cluster.fate = () => 'drop';
    const refusal = await world.refusal(clerk.append('k', 'a', { seq: 1, timeoutMs: 50 }));
    expect(refusal.code).toBe('DEADLINE_UNKNOWN');
  });
});

describe('a session that expired (fault model C2)', () => {
  it('anonymous and nothing in doubt: a new one is opened, unnoticed by callers', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', '0'));
    const id = clerk.session?.id ?? 0;
    world.cluster.store.expire(id);
    const calls = ['1', '2', '3'].map((token) => clerk.append('k', token));
    await world.run(Promise.all(calls));
    expect(world.cluster.store.text('k')).toBe('0123');
    expect(clerk.session?.id).not.toBe(id);
  });

  it('anonymous with a command in doubt: that is unknown, the rest not applied', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.append('k', '0'));
    world.cluster.fate = (arrival) => {
      world.cluster.fate = () => 'serve';
      if (arrival.type === 'command') world.cluster.store.execute(arrival.command);
      world.cluster.store.expire(clerk.session?.id ?? 0);
      return 'cut';
    };
    const doubtful = later(clerk.append('k', '1'));
    await world.clock.advance(2);
    const waiting = later(clerk.append('k', '2'));
    expect((await world.refusal(doubtful)).code).toBe('SESSION_LOST_UNKNOWN');
    expect((await world.refusal(waiting)).code).toBe('SESSION_EXPIRED');
    await world.run(clerk.append('k', '3'));
    expect(world.cluster.store.text('k')).toBe('013');
  });

  it('named: its calls are told, and later calls open a new one of that name', async () => {
    const world = new World();
    const clerk = await world.clerk({ session: 'job' });
    await world.run(clerk.append('k', '0'));
    world.cluster.store.expire(clerk.session?.id ?? 0);
    const refusal = await world.refusal(clerk.append('k', '1'));
    expect([refusal.code, refusal.outcome]).toEqual(['SESSION_EXPIRED', 'notApplied']);
    expect(clerk.session).toBeNull();
    expect(await world.run(clerk.append('k', '2', { seq: 1 }))).toMatchObject({ seq: 1 });
    expect(clerk.session).toMatchObject({ name: 'job', resumed: false });
    expect(world.cluster.store.text('k')).toBe('02');
  });

  it('found out by a repetition: the clerk knows it too', async () => {
    const world = new World();
    const clerk = await world.clerk({ session: 'job' });
    await world.run(clerk.append('k', '0'));
    world.cluster.store.expire(clerk.session?.id ?? 0);
    const refusal = await world.refusal(clerk.append('k', '0', { seq: 1 }));
    expect(refusal.code).toBe('SESSION_EXPIRED');
    expect(clerk.session).toBeNull();
  });
});

describe('a session that another clerk took over (fault model C3)', () => {
  it('shuts the earlier clerk out for ever: its writes are refused, its reads go on', async () => {
    const world = new World();
    const old = await world.clerk({ session: 'job' });
    await world.run(old.append('k', '0'));
    const young = await world.clerk({ session: 'job' });
    const calls = ['1', '2'].map((token) => later(old.append('k', token)));
    for (const call of calls) expect((await world.refusal(call)).code).toBe('SESSION_FENCED');
    expect((await world.refusal(old.append('k', '3'))).message).toMatch(/open a new clerk/);
    expect((await world.refusal(old.append('k', '3', { seq: 2 }))).code).toBe('SESSION_FENCED');
    expect(await world.run(old.get('k'))).toBe('0');
    await world.run(young.append('k', '4'));
    expect(world.cluster.store.text('k')).toBe('04');
  });

  it('leaves what may have been executed before in doubt', async () => {
    const world = new World();
    const old = await world.clerk({ session: 'job' });
    world.cluster.fate = () => 'cutAfter';
    const call = later(old.append('k', '0'));
    await world.clock.advance(2);
    world.cluster.fate = () => 'serve';
    world.cluster.leader = null;
    await world.clock.advance(10);
    world.cluster.leader = 0;
    const [session] = world.cluster.store.sessions.values();
    if (session !== undefined) session.incarnation++;
    expect((await world.refusal(call)).code).toBe('SESSION_LOST_UNKNOWN');
  });
});
