/** Random values of every word of the API, for property tests (fast-check). */
import fc from 'fast-check';
import {
  type Answer,
  type ChangeEvent,
  type Command,
  type Compare,
  ERRORS,
  type ErrorCode,
  type ExecuteRequest,
  type KeyRange,
  type KeyValue,
  keyRange,
  type LeaderHint,
  type MemberStatus,
  type Put,
  type Query,
  type Range,
  type RangeOrder,
  type RevisionBounds,
  type TxnOperation,
  type TxnOperationResult,
} from '../index.ts';

/** Empty, short, and long enough that its length takes two bytes on the wire. */
export const arbBytes: fc.Arbitrary<Uint8Array> = fc.oneof(
  fc.uint8Array({ maxLength: 20 }),
  fc.uint8Array({ minLength: 120, maxLength: 200 }),
);

/** 0 … 2^53 − 1, often near a boundary of a varint's length. */
export const arbUint: fc.Arbitrary<number> = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc
    .tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: -1, max: 1 }))
    .map(([groups, offset]) => 2 ** (7 * groups) + offset),
  fc.constant(Number.MAX_SAFE_INTEGER),
);

const arbCount = arbUint.map((value) => (value === 0 ? null : value));
const arbId = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const arbText = fc.string({ unit: 'binary', maxLength: 12 });

/** Ranges as the wire can say them. */
export const arbRange: fc.Arbitrary<KeyRange> = fc
  .tuple(fc.uint8Array({ maxLength: 8 }), fc.uint8Array({ maxLength: 8 }))
  .map(([key, rangeEnd]) => keyRange(key, rangeEnd));

const arbLease = fc.bigInt({ min: 1n, max: 2n ** 64n - 1n });

export const arbKeyValue: fc.Arbitrary<KeyValue> = withSome(
  {
    key: arbBytes,
    value: arbBytes,
    createRevision: arbUint,
    modRevision: arbUint,
    version: arbUint,
  },
  { lease: arbLease },
);

const arbPut: fc.Arbitrary<Put> = withSome(
  {
    type: fc.constant('put' as const),
    key: arbBytes,
    value: arbBytes,
    prevKv: fc.boolean(),
  },
  {
    lease: arbLease,
    ignoreValue: fc.constant(true as const),
    ignoreLease: fc.constant(true as const),
  },
);
const arbAppend = fc.record({
  type: fc.constant('append' as const),
  key: arbBytes,
  value: arbBytes,
});
const arbDelete = fc.record({
  type: fc.constant('delete' as const),
  range: arbRange,
  prevKv: fc.boolean(),
});
const arbOrder: fc.Arbitrary<RangeOrder> = fc.record({
  target: fc.constantFrom('key' as const, 'version', 'createRevision', 'modRevision', 'value'),
  descending: fc.boolean(),
});
const arbBounds: fc.Arbitrary<RevisionBounds> = fc
  .record({
    minModRevision: arbCount,
    maxModRevision: arbCount,
    minCreateRevision: arbCount,
    maxCreateRevision: arbCount,
  })
  .filter((bounds) => Object.values(bounds).some((bound) => bound !== null));
const arbRangeOperation: fc.Arbitrary<Range> = withSome(
  {
    type: fc.constant('range' as const),
    range: arbRange,
    limit: arbCount,
    revision: arbCount,
    keysOnly: fc.boolean(),
    countOnly: fc.boolean(),
  },
  { order: arbOrder, bounds: arbBounds },
);

const arbCompare: fc.Arbitrary<Compare> = fc.record({
  range: arbRange,
  relation: fc.constantFrom('equal' as const, 'notEqual', 'greater', 'less'),
  operand: fc.oneof(
    fc.record({
      target: fc.constantFrom('version' as const, 'createRevision', 'modRevision'),
      value: arbUint,
    }),
    fc.record({ target: fc.constant('value' as const), value: arbBytes }),
    fc.record({ target: fc.constant('lease' as const), value: arbId }),
  ),
});

