import { describe, expect, test } from 'vitest';
import { type Answer, decodeAnswer, type Operation, type Query } from '../api/index.ts';
import { append, compare, del, Harness, put, readable, span, txn } from './testing/harness.ts';

const START_MS = 1_000_000;
const NOT_FOUND = { code: 'LEASE_NOT_FOUND', message: 'requested lease not found' };

function grant(kv: Harness, lease: bigint, ttlMs = 10_000): Answer {
  return kv.run({ type: 'leaseGrant', lease, ttlMs });
}

function keepAlive(kv: Harness, lease: bigint): Answer {
  return kv.run({ type: 'leaseKeepAlive', lease });
}

function revoke(kv: Harness, lease: bigint): Answer {
  return kv.run({ type: 'leaseRevoke', lease });
}

function attached(key: string, lease: bigint): Operation {
  return { ...put(key, 'v'), lease };
}

function ask(kv: Harness, query: Query['query']): Answer {
  return decodeAnswer(kv.machine.query({ serializable: true, query }));
}

/** What a lease has left when so much of log time has passed since the start, and no entry came. */
function leftAfter(kv: Harness, lease: bigint, passedMs: number): unknown {
  const query = { type: 'leaseTimeToLive', lease, keys: false } as const;
  const answer = kv.machine.query({ serializable: true, query }, START_MS + passedMs);
  return readable(decodeAnswer(answer));
}

function timeToLive(kv: Harness, lease: bigint): unknown {
  return readable(ask(kv, { type: 'leaseTimeToLive', lease, keys: true }));
}

/** An empty entry at this time after the start. */
function at(kv: Harness, passedMs: number, term = 1): void {
  kv.timeMs = START_MS + passedMs;
  kv.term = term;
  kv.apply();
}

describe('grant, keep alive, revoke', () => {
  test('none of them makes a revision, but the deletion of keys', () => {
    const kv = new Harness();
    expect(grant(kv, 7n)).toEqual({ type: 'leaseGrant', revision: 1, ttlMs: 10_000 });
    expect(keepAlive(kv, 7n)).toEqual({ type: 'leaseKeepAlive', revision: 1, ttlMs: 10_000 });
    expect(revoke(kv, 7n)).toEqual({ type: 'leaseRevoke', revision: 1, deleted: 0 });
    expect(kv.machine).toMatchObject({ revision: 1, leases: 0 });
  });

  test('a time to live below the least is raised, one above the most refused', () => {
    const kv = new Harness();
    expect(grant(kv, 1n, 0)).toMatchObject({ ttlMs: 2_000 });
    expect(grant(kv, 2n, 9_000_000_000_000)).toMatchObject({ ttlMs: 9_000_000_000_000 });
    expect(grant(kv, 3n, 9_000_000_000_001)).toMatchObject({
      code: 'LEASE_TTL_TOO_LARGE',
      message: 'too large lease TTL',
    });
  });

  test('an id in use is refused, 0 is none, and there is a bound on how many', () => {
    const kv = new Harness({ leasesMax: 2 });
    grant(kv, 1n);
    expect(grant(kv, 1n)).toMatchObject({ code: 'LEASE_EXISTS', message: 'lease already exists' });
    expect(grant(kv, 0n)).toMatchObject({ code: 'INVALID_ARGUMENT' });
    grant(kv, 2n);
    expect(grant(kv, 3n)).toMatchObject({ code: 'LEASES_FULL' });
    revoke(kv, 1n);
    expect(grant(kv, 1n)).toMatchObject({ type: 'leaseGrant' });
  });

  test('a lease that is not there is not found', () => {
    const kv = new Harness();
    expect(keepAlive(kv, 1n)).toMatchObject(NOT_FOUND);
    expect(revoke(kv, 1n)).toMatchObject(NOT_FOUND);
    expect(timeToLive(kv, 1n)).toMatchObject(NOT_FOUND);
    expect(kv.run(attached('a', 1n))).toMatchObject(NOT_FOUND);
    expect(kv.run(txn([], [put('b', '1'), { ...put('a', '1'), lease: 1n }]))).toMatchObject(
      NOT_FOUND,
    );
    expect(kv.machine.revision).toBe(1);
  });

  test('ids have 64 bits and are listed in ascending order', () => {
    const kv = new Harness();
    const ids = [2n ** 64n - 1n, 1n, 2n ** 32n, 2n ** 63n];
    for (const id of ids) grant(kv, id);
    expect(ask(kv, { type: 'leases' })).toEqual({
      type: 'leases',
      revision: 1,
      leases: [1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n],
    });
    for (const id of ids) kv.run(attached(`k${id}`, id));
    expect(timeToLive(kv, 2n ** 64n - 1n)).toMatchObject({ keys: [`k${2n ** 64n - 1n}`] });
  });
});

