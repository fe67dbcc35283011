import { describe, expect, it } from 'vitest';
import { encodeAnswer } from '../api/index.ts';
import type { Step, TxnRequest } from './request.ts';
import { later, World } from './testing/world.ts';

const INVALID_UTF8 = Uint8Array.of(0x61, 0xff);

describe('values', () => {
  it('get of a missing key gives null, append to a missing key acts like put', async () => {
    const world = new World();
    const clerk = await world.clerk();
    expect(await world.run(clerk.get('k'))).toBeNull();
    expect(await world.run(clerk.getEntry('k'))).toBeNull();
    expect(await world.run(clerk.append('k', 'ab'))).toMatchObject({ valueBytes: 2 });
    expect(await world.run(clerk.append('k', 'c'))).toMatchObject({ valueBytes: 3 });
    expect(await world.run(clerk.get('k'))).toBe('abc');
    expect(await world.run(clerk.getEntry('k'))).toEqual({
      key: 'k',
      value: 'abc',
      createRevision: 2,
      modRevision: 3,
      version: 2,
    });
  });

  it.each(['', 'ä€😀', '\u0000', '\ufeffwith a mark', '__proto__'])(
    'text comes back as it went in: %j',
    async (text) => {
      const world = new World();
      const clerk = await world.clerk();
      await world.run(clerk.put(`k${text}`, text));
      expect(await world.run(clerk.get(`k${text}`))).toBe(text);
    },
  );

  it('bytes come back as bytes; as text only if they are UTF-8', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put(INVALID_UTF8, INVALID_UTF8));
    const bytes = await world.run(clerk.get(INVALID_UTF8, { as: 'bytes' }));
    expect(bytes).toEqual(INVALID_UTF8);
    const refusal = await world.refusal(clerk.get(INVALID_UTF8));
    expect(refusal.message).toBe("the value is not UTF-8 text: ask for it with { as: 'bytes' }");
  });

  it('bytes are copied at the call: changing them afterwards changes nothing', async () => {
    const world = new World();
    const clerk = await world.clerk();
    const value = Buffer.from('before');
    const call = clerk.put('k', value);
    value.write('after!');
    await world.run(call);
    expect(await world.run(clerk.get('k'))).toBe('before');
  });

  it.each<[string, (key: never) => unknown]>([
    ['an empty key', () => ''],
    ['half a surrogate pair', () => 'a\udc00'],
    ['a number', () => 5],
    ['null', () => null],
  ])('%s is no key: refused before a seq is taken', async (_name, make) => {
    const world = new World();
    const clerk = await world.clerk();
    const key = make(undefined as never) as string;
    for (const call of [clerk.put(key, 'v'), clerk.append(key, 'v'), clerk.get(key)]) {
      expect((await world.refusal(call)).code).toBe('INVALID_ARGUMENT');
    }
    expect(world.cluster.requests).toBe(0);
  });

  it('a request that is too large is refused before a seq is taken', async () => {
    const world = new World();
    const clerk = await world.clerk();
    const refusal = await world.refusal(clerk.put('k', new Uint8Array(1.5 * 1024 * 1024)));
    expect(refusal.code).toBe('TOO_LARGE');
    await world.run(clerk.put('k', new Uint8Array(1.5 * 1024 * 1024 - 1)));
  });
});

describe('ranges and deletes', () => {
  it('take a key, a prefix, or from and to', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(Promise.all(['a', 'b/1', 'b/2', 'c'].map((key) => clerk.put(key, `=${key}`))));
    const keys = async (call: ReturnType<typeof clerk.range>) =>
      (await world.run(call)).entries.map(({ key }) => key);
    expect(await keys(clerk.range('a'))).toEqual(['a']);
    expect(await keys(clerk.range({ prefix: 'b/' }))).toEqual(['b/1', 'b/2']);
    expect(await keys(clerk.range({ prefix: '' }))).toHaveLength(4);
    expect(await keys(clerk.range({ from: 'b/2' }))).toEqual(['b/2', 'c']);
    expect(await keys(clerk.range({ from: 'a', to: 'b/2' }))).toEqual(['a', 'b/1']);
    const limited = await world.run(clerk.range({ prefix: '' }, { limit: 1 }));
    expect(limited).toMatchObject({ more: true, count: 4 });

    const gone = await world.run(clerk.delete({ prefix: 'b/' }, { prevKv: true }));
    expect([gone.deleted, gone.prev.map(({ value }) => value)]).toEqual([2, ['=b/1', '=b/2']]);
    expect(await world.run(clerk.delete('nothing'))).toMatchObject({ deleted: 0, prev: [] });
    const replaced = await world.run(clerk.put('a', 'new', { prevKv: true }));
    expect(replaced.prev?.value).toBe('=a');
    const bad = clerk.range({ limit: 1 } as never);
    expect((await world.refusal(bad)).message).toMatch(/expected a key/);
    for (const limit of [0, -1, 1.5, Number.NaN]) {
      const refusal = await world.refusal(clerk.range({ prefix: '' }, { limit }));
      expect(refusal.message).toMatch(/^limit: expected an integer from 1/);
    }
  });

  it('serializable reads are answered by any member, also without a leader', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    world.cluster.kill(0);
    expect(await world.run(clerk.get('k', { serializable: true }))).toBe('v');
    const refusal = await world.refusal(clerk.get('k', { timeoutMs: 300 }));
    expect([refusal.code, refusal.outcome]).toEqual(['DEADLINE_NOT_APPLIED', 'notApplied']);
  });

  it('reads of a revision that is gone are refused for good, without a retry', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    world.cluster.fate = () => ({ code: 'COMPACTED' });
    const { requests } = world.cluster;
    expect((await world.refusal(clerk.get('k', { revision: 1 }))).code).toBe('COMPACTED');
    expect(world.cluster.requests - requests).toBe(1);
  });
});