const arbTxnOperation: fc.Memo<TxnOperation> = fc.memo((depth) =>
  depth <= 1
    ? fc.oneof(arbPut, arbAppend, arbDelete, arbRangeOperation)
    : fc.oneof(arbPut, arbAppend, arbDelete, arbRangeOperation, arbTxn(depth - 1)),
);
const arbTxn = fc.memo((depth: number) =>
  fc.record({
    type: fc.constant('txn' as const),
    compares: fc.array(arbCompare, { maxLength: 3 }),
    success: fc.array(arbTxnOperation(depth), { maxLength: 3 }),
    failure: fc.array(arbTxnOperation(depth), { maxLength: 3 }),
  }),
);

const arbSessionRef = fc.record({
  sessionId: arbUint,
  incarnation: arbUint,
  seq: arbUint,
  ackedSeq: arbUint,
});

export const arbCommand: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    type: fc.constant('operation' as const),
    session: fc.option(arbSessionRef),
    operation: fc.oneof(
      arbPut,
      arbAppend,
      arbDelete,
      arbTxn(3),
      fc.record({ type: fc.constant('skip' as const) }),
      fc.record({ type: fc.constant('compact' as const), revision: arbUint }),
      fc.record({ type: fc.constant('leaseGrant' as const), lease: arbId, ttlMs: arbUint }),
      fc.record({
        type: fc.constantFrom('leaseKeepAlive' as const, 'leaseRevoke'),
        lease: arbId,
      }),
    ),
  }),
  fc.record({
    type: fc.constant('openSession' as const),
    name: arbBytes,
    nonce: arbBytes,
    ttlMs: arbUint,
  }),
  fc.record({
    type: fc.constant('closeSession' as const),
    sessionId: arbUint,
    incarnation: arbUint,
  }),
);

export const arbQuery: fc.Arbitrary<Query> = fc.record({
  serializable: fc.boolean(),
  query: fc.oneof(
    arbRangeOperation,
    arbTxn(3),
    fc.record({ type: fc.constant('resolve' as const), sessionId: arbUint, seq: arbUint }),
    fc.record({
      type: fc.constant('leaseTimeToLive' as const),
      lease: arbId,
      keys: fc.boolean(),
    }),
    fc.record({ type: fc.constant('leases' as const) }),
    fc.record({
      type: fc.constant('changes' as const),
      range: arbRange,
      from: arbCount,
      skip: arbUint,
      prevKv: fc.boolean(),
      waitMs: arbUint,
    }),
  ),
});

const arbOperationResult: fc.Memo<TxnOperationResult> = fc.memo((depth) => {
  const flat = [
    fc.record({
      type: fc.constant('put' as const),
      revision: arbUint,
      prevKv: fc.option(arbKeyValue),
    }),
    fc.record({ type: fc.constant('append' as const), revision: arbUint, valueBytes: arbUint }),
    fc.record({
      type: fc.constant('delete' as const),
      revision: arbUint,
      deleted: arbUint,
      prevKvs: fc.array(arbKeyValue, { maxLength: 3 }),
    }),
    fc.record({
      type: fc.constant('range' as const),
      revision: arbUint,
      kvs: fc.array(arbKeyValue, { maxLength: 3 }),
      more: fc.boolean(),
      count: arbUint,
    }),
  ] as const;
  if (depth <= 1) return fc.oneof(...flat);
  const txn = fc.record({
    type: fc.constant('txn' as const),
    revision: arbUint,
    succeeded: fc.boolean(),
    results: fc.array(arbOperationResult(depth - 1), { maxLength: 3 }),
  });
  return fc.oneof(...flat, txn);
});

const arbChangeEvent: fc.Arbitrary<ChangeEvent> = fc.record({
  type: fc.constantFrom('put' as const, 'delete'),
  kv: arbKeyValue,
  prevKv: fc.option(arbKeyValue),
});

