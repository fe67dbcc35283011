import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Answer,
  type Command,
  type Compare,
  decodeAnswer,
  encodeCommand,
  type KeyRange,
  type Operation,
  type TxnOperation,
} from '../api/index.ts';
import { compareBytes } from '../lib/index.ts';
import type { OrderedStore } from '../store/index.ts';
import { KV_LIMITS, KvStateMachine } from './index.ts';
import { Harness, nonce, rangeOf, readable } from './testing/harness.ts';
import { Model } from './testing/model.ts';

const LIMITS = {
  ...KV_LIMITS,
  valueBytesMax: 6,
  sessionsMax: 4,
  sessionAnswersMax: 4,
  sessionTtlMsMin: 10,
  sessionTtlMsMax: 100,
  leasesMax: 2,
  leaseTtlMsMin: 10,
  compactionRowsPerBatch: 2,
};

/** A command of a session, said relative to where the session is when it comes up. */
interface Relative {
  readonly type: 'relative';
  readonly sessionId: number;
  /** 0 is the next seq, -1 the last one again, 1 a gap. */
  readonly seqStep: number;
  /** From the newest answer backwards that is acknowledged; null for no acknowledgement. */
  readonly unacked: number | null;
  /** 0 is the current incarnation. */
  readonly incarnationStep: number;
  readonly operation: Operation;
}

interface Batch {
  readonly commands: readonly (Command | Relative)[];
  readonly passedMs: number;
  /** Another leader from here on. */
  readonly newTerm: boolean;
  /** A new machine takes over on the same store. */
  readonly restart: boolean;
}

/** Everything that must have come up, or the test proves less than it says. */
const REACHED = [
  ...['put', 'append', 'delete', 'txn', 'skip', 'openSession', 'closeSession'],
  ...['leaseGrant', 'leaseKeepAlive', 'leaseRevoke', 'LEASE_NOT_FOUND', 'LEASE_EXISTS'],
  ...['LEASES_FULL', 'lease expired', 'revoked with keys'],
  ...['compact', 'COMPACTED', 'compacted in several batches'],
  ...['TOO_LARGE', 'FUTURE_REVISION', 'INVALID_ARGUMENT', 'OUT_OF_ORDER', 'SESSIONS_FULL'],
  ...['SESSION_STALE', 'SESSION_FENCED', 'SESSION_EXPIRED', 'SESSION_UNKNOWN'],
  ...['SESSION_WINDOW_FULL', 'repeated', 'resumed', 'taken back'],
];

test('random batches: answers, reads of every revision and hashes are those of the model', () => {
  const reached = new Map<string, number>();
  fc.assert(
    fc.property(fc.array(batch(), { maxLength: 30, size: 'max' }), (batches) => {
      const kv = new Harness(LIMITS);
      const model = new Model(LIMITS);
      let machine = kv.machine;
      let timeMs = 1000;
      let term = 1;
      for (const [i, { commands, passedMs, newTerm, restart }] of batches.entries()) {
        if (restart) machine = new KvStateMachine({ store: kv.store, limits: LIMITS });
        timeMs += passedMs;
        if (newTerm) term++;
        const leases = model.leases.size;
        model.startBatch(timeMs, term);
        if (model.leases.size < leases) count(reached, 'lease expired');
        const said = commands.map((each) => {
          const command = each.type === 'relative' ? absolute(each, model) : each;
          return { command, expected: readable(model.apply(command)) };
        });
        const encoded = said.map(({ command }) => encodeCommand(command));
        const answers = machine.apply({
          index: i + 1,
          term,
          timeMs,
          commands: encoded,
          conf: null,
        });
        expect(answers.map(plain)).toEqual(said.map(({ expected }) => expected));
        for (const [at, answer] of answers.entries()) {
          for (const name of namesOf(said[at]?.command, answer)) count(reached, name);
        }
        if (machine.compacting) count(reached, 'compacted in several batches');
        expect(machine.revision).toBe(model.revision);
        expect(machine.compactRevision).toBe(model.compactRevision);
        expect(machine.sessions).toBe(model.sessions.size);
        expect(machine.leases).toBe(model.leases.size);
        expect(machine.stateHash()).toBe(machine.recomputeStateHash());
      }
      expectSameReads(machine, model);
      finishCompaction(machine);
      expectSameReads(machine, model);
      expect(rowsOf(kv.store)).toEqual(model.rowsKept());
      expect(machine.stateHash()).toBe(machine.recomputeStateHash());
    }),
    { numRuns: 160, seed: 42 },
  );
  for (const name of REACHED) expect([name, (reached.get(name) ?? 0) > 10]).toEqual([name, true]);
});

