import { describe, expect, test } from 'vitest';
import { hex, utf8Bytes } from '../lib/index.ts';
import type { Draft } from './codec.ts';
import { PUT_RESPONSE, RANGE_RESPONSE, TXN_RESPONSE } from './messages/kv.ts';
import { LEASE_GRANT_RESPONSE } from './messages/lease.ts';
import type { Exchange } from './testing/caller.ts';
import * as exchange from './testing/exchanges.ts';
import { type Ended, type SessionMember, SessionWorld } from './testing/session-world.ts';

/* Writes of sessions by metadata, against the state machine: docs/SESSIONS.md is the contract. */

const key = utf8Bytes('k');
const value = utf8Bytes('v');

/** A client of one session: copies what the opening said, as an interceptor does. */
class Client {
  readonly token: string;
  readonly opened: Ended;

  private constructor(opened: Ended) {
    this.opened = opened;
    this.token = opened.headers.get('quorate-session') ?? '';
  }

  static async open(
    member: SessionMember,
    metadata: Readonly<Record<string, string>> = {},
  ): Promise<Client> {
    const asked = { 'quorate-session-open': 'orders', ...metadata };
    return new Client(await send(member, exchange.LEASES, {}, asked));
  }

  write<Request, Response>(
    member: SessionMember,
    to: Exchange<Request, Response>,
    write: { readonly seq: number; readonly acked?: number; readonly [field: string]: unknown },
  ): Promise<Ended> {
    const { seq, acked, ...request } = write;
    // Of any type: what is left is the request as the test wrote it.
    return send(member, to, request as unknown as Draft<Request>, {
      'quorate-session': this.token,
      'quorate-seq': `${seq}`,
      ...(acked === undefined ? {} : { 'quorate-acked': `${acked}` }),
    });
  }
}

function send<Request, Response>(
  member: SessionMember,
  { path, request }: Exchange<Request, Response>,
  message: Draft<Request>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return member.call(path, request.encode(message), metadata);
}

async function versionOf(member: SessionMember, name = key): Promise<number> {
  const { bytes } = await send(member, exchange.RANGE, { key: name });
  return RANGE_RESPONSE.decode(bytes ?? new Uint8Array(0)).kvs[0]?.version ?? 0;
}

function codeOf({ error }: Ended): unknown {
  return error?.trailers['quorate-code'];
}

function seqOf({ headers }: Ended): string | undefined {
  return headers.get('quorate-seq');
}

describe('closing', () => {
  const close = (member: SessionMember, token: string): Promise<Ended> =>
    send(member, exchange.LEASES, {}, { 'quorate-session-close': token });

  test('any call closes the session that its metadata names, and nothing of it runs', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const client = await Client.open(member);
    await client.write(member, exchange.PUT, { seq: 1, key, value });
    const closed = await close(world.member(2n), client.token);
    expect([closed.error, closed.headers.get('quorate-session-close')]).toEqual([null, '1/1']);
    expect(world.machine.sessions).toBe(0);
    const late = await client.write(member, exchange.PUT, { seq: 2, key, value });
    expect([codeOf(late), await versionOf(member)]).toEqual(['SESSION_EXPIRED', 1]);
    expect((await Client.open(member)).opened.headers.get('quorate-resumed')).toBe('false');
  });

  test('may be asked for again, after a lost answer or a leader that ended', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const { token } = await Client.open(member);
    world.fates.push({ code: 'LEADERSHIP_LOST', isApplied: true });
    for (let i = 0; i < 2; i++) expect((await close(member, token)).error).toBeNull();
  });

  test('is refused to a client that was replaced, and for what is no session', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const { token } = await Client.open(member);
    await Client.open(member, { 'quorate-nonce': '0'.repeat(32) });
    expect(codeOf(await close(member, token))).toBe('SESSION_FENCED');
    expect(codeOf(await close(member, '99/1'))).toBe('SESSION_UNKNOWN');
    for (const token of ['1', '1/1/1', 'a/b']) {
      expect(codeOf(await close(member, token)), token).toBe('INVALID_ARGUMENT');
    }
    expect(world.machine.sessions).toBe(1);
  });
});

