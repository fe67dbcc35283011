import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import protobuf from 'protobufjs';
import { describe, expect, test } from 'vitest';
import { ETCD_EXCHANGES, type MessageType } from '../etcd/index.ts';
import { fromJson, JsonError, toJson } from './json-codec.ts';
import { ENUMS, SIGNED_IDS, SMALL_INTEGERS } from './json-kinds.ts';

const PROTO = fileURLToPath(new URL('../../proto/etcd', import.meta.url));
const root = new protobuf.Root();
root.resolvePath = (_origin, target) => (target.startsWith('/') ? target : `${PROTO}/${target}`);
root.loadSync(['rpc.proto', 'lock.proto', 'election.proto'], { keepCase: true });

type Field = MessageType<unknown>['fields'][number];

/** All messages of all exchanges, those inside them too. */
const TYPES = new Map<string, MessageType<unknown>>();
const collect = (type: MessageType<unknown>): void => {
  if (TYPES.has(type.name)) return;
  TYPES.set(type.name, type);
  for (const field of type.fields) if (field.message !== null) collect(field.message());
};
for (const { request, response } of ETCD_EXCHANGES.values())
  for (const t of [request, response]) collect(t);
for (const name of ['Empty', 'HeaderOnly']) TYPES.delete(name);

function typeNamed(name: string): MessageType<unknown> {
  const type = TYPES.get(name);
  if (type === undefined) throw new Error(`no message ${name}`);
  return type;
}

function protoField(type: MessageType<unknown>, { name }: Field): protobuf.Field {
  const field = root.lookupType(type.name).fields[name]?.resolve();
  if (field === undefined) throw new Error(`no field ${type.name}.${name}`);
  return field;
}

/** A message as the decoder gives it: of the members of a oneof there is one. */
function messageOf(type: MessageType<unknown>, depth = 3): fc.Arbitrary<Record<string, unknown>> {
  const isOneof = (field: Field): boolean => protoField(type, field).partOf !== null;
  const members = type.fields.filter(isOneof);
  const plain = type.fields.filter((field) => !isOneof(field));
  const record = fc.record(Object.fromEntries(plain.map((f) => [f.name, fieldOf(type, f, depth)])));
  if (members.length === 0) return record;
  const chosen = fc.oneof(
    ...members.map((f) => fieldOf(type, f, depth).map((value) => ({ [f.name]: value }))),
  );
  return fc.tuple(record, chosen).map(([rest, one]) => ({ ...rest, ...one }));
}

function fieldOf(type: MessageType<unknown>, field: Field, depth: number): fc.Arbitrary<unknown> {
  const { type: kind, resolvedType } = protoField(type, field);
  const isSigned = kind === 'int64';
  const integer = field.kind === 'id' ? fc.bigInt(0n, 2n ** 64n - 1n) : safe(isSigned);
  const one = (): fc.Arbitrary<unknown> => {
    if (resolvedType instanceof protobuf.Enum) {
      return fc.constantFrom(...Object.values(resolvedType.values));
    }
    switch (field.kind) {
      case 'bytes':
        return fc.uint8Array({ maxLength: 20 });
      case 'string':
        return fc.string({ unit: 'grapheme', maxLength: 10 });
      case 'bool':
        return fc.boolean();
      case 'message':
        return field.message === null || depth === 0
          ? fc.constant(null)
          : messageOf(field.message(), depth - 1);
      default:
        return kind === 'uint32' ? fc.nat() : integer;
    }
  };
  if (!field.isList) return one();
  return depth === 0 && field.message !== null
    ? fc.constant([])
    : fc.array(one(), { maxLength: 3 });
}

function safe(isSigned: boolean): fc.Arbitrary<number> {
  return isSigned ? fc.maxSafeInteger() : fc.maxSafeNat();
}

describe.each([...TYPES])('%s', (_name, type) => {
  test('is the JSON that protobufjs makes of it, and is read back as it was', () => {
    fc.assert(
      fc.property(messageOf(type), (message) => {
        const bytes = type.encode(message as never);
        const proto = root.lookupType(type.name);
        const options = { longs: String, enums: String, bytes: String };
        const json = toJson(type, type.decode(bytes));
        expect(json).toEqual(proto.toObject(proto.decode(bytes), options));
        expect(type.encode(fromJson(type, JSON.stringify(json)) as never)).toEqual(bytes);
      }),
      { numRuns: 50 },
    );
  });
});

