import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Command, decodeAnswer, encodeCommand, type Operation } from '../api/index.ts';
import { hex, Prng } from '../lib/index.ts';
import { memoryStore } from '../store/index.ts';
import { type CommandBatch, KvStateMachine } from './index.ts';
import {
  append,
  closeSession,
  compare,
  del,
  Harness,
  inSession,
  openSession,
  put,
  rangeOf,
  span,
  text,
  txn,
} from './testing/harness.ts';

/** A few hundred commands of all kinds, some of them refused. */
function someBatches(seed: number, batches: number): CommandBatch[] {
  const prng = new Prng(seed);
  const seqs = [0, 0, 0, 0, 0];
  let timeMs = 0;
  return Array.from({ length: batches }, (_, i) => {
    timeMs += prng.below(700);
    const commands = Array.from({ length: 1 + prng.below(6) }, () => {
      const id = 1 + prng.below(4);
      const key = `k${prng.below(8)}`;
      const next = (seqs[id] ?? 0) + 1;
      const seq = prng.chance(0.2) ? prng.below(5) : next;
      if (seq === next) seqs[id] = next;
      const kinds: Command[] = [
        openSession(prng.chance(0.5) ? '' : 'name', prng.below(9), 5_000),
        inSession(put(key, 'v', true), id, seq, { ackedSeq: Math.max(0, seq - 3) }),
        inSession(append(key, 'v'), id, seq),
        inSession(del(span(key, null)), id, seq),
        inSession(
          txn([compare(key, 'version', 'equal', 1)], [put(key, 'x'), rangeOf(key)]),
          id,
          seq,
        ),
        { type: 'operation', session: null, operation: append(key, 'w') },
        inSession({ type: 'leaseGrant', lease: BigInt(id), ttlMs: 3_000 }, id, seq),
        { type: 'operation', session: null, operation: { ...put(key, 'l'), lease: BigInt(id) } },
        inSession({ type: 'leaseKeepAlive', lease: BigInt(id) }, id, seq),
        closeSession(id),
      ];
      return encodeCommand(kinds[Math.min(prng.below(20), kinds.length - 1)] as Command);
    });
    return { index: i + 1, term: 1, timeMs, commands, conf: null };
  });
}

function newMachine(): KvStateMachine {
  return new KvStateMachine({ store: memoryStore() });
}

describe('determinism', () => {
  test('the same batches give the same answers and the same hash after each', () => {
    const [one, other] = [newMachine(), newMachine()];
    for (const batch of someBatches(1, 400)) {
      expect(one.apply(batch).map(hex)).toEqual(other.apply(batch).map(hex));
      expect(one.stateHash()).toBe(other.stateHash());
    }
    expect(one.stateHash()).toBe(one.recomputeStateHash());
    expect(one.position).toMatchObject({ index: 400, term: 1, conf: null });
  });

  test('queries in between change nothing', () => {
    const [asked, left] = [newMachine(), newMachine()];
    for (const batch of someBatches(2, 200)) {
      asked.query({ serializable: true, query: rangeOf(span('k', null)) });
      for (let id = 1; id <= 6; id++) {
        asked.query({ serializable: true, query: { type: 'resolve', sessionId: id, seq: 1 } });
      }
      expect(asked.apply(batch).map(hex)).toEqual(left.apply(batch).map(hex));
      expect(asked.stateHash()).toBe(left.stateHash());
    }
  });

  test('where batches of one timestamp are cut makes no difference', () => {
    const [whole, cut] = [newMachine(), newMachine()];
    let index = 0;
    for (const batch of someBatches(3, 300)) {
      const answers = whole.apply(batch);
      const pieces = batch.commands.flatMap((command) =>
        cut.apply({ ...batch, index: ++index, commands: [command] }),
      );
      expect(pieces.map(hex)).toEqual(answers.map(hex));
      expect(cut.stateHash()).toBe(whole.stateHash());
    }
  });

  test('a machine made on the store goes on as the first would have', () => {
    const straight = newMachine();
    const store = memoryStore();
    for (const batch of someBatches(4, 300)) {
      const restarted = new KvStateMachine({ store });
      expect(restarted.position.index).toBe(batch.index - 1);
      expect(restarted.stateHash()).toBe(straight.stateHash());
      expect(restarted.apply(batch).map(hex)).toEqual(straight.apply(batch).map(hex));
      expect(restarted.revision).toBe(straight.revision);
      expect(restarted.sessions).toBe(straight.sessions);
    }
  });

  test('equal keys and values with another past are not an equal state', () => {
    const [one, other] = [new Harness(), new Harness()];
    one.put('a', '1');
    one.put('a', '2');
    other.put('a', '1');
    expect(one.machine.stateHash()).not.toBe(other.machine.stateHash());
    other.put('a', '2');
    expect(one.machine.stateHash()).toBe(other.machine.stateHash());
    one.timeMs++;
    one.apply();
    expect(one.machine.stateHash()).not.toBe(other.machine.stateHash());
  });

  test('a batch is applied once: an index again is an error of the caller', () => {
    const kv = new Harness();
    kv.put('a', '1');
    expect(() =>
      kv.machine.apply({ index: 1, term: 1, timeMs: 1, commands: [], conf: null }),
    ).toThrow('again');
  });
});