const arbLeaderHint: fc.Arbitrary<LeaderHint> = fc.record({
  memberId: arbId,
  clientUrls: fc.array(arbText, { maxLength: 3 }),
});

export const arbAnswer: fc.Arbitrary<Answer> = fc.oneof(
  arbOperationResult(3),
  fc.record({ type: fc.constantFrom('skip' as const, 'closeSession' as const) }),
  fc.record({ type: fc.constant('compact' as const), revision: arbUint }),
  fc.record({
    type: fc.constantFrom('leaseGrant' as const, 'leaseKeepAlive'),
    revision: arbUint,
    ttlMs: arbUint,
  }),
  fc.record({
    type: fc.constant('leaseRevoke' as const),
    revision: arbUint,
    deleted: arbUint,
  }),
  fc.record({
    type: fc.constant('leaseTimeToLive' as const),
    revision: arbUint,
    remainingMs: arbUint,
    ttlMs: arbUint,
    keys: fc.array(arbBytes, { maxLength: 3 }),
  }),
  fc.record({
    type: fc.constant('leases' as const),
    revision: arbUint,
    leases: fc.array(arbId, { maxLength: 3 }),
  }),
  fc.record({
    type: fc.constant('changes' as const),
    revision: arbUint,
    events: fc.array(arbChangeEvent, { maxLength: 3 }),
    next: arbUint,
    skip: arbUint,
  }),
  fc.record({
    type: fc.constant('openSession' as const),
    sessionId: arbUint,
    incarnation: arbUint,
    resumed: fc.boolean(),
    lastSeq: arbUint,
    lastAnswer: fc.option(arbBytes),
    ttlMs: arbUint,
  }),
  fc.record({
    type: fc.constant('resolve' as const),
    state: fc.constantFrom('executed' as const, 'notExecuted', 'acknowledged'),
    answer: fc.option(arbBytes),
  }),
  fc.record({
    type: fc.constant('error' as const),
    code: fc.constantFrom(...(Object.keys(ERRORS) as ErrorCode[])),
    message: arbText,
    leader: fc.option(arbLeaderHint),
  }),
  fc.record({
    type: fc.constant('error' as const),
    code: fc.constant('COMPACTED' as const),
    message: arbText,
    leader: fc.constant(null),
    compactRevision: fc.integer({ min: 1, max: 2 ** 40 }),
  }),
);

export const arbExecuteRequest: fc.Arbitrary<ExecuteRequest> = fc.record({
  id: arbUint,
  body: fc.oneof(
    fc.record({ type: fc.constant('command' as const), command: arbBytes }),
    fc.record({ type: fc.constant('query' as const), query: arbQuery }),
    fc.constant({ type: 'withdrawal' as const }),
  ),
});

export const arbIdentifiedAnswer = fc.record({
  id: arbUint,
  answer: fc.uint8Array({ minLength: 1, maxLength: 200 }),
});

export const arbHello = fc.record({ clusterId: arbId, memberId: arbId });

export const arbMemberStatus: fc.Arbitrary<MemberStatus> = fc.record({
  clusterId: arbId,
  memberId: arbId,
  name: arbText,
  version: arbText,
  role: fc.constantFrom('follower' as const, 'preCandidate', 'candidate', 'leader'),
  leader: fc.option(arbLeaderHint),
  term: arbUint,
  commitIndex: arbUint,
  appliedIndex: arbUint,
  revision: arbUint,
  stateHash: arbText,
  sessions: arbUint,
  logBytes: arbUint,
});

/** A record in which each of `optional` is there or not. */
function withSome<T extends object, O extends object>(
  required: { [K in keyof T]: fc.Arbitrary<T[K]> },
  optional: { [K in keyof O]: fc.Arbitrary<O[K]> },
): fc.Arbitrary<T & Partial<O>> {
  const some = fc.record(optional, { requiredKeys: [] });
  const parts = fc.tuple(fc.record(required), some, fc.boolean());
  return parts.map(([all, more, plain]) => (plain ? all : { ...all, ...more }) as T & Partial<O>);
}
