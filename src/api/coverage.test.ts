import protobuf, { type Field, type Type } from 'protobufjs';
import { describe, expect, test } from 'vitest';
import {
  type Answer,
  type Command,
  decodeAnswer,
  decodeCloseSession,
  decodeCommand,
  decodeExecuteReply,
  decodeExecuteRequests,
  decodeOpenSession,
  decodeResolve,
  decodeSnapshotChunk,
  decodeSnapshotRequest,
  decodeStatus,
  encodeAnswer,
  encodeCommand,
  encodeExecuteReplies,
  encodeExecuteRequests,
  encodeHello,
  encodeOpenSessionResult,
  encodeResolveResult,
  encodeSnapshotChunk,
  encodeSnapshotRequest,
  encodeStatus,
} from './index.ts';
import { messageType, schema } from './testing/schema.ts';

/** How our codec reads a message and writes it again. */
const RECODE: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  Command: (bytes) => encodeCommand(decodeCommand(bytes)),
  Answer: (bytes) => encodeAnswer(decodeAnswer(bytes)),
  ExecuteRequest: (bytes) => encodeExecuteRequests(decodeExecuteRequests(bytes)),
  ExecuteReply: (bytes) => {
    const reply = decodeExecuteReply(bytes);
    return reply.type === 'hello' ? encodeHello(reply) : encodeExecuteReplies(reply.replies);
  },
  StatusResult: (bytes) => encodeStatus(decodeStatus(bytes)),
  StatusRequest: (bytes) => bytes,
  SnapshotRequest: (bytes) => encodeSnapshotRequest(decodeSnapshotRequest(bytes)),
  SnapshotChunk: (bytes) => encodeSnapshotChunk(decodeSnapshotChunk(bytes)),
  OpenSession: (bytes) => bodyOf('open_session', encodeCommand(decodeOpenSession(bytes))),
  CloseSession: (bytes) => bodyOf('close_session', encodeCommand(decodeCloseSession(bytes))),
  ResolveRequest: (bytes) => {
    const query = { serializable: false, query: decodeResolve(bytes) };
    const request = encodeExecuteRequests([{ id: 0, body: { type: 'query', query } }]);
    const [first] = decodeExecuteRequests(request);
    if (first?.body.type !== 'query') throw new Error('not a query');
    return messageType('ResolveRequest')
      .encode({ ...first.body.query.query })
      .finish();
  },
  OpenSessionResult: (bytes) => encodeOpenSessionResult(unwrapped('openSession', bytes)),
  CloseSessionResult: () => new Uint8Array(0),
  ResolveResult: (bytes) => encodeResolveResult(unwrapped('resolve', bytes)),
};

function bodyOf(field: 'open_session' | 'close_session', bytes: Uint8Array): Uint8Array {
  const type = messageType('Command');
  const name = field === 'open_session' ? 'openSession' : 'closeSession';
  const inner = type.fields[name]?.resolve().resolvedType as Type;
  const command = type.decode(bytes) as unknown as Record<Command['type'], object>;
  return inner.encode(command[name]).finish();
}

function unwrapped<T extends Answer['type']>(name: T, bytes: Uint8Array): Answer & { type: T } {
  const type = messageType('Answer');
  const inner = type.fields[name]?.resolve().resolvedType as Type;
  const answer = decodeAnswer(type.encode({ [name]: inner.decode(bytes) }).finish());
  if (answer.type !== name) throw new Error(`not ${name}`);
  return answer as Answer & { type: T };
}

/** Every message that takes part in an RPC, and whatever stands inside one. */
function messagesOf(type: Type, seen: Set<Type> = new Set()): Set<Type> {
  if (seen.has(type)) return seen;
  seen.add(type);
  for (const field of type.fieldsArray) {
    const inner = field.resolve().resolvedType;
    if (inner instanceof protobuf.Type) messagesOf(inner, seen);
  }
  return seen;
}

/**
 * One object for each field of the message, in which that field is set to something that is no
 * default, with no more around it than makes it valid.
 */
function examples(type: Type, depth: number): { field: string; object: Record<string, unknown> }[] {
  return type.fieldsArray.flatMap((field) => {
    const rest = requiredBeside(type, field, depth);
    return valuesOf(field, depth).map((value) => ({
      field: `${type.name}.${field.name}`,
      object: { ...rest, [field.name]: field.repeated ? [value, value] : value },
    }));
  });
}

/** Members of the oneof that the message needs, when `field` is not one of them. */
function requiredBeside(type: Type, field: Field, depth: number): Record<string, unknown> {
  const beside: Record<string, unknown> = {};
  for (const group of type.oneofsArray) {
    if (group.isProto3Optional || group.fieldsArray.includes(field)) continue;
    const first = group.fieldsArray[0];
    if (first === undefined) continue;
    beside[first.name] = valuesOf(first, depth)[0];
  }
  if (type.name === 'Reply' && field.name !== 'answer') beside['answer'] = Buffer.from('a');
  if (type.name === 'ChangeEvent' && field.name !== 'kv') beside['kv'] = {};
  if (type.name === 'Error' && field.name !== 'code') beside['code'] = 1;
  return beside;
}

function valuesOf(field: Field, depth: number): unknown[] {
  const inner = field.resolve().resolvedType;
  if (inner instanceof protobuf.Enum) return Object.values(inner.values).filter((v) => v !== 0);
  if (inner instanceof protobuf.Type) {
    const all = depth === 0 ? [] : examples(inner, depth - 1).map((each) => each.object);
    return all.length > 0 ? all : [{}];
  }
  switch (field.type) {
    case 'bytes':
      return [Buffer.from(`${field.name}-bytes`)];
    case 'string':
      return [`${field.name} ✓`];
    case 'bool':
      return [true];
    case 'uint32':
      return [5];
    case 'uint64':
      return [300 + field.id];
    case 'fixed64':
      return ['18446744073709551557'];
    default:
      throw new Error(`no example of ${field.type}: teach this test`);
  }
}

describe('every message of the .proto file', () => {
  const services = ['Clerk', 'Maintenance'].map((name) =>
    schema.lookupService(`quorate.v1.${name}`),
  );
  const names = new Set(
    services
      .flatMap(({ methodsArray }) => methodsArray)
      .flatMap(({ requestType, responseType }) => [requestType, responseType]),
  );
  const roots = [...names, 'Command', 'Answer'];

  test('is reached from a method, a command or an answer', () => {
    const reached = new Set<string>();
    for (const name of roots)
      for (const type of messagesOf(messageType(name))) reached.add(type.name);
    const declared = (schema.lookup('quorate.v1') as protobuf.Namespace).nestedArray
      .filter((each) => each instanceof protobuf.Type)
      .map((each) => each.name);
    expect([...reached].sort()).toEqual(declared.sort());
  });

  test.each(roots)(
    '%s: our codec keeps every field, by itself and inside its containers',
    (name) => {
      const type = messageType(name);
      const recode = RECODE[name];
      if (recode === undefined) throw new Error(`${name} has no codec here`);
      for (const { field, object } of examples(type, 4)) {
        const bytes = type.encode(type.fromObject(object)).finish();
        expect(Buffer.from(recode(bytes)), `${field} ${JSON.stringify(object)}`).toEqual(bytes);
      }
    },
  );
});