describe('opening', () => {
  test('any call opens the session that its metadata names, and its headers say so', async () => {
    const { opened } = await Client.open(new SessionWorld().member(1n));
    expect(opened.error).toBeNull();
    expect(Object.fromEntries(opened.headers)).toEqual({
      'quorate-session': '1/1',
      'quorate-last-seq': '0',
      'quorate-resumed': 'false',
      'quorate-session-ttl': '86400',
    });
  });

  test('a name that is known is resumed: a new incarnation hears of the last number', async () => {
    const member = new SessionWorld().member(1n);
    const first = await Client.open(member);
    const put = await first.write(member, exchange.PUT, { seq: 1, key, value });
    const second = await Client.open(member, { 'quorate-session-ttl': '60' });
    expect(Object.fromEntries(second.opened.headers)).toEqual({
      'quorate-session': '1/2',
      'quorate-last-seq': '1',
      'quorate-resumed': 'true',
      'quorate-session-ttl': '60',
    });
    // The last answer, under its number; and the first client is shut out.
    const again = await second.write(member, exchange.PUT, { seq: 1, key, value });
    expect(again.bytes).toEqual(put.bytes);
    const late = await first.write(member, exchange.PUT, { seq: 2, key, value });
    expect([codeOf(late), seqOf(late)]).toEqual(['SESSION_FENCED', undefined]);
    expect(await versionOf(member)).toBe(1);
  });

  test('an opening that is repeated with its nonce opens nothing new', async () => {
    const world = new SessionWorld();
    const nonce = { 'quorate-nonce': '0123456789abcdef0123456789abcdef' };
    const first = await Client.open(world.member(1n), nonce);
    world.fates.push({ code: 'LEADERSHIP_LOST', isApplied: true });
    const again = await Client.open(world.member(2n), nonce);
    expect([first.token, again.token]).toEqual(['1/1', '1/1']);
  });

  test.each([
    ['0', '1'],
    ['9007199254740991', `${31 * 24 * 60 * 60}`],
  ])('an idle life of %s seconds is cut to %s', async (asked, granted) => {
    const member = new SessionWorld().member(1n);
    const { opened } = await Client.open(member, { 'quorate-session-ttl': asked });
    expect(opened.headers.get('quorate-session-ttl')).toBe(granted);
  });

  test('numbers as large as they can be are refused like others', async () => {
    const member = new SessionWorld().member(1n, { sessionRetryMs: 0 });
    const most = `${Number.MAX_SAFE_INTEGER}`;
    const { token } = await Client.open(member);
    const codes = [];
    for (const [session, seq] of [
      [token, most],
      [`${most}/1`, '1'],
      [`1/${most}`, '1'],
    ]) {
      const metadata = { 'quorate-session': session ?? '', 'quorate-seq': seq ?? '' };
      codes.push(codeOf(await send(member, exchange.PUT, { key, value }, metadata)));
    }
    expect(codes).toEqual(['OUT_OF_ORDER', 'SESSION_UNKNOWN', 'SESSION_UNKNOWN']);
  });

  test.each([
    ['an empty name', { 'quorate-session-open': '' }],
    ['a nonce that is too short', { 'quorate-nonce': 'abcd' }],
    ['a nonce that is not hexadecimal', { 'quorate-nonce': 'x'.repeat(32) }],
    ['a time to live that is no number', { 'quorate-session-ttl': '1h' }],
    ['a name beyond the limit', { 'quorate-session-open': 'n'.repeat(257) }],
  ])('%s is refused', async (_what, metadata) => {
    const { opened, token } = await Client.open(new SessionWorld().member(1n), metadata);
    expect([codeOf(opened), token]).toEqual(['INVALID_ARGUMENT', '']);
  });
});

