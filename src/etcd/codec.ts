import { DecodeError, EMPTY_BYTES, ProtoReader, ProtoWriter } from '../lib/index.ts';

/*
 * The messages of etcd's API as tables: a message is a row of named fields, and one pair of
 * functions reads and writes them all. Names are those of the wire contract, snake case and all, so
 * that a request looks here as it does in etcd's documentation, and in its JSON.
 *
 *   const KEY_VALUE = new MessageType('KeyValue', { key: bytes(1), version: int(4), … });
 *   type KeyValue = MessageOf<typeof KEY_VALUE>;
 *
 * Every field of a decoded message is there: what did not come has its default; a message, and a
 * member of a oneof, is then null. To encode, fields may be left out. Unknown fields are skipped.
 */

/** Messages inside one another. etcd bounds them not at all, its clients' nesting is below ten. */
const DEPTH_MAX = 32;

type Kind = 'bytes' | 'string' | 'bool' | 'int' | 'id' | 'message';

/** A field of a message whose values are `T`. */
export interface Field<T> {
  readonly number: number;
  readonly kind: Kind;
  readonly isList: boolean;
  /** Of a oneof: null when absent, and written also when it is the default. */
  readonly isMember: boolean;
  /** What a message without the field says. Lists: a new one each time. */
  readonly initial: T;
  /** The message inside; null for other kinds. A function, as messages may hold themselves. */
  readonly message: (() => MessageType<unknown>) | null;
}

export type Fields = Readonly<Record<string, Field<unknown>>>;

/** The values of a row of fields. */
export type ValuesOf<F extends Fields> = {
  readonly [Name in keyof F]: F[Name] extends Field<infer T> ? T : never;
};

/** What a message type decodes to. */
export type MessageOf<M> = M extends MessageType<infer T> ? T : never;

/** The same as it may be given to `encode`: every field may be left out. */
export type Draft<T> = T extends Uint8Array | string | boolean | number | bigint | null
  ? T
  : T extends readonly (infer Item)[]
    ? readonly Draft<Item>[]
    : { readonly [Name in keyof T]?: Draft<T[Name]> };

// ── fields ─────────────────────────────────────────────────────────────────────────────────────

/** Bytes; decoded ones are views of the input. */
export function bytes(number: number): Field<Uint8Array> {
  return scalar(number, 'bytes', EMPTY_BYTES);
}

export function string(number: number): Field<string> {
  return scalar(number, 'string', '');
}

export function bool(number: number): Field<boolean> {
  return scalar(number, 'bool', false);
}

/**
 * An integer that counts or orders: int64, uint64, an enum. Beyond ±(2^53 − 1) it is read as that
 * bound: no revision, count or time ever gets there, so every comparison comes out the same.
 */
export function int(number: number): Field<number> {
  return scalar(number, 'int', 0);
}

/** 64 opaque bits, read as 0 … 2^64 − 1 (an int64 id in two's complement). */
export function id(number: number): Field<bigint> {
  return scalar(number, 'id', 0n);
}

export function message<T>(number: number, type: () => MessageType<T>): Field<T | null> {
  return { ...scalar<T | null>(number, 'message', null), message: type };
}

export function list<T>(field: Field<T>): Field<readonly NonNullable<T>[]> {
  return { ...field, isList: true, initial: [] };
}

/** A member of a oneof that is no message. */
export function member<T>(field: Field<T>): Field<T | null> {
  return { ...field, isMember: true, initial: null };
}

function scalar<T>(number: number, kind: Kind, initial: T): Field<T> {
  return { number, kind, isList: false, isMember: false, initial, message: null };
}

// ── messages ───────────────────────────────────────────────────────────────────────────────────

interface NamedField extends Field<unknown> {
  readonly name: string;
}

/** One for all messages: encoding is synchronous and never nested. */
const WRITER = new ProtoWriter();

/** A message of the API; `T` is what it decodes to. */
export class MessageType<T> {
  /** As the .proto calls it. */
  readonly name: string;
  /** In the order of their numbers: that in which they are written. */
  readonly fields: readonly NamedField[];
  readonly #byNumber: (NamedField | undefined)[] = [];
  /** A message of no fields: to be copied, which is cheaper than to be put together. */
  readonly #empty: Readonly<Record<string, unknown>>;
  readonly #lists: readonly string[];