describe('keys of a lease', () => {
  test('are deleted with it in one revision, in their order, and no others', () => {
    const kv = new Harness();
    grant(kv, 1n);
    grant(kv, 2n);
    for (const key of ['c', 'a', 'b']) kv.run(attached(key, 1n));
    kv.run(attached('other', 2n));
    kv.put('plain', '1');
    expect(timeToLive(kv, 1n)).toMatchObject({ keys: ['a', 'b', 'c'] });
    expect(revoke(kv, 1n)).toEqual({ type: 'leaseRevoke', revision: 7, deleted: 3 });
    expect(kv.read(span('\x00', null), { countOnly: true })).toMatchObject({ count: 2 });
    const page = kv.machine.changes({ ...ALL, from: 7 });
    expect(readable(page.events)).toMatchObject([
      { type: 'delete', kv: { key: 'a', modRevision: 7 } },
      { type: 'delete', kv: { key: 'b', modRevision: 7 } },
      { type: 'delete', kv: { key: 'c', modRevision: 7 } },
    ]);
  });

  test('a put without lease takes a key off it, a put with another moves it', () => {
    const kv = new Harness();
    grant(kv, 1n);
    grant(kv, 2n);
    for (const key of ['a', 'b', 'c']) kv.run(attached(key, 1n));
    kv.put('a', '2');
    kv.run(attached('b', 2n));
    expect(timeToLive(kv, 1n)).toMatchObject({ keys: ['c'] });
    expect(timeToLive(kv, 2n)).toMatchObject({ keys: ['b'] });
    revoke(kv, 1n);
    expect([kv.value('a'), kv.value('b'), kv.value('c')]).toEqual(['2', 'v', null]);
  });

  test('an append and a put that ignores the lease leave it, and ignoring needs a key', () => {
    const kv = new Harness();
    grant(kv, 1n);
    kv.run(attached('a', 1n));
    kv.run(append('a', 'w'));
    kv.run({ ...put('a', 'x'), ignoreLease: true });
    expect(kv.get('a')).toMatchObject({ lease: 1n, version: 3 });
    kv.run({ ...put('a', ''), ignoreValue: true });
    expect(kv.value('a')).toBe('x');
    expect(kv.get('a')).not.toHaveProperty('lease');
    const missing = { code: 'INVALID_ARGUMENT', message: 'key not found' };
    expect(kv.run({ ...put('b', 'x'), ignoreLease: true })).toMatchObject(missing);
    expect(kv.run({ ...put('b', ''), ignoreValue: true })).toMatchObject(missing);
    expect(kv.run({ ...put('a', 'x'), ignoreValue: true })).toMatchObject({
      message: 'value is provided',
    });
    expect(kv.run({ ...put('a', 'x'), lease: 1n, ignoreLease: true })).toMatchObject({
      message: 'lease is provided',
    });
  });

  test('a deleted key no longer belongs to it, also when it is created again', () => {
    const kv = new Harness();
    grant(kv, 1n);
    kv.run(attached('a', 1n));
    kv.run(del('a'));
    kv.put('a', 'mine');
    expect(revoke(kv, 1n)).toMatchObject({ deleted: 0 });
    expect(kv.value('a')).toBe('mine');
  });

  test('a transaction that is refused leaves every key with its lease', () => {
    const kv = new Harness();
    grant(kv, 1n);
    kv.run(attached('a', 1n));
    const hash = kv.machine.stateHash();
    const refused = txn(
      [],
      [put('a', '2'), { ...put('b', '1'), lease: 1n }, { ...put('c', ''), ignoreValue: true }],
    );
    expect(kv.run(refused)).toMatchObject({ message: 'key not found' });
    expect(kv.machine.stateHash()).toBe(hash);
    expect(timeToLive(kv, 1n)).toMatchObject({ keys: ['a'] });
  });

  test('a compare looks at the lease; a key without one and a missing key have lease 0', () => {
    const kv = new Harness();
    const big = 2n ** 63n; // negative as etcd's int64
    for (const lease of [5n, big]) grant(kv, lease);
    kv.run(attached('a', 5n));
    kv.run(attached('n', big));
    kv.put('b', '1');
    const holds = (key: string, relation: 'equal' | 'greater' | 'less', value: bigint): unknown => {
      const one = { ...compare(key, 'version', relation, 0), operand: { target: 'lease', value } };
      return kv.run(txn([one as Parameters<typeof txn>[0][0]], []));
    };
    expect(holds('a', 'equal', 5n)).toMatchObject({ succeeded: true });
    expect(holds('a', 'greater', 5n)).toMatchObject({ succeeded: false });
    expect(holds('b', 'equal', 0n)).toMatchObject({ succeeded: true });
    expect(holds('missing', 'equal', 0n)).toMatchObject({ succeeded: true });
    expect(holds('n', 'less', 0n)).toMatchObject({ succeeded: true });
  });
});