describe('a write of a session', () => {
  const kinds: [string, Exchange<never, unknown>, object][] = [
    ['Put', exchange.PUT, { key, value, prev_kv: true }],
    ['DeleteRange', exchange.DELETE_RANGE, { key, prev_kv: true }],
    ['Txn', exchange.TXN, { success: [{ request_put: { key, value } }] }],
    ['Compact', exchange.COMPACT, { revision: 2 }],
    ['LeaseGrant', exchange.GRANT, { TTL: 30 }],
    ['LeaseRevoke', exchange.REVOKE, { ID: 7n }],
  ] as never;

  test.each(kinds)('%s gets its first answer at every member, byte for byte', async (...kind) => {
    const [, to, request] = kind;
    const world = new SessionWorld();
    const [one, other] = [world.member(1n), world.member(2n)];
    await send(one, exchange.GRANT, { ID: 7n, TTL: 30 });
    await send(one, exchange.PUT, { key, value });
    await send(one, exchange.PUT, { key, value });
    const client = await Client.open(one);
    const first = await client.write(one, to, { seq: 1, ...request } as never);
    expect([first.error, seqOf(first)]).toEqual([null, '1']);
    const hash = world.machine.revision;
    const again = await client.write(other, to, { seq: 1, ...request } as never);
    expect(hex(again.bytes ?? key)).toBe(hex(first.bytes ?? value));
    expect(world.machine.revision).toBe(hash);
  });

  test('a lease without an id gets one that no other number gets', async () => {
    const member = new SessionWorld().member(1n);
    const client = await Client.open(member);
    const ids = new Set<bigint>();
    for (const seq of [1, 2, 3]) {
      const { bytes } = await client.write(member, exchange.GRANT, { seq, TTL: 30 });
      ids.add(LEASE_GRANT_RESPONSE.decode(bytes ?? key).ID);
    }
    expect(ids.size).toBe(3);
  });

  test('an answer that was lost with the leader is asked for again, by the member', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const client = await Client.open(member);
    world.fates.push(
      { code: 'LEADERSHIP_LOST', isApplied: true },
      { code: 'LEADERSHIP_LOST', isApplied: false },
    );
    const put = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([put.error, seqOf(put), await versionOf(member)]).toEqual([null, '1', 1]);
  });

  test('one whose end is not known does not say that its number is used up', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const client = await Client.open(member);
    world.fates.push({ code: 'REQUEST_TIMEOUT', isApplied: true });
    const lost = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([codeOf(lost), seqOf(lost)]).toEqual(['REQUEST_TIMEOUT', undefined]);
    expect(lost.error?.trailers['quorate-outcome']).toBe('unknown');
    const again = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([again.error, seqOf(again), await versionOf(member)]).toEqual([null, '1', 1]);
  });

  test('refused for what it asks, it uses up its number, and the next one follows', async () => {
    const member = new SessionWorld().member(1n);
    const client = await Client.open(member);
    const noKey = await client.write(member, exchange.PUT, { seq: 1 });
    expect([noKey.error?.message, seqOf(noKey)]).toEqual(['etcdserver: key is not provided', '1']);
    const noLease = await client.write(member, exchange.PUT, { seq: 2, key, lease: 5n });
    expect([codeOf(noLease), seqOf(noLease)]).toEqual(['LEASE_NOT_FOUND', '2']);
    const put = await client.write(member, exchange.PUT, { seq: 3, key, value });
    expect([put.error, seqOf(put)]).toEqual([null, '3']);
    // Again: the same refusals, also if the lease is there now.
    await send(member, exchange.GRANT, { ID: 5n, TTL: 30 });
    const again = await client.write(member, exchange.PUT, { seq: 2, key, lease: 5n });
    expect([codeOf(again), seqOf(again), await versionOf(member)]).toEqual([
      'LEASE_NOT_FOUND',
      '2',
      1,
    ]);
  });

  test('refused for want of space, it uses up its number and can never run', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const client = await Client.open(member);
    world.fates.push({ code: 'NO_SPACE', isApplied: false });
    const full = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([full.error?.message, seqOf(full)]).toEqual([
      'etcdserver: mvcc: database space exceeded',
      '1',
    ]);
    const again = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([codeOf(again), seqOf(again)]).toEqual(['CANCELLED_NOT_APPLIED', '1']);
    expect(await versionOf(member)).toBe(0);
  });

  test('repeated when there is no space any more, it gets the answer that it had', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const client = await Client.open(member);
    const put = await client.write(member, exchange.PUT, { seq: 1, key, value });
    world.fates.push({ code: 'NO_SPACE', isApplied: false });
    const again = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect(again.bytes).toEqual(put.bytes);
  });

  test('under the number of another kind of request it is refused', async () => {
    const member = new SessionWorld().member(1n);
    const client = await Client.open(member);
    await client.write(member, exchange.PUT, { seq: 1, key, value });
    // What a client does that gives up: a transaction of nothing makes sure.
    const spent = await client.write(member, exchange.TXN, { seq: 1 });
    expect([codeOf(spent), seqOf(spent)]).toEqual(['INVALID_ARGUMENT', '1']);
    const free = await client.write(member, exchange.TXN, { seq: 2 });
    expect(TXN_RESPONSE.decode(free.bytes ?? key).succeeded).toBe(true);
    const late = await client.write(member, exchange.PUT, { seq: 2, key, value });
    expect([codeOf(late), await versionOf(member)]).toEqual(['INVALID_ARGUMENT', 1]);
  });

  test('an answer that was acknowledged is gone, and the refusal says that it ran', async () => {
    const member = new SessionWorld().member(1n);
    const client = await Client.open(member);
    await client.write(member, exchange.PUT, { seq: 1, key, value });
    await client.write(member, exchange.PUT, { seq: 2, acked: 1, key, value });
    const stale = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([codeOf(stale), seqOf(stale)]).toEqual(['SESSION_STALE', '1']);
    expect(stale.error?.trailers['quorate-outcome']).toBe('applied');
    expect(await versionOf(member)).toBe(2);
  });

  test('of a session that was idle too long it never runs', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const client = await Client.open(member, { 'quorate-session-ttl': '60' });
    world.passLogTime(60_000);
    const put = await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([codeOf(put), put.error?.code, seqOf(put)]).toEqual(['SESSION_EXPIRED', 9, undefined]);
    expect(await versionOf(member)).toBe(0);
  });

  test.each([
    ['a number without a session', { 'quorate-seq': '1' }],
    ['a session without a number', { 'quorate-session': '1/1' }],
    ['the number 0', { 'quorate-session': '1/1', 'quorate-seq': '0' }],
    ['a number that is none', { 'quorate-session': '1/1', 'quorate-seq': '1e3' }],
    [
      'an acknowledgement of itself',
      { 'quorate-session': '1/1', 'quorate-seq': '1', 'quorate-acked': '1' },
    ],
    ['a token in pieces', { 'quorate-session': '1/1/1', 'quorate-seq': '1' }],
    ['a token without incarnation', { 'quorate-session': '1', 'quorate-seq': '1' }],
    ['a session by its name', { 'quorate-session': 'orders/1', 'quorate-seq': '1' }],
  ])('%s is refused, and nothing happens', async (_what, metadata) => {
    const member = new SessionWorld().member(1n);
    await Client.open(member);
    const put = await send(member, exchange.PUT, { key, value }, metadata);
    expect([put.error?.code, put.error?.trailers['quorate-outcome']]).toEqual([3, 'notApplied']);
    expect(await versionOf(member)).toBe(0);
  });

  test('of a session that was never opened it is refused', async () => {
    const member = new SessionWorld().member(1n);
    const metadata = { 'quorate-session': '77/1', 'quorate-seq': '1' };
    const put = await send(member, exchange.PUT, { key, value }, metadata);
    expect([codeOf(put), await versionOf(member)]).toEqual(['SESSION_UNKNOWN', 0]);
  });
});