  constructor(name: string, fields: { readonly [Name in keyof T]: Field<T[Name]> }) {
    this.name = name;
    this.fields = Object.entries(fields as Fields)
      .map(([fieldName, field]) => ({ ...field, name: fieldName }))
      .sort((a, b) => a.number - b.number);
    for (const field of this.fields) this.#byNumber[field.number] = field;
    this.#empty = Object.fromEntries(this.fields.map((field) => [field.name, field.initial]));
    this.#lists = this.fields.filter(({ isList }) => isList).map((field) => field.name);
  }

  encode(value: Draft<T>): Uint8Array {
    WRITER.clear();
    this.write(WRITER, value);
    return WRITER.finish();
  }

  /** @throws DecodeError on bytes that are no such message. */
  decode(input: Uint8Array): T {
    return this.read(new ProtoReader(input, DEPTH_MAX));
  }

  /** The fields, without the tag and length around them. */
  write(writer: ProtoWriter, value: Draft<T>): void {
    const values = value as Readonly<Record<string, unknown>>;
    for (const field of this.fields) {
      const each = values[field.name];
      if (each === undefined || each === null) continue;
      if (!field.isList) writeField(writer, field, each, field.isMember);
      else for (const item of each as readonly unknown[]) writeField(writer, field, item, true);
    }
  }

  read(reader: ProtoReader): T {
    const values: Record<string, unknown> = { ...this.#empty };
    for (const name of this.#lists) values[name] = [];
    while (reader.next()) {
      const field = this.#byNumber[reader.field];
      if (field === undefined) reader.skip();
      else if (field.isList) (values[field.name] as unknown[]).push(...readItems(reader, field));
      else values[field.name] = readField(reader, field);
    }
    return values as T;
  }
}

function writeField(writer: ProtoWriter, field: Field<unknown>, value: unknown, always: boolean) {
  const { number, kind } = field;
  switch (kind) {
    case 'bytes':
      if (always) writer.bytesAlways(number, value as Uint8Array);
      else writer.bytes(number, value as Uint8Array);
      return;
    case 'string':
      if (always) writer.stringAlways(number, value as string);
      else writer.string(number, value as string);
      return;
    case 'bool':
      if (always || value === true) writer.uintAlways(number, value === true ? 1 : 0);
      return;
    case 'int':
      if (always || value !== 0) writeInt(writer, number, value as number);
      return;
    case 'id':
      if (always) writer.uint64Always(number, value as bigint);
      else writer.uint64(number, value as bigint);
      return;
    case 'message': {
      const start = writer.begin(number);
      typeOf(field).write(writer, value as Draft<unknown>);
      writer.end(start);
    }
  }
}

function writeInt(writer: ProtoWriter, number: number, value: number): void {
  if (value >= 0) writer.uintAlways(number, value);
  else writer.uint64Always(number, BigInt(value));
}

function readField(reader: ProtoReader, field: Field<unknown>): unknown {
  switch (field.kind) {
    case 'bytes':
      return reader.bytes();
    case 'string':
      return reader.string();
    case 'bool':
      return reader.uint64() !== 0n;
    case 'int':
      return saturated(reader.uint64());
    case 'id':
      return reader.uint64();
    case 'message': {
      const type = typeOf(field);
      return reader.message((inner) => type.read(inner));
    }
  }
}

/** Numbers in a list come one by one or packed: a reader takes both. */
function readItems(reader: ProtoReader, field: Field<unknown>): unknown[] {
  if (field.kind === 'int') return reader.uint64s().map(saturated);
  return [readField(reader, field)];
}

function typeOf(field: Field<unknown>): MessageType<unknown> {
  if (field.message === null) throw new DecodeError('no message type', field.number);
  return field.message();
}

const MAX = BigInt(Number.MAX_SAFE_INTEGER);

function saturated(bits: bigint): number {
  const value = BigInt.asIntN(64, bits);
  if (value > MAX) return Number.MAX_SAFE_INTEGER;
  return Number(value < -MAX ? -MAX : value);
}