describe('expiry', () => {
  test('comes with the first entry at its deadline, and not with one before', () => {
    const kv = new Harness();
    grant(kv, 1n);
    kv.run(attached('a', 1n));
    expect(kv.machine.nextLeaseDeadlineMs).toBe(START_MS + 10_000);
    at(kv, 9_999);
    expect(timeToLive(kv, 1n)).toMatchObject({ remainingMs: 1, ttlMs: 10_000 });
    at(kv, 10_000);
    expect(kv.value('a')).toBeNull();
    expect(kv.machine).toMatchObject({ revision: 3, leases: 0, nextLeaseDeadlineMs: null });
    expect(keepAlive(kv, 1n)).toMatchObject(NOT_FOUND);
  });

  test('what is left is counted down between entries, and nothing less than one ends it', () => {
    const kv = new Harness();
    grant(kv, 1n);
    expect(leftAfter(kv, 1n, 4_000)).toMatchObject({ remainingMs: 6_000 });
    expect(leftAfter(kv, 1n, 20_000)).toMatchObject({ remainingMs: 0, ttlMs: 10_000 });
    at(kv, 1_000);
    expect(leftAfter(kv, 1n, 500), 'log time never runs back').toMatchObject({
      remainingMs: 9_000,
    });
  });

  test('a keep-alive that is answered gives the full time from its entry on', () => {
    const kv = new Harness();
    grant(kv, 1n);
    kv.run(attached('a', 1n));
    kv.timeMs = START_MS + 9_999;
    keepAlive(kv, 1n);
    at(kv, 19_998);
    expect(kv.value('a')).toBe('v');
    at(kv, 19_999);
    expect(kv.value('a')).toBeNull();
  });

  test('a new term gives every lease its full time again, once', () => {
    const kv = new Harness();
    grant(kv, 1n);
    grant(kv, 2n, 20_000);
    kv.run(attached('a', 1n));
    at(kv, 15_000, 2); // nobody led for a while
    expect(timeToLive(kv, 1n)).toMatchObject({ remainingMs: 10_000 });
    expect(timeToLive(kv, 2n)).toMatchObject({ remainingMs: 20_000 });
    at(kv, 24_999, 2);
    expect(kv.value('a')).toBe('v');
    at(kv, 25_000, 2);
    expect(kv.value('a')).toBeNull();
    expect(kv.machine.leases).toBe(1);
  });

  test('leases that end together end in the order of their deadlines, each in a revision', () => {
    const kv = new Harness();
    for (const [lease, ttlMs] of [
      [3n, 5_000],
      [2n, 9_000],
      [1n, 9_000],
    ] as const) {
      // biome-ignore format: one line
      grant(kv, lease, ttlMs);
      kv.run(attached(`of ${lease}`, lease));
    }
    at(kv, 60_000);
    const { events } = kv.machine.changes({ ...ALL, from: 5 });
    expect(readable(events.map(({ kv: { key, modRevision } }) => ({ key, modRevision })))).toEqual([
      { key: 'of 3', modRevision: 5 },
      { key: 'of 1', modRevision: 6 },
      { key: 'of 2', modRevision: 7 },
    ]);
  });

  test('too many for one batch go in the next, and are over for everybody at once', () => {
    const kv = new Harness({ expiryRowsPerBatchMax: 3 });
    for (let lease = 1n; lease <= 5n; lease++) {
      grant(kv, lease);
      kv.run(attached(`k${lease}`, lease));
    }
    at(kv, 10_000);
    expect(kv.machine.leases).toBe(3);
    expect(ask(kv, { type: 'leases' })).toMatchObject({ leases: [] });
    expect(keepAlive(kv, 5n)).toMatchObject(NOT_FOUND);
    kv.apply();
    expect(kv.machine.leases).toBe(0);
    expect(kv.read(span('k', null))).toMatchObject({ count: 0 });
  });

  test('an id that is granted again lives by its new time', () => {
    const kv = new Harness();
    grant(kv, 1n);
    revoke(kv, 1n);
    kv.timeMs = START_MS + 5_000;
    grant(kv, 1n);
    at(kv, 10_000);
    expect(kv.machine.leases).toBe(1);
    at(kv, 15_000);
    expect(kv.machine.leases).toBe(0);
  });

  test('a member that restarts ends them at the same entries', () => {
    const [straight, restarting] = [new Harness(), new Harness()];
    for (const kv of [straight, restarting]) {
      grant(kv, 1n);
      kv.run(attached('a', 1n));
      kv.timeMs = START_MS + 3_000;
      keepAlive(kv, 1n);
    }
    for (const [passedMs, term] of [
      [12_000, 1],
      [12_500, 2],
      [22_499, 2],
      [22_500, 2],
    ] as const) {
      // biome-ignore format: one line
      restarting.restart();
      for (const kv of [straight, restarting]) at(kv, passedMs, term);
      expect(restarting.machine.stateHash()).toBe(straight.machine.stateHash());
    }
    expect(restarting.value('a')).toBeNull();
    expect(straight.machine.recomputeStateHash()).toBe(straight.machine.stateHash());
  });
});

const ALL = {
  range: span('', null),
  prevKv: false,
  changesMax: 1_000,
  bytesMax: 1_000_000,
} as const;