test('what the tables do not tell is told of fields that there are, and of no others', () => {
  const fields = [...TYPES.values()].flatMap((type) =>
    type.fields.map((field) => ({ place: `${type.name}.${field.name}`, field, type })),
  );
  const places = (is: (field: protobuf.Field, kind: string) => boolean): string[] =>
    fields
      .filter(({ field, type }) => is(protoField(type, field), field.kind))
      .map(({ place }) => place)
      .sort();
  expect([...ENUMS.keys()].sort()).toEqual(
    places(({ resolvedType }) => resolvedType instanceof protobuf.Enum),
  );
  expect([...SIGNED_IDS].sort()).toEqual(
    places(({ type }, kind) => kind === 'id' && type === 'int64'),
  );
  expect([...SMALL_INTEGERS].sort()).toEqual(places(({ type }) => type === 'uint32'));
});

describe('reading', () => {
  const read = (name: string, json: unknown): object =>
    fromJson(typeNamed(name), typeof json === 'string' ? json : JSON.stringify(json));

  test('takes both spellings of a name, and passes over what it does not know or is null', () => {
    const known = { range_end: new Uint8Array([0]), sort_order: 2 };
    const json = { rangeEnd: 'AA==', sort_order: 'DESCEND', colour: 'red', limit: null };
    expect(read('RangeRequest', json)).toEqual(known);
  });

  test('takes integers as numbers or strings, and enums by number', () => {
    const json = { limit: 5, revision: '6', sort_order: 1 };
    expect(read('RangeRequest', json)).toEqual({ limit: 5, revision: 6, sort_order: 1 });
    expect(read('LeaseRevokeRequest', { ID: '-1' })).toEqual({ ID: 2n ** 64n - 1n });
    const most = Number.MAX_SAFE_INTEGER;
    expect(read('RangeRequest', { limit: '9223372036854775807' })).toEqual({ limit: most });
  });

  test('takes base64 of both alphabets, with padding or without', () => {
    const key = new Uint8Array([0xfb, 0xff]);
    for (const text of ['+/8=', '+/8', '-_8=', '-_8']) {
      expect(read('RangeRequest', { key: text })).toEqual({ key });
    }
  });

  test.each([
    ['what is no JSON', 'RangeRequest', '{"key"'],
    ['a list', 'RangeRequest', []],
    ['text', 'RangeRequest', '"x"'],
    ['bytes that are no base64', 'RangeRequest', { key: '!!' }],
    ['bytes that are a number', 'RangeRequest', { key: 1 }],
    ['half an integer', 'RangeRequest', { limit: 0.5 }],
    ['an integer that JSON cannot hold', 'LeaseRevokeRequest', '{"ID":7587869436243853401}'],
    ['an integer of 65 bits', 'LeaseRevokeRequest', { ID: '18446744073709551616' }],
    ['an integer in words', 'RangeRequest', { limit: 'ten' }],
    ['an unknown name of an enum', 'RangeRequest', { sort_order: 'NOPE' }],
    ['a boolean in words', 'RangeRequest', { serializable: 'true' }],
    ['a list that is none', 'TxnRequest', { compare: {} }],
    ['a message that is none', 'WatchRequest', { create_request: 7 }],
    ['a text that is none', 'MemberListResponse', { members: [{ name: 1 }] }],
  ])('refuses %s', (_what, name, json) => {
    expect(() => read(name, json)).toThrow(JsonError);
  });

  test('refuses messages nested too deep', () => {
    const deep = `${'{"success":[{"request_txn":'.repeat(40)}{}${'}]}'.repeat(40)}`;
    expect(() => read('TxnRequest', deep)).toThrow(new JsonError('messages nested too deep'));
  });

  test('no text makes it throw anything but a JsonError', () => {
    const names = fc.constantFrom(...TYPES.values());
    fc.assert(
      fc.property(names, fc.oneof(fc.json(), fc.string()), (type, text) => {
        try {
          type.encode(fromJson(type, text) as never);
        } catch (error) {
          expect(error).toBeInstanceOf(JsonError);
        }
      }),
    );
  });

  test('values of any kind in any field do not, either', () => {
    const someType = fc.constantFrom(...TYPES.values());
    const withFields = someType.chain((type) =>
      fc.record({
        type: fc.constant(type),
        json: fc.record(Object.fromEntries(type.fields.map(({ name }) => [name, fc.jsonValue()]))),
      }),
    );
    fc.assert(
      fc.property(withFields, ({ type, json }) => {
        try {
          type.encode(fromJson(type, JSON.stringify(json)) as never);
        } catch (error) {
          expect(error).toBeInstanceOf(JsonError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
