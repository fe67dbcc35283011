import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { DecodeError } from '../lib/index.ts';
import { bool, type Draft, id, int, list, MessageType, message } from './codec.ts';
import { EVENT, KEY_VALUE } from './messages/common.ts';
import { COMPARE, RANGE_REQUEST, REQUEST_OP, RESPONSE_OP, TXN_REQUEST } from './messages/kv.ts';
import { WATCH_CREATE_REQUEST } from './messages/watch.ts';
import * as exchanges from './testing/exchanges.ts';

const PROTO = fileURLToPath(new URL('../../proto/etcd', import.meta.url));
const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith('/') ? target : `${PROTO}/${target}`);
root.loadSync(['rpc.proto', 'health.proto', 'lock.proto', 'election.proto'], { keepCase: true });

/** All message types that are served, and those inside them that matter most. */
const TYPES = [
  ...new Set<MessageType<unknown>>([
    ...Object.values(exchanges).flatMap(({ request, response }) => [request, response]),
    ...[KEY_VALUE, EVENT, COMPARE, REQUEST_OP, RESPONSE_OP, WATCH_CREATE_REQUEST],
  ] as MessageType<unknown>[]),
].filter(({ name }) => !['Empty', 'HeaderOnly'].includes(name));

const byteString = fc.uint8Array({ maxLength: 40 });
const integer = fc.oneof(
  fc.constantFrom(0, 1, -1, 127, 128, 2 ** 31, Number.MAX_SAFE_INTEGER, -Number.MAX_SAFE_INTEGER),
  fc.maxSafeInteger(),
);

/** Values of a message, as its table has them; what nests deep is left out. */
function valuesOf(type: MessageType<unknown>, depth = 3): fc.Arbitrary<Record<string, unknown>> {
  const fields = type.fields.map((field): [string, fc.Arbitrary<unknown>] => {
    const inner = field.message?.();
    const one: Record<string, () => fc.Arbitrary<unknown>> = {
      bytes: () => byteString,
      string: () => fc.string({ unit: 'grapheme', maxLength: 10 }),
      bool: () => fc.boolean(),
      int: () => integersOf(type.name, field.name),
      id: () => fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      message: () =>
        inner === undefined || depth === 0 ? fc.constant(null) : valuesOf(inner, depth - 1),
    };
    const value = (one[field.kind] as () => fc.Arbitrary<unknown>)();
    const items =
      depth === 0 && inner !== undefined ? fc.constant([]) : fc.array(value, { maxLength: 3 });
    if (field.isList) return [field.name, items];
    return [field.name, field.isMember || inner !== undefined ? fc.option(value) : value];
  });
  // Of a oneof only the last member would survive: none is given beside another.
  const isOneof = ['Compare', 'RequestOp', 'ResponseOp', 'WatchRequest'].includes(type.name);
  const record = fc.record(Object.fromEntries(fields));
  return isOneof ? record.map((value) => onlyOneMember(type, value)) : record;
}

function onlyOneMember(type: MessageType<unknown>, value: Record<string, unknown>) {
  const [one] = type.fields
    .filter((field) => field.isMember || field.message !== null)
    .filter((field) => value[field.name] !== null);
  return Object.fromEntries(
    type.fields.map((field) => {
      const isOther = (field.isMember || field.message !== null) && field !== one;
      return [field.name, isOther ? null : value[field.name]];
    }),
  );
}

function theirs(type: MessageType<unknown>): protobuf.Type {
  return root.lookupType(type.name);
}

/** What the .proto allows a number to be. */
function integersOf(type: string, name: string): fc.Arbitrary<number> {
  const field = root.lookupType(type).fields[name]?.resolve();
  if (field?.resolvedType instanceof protobuf.Enum) return fc.nat(1);
  return field?.type === 'uint32' ? fc.nat() : integer;
}

/** A message of protobufjs as our decoder would give it. */
function plain(type: MessageType<unknown>, value: protobuf.Message): unknown {
  const object = theirs(type).toObject(value, { longs: String, bytes: Array, arrays: true });
  return normal(type, object);
}

/** Both sides' values in one form: integers as text, bytes as arrays, absent fields as defaults. */
function normal(type: MessageType<unknown>, value: Record<string, unknown>): unknown {
  const entries = type.fields.map((field) => {
    const given = value[field.name];
    const one = (item: unknown): unknown => {
      if (item === null || item === undefined) return field.isMember ? null : initial(field.kind);
      if (field.kind === 'message') {
        const inner = field.message?.();
        return inner === undefined ? null : normal(inner, item as Record<string, unknown>);
      }
      if (field.kind === 'bytes') return [...(item as Uint8Array)];
      if (field.kind === 'id') return BigInt.asUintN(64, BigInt(item as bigint)).toString();
      if (field.kind !== 'int') return item;
      return BigInt.asIntN(64, BigInt(item as string | number)).toString();
    };
    return [field.name, field.isList ? ((given ?? []) as unknown[]).map(one) : one(given)];
  });
  return Object.fromEntries(entries);
}

