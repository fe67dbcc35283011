import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Draft } from '../../src/etcd/codec.ts';
import type { Caller, Exchange } from '../../src/etcd/testing/caller.ts';
import * as call from '../../src/etcd/testing/exchanges.ts';
import { utf8Bytes } from '../../src/lib/index.ts';
import { comparable, shown } from './comparable.ts';
import { Sides } from './sides.ts';

/* Locks and elections: the same conversation with a real etcd and with ours. */

let sides: Sides;

beforeAll(async () => {
  sides = await Sides.start();
});

afterAll(() => sides.close());

const NO_LEASE = 0x7fff_ffff_ffff_fff0n;

/** What one side said, call by call. */
class Talk {
  readonly said: string[] = [];
  readonly #side: Caller;

  constructor(side: Caller) {
    this.#side = side;
  }

  async call<Q, A>(exchange: Exchange<Q, A>, value: Draft<Q>): Promise<A | null> {
    const outcome = await this.#side.call(exchange, value);
    this.#say(exchange, value, outcome);
    return outcome.ok ? outcome.response : null;
  }

  /** A call that waits until the talk makes it end; resolves when it stands in the queue. */
  async wait<Q, A>(
    exchange: Exchange<Q, A>,
    value: Draft<Q>,
    queue: [name: string, length: number],
  ) {
    const started = this.#side.start(exchange, value);
    await this.queued(...queue);
    const end = async (): Promise<void> => this.#say(exchange, value, await started.outcome);
    return { end, cancel: started.cancel };
  }

  /** Resolves when so many keys stand in the queue. */
  async queued(name: string, length: number): Promise<void> {
    const range = { key: utf8Bytes(`${name}/`), range_end: utf8Bytes(`${name}0`) };
    for (;;) {
      const outcome = await this.#side.call(call.RANGE, range);
      if (outcome.ok && outcome.response.count === length) return;
    }
  }

  observe(name: string) {
    const stream = this.#side.stream(call.OBSERVE);
    stream.send({ name: utf8Bytes(name) });
    stream.finish();
    const next = async (): Promise<void> => {
      const { kv, header } = await stream.next();
      // etcd says the store's revision, and sometimes that of a later change.
      expect(header?.revision).toBeGreaterThanOrEqual(kv?.mod_revision ?? 0);
      this.said.push(`observed ${shown(kv)}`);
    };
    return { next, cancel: () => stream.cancel() };
  }

  #say(exchange: Exchange<unknown, unknown>, value: unknown, outcome: object): void {
    const { trailers: _, ...rest } = outcome as { readonly trailers?: unknown };
    this.said.push(`${exchange.path} ${shown(value)}: ${JSON.stringify(comparable(rest), big)}`);
  }
}

function big(_name: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value;
}

async function compare(talk: (side: Talk) => Promise<void>): Promise<void> {
  const [expected, actual] = await sides.both(async (side) => {
    const one = new Talk(side);
    await talk(one);
    return one.said;
  });
  expect(actual).toEqual(expected);
}

const name = utf8Bytes;

test('a lock is taken, waited for, taken again, released and refused as in etcd', async () => {
  await compare(async (side) => {
    for (const ID of [11n, 12n, 13n]) await side.call(call.GRANT, { ID, TTL: 1_000 });
    await side.call(call.LOCK, { name: name('l'), lease: 11n });
    await side.call(call.LOCK, { name: name('l'), lease: 11n });
    const second = await side.wait(call.LOCK, { name: name('l'), lease: 12n }, ['l', 2]);
    const third = await side.wait(call.LOCK, { name: name('l'), lease: 13n }, ['l', 3]);
    await side.call(call.UNLOCK, { key: name('l/b') });
    await second.end();
    await side.call(call.REVOKE, { ID: 12n });
    await third.end();
    await side.call(call.UNLOCK, { key: name('l/d') });
    await side.call(call.UNLOCK, { key: name('l/d') });
    await side.call(call.UNLOCK, {});
    await side.call(call.LOCK, { name: name('l'), lease: NO_LEASE });
    await side.call(call.LOCK, { lease: 11n });
    await side.call(call.LOCK, { name: name('negative'), lease: -7n & 0xffff_ffff_ffff_ffffn });
  });
});

test('who stops waiting for a lock is out of the queue', async () => {
  await compare(async (side) => {
    for (const ID of [21n, 22n, 23n]) await side.call(call.GRANT, { ID, TTL: 1_000 });
    await side.call(call.LOCK, { name: name('c'), lease: 21n });
    const second = await side.wait(call.LOCK, { name: name('c'), lease: 22n }, ['c', 2]);
    second.cancel();
    await side.queued('c', 1);
    await side.call(call.UNLOCK, { key: name('c/15') });
    await side.call(call.LOCK, { name: name('c'), lease: 23n });
  });
});

test('a lock without a lease gets one of 60 s', async () => {
  for (const side of [sides.theirs, sides.ours]) {
    const outcome = await side.call(call.LOCK, { name: name('own') });
    const key = outcome.ok ? Buffer.from(outcome.response.key).toString() : '';
    expect(key).toMatch(/^own\/[0-9a-f]+$/);
    const lease = BigInt(`0x${key.slice(4)}`);
    const life = await side.call(call.TIME_TO_LIVE, { ID: lease, keys: true });
    expect(life).toMatchObject({ response: { grantedTTL: 60, keys: [name(key)] } });
  }
});

test('an election is won, waited for, proclaimed, resigned and refused as in etcd', async () => {
  await compare(async (side) => {
    for (const ID of [31n, 32n]) await side.call(call.GRANT, { ID, TTL: 1_000 });
    await side.call(call.LEADER, { name: name('e') });
    const observer = side.observe('e');
    const won = await side.call(call.CAMPAIGN, { name: name('e'), lease: 31n, value: name('a') });
    await observer.next();
    const leader = won?.leader ?? null;
    await side.call(call.CAMPAIGN, { name: name('e'), lease: 31n, value: name('a') });
    await side.call(call.CAMPAIGN, { name: name('e'), lease: 31n, value: name('b') });
    await observer.next();
    await side.call(call.LEADER, { name: name('e') });
    await side.call(call.PROCLAIM, { leader, value: name('c') });
    await observer.next();
    const campaign = { name: name('e'), lease: 32n, value: name('d') };
    const other = await side.wait(call.CAMPAIGN, campaign, ['e', 2]);
    await side.call(call.RESIGN, { leader });
    await other.end();
    await observer.next();
    await side.call(call.RESIGN, { leader });
    await side.call(call.PROCLAIM, { leader, value: name('e') });
    await side.call(call.PROCLAIM, {});
    await side.call(call.RESIGN, {});
    await side.call(call.PROCLAIM, { leader: {} });
    await side.call(call.CAMPAIGN, { name: name('e'), lease: NO_LEASE });
    observer.cancel();
  });
});

test('a candidate who stops waiting is out of the queue', async () => {
  await compare(async (side) => {
    for (const ID of [41n, 42n]) await side.call(call.GRANT, { ID, TTL: 1_000 });
    await side.call(call.CAMPAIGN, { name: name('f'), lease: 41n, value: name('a') });
    const campaign = { name: name('f'), lease: 42n, value: name('b') };
    const other = await side.wait(call.CAMPAIGN, campaign, ['f', 2]);
    other.cancel();
    await side.queued('f', 1);
    await side.call(call.LEADER, { name: name('f') });
  });
});