describe('transactions', () => {
  it('take plain conditions and steps, and give each step its result', async () => {
    const world = new World();
    const clerk = await world.clerk();
    const request: TxnRequest = {
      compares: [{ key: 'lock', version: 0 }],
      success: [
        { put: 'lock', value: 'me' },
        { append: 'log', value: 'got it;' },
        { range: 'log' },
        { txn: { compares: [{ key: 'lock', value: 'me' }], success: [{ delete: 'old' }] } },
      ],
      failure: [{ range: { prefix: 'lock' } }],
    };
    const first = await world.run(clerk.txn(request));
    expect(first).toMatchObject({
      seq: 1,
      succeeded: true,
      results: [
        { type: 'put' },
        { type: 'append', valueBytes: 7 },
        { type: 'range', entries: [{ value: 'got it;' }] },
        { type: 'txn', succeeded: true, results: [{ type: 'delete', deleted: 0 }] },
      ],
    });
    const second = await world.run(clerk.txn(request));
    expect(second).toMatchObject({
      succeeded: false,
      results: [{ type: 'range', entries: [{ key: 'lock', value: 'me' }] }],
    });
  });

  it.each<[string, TxnRequest, RegExp]>([
    ['no operand', { compares: [{ key: 'k' } as never] }, /a condition needs/],
    ['no relation', { compares: [{ key: 'k', is: '<', version: 1 } as never] }, /"is" cannot be/],
    ['no step', { success: [{} as Step] }, /a step is/],
    ['the same key twice', { success: [put('k'), put('k')] }, /duplicate key/],
    ['too many steps', { success: Array.from({ length: 129 }, (_, i) => put(`${i}`)) }, /too many/],
  ])('with %s are refused before a seq is taken', async (_name, request, message) => {
    const world = new World();
    const clerk = await world.clerk();
    const refusal = await world.refusal(clerk.txn(request));
    expect([refusal.code, refusal.message]).toEqual([
      'INVALID_ARGUMENT',
      expect.stringMatching(message),
    ]);
    expect(world.cluster.requests).toBe(0);
  });
});

describe('resolve', () => {
  it('tells of any command what became of it', async () => {
    const world = new World();
    const clerk = await world.clerk();
    expect((await world.refusal(clerk.resolve(1))).message).toMatch(/no session is open/);
    await world.run(clerk.put('k', 'v'));
    await world.run(clerk.put('k', 'w'));
    expect(await world.run(clerk.resolve(1))).toEqual({ state: 'acknowledged' });
    expect(await world.run(clerk.resolve(2))).toMatchObject({ state: 'executed' });
    expect(await world.run(clerk.resolve(3))).toEqual({ state: 'notExecuted' });
    const other = await world.clerk();
    const sessionId = clerk.session?.id ?? 0;
    expect(await world.run(other.resolve(2, { sessionId }))).toMatchObject({ state: 'executed' });
    const unknown = await world.refusal(other.resolve(2, { sessionId: 999 }));
    expect(unknown.code).toBe('SESSION_UNKNOWN');
  });

  it('shows a command that ended in an error as refused', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    const error = { type: 'error', code: 'TOO_LARGE', message: 'value', leader: null } as const;
    world.cluster.fate = () => ({
      answer: encodeAnswer({ type: 'resolve', state: 'executed', answer: encodeAnswer(error) }),
    });
    expect(await world.run(clerk.resolve(1))).toMatchObject({
      state: 'refused',
      error: { code: 'TOO_LARGE', outcome: 'notApplied' },
    });
  });
});

describe('odd members', () => {
  it('an answer of the wrong kind is said to be one', async () => {
    const world = new World();
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    world.cluster.fate = () => ({ answer: encodeAnswer({ type: 'skip' }) });
    expect((await world.refusal(clerk.put('k', 'w'))).message).toBe('put was answered with "skip"');
    expect((await world.refusal(clerk.get('k'))).code).toBe('BAD_PEER');
  });

  it('the status is asked of the member in use, or of the one that is named', async () => {
    const world = new World();
    world.cluster.leader = 1;
    const clerk = await world.clerk();
    await world.run(clerk.put('k', 'v'));
    expect(await world.run(clerk.status())).toMatchObject({ memberId: 2n, role: 'leader' });
    expect(await world.run(clerk.status('m3:1'))).toMatchObject({ memberId: 3n });
    world.cluster.member(2).condition = 'down';
    expect((await world.refusal(clerk.status('m3:1'))).code).toBe('UNREACHABLE');
    world.cluster.member(2).condition = 'deaf';
    const late = await world.refusal(clerk.status('m3:1', { timeoutMs: 100 }));
    expect(late.code).toBe('DEADLINE_NOT_APPLIED');
    const open = later(clerk.status('m3:1'));
    await world.clock.advance(10);
    await world.run(clerk.close());
    expect((await world.refusal(open)).code).toBe('CLOSED');
    expect(world.clock.timerCount).toBe(0);
  });
});

function put(key: string): Step {
  return { put: key, value: 'v' };
}