function initial(kind: string): unknown {
  const defaults: Record<string, unknown> = {
    bytes: [],
    string: '',
    bool: false,
    int: '0',
    id: '0',
  };
  return defaults[kind] ?? null;
}

describe.each(TYPES.map((type) => [type.name, type] as const))('%s', (_name, type) => {
  test('has the fields of the .proto, with their numbers', () => {
    const named = Object.values(theirs(type).fields).map(({ name, id }) => [name, id]);
    const own = type.fields.map(({ name, number }) => [name, number]);
    expect(Object.fromEntries(own)).toEqual(Object.fromEntries(named));
  });

  test('is read by protobufjs as it was written, and the other way round', () => {
    fc.assert(
      fc.property(valuesOf(type), (value) => {
        const bytes = type.encode(value as Draft<unknown>);
        const read = theirs(type).decode(bytes);
        expect(plain(type, read)).toEqual(normal(type, value));
        const again = theirs(type).encode(read).finish();
        expect(normal(type, type.decode(again) as Record<string, unknown>)).toEqual(
          normal(type, value),
        );
      }),
      { numRuns: 60 },
    );
  });
});

test('no bytes make the decoder throw anything but DecodeError', () => {
  fc.assert(
    fc.property(fc.constantFrom(...TYPES), fc.uint8Array({ maxLength: 60 }), (type, bytes) => {
      try {
        type.decode(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(DecodeError);
      }
    }),
    { numRuns: 3_000 },
  );
});

test('fields that are not known are passed over', () => {
  const newer = new MessageType('Newer', { more: bool(3), extra: id(99), key: int(70) });
  const older = new MessageType('Older', { more: bool(3) });
  const bytes = newer.encode({ more: true, extra: 2n ** 64n - 1n, key: -5 });
  expect(older.decode(bytes)).toEqual({ more: true });
});

test('numbers beyond what is counted exactly are read as the bound', () => {
  const exact = new MessageType('Exact', { revision: id(4) });
  const read = (bits: bigint): number =>
    RANGE_REQUEST.decode(exact.encode({ revision: bits })).revision;
  expect(read(2n ** 63n - 1n)).toBe(Number.MAX_SAFE_INTEGER);
  expect(read(2n ** 63n)).toBe(-Number.MAX_SAFE_INTEGER);
  expect(read(2n ** 64n - 1n)).toBe(-1);
});

test('a list of numbers is read packed and one by one', () => {
  expect(WATCH_CREATE_REQUEST.decode(Uint8Array.of(0x2a, 2, 0, 1)).filters).toEqual([0, 1]);
  expect(WATCH_CREATE_REQUEST.decode(Uint8Array.of(0x28, 0, 0x28, 1)).filters).toEqual([0, 1]);
});

test('messages may stand 32 deep in one another, and not 33', () => {
  interface Nested {
    readonly inner: Nested | null;
  }
  const NESTED: MessageType<Nested> = new MessageType<Nested>('Nested', {
    inner: message(1, () => NESTED),
  });
  const nested = (depth: number): Nested =>
    depth === 0 ? { inner: null } : { inner: nested(depth - 1) };
  expect(NESTED.decode(NESTED.encode(nested(32)))).toEqual(nested(32));
  expect(() => NESTED.decode(NESTED.encode(nested(33)))).toThrow(DecodeError);
});

test('an empty member of a oneof is told from one that is absent', () => {
  const empty = COMPARE.decode(COMPARE.encode({ value: new Uint8Array(0) }));
  expect(empty.value).toEqual(new Uint8Array(0));
  expect(COMPARE.decode(COMPARE.encode({})).value).toBeNull();
  const op = TXN_REQUEST.decode(TXN_REQUEST.encode({ success: [{ request_txn: {} }] })).success[0];
  expect(op?.request_txn).toEqual({ compare: [], success: [], failure: [] });
});

test('a list keeps its empty elements', () => {
  const type = new MessageType('Items', { items: list(id(1)) });
  expect(type.decode(type.encode({ items: [0n, 1n, 0n] })).items).toEqual([0n, 1n, 0n]);
});