function count(reached: Map<string, number>, name: string): void {
  reached.set(name, (reached.get(name) ?? 0) + 1);
}

/** What this command and its answer are examples of. */
function namesOf(command: Command | undefined, bytes: Uint8Array): string[] {
  const answer = decodeAnswer(bytes);
  const names: string[] = [answer.type === 'error' ? answer.code : answer.type];
  if (command?.type === 'openSession' && answer.type === 'openSession' && answer.resumed) {
    names.push('resumed');
  }
  if (command?.type === 'operation') {
    const refusedWithin = answer.type === 'error' && !answer.code.startsWith('SESSION');
    if (command.operation.type === 'txn' && refusedWithin) names.push('taken back');
    if (answer.type !== 'error' && answer.type !== command.operation.type) names.push('repeated');
  }
  if (answer.type === 'leaseRevoke' && answer.deleted > 0) names.push('revoked with keys');
  return names;
}

/** Empty batches until there is nothing left to remove. */
function finishCompaction(machine: KvStateMachine): void {
  while (machine.compacting) {
    const { index, term, logTimeMs } = machine.position;
    machine.apply({ index: index + 1, term, timeMs: logTimeMs, commands: [], conf: null });
  }
}

/** Number of rows of the tables that hold keys. */
function rowsOf(store: OrderedStore): ReturnType<Model['rowsKept']> {
  const rows = (table: string) => store.count(table, { from: new Uint8Array(0), to: null });
  return { keys: rows('keys'), deleted: rows('deleted'), history: rows('history') };
}

function absolute(relative: Relative, model: Model): Command {
  const { sessionId, seqStep, unacked, incarnationStep, operation } = relative;
  const known = model.sessions.get(sessionId);
  const lastSeq = known?.answers.length ?? 0;
  const session = {
    sessionId,
    incarnation: Math.max(0, (known?.incarnation ?? 1) + incarnationStep),
    seq: Math.max(0, lastSeq + 1 + seqStep),
    ackedSeq: unacked === null ? 0 : Math.max(0, lastSeq - unacked),
  };
  return { type: 'operation', session, operation };
}

function expectSameReads(machine: KvStateMachine, model: Model): void {
  const everything = rangeOf({ from: new Uint8Array(0), to: null });
  for (let revision = 1; revision <= model.revision; revision++) {
    const query = { ...everything, revision };
    const answer = plain(machine.query({ serializable: true, query }));
    expect(answer).toEqual(readable(model.read({ ...everything, revision })));
  }
  for (const descending of [false, true]) {
    const order = { target: 'modRevision', descending } as const;
    const query = { ...everything, order, limit: 2 };
    expect(plain(machine.query({ serializable: true, query }))).toEqual(
      readable(model.read(query)),
    );
  }
  for (let id = 1n; id <= 4n; id++) {
    const query = { type: 'leaseTimeToLive', lease: id, keys: true } as const;
    const answer = plain(machine.query({ serializable: true, query }));
    expect(answer).toEqual(readable(model.timeToLive(id)));
  }
  for (const from of [model.compactRevision, model.compactRevision + 1, model.revision]) {
    expect(changesOf(machine, from)).toEqual(readable(model.changes(from)));
  }
  for (let sessionId = 1; sessionId <= 5; sessionId++) {
    for (let seq = 1; seq <= 6; seq++) {
      const query = { type: 'resolve', sessionId, seq } as const;
      expect(plain(machine.query({ serializable: true, query }))).toEqual(
        readable(model.resolve(sessionId, seq)),
      );
    }
  }
}

/** The history from a revision on, in pages of one change; in a revision in the order of keys. */
function changesOf(machine: KvStateMachine, from: number): unknown {
  const range = { from: new Uint8Array(0), to: null };
  const events: unknown[] = [];
  for (let next = Math.max(from, 1); next <= machine.revision; ) {
    const request = { from: next, range, prevKv: true, changesMax: 1, bytesMax: 1_000 };
    const page = machine.changes(request);
    expect(page.next).toBeGreaterThan(next);
    events.push(...[...page.events].sort((a, b) => compareBytes(a.kv.key, b.kv.key)));
    next = page.next;
  }
  return readable(events);
}