describe('a write that overtakes the one before it', () => {
  test('waits for it, at whichever member that arrives', async () => {
    const world = new SessionWorld();
    const [one, other] = [world.member(1n), world.member(2n)];
    const client = await Client.open(one);
    const order: number[] = [];
    const write = async (member: SessionMember, seq: number): Promise<number> => {
      const put = await client.write(member, exchange.PUT, { seq, key, value });
      order.push(seq);
      return PUT_RESPONSE.decode(put.bytes ?? key).header?.revision ?? 0;
    };
    const writes = [write(one, 4), write(other, 3), write(one, 2)];
    await turns();
    expect(order).toEqual([]);
    const revisions = await Promise.all([...writes, write(other, 1)]);
    expect(revisions).toEqual([5, 4, 3, 2]);
    expect(world.clock.timers).toBe(0);
  });

  test('is refused when that does not come in time', async () => {
    const world = new SessionWorld();
    const member = world.member(1n, { sessionRetryMs: 100 });
    const client = await Client.open(member);
    const write = client.write(member, exchange.PUT, { seq: 2, key, value });
    await turns();
    world.clock.pass(100);
    const ended = await write;
    expect([codeOf(ended), seqOf(ended)]).toEqual(['OUT_OF_ORDER', undefined]);
    expect(world.clock.timers).toBe(0);
  });

  test('is refused at once when too many wait', async () => {
    const world = new SessionWorld();
    const member = world.member(1n, { sessionWaitingMax: 2 });
    const client = await Client.open(member);
    const [two, three, four] = [2, 3, 4].map((seq) =>
      client.write(member, exchange.PUT, { seq, key, value }),
    );
    expect(codeOf((await four) as Ended)).toBe('OUT_OF_ORDER');
    await client.write(member, exchange.PUT, { seq: 1, key, value });
    expect([(await two)?.error, (await three)?.error]).toEqual([null, null]);
    expect(await versionOf(member)).toBe(3);
  });

  test('is let go when its client leaves, and when the member is closed', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const { token } = await Client.open(member);
    const leaving = new AbortController();
    const { path, request } = exchange.PUT;
    const calls = [leaving.signal, new AbortController().signal].map((signal, i) => {
      const metadata = { 'quorate-session': token, 'quorate-seq': `${2 + i}` };
      return member.call(path, request.encode({ key, value }), metadata, signal);
    });
    await turns();
    leaving.abort();
    expect((await calls[0])?.error?.message).toBe('etcdserver: the call was cancelled');
    world.isClosed = true;
    world.clock.pass(250);
    expect(codeOf((await calls[1]) as Ended)).toBe('STOPPING');
    expect(world.clock.timers).toBe(0);
  });

  test('is answered when its session ends meanwhile', async () => {
    const world = new SessionWorld();
    const member = world.member(1n);
    const client = await Client.open(member);
    const write = client.write(member, exchange.PUT, { seq: 2, key, value });
    await turns();
    world.passLogTime(86_400_000);
    await send(member, exchange.PUT, { key, value });
    expect(codeOf(await write)).toBe('SESSION_EXPIRED');
  });
});

/** Lets promises that are settled take their course. */
async function turns(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
