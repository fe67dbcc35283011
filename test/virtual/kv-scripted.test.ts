import { describe, expect } from 'vitest';
import { checkAppends, type TokenAppend } from '../../src/checker/index.ts';
import type { Clerk } from '../../src/client/index.ts';
import { inLab, others, watch } from './in-lab.ts';
import type { KvLab } from './kv-lab.ts';

/*
 * The scripted tests of the course lab's key/value part A on virtual time, and some of the pitfalls
 * that its text names: production members, sessions and clerks.
 */
async function appendTokens(clerk: Clerk, id: number, count: number): Promise<TokenAppend[]> {
  const done: TokenAppend[] = [];
  for (let n = 0; n < count; n++) {
    const token = `x ${id} ${n} y`;
    await clerk.append('k', token);
    done.push({ clerk: `c${id}`, token, outcome: 'acknowledged' });
  }
  return done;
}

function clerksOf(lab: KvLab, count: number): Promise<Clerk[]> {
  return Promise.all(Array.from({ length: count }, () => lab.clerk()));
}

describe('lab 4B, scripted', () => {
  inLab(
    'Speed: 1000 sequential appends, each far below a heartbeat',
    { members: 3, seeds: 1 },
    async (lab) => {
      const clerk = await lab.clerk();
      await clerk.get('k');
      const startMs = lab.nowMs;
      const appends = await appendTokens(clerk, 0, 1_000);
      const perCallMs = (lab.nowMs - startMs) / 1_000;
      expect(checkAppends((await clerk.get('k')) ?? '', appends)).toEqual([]);
      // The lab allows 33.3 ms. A round trip to the leader, one to a peer, and a disk take less.
      expect(perCallMs).toBeLessThan(8);
    },
  );

  inLab(
    'UnreliableOneKey: 5 clerks append 10 times each, once each and in order',
    { members: 3 },
    async (lab) => {
      const clerks = await clerksOf(lab, 5);
      await clerks[0]?.put('k', '');
      lab.setUnreliable(true);
      const appends = await Promise.all(clerks.map((clerk, id) => appendTokens(clerk, id, 10)));
      lab.setUnreliable(false);
      const reader = await lab.clerk();
      expect(checkAppends((await reader.get('k')) ?? '', appends.flat())).toEqual([]);
      await lab.agreement();
    },
  );

  inLab(
    'OnePartition: a minority answers nothing, and its parked write runs once after the heal',
    { members: 5 },
    async (lab) => {
      const everywhere = await lab.clerk();
      await everywhere.put('1', '13');
      const leader = await lab.leader();
      const minority = [leader, (leader + 1) % 5];
      const majority = others(lab, ...minority);
      lab.partition([minority, majority]);
      const inMajority = await lab.clerk(minority);
      await inMajority.put('1', '14');
      expect(await inMajority.get('1')).toBe('14');

      const putter = await lab.clerk(majority);
      const getter = await lab.clerk(majority);
      const parkedPut = watch(putter.put('1', '15'));
      const parkedGet = watch(getter.get('1'));
      await lab.sleep(1_000);
      expect([parkedPut.ended, parkedGet.ended]).toEqual([false, false]);
      expect(await inMajority.get('1')).toBe('14');
      await inMajority.put('1', '16');
      expect(await inMajority.get('1')).toBe('16');

      const healMs = lab.nowMs;
      lab.healAll();
      const put = await parkedPut.promise;
      const seen = await parkedGet.promise;
      expect(lab.nowMs - healMs).toBeLessThan(3_000);
      expect(['16', '15']).toContain(seen);
      expect(await everywhere.get('1')).toBe('15');
      // Put 13, 14, 16, 15: the parked one is the last and ran once.
      const entry = await everywhere.getEntry('1');
      expect(entry).toMatchObject({ version: 4, modRevision: put.revision });
      await lab.agreement();
    },
  );
});