/** The answer as the model would say it. */
function plain(bytes: Uint8Array): unknown {
  return plainAnswer(decodeAnswer(bytes));
}

function plainAnswer(answer: Answer): unknown {
  switch (answer.type) {
    case 'error':
      return { type: 'error', code: answer.code };
    case 'openSession':
      return {
        ...answer,
        lastAnswer: answer.lastAnswer === null ? null : plain(answer.lastAnswer),
      };
    case 'resolve':
      return { ...answer, answer: answer.answer === null ? null : plain(answer.answer) };
    default:
      return readable(answer);
  }
}

// ── what happens ───────────────────────────────────────────────────────────────────────────────

function batch(): fc.Arbitrary<Batch> {
  return fc.record({
    commands: fc.array(command(), { maxLength: 8, size: 'max' }),
    passedMs: fc.constantFrom(0, 0, 1, 2, 3, 5, 60),
    newTerm: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    restart: fc.boolean(),
  });
}

function command(): fc.Arbitrary<Command | Relative> {
  const name = fc.constantFrom('', 'n', 'm').map((each) => bytesOf(each));
  const open = fc.record({
    type: fc.constant('openSession' as const),
    name,
    nonce: fc.nat(6).map(nonce),
    ttlMs: fc.integer({ min: 50, max: 150 }),
  });
  const close = fc.record({
    type: fc.constant('closeSession' as const),
    sessionId: fc.nat(5),
    incarnation: fc.integer({ min: 1, max: 3 }),
  });
  const inSession = fc.record({
    type: fc.constant('relative' as const),
    sessionId: fc.constantFrom(1, 1, 1, 2, 2, 3, 4),
    seqStep: fc.constantFrom(0, 0, 0, 0, 0, 0, -1, -2, -3, 1),
    unacked: fc.constantFrom(null, null, 0, 1, 2),
    incarnationStep: fc.constantFrom(0, 0, 0, 0, 0, 0, 0, 0, -1, 1),
    operation: operation(),
  });
  const plainOperation = fc.record({
    type: fc.constant('operation' as const),
    session: fc.constant(null),
    operation: operation(),
  });
  return fc.oneof(
    { weight: 3, arbitrary: open },
    { weight: 1, arbitrary: close },
    { weight: 13, arbitrary: inSession },
    { weight: 9, arbitrary: plainOperation },
  );
}

const lease = fc.constantFrom(1n, 1n, 1n, 2n, 2n, 3n);

const leaseOperation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({
    type: fc.constant('leaseGrant' as const),
    lease,
    ttlMs: fc.integer({ min: 1, max: 300 }),
  }),
  fc.record({ type: fc.constantFrom('leaseKeepAlive' as const, 'leaseRevoke'), lease }),
);

const compact: fc.Arbitrary<Operation> = fc
  .integer({ min: 1, max: 25 })
  .map((revision) => ({ type: 'compact', revision }));

/** Valid by form: each part of a transaction writes keys of its own. */
function operation(): fc.Arbitrary<Operation> {
  const keys = ['a', 'b', '\x00', '\xff', '__proto__'];
  const any = fc.constantFrom(...keys);
  const nested = fc
    .tuple(branch('b', 1), branch('b', 1))
    .chain(([success, failure]) =>
      compares().map((each): Operation => ({ type: 'txn', compares: each, success, failure })),
    );
  const nesting = fc.tuple(nested, branch('a', 3), branch('a', 2), compares());
  return fc.oneof(
    { weight: 4, arbitrary: any.chain(put) },
    { weight: 4, arbitrary: any.chain(append) },
    { weight: 2, arbitrary: del() },
    { weight: 1, arbitrary: fc.constant<Operation>({ type: 'skip' }) },
    { weight: 1, arbitrary: compact },
    { weight: 4, arbitrary: leaseOperation },
    {
      weight: 4,
      arbitrary: nesting.map(([inner, success, failure, each]): Operation => {
        return {
          type: 'txn',
          compares: each,
          success: [...success, inner as TxnOperation],
          failure,
        };
      }),
    },
  );
}