describe('garbage', () => {
  test('bytes that are no command get INVALID_ARGUMENT and change nothing', () => {
    const kv = new Harness();
    const hash = (): string => kv.machine.stateHash();
    kv.apply();
    const before = hash();
    for (const bytes of [[], [0], [0xff, 0xff], [0x12, 0x7f], [0x0a, 0x00]]) {
      const [answer] = kv.applyBytes(Uint8Array.from(bytes));
      expect(decodeAnswer(answer ?? text(''))).toMatchObject({
        type: 'error',
        code: 'INVALID_ARGUMENT',
      });
    }
    expect(hash()).toBe(before);
  });

  test('no bytes make apply throw, and what they do is the same everywhere', () => {
    const valid = encodeCommand(inSession(txn([], [put('a', '1'), rangeOf('a')]), 1, 1));
    const damaged = fc
      .tuple(fc.nat(valid.length - 1), fc.nat(255), fc.nat(valid.length))
      .map(([at, byte, length]) => valid.with(at, byte).slice(0, length));
    const garbage = fc.array(fc.oneof(fc.uint8Array({ maxLength: 40 }), damaged), {
      maxLength: 20,
    });
    fc.assert(
      fc.property(garbage, (commands) => {
        const [one, other] = [newMachine(), newMachine()];
        const batch = { index: 1, term: 1, timeMs: 5, commands, conf: null };
        const answers = one.apply(batch);
        expect(answers.length).toBe(commands.length);
        for (const answer of answers) decodeAnswer(answer);
        expect(other.apply(batch)).toEqual(answers);
        expect(one.stateHash()).toBe(one.recomputeStateHash());
        expect(other.stateHash()).toBe(one.stateHash());
      }),
      { seed: 42, numRuns: 300 },
    );
  });

  test('transactions nested beyond every bound are refused', () => {
    let bytes = new Uint8Array(0);
    for (let depth = 0; depth < 500; depth++) bytes = nest(bytes);
    const [answer] = newMachine().apply({
      index: 1,
      term: 1,
      timeMs: 1,
      commands: [field(5, bytes)],
      conf: null,
    });
    expect(decodeAnswer(answer ?? text(''))).toMatchObject({ code: 'INVALID_ARGUMENT' });
  });
});

/** A Txn whose only success operation is the Txn inside. */
function nest(inner: Uint8Array): Uint8Array<ArrayBuffer> {
  return field(2, field(5, inner));
}

function field(number: number, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const head = [(number << 3) | 2];
  let length = bytes.length;
  for (; length >= 0x80; length >>>= 7) head.push((length & 0x7f) | 0x80);
  return Uint8Array.from([...head, length, ...bytes]);
}

describe('golden', () => {
  /*
   * These bytes are in logs and in the answers kept for clients: a change of any of them breaks
   * members of two versions in one cluster.
   */
  test('answers and state hash of a fixed history', () => {
    const kv = new Harness();
    const commands = [
      openSession('name', 1, 60_000),
      inSession(put('a', '1', true), 1, 1),
      inSession(append('a', '2'), 1, 2, { ackedSeq: 1 }),
      inSession(txn([compare('a', 'version', 'equal', 2)], [rangeOf('a'), del('a', true)]), 1, 3),
      inSession(put('', '1'), 1, 4),
      inSession({ type: 'skip' }, 1, 5),
      openSession('name', 2, 60_000),
    ];
    const answers = kv.applyBytes(...commands.map(encodeCommand)).map(hex);
    expect(answers).toEqual(GOLDEN_ANSWERS);
    expect(kv.machine.stateHash()).toBe(GOLDEN_HASH);
  });

  test('answers and state hash of a fixed history with leases and compaction', () => {
    const kv = new Harness({ compactionRowsPerBatch: 1 });
    const plain = (operation: Operation): Command => {
      return { type: 'operation', session: null, operation };
    };
    const commands = [
      plain({ type: 'leaseGrant', lease: 5n, ttlMs: 2_000 }),
      plain({ type: 'leaseGrant', lease: 2n ** 63n, ttlMs: 60_000 }),
      plain({ ...put('a', '1'), lease: 5n }),
      plain({ ...put('b', '1'), lease: 2n ** 63n }),
      plain(put('c', '1')),
      plain(put('c', '2')),
      plain(del('c')),
    ];
    const answers = kv.applyBytes(...commands.map(encodeCommand)).map(hex);
    kv.timeMs += 2_000;
    const later = [
      plain({ type: 'leaseKeepAlive', lease: 5n }),
      plain({ type: 'compact', revision: 5 }),
    ];
    answers.push(...kv.applyBytes(...later.map(encodeCommand)).map(hex));
    expect(answers).toEqual(GOLDEN_ANSWERS_OF_LEASES);
    expect(kv.machine.compacting).toBe(true);
    expect(kv.machine.stateHash()).toBe(GOLDEN_HASH_OF_LEASES);
  });
});

const GOLDEN_ANSWERS = [
  '3a080801100130e0d403',
  '0a020802',
  '120408031002',
  '2a32080410011a1522130803120d0a01611002180320022a0231' +
    '3220011a151a13080410011a0d0a01611002180320022a023132',
  '7a17081412136b6579206973206e6f742070726f7669646564',
  '3200',
  '3a1008011002180120052a02320030e0d403',
];
const GOLDEN_HASH = 'ae149f423e58dafeaea184dae0f7467b';

const GOLDEN_ANSWERS_OF_LEASES = [
  '5a05080110d00f',
  '5a06080110e0d403',
  '0a020802',
  '0a020803',
  '0a020804',
  '0a020805',
  '1a0408061001',
  '7a1d08181219726571756573746564206c65617365206e6f7420666f756e64',
  '52020807',
];
const GOLDEN_HASH_OF_LEASES = 'dc3d3229ef78ec0df4436d76d75f37c1';