describe('beyond the lab: exactly once', () => {
  inLab(
    'TwoLeaders: a command that two leaders put into the log runs once',
    { members: 3 },
    async (lab) => {
      const first = await lab.leader();
      const [heir = 0, bystander = 0] = others(lab, first);
      const { clerk, silence } = await lab.application();
      await clerk.append('k', '<1>');
      // The entry reaches the heir alone, and nobody tells the leader.
      const cut = (from: number, to: number): void =>
        lab.network.cut(BigInt(from + 1), BigInt(to + 1));
      cut(heir, first);
      cut(first, bystander);
      cut(bystander, first);
      const parked = watch(clerk.append('k', '<2>'));
      await lab.sleep(50);
      expect(parked.ended).toBe(false);
      lab.partition([[first], [heir, bystander]]);
      silence([first]);
      expect(await parked.promise).toMatchObject({ valueBytes: 6 });
      expect(
        await lab.until(() => (lab.status(heir)?.role === 'leader' ? heir : null), 'heir'),
      ).toBe(heir);
      await clerk.append('k', '<3>');
      expect(await clerk.get('k')).toBe('<1><2><3>');
      lab.healAll();
      await lab.agreement();
    },
  );

  inLab(
    'SessionResume: an application killed in doubt learns under its name what ran',
    { members: 3, seeds: 30 },
    async (lab) => {
      let ledger = '';
      for (let life = 1; life <= 5; life++) {
        const { clerk, kill, silence } = await lab.application([], { session: 'payroll' });
        const lastSeq = clerk.session?.lastSeq ?? Number.NaN;
        // What the life before left open: it ran (the answer is kept), or it is done now.
        const seq = life - 1;
        if (life > 1 && lastSeq < seq) await clerk.append('ledger', `<${seq}>`, { seq });
        if (life > 1 && lastSeq === seq) {
          expect(clerk.session?.lastAnswer).toMatchObject({ state: 'executed' });
        }
        if (life > 1) ledger += `<${seq}>`;
        expect(await clerk.get('ledger')).toBe(ledger === '' ? null : ledger);

        watch(clerk.append('ledger', `<${life}>`));
        await lab.sleep(lab.prng.below(80) / 10);
        if (lab.prng.chance(0.3)) silence(lab.all);
        if (lab.prng.chance(0.3)) lab.restart(lab.prng.below(3));
        await lab.sleep(lab.prng.below(80) / 10);
        kill();
        await lab.sleep(lab.prng.below(1_000));
      }
    },
  );

  inLab(
    'Pipelined: 200 appends in flight at once survive the loss of two leaders, in order',
    { members: 5 },
    async (lab) => {
      const clerk = await lab.clerk();
      const tokens = Array.from({ length: 200 }, (_, n) => `x 0 ${n} y`);
      const calls: Promise<unknown>[] = [];
      for (const token of tokens) {
        calls.push(clerk.append('k', token));
        await lab.sleep(lab.prng.below(10));
        if (calls.length === 50 || calls.length === 150) lab.restart(await lab.leader());
      }
      await Promise.all(calls);
      expect(await clerk.get('k')).toBe(tokens.join(''));
      await lab.agreement();
    },
  );
});

describe('beyond the lab: reads', () => {
  inLab(
    'FreshReads: a get sees what was acknowledged before it, wherever the leader is',
    { members: 3 },
    async (lab) => {
      const [writer, reader] = (await clerksOf(lab, 2)) as [Clerk, Clerk];
      for (let n = 1; n <= 20; n++) {
        await writer.put('k', String(n));
        const leader = await lab.leader();
        if (n % 5 === 0) lab.partition([[leader], others(lab, leader)]);
        if (n % 5 === 1) lab.healAll();
        if (n % 7 === 0) lab.restart(leader);
        expect(await reader.get('k')).toBe(String(n));
      }
      lab.healAll();
      await lab.agreement();
    },
  );
});
