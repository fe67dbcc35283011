import type { MessageType } from '../etcd/index.ts';
import { ENUMS, SIGNED_IDS, SMALL_INTEGERS } from './json-kinds.ts';

/*
 * Messages as JSON (https://protobuf.dev/programming-guides/json), as etcd's gateway writes it:
 * names as in the .proto, fields that hold their default left out. Read are both spellings of a
 * name, numbers as such or as strings, enums by name or number; what is not known is passed over.
 */

type Field = MessageType<unknown>['fields'][number];

/** A request that is no message; the text is for the client. */
export class JsonError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JsonError';
  }
}

/** Messages inside one another that are read; the same as over gRPC. */
const DEPTH_MAX = 32;

// ── writing ────────────────────────────────────────────────────────────────────────────────────

/** A decoded message as a value for `JSON.stringify`. */
export function toJson(type: MessageType<unknown>, message: unknown): object {
  const values = message as Readonly<Record<string, unknown>>;
  const json: Record<string, unknown> = {};
  for (const field of type.fields) {
    const value = values[field.name];
    if (value === null || value === undefined) continue;
    if (field.isList) {
      const items = value as readonly unknown[];
      if (items.length > 0) json[field.name] = items.map((item) => valueOut(type, field, item));
    } else if (field.isMember || !isDefault(value)) {
      json[field.name] = valueOut(type, field, value);
    }
  }
  return json;
}

function isDefault(value: unknown): boolean {
  if (value instanceof Uint8Array) return value.length === 0;
  return value === 0 || value === 0n || value === '' || value === false;
}

function valueOut(type: MessageType<unknown>, field: Field, value: unknown): unknown {
  switch (field.kind) {
    case 'bytes': {
      const { buffer, byteOffset, length } = value as Uint8Array;
      return Buffer.from(buffer, byteOffset, length).toString('base64');
    }
    case 'int': {
      const place = placeOf(type, field);
      const names = ENUMS.get(place);
      if (names !== undefined) return names[value as number] ?? value;
      return SMALL_INTEGERS.has(place) ? value : String(value);
    }
    case 'id': {
      const bits = value as bigint;
      return String(SIGNED_IDS.has(placeOf(type, field)) ? BigInt.asIntN(64, bits) : bits);
    }
    case 'message':
      return toJson(inner(field), value);
    default:
      return value;
  }
}

// ── reading ────────────────────────────────────────────────────────────────────────────────────

/**
 * JSON text as a message to be encoded.
 * @throws JsonError
 */
export function fromJson(type: MessageType<unknown>, text: string): object {
  return messageIn(type, parsed(text), 0);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new JsonError('the request is not JSON');
  }
}

function messageIn(type: MessageType<unknown>, json: unknown, depth: number): object {
  if (depth > DEPTH_MAX) throw new JsonError('messages nested too deep');
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new JsonError(`${type.name} is no object`);
  }
  const message: Record<string, unknown> = {};
  const fields = fieldsByName(type);
  for (const [name, value] of Object.entries(json)) {
    const field = fields.get(name);
    if (field === undefined || value === null) continue;
    if (!field.isList) {
      message[field.name] = valueIn(type, field, value, depth);
      continue;
    }
    if (!Array.isArray(value)) throw wrong(type, field, 'no list');
    message[field.name] = value.map((item: unknown) => valueIn(type, field, item, depth));
  }
  return message;
}

function valueIn(type: MessageType<unknown>, field: Field, value: unknown, depth: number): unknown {
  switch (field.kind) {
    case 'bytes':
      return bytesIn(type, field, value);
    case 'string':
      if (typeof value !== 'string') throw wrong(type, field, 'no string');
      return value;
    case 'bool':
      if (typeof value !== 'boolean') throw wrong(type, field, 'neither true nor false');
      return value;
    case 'int':
      return intIn(type, field, value);
    case 'id':
      return BigInt.asUintN(64, integerIn(type, field, value));
    case 'message':
      return messageIn(inner(field), value, depth + 1);
  }
}

/** Both alphabets, with padding or without. */
function bytesIn(type: MessageType<unknown>, field: Field, value: unknown): Uint8Array {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value, 'base64');
    const plain = value.replaceAll('-', '+').replaceAll('_', '/').replaceAll('=', '');
    if (bytes.toString('base64').replaceAll('=', '') === plain) return new Uint8Array(bytes);
  }
  throw wrong(type, field, 'not base64');
}

function intIn(type: MessageType<unknown>, field: Field, value: unknown): number {
  const names = ENUMS.get(placeOf(type, field));
  if (names !== undefined && typeof value === 'string') {
    const number = names.indexOf(value);
    if (number === -1) throw wrong(type, field, `not one of ${names.join(', ')}`);
    return number;
  }
  // Beyond 2^53 no number counts anything: the bound compares alike.
  const bits = integerIn(type, field, value);
  if (bits > MAX) return Number.MAX_SAFE_INTEGER;
  return bits < -MAX ? Number.MIN_SAFE_INTEGER : Number(bits);
}

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** 64 bits, signed or not. */
function integerIn(type: MessageType<unknown>, field: Field, value: unknown): bigint {
  if (typeof value === 'number') {
    if (Number.isSafeInteger(value)) return BigInt(value);
    throw wrong(type, field, 'no integer below 2^53: write larger ones as strings');
  }
  if (typeof value === 'string' && /^-?[0-9]{1,20}$/.test(value)) {
    const integer = BigInt(value);
    if (BigInt.asIntN(64, integer) === integer || BigInt.asUintN(64, integer) === integer) {
      return integer;
    }
  }
  throw wrong(type, field, 'no 64-bit integer');
}

function wrong(type: MessageType<unknown>, { name }: Field, what: string): JsonError {
  return new JsonError(`${type.name}.${name} is ${what}`);
}

function placeOf(type: MessageType<unknown>, { name }: Field): string {
  return `${type.name}.${name}`;
}

function inner(field: Field): MessageType<unknown> {
  if (field.message === null) throw new Error(`${field.name} is no message`);
  return field.message();
}

const FIELDS = new WeakMap<MessageType<unknown>, ReadonlyMap<string, Field>>();

/** By both spellings. */
function fieldsByName(type: MessageType<unknown>): ReadonlyMap<string, Field> {
  const known = FIELDS.get(type);
  if (known !== undefined) return known;
  const fields = new Map(
    type.fields.flatMap((field) => [
      [field.name, field],
      [camelCase(field.name), field],
    ]),
  );
  FIELDS.set(type, fields);
  return fields;
}

/** `range_end` as `rangeEnd`. */
function camelCase(name: string): string {
  return name.replace(/_([a-z])/g, (_all, letter: string) => letter.toUpperCase());
}