/** Reads, and at most one write each of `key` and of a key before it, and a delete of others. */
function branch(key: string, readsMax: number): fc.Arbitrary<TxnOperation[]> {
  const writes = fc.tuple(
    fc.option(fc.oneof(put(key), append(key))),
    fc.option(put(`${key}0`)),
    fc.option(fc.constant(deletionOf({ from: bytesOf('c'), to: null }, true))),
  );
  return fc.tuple(writes, fc.array(read(), { maxLength: readsMax })).map(([some, reads]) => {
    const [first, second, third] = some;
    const parts = [first, reads[0], second, third, ...reads.slice(1)];
    return parts.filter((part) => part !== null && part !== undefined) as TxnOperation[];
  });
}

function put(key: string): fc.Arbitrary<Extract<Operation, { type: 'put' }>> {
  const plainPut = fc.record({
    type: fc.constant('put' as const),
    key: fc.constant(bytesOf(key)),
    value: fc.uint8Array({ maxLength: 4 }),
    prevKv: fc.boolean(),
  });
  const attached = fc.tuple(plainPut, lease).map(([each, id]) => ({ ...each, lease: id }));
  const keepingLease = plainPut.map((each) => ({ ...each, ignoreLease: true as const }));
  const keepingValue = attached.map((each) => {
    return { ...each, value: bytesOf(''), ignoreValue: true as const };
  });
  return fc.oneof(
    { weight: 4, arbitrary: plainPut },
    { weight: 3, arbitrary: attached },
    { weight: 1, arbitrary: keepingLease },
    { weight: 1, arbitrary: keepingValue },
  );
}

function append(key: string): fc.Arbitrary<Extract<Operation, { type: 'append' }>> {
  return fc.record({
    type: fc.constant('append' as const),
    key: fc.constant(bytesOf(key)),
    value: fc.uint8Array({ maxLength: 3 }),
  });
}

function del(): fc.Arbitrary<Operation> {
  return fc.tuple(span(), fc.boolean()).map(([range, prevKv]) => deletionOf(range, prevKv));
}

function deletionOf(range: KeyRange, prevKv: boolean): Extract<Operation, { type: 'delete' }> {
  return { type: 'delete', range, prevKv };
}

function read(): fc.Arbitrary<TxnOperation> {
  const bound = fc.option(fc.integer({ min: 1, max: 9 }));
  const bounds = fc.record({
    minModRevision: bound,
    maxModRevision: fc.constant(null),
    minCreateRevision: fc.constant(3),
    maxCreateRevision: bound,
  });
  const order = fc.record({
    target: fc.constantFrom('key', 'version', 'createRevision', 'modRevision', 'value'),
    descending: fc.boolean(),
  });
  return fc.record(
    {
      type: fc.constant('range' as const),
      range: span(),
      limit: fc.option(fc.integer({ min: 1, max: 3 })),
      revision: fc.option(fc.integer({ min: 1, max: 12 })),
      keysOnly: fc.boolean(),
      countOnly: fc.boolean(),
      order,
      bounds,
    },
    { requiredKeys: ['type', 'range', 'limit', 'revision', 'keysOnly', 'countOnly'] },
  ) as fc.Arbitrary<TxnOperation>;
}

function compares(): fc.Arbitrary<Compare[]> {
  const relation = fc.constantFrom('equal', 'notEqual', 'greater', 'less');
  const target = fc.constantFrom('version', 'createRevision', 'modRevision');
  const operand = fc.oneof(
    fc.record({ target, value: fc.nat(4) }),
    fc.record({ target: fc.constant('value'), value: fc.uint8Array({ maxLength: 1 }) }),
    fc.record({ target: fc.constant('lease'), value: fc.nat(3).map(BigInt) }),
  );
  const one = fc.record({ range: span(), relation, operand }) as fc.Arbitrary<Compare>;
  return fc.array(one, { maxLength: 2 });
}

function span(): fc.Arbitrary<KeyRange> {
  const single = fc.constantFrom('a', 'b', '__proto__').map((key) => rangeOf(key).range);
  const bound = fc.constantFrom('\x00', 'a', 'a0', 'b', '\xff').map(bytesOf);
  const range = fc.record({ from: bound, to: fc.option(bound) });
  // Below a zero byte there is no key, and the wire cannot say it: see `writeKeyRange`.
  const sayable = range.filter(({ to }) => to === null || to.length !== 1 || to[0] !== 0);
  return fc.oneof(single, sayable);
}

function bytesOf(characters: string): Uint8Array {
  return Uint8Array.from(characters, (character) => character.charCodeAt(0));
}
