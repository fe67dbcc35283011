/** The .proto file as protobufjs reads it, and our values in the shape that protobufjs gives. */
import { fileURLToPath } from 'node:url';
import protobuf from 'protobufjs';
import {
  type Answer,
  type ChangeEvent,
  type Command,
  type Compare,
  ERRORS,
  type ExecuteReply,
  type ExecuteRequest,
  type KeyRange,
  type MemberStatus,
  type Query,
  type Range,
  type RangeOrder,
  rangeEndOf,
} from '../index.ts';

export const schema = protobuf.loadSync(
  fileURLToPath(new URL('../../../proto/quorate/v1/quorate.proto', import.meta.url)),
);

export function messageType(name: string): protobuf.Type {
  return schema.lookupType(`quorate.v1.${name}`);
}

/** Re-encodes what protobufjs understood of the bytes. */
export function reencode(type: protobuf.Type, bytes: Uint8Array): Uint8Array {
  return type.encode(type.decode(bytes)).finish();
}

/** What protobufjs read, as plain data: 64-bit numbers as decimal strings, bytes as hexadecimal. */
export function understood(type: protobuf.Type, bytes: Uint8Array): unknown {
  const object = type.toObject(type.decode(bytes), { longs: String, enums: String });
  return plain(object);
}

type Plain = { [name: string]: unknown };

/** Our value by the names of the .proto file; what is a default there is left out. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return `0x${Buffer.from(value).toString('hex')}`;
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(
      Object.entries(value)
        .filter(([, each]) => each !== null && each !== undefined)
        .map(([name, each]) => [name, plain(each)]),
    );
  }
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : value;
}

/** Leaves out the fields that hold a default, as proto3 does, except those named. */
function message(fields: Plain, present: readonly string[] = []): Plain {
  return Object.fromEntries(
    Object.entries(fields).filter(([name, value]) => {
      if (value === null || value === undefined) return false;
      if (present.includes(name)) return true;
      const empty =
        value instanceof Uint8Array || Array.isArray(value) || typeof value === 'string';
      return empty ? (value as { length: number }).length > 0 : !DEFAULTS.includes(value);
    }),
  );
}

const DEFAULTS: readonly unknown[] = [0, 0n, false];

function rangeFields(range: KeyRange): Plain {
  return { key: range.from, rangeEnd: rangeEndOf(range) };
}

type Body = { readonly type: string };

/** An operation, query or result without its `type`, its parts translated. */
function fieldsOf(body: Body): Plain {
  const { type: _type, range, order, bounds, ...rest } = body as Body & Partial<Range>;
  const fields: Plain = range === undefined ? { ...rest } : { ...rangeFields(range), ...rest };
  if (order !== undefined) fields['order'] = orderPlain(order);
  if (bounds !== undefined) Object.assign(fields, bounds);
  for (const name of ['success', 'failure', 'results']) {
    const list = fields[name];
    if (Array.isArray(list)) fields[name] = list.map(oneof);
  }
  const { compares } = fields;
  if (Array.isArray(compares)) fields['compares'] = compares.map(comparePlain);
  for (const name of ['kvs', 'prevKvs']) {
    const list = fields[name];
    if (Array.isArray(list)) fields[name] = list.map((kv: Plain) => message(kv));
  }
  const { events } = fields;
  if (Array.isArray(events)) fields['events'] = events.map(eventPlain);
  for (const name of ['prevKv', 'leader']) {
    const inner = fields[name];
    if (typeof inner === 'object' && inner !== null) fields[name] = message(inner as Plain);
  }
  return message(fields, ['lastAnswer', 'answer']);
}

function oneof(body: Body): Plain {
  return { [body.type]: fieldsOf(body) };
}

function comparePlain({ range, relation, operand }: Compare): Plain {
  return message(
    {
      ...rangeFields(range),
      relation: relation === 'equal' ? null : constantCase(relation),
      [operand.target]: operand.value,
    },
    [operand.target],
  );
}

function eventPlain({ type, kv, prevKv }: ChangeEvent): Plain {
  const all = {
    type: type === 'put' ? null : constantCase(type),
    kv: message({ ...kv }),
    prevKv: prevKv === null ? null : message({ ...prevKv }),
  };
  return message(all);
}

function orderPlain({ target, descending }: RangeOrder): Plain {
  return message({ target: target === 'key' ? null : constantCase(target), descending });
}

function constantCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase();
}

export function commandPlain(command: Command): unknown {
  if (command.type !== 'operation') return plain(oneof(command));
  const session = command.session === null ? {} : { session: message({ ...command.session }) };
  return plain({ ...session, ...oneof(command.operation) });
}

export function answerPlain(answer: Answer): unknown {
  if (answer.type === 'resolve') {
    const state = answer.state === 'notExecuted' ? null : constantCase(answer.state);
    return plain({ resolve: message({ state, answer: answer.answer }, ['answer']) });
  }
  if (answer.type === 'error') {
    return plain({ error: { ...fieldsOf(answer), code: ERRORS[answer.code].number } });
  }
  return plain(oneof(answer));
}

function queryPlain({ serializable, query }: Query): Plain {
  return message({ serializable, ...oneof(query) });
}

function bodyPlain(body: ExecuteRequest['body']): Plain {
  if (body.type === 'command') return { command: body.command };
  return body.type === 'query' ? { query: queryPlain(body.query) } : { withdrawal: {} };
}

export function requestsPlain(requests: readonly ExecuteRequest[]): unknown {
  const list = requests.map(({ id, body }) => message({ id, ...bodyPlain(body) }, ['command']));
  return plain(message({ requests: list }));
}

export function replyPlain(reply: ExecuteReply): unknown {
  if (reply.type === 'hello') {
    const { clusterId, memberId } = reply;
    return plain({ hello: message({ clusterId, memberId }) });
  }
  return plain(message({ replies: reply.replies.map((each) => message({ ...each })) }));
}

export function statusPlain(status: MemberStatus): unknown {
  const role = status.role === 'follower' ? null : constantCase(status.role);
  const leader = status.leader === null ? null : message({ ...status.leader });
  return plain(message({ ...status, role, leader }));
}
