import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  type Compare,
  decodeAnswer,
  encodeCommand,
  type Operation,
  type Range,
  singleKey,
  type Txn,
} from '../api/index.ts';
import { memoryStore } from '../store/index.ts';
import { KvStateMachine } from './state-machine.ts';

const KEYS = ['a', 'b', 'c', 'd'];
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What `execute` answers to an operation, as the next entry of the log. */
function withLog(machine: KvStateMachine): (operation: Operation) => Uint8Array {
  let index = 0;
  return (operation) => {
    const command = encodeCommand({ type: 'operation', session: null, operation });
    const batch = { index: ++index, term: 1, timeMs: 0, commands: [command], conf: null };
    const [answer] = machine.apply(batch);
    if (answer === undefined) throw new Error('a command without an answer');
    return answer;
  };
}

function put(key: string, value: string): Operation {
  return { type: 'put', key: bytes(key), value: bytes(value), prevKv: false };
}

function rangeOf(key: string): Range {
  const range = singleKey(bytes(key));
  const all = { limit: null, revision: null, keysOnly: false, countOnly: false };
  return { type: 'range', range, ...all };
}

const arbKey = fc.constantFrom(...KEYS);
const arbCompare: fc.Arbitrary<Compare> = fc.record({
  range: arbKey.map((key) => singleKey(bytes(key))),
  relation: fc.constantFrom('equal' as const, 'notEqual', 'greater', 'less'),
  operand: fc.oneof(
    fc.record({ target: fc.constant('value' as const), value: arbKey.map(bytes) }),
    fc.record({ target: fc.constant('version' as const), value: fc.nat({ max: 2 }) }),
    fc.record({ target: fc.constant('lease' as const), value: fc.constant(0n) }),
  ),
});
const arbReadTxn: fc.Memo<Txn> = fc.memo((depth) => {
  const arbRange = arbKey.map(rangeOf);
  const operation = depth === 1 ? arbRange : fc.oneof(arbRange, arbReadTxn(depth - 1));
  return fc.record({
    type: fc.constant('txn' as const),
    compares: fc.array(arbCompare, { maxLength: 2 }),
    success: fc.array(operation, { maxLength: 3 }),
    failure: fc.array(operation, { maxLength: 3 }),
  });
});

test('a transaction that reads is answered the same as a query and as an entry of the log', () => {
  const arbPuts = fc.array(fc.tuple(arbKey, arbKey), { maxLength: 6 });
  const check = fc.property(arbPuts, arbReadTxn(3), (puts, txn) => {
    const machine = new KvStateMachine({ store: memoryStore() });
    const execute = withLog(machine);
    for (const [key, value] of puts) execute(put(key, value));
    const before = machine.stateHash();
    const asked = machine.query({ serializable: false, query: txn });
    expect(machine.stateHash()).toBe(before);
    expect(decodeAnswer(asked)).toEqual(decodeAnswer(execute(txn)));
  });
  fc.assert(check, { numRuns: 200 });
});

test('a transaction that changes something, however deep inside, is no query', () => {
  const machine = new KvStateMachine({ store: memoryStore() });
  const before = machine.stateHash();
  const writes: Txn = {
    type: 'txn',
    compares: [],
    success: [],
    failure: [{ type: 'put', key: bytes('a'), value: bytes('1'), prevKv: false }],
  };
  for (const query of [writes, { ...writes, success: [writes], failure: [] }]) {
    expect(decodeAnswer(machine.query({ serializable: true, query }))).toMatchObject({
      type: 'error',
      code: 'INVALID_ARGUMENT',
    });
  }
  expect(machine.stateHash()).toBe(before);
});
