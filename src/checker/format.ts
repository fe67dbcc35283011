import type {
  Compare,
  FaultBand,
  HistoryHeader,
  Operation,
  Outcome,
  RecordedCall,
  Result,
  Seen,
  TxnStep,
} from './history.ts';

/** Of the header line; a reader refuses others. */
export const FORMAT_VERSION = 1;

/** A line that is no line of a history: where and what, in one sentence. */
export class HistoryFormatError extends Error {
  /** From 1. */
  readonly line: number;

  constructor(line: number, reason: string, options: { cause?: unknown } = {}) {
    super(`line ${line}: ${reason}`, options);
    this.name = 'HistoryFormatError';
    this.line = line;
  }
}

export type HistoryLine =
  | { readonly type: 'header'; readonly header: HistoryHeader }
  | { readonly type: 'call'; readonly call: RecordedCall }
  | { readonly type: 'fault'; readonly band: FaultBand };

/** The first line. */
export function headerLine({ title, unit, revision }: HistoryHeader): string {
  return JSON.stringify({ quorateHistory: FORMAT_VERSION, title, unit, revision });
}

/** A call as a line; values that are null and may be left out are left out. */
export function callLine(call: RecordedCall): string {
  const { clerk, session, operation, outcome, called, returned } = call;
  const answer =
    outcome.type !== 'ok'
      ? {}
      : {
          result: resultJson(outcome.result),
          ...(outcome.revision === null ? {} : { revision: outcome.revision }),
        };
  return JSON.stringify({
    clerk,
    ...(session === null ? {} : { session: session.name, seq: session.seq }),
    op: operation,
    called,
    ...(returned === null ? {} : { returned }),
    outcome: outcome.type,
    ...answer,
  });
}

/** A fault as a line. */
export function faultLine({ fault, from, to, label }: FaultBand): string {
  return JSON.stringify({ fault, from, ...(to === null ? {} : { to }), label });
}

function resultJson(result: Result): object {
  switch (result.type) {
    case 'get': {
      const { value } = result;
      return value === null || typeof value === 'string' ? { value } : value;
    }
    case 'range':
      return { entries: result.entries };
    case 'put':
      return {};
    case 'append':
      return result.valueBytes === null ? {} : { valueBytes: result.valueBytes };
    case 'delete':
      return { deleted: result.deleted };
    case 'txn': {
      const { succeeded, results } = result;
      return { succeeded, results: results.map(resultJson) };
    }
    default:
      return result satisfies never;
  }
}

/**
 * Reads one line of a history.
 * @param line from 1; line 1 is the header
 * @throws HistoryFormatError
 */
export function parseLine(text: string, line: number): HistoryLine {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new HistoryFormatError(line, 'is not JSON', { cause });
  }
  try {
    const fields = new Fields(json, '');
    if (line === 1) return { type: 'header', header: headerOf(fields) };
    if (fields.has('fault')) return { type: 'fault', band: faultOf(fields) };
    return { type: 'call', call: callOf(fields) };
  } catch (cause) {
    if (!(cause instanceof FieldError)) throw cause;
    throw new HistoryFormatError(line, cause.message, { cause });
  }
}

/** What is wrong with a field. */
class FieldError extends Error {}

/** The fields of a JSON object, each asked for by its type. */
class Fields {
  readonly #json: Readonly<Record<string, unknown>>;
  readonly #path: string;

  constructor(json: unknown, path: string) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) {
      throw new FieldError(`${path === '' ? 'it' : `"${path}"`} is not an object`);
    }
    this.#json = json as Record<string, unknown>;
    this.#path = path;
  }

  has(name: string): boolean {
    return this.#json[name] !== undefined && this.#json[name] !== null;
  }

  string(name: string): string {
    const value = this.#json[name];
    return typeof value === 'string' ? value : this.fail(name, 'a string');
  }

  stringOrNull(name: string): string | null {
    return this.#json[name] === null ? null : this.string(name);
  }

  integer(name: string): number {
    const value = this.#json[name];
    return Number.isSafeInteger(value) && (value as number) >= 0
      ? (value as number)
      : this.fail(name, 'a whole number from 0 to 2^53 - 1');
  }

  boolean(name: string): boolean {
    const value = this.#json[name];
    return typeof value === 'boolean' ? value : this.fail(name, 'true or false');
  }

  oneOf<const Word extends string>(name: string, words: readonly Word[]): Word {
    const value = this.#json[name];
    const found = words.find((word) => word === value);
    return found ?? this.fail(name, `one of ${words.join(', ')}`);
  }

  object(name: string): Fields {
    return new Fields(this.#json[name], this.#name(name));
  }

  list(name: string): unknown[] {
    const value = this.#json[name];
    return Array.isArray(value) ? value : this.fail(name, 'a list');
  }

  objects(name: string): Fields[] {
    return this.list(name).map((each, i) => new Fields(each, `${this.#name(name)}[${i}]`));
  }

  fail(name: string, expected: string): never {
    const state = this.#json[name] === undefined ? 'is missing' : 'is wrong';
    throw new FieldError(`"${this.#name(name)}" ${state}: expected ${expected}`);
  }

  #name(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }
}

function headerOf(fields: Fields): HistoryHeader {
  if (!fields.has('quorateHistory')) {
    throw new FieldError('is no header of a history: "quorateHistory" is missing');
  }
  const version = fields.integer('quorateHistory');
  if (version !== FORMAT_VERSION) {
    throw new FieldError(
      `version ${version} of the format is not known; this is ${FORMAT_VERSION}`,
    );
  }
  return {
    title: fields.has('title') ? fields.string('title') : '',
    unit: fields.oneOf('unit', ['ns', 'us']),
    revision: fields.has('revision') ? fields.integer('revision') : 1,
  };
}

function faultOf(fields: Fields): FaultBand {
  const from = fields.integer('from');
  const to = fields.has('to') ? fields.integer('to') : null;
  if (to !== null && to < from) fields.fail('to', '"from" or later');
  const fault = fields.string('fault');
  return { fault, from, to, label: fields.has('label') ? fields.string('label') : fault };
}

function callOf(fields: Fields): RecordedCall {
  const clerk = fields.string('clerk');
  const session = fields.has('session')
    ? { name: fields.string('session'), seq: fields.integer('seq') }
    : null;
  const op = fields.object('op');
  const operation: Operation =
    op.has('type') && op.string('type') === 'txn' ? txnOf(op) : stepOf(op);
  const called = fields.integer('called');
  const returned = fields.has('returned') ? fields.integer('returned') : null;
  if (returned !== null && returned < called) fields.fail('returned', '"called" or later');
  const type = fields.oneOf('outcome', ['ok', 'notApplied', 'unknown']);
  if (type === 'ok' && returned === null) fields.fail('returned', 'the time of the answer');
  const outcome: Outcome = type === 'ok' ? answerOf(fields, operation) : { type };
  return { clerk, session, operation, outcome, called, returned };
}

function answerOf(fields: Fields, operation: Operation): Outcome {
  const isPlain = operation.type === 'put' || operation.type === 'append';
  const result: Result =
    isPlain && !fields.has('result')
      ? resultOf(new Fields({}, 'result'), operation)
      : resultOf(fields.object('result'), operation);
  return {
    type: 'ok',
    result,
    revision: fields.has('revision') ? fields.integer('revision') : null,
  };
}

function txnOf(fields: Fields): Operation {
  const steps = (name: string): TxnStep[] => fields.objects(name).map(stepOf);
  const compares = fields.objects('compares').map(
    (each): Compare => ({
      key: each.string('key'),
      is: each.oneOf('is', ['equal', 'notEqual']),
      value: each.stringOrNull('value'),
    }),
  );
  return { type: 'txn', compares, success: steps('success'), failure: steps('failure') };
}

function stepOf(fields: Fields): TxnStep {
  const type = fields.oneOf('type', ['get', 'range', 'put', 'append', 'delete']);
  switch (type) {
    case 'range':
      return {
        type,
        from: fields.string('from'),
        to: fields.has('to') ? fields.string('to') : null,
      };
    case 'get':
    case 'delete':
      return { type, key: fields.string('key') };
    case 'put':
    case 'append':
      return { type, key: fields.string('key'), value: fields.string('value') };
    default:
      return type satisfies never;
  }
}

function resultOf(fields: Fields, operation: Operation): Result {
  const { type } = operation;
  switch (type) {
    case 'get':
      return { type, value: seenOf(fields) };
    case 'range':
      return { type, entries: fields.list('entries').map((each) => entryOf(fields, each)) };
    case 'put':
      return { type };
    case 'append':
      return { type, valueBytes: fields.has('valueBytes') ? fields.integer('valueBytes') : null };
    case 'delete':
      return { type, deleted: fields.boolean('deleted') };
    case 'txn': {
      const succeeded = fields.boolean('succeeded');
      const steps = succeeded ? operation.success : operation.failure;
      const results = fields.objects('results');
      if (results.length !== steps.length) fields.fail('results', `${steps.length} results`);
      return {
        type,
        succeeded,
        results: results.map((each, i) => resultOf(each, steps[i] as TxnStep)),
      };
    }
    default:
      return type satisfies never;
  }
}

function seenOf(fields: Fields): Seen {
  if (!fields.has('hash')) return fields.stringOrNull('value');
  const hash = fields.string('hash');
  if (!/^[0-9a-f]{16}$/.test(hash)) fields.fail('hash', '16 hexadecimal digits');
  return { length: fields.integer('length'), hash };
}

function entryOf(fields: Fields, entry: unknown): readonly [string, string] {
  if (!Array.isArray(entry) || entry.length !== 2) fields.fail('entries', '[key, value] pairs');
  const [key, value] = entry as unknown[];
  if (typeof key === 'string' && typeof value === 'string') return [key, value];
  return fields.fail('entries', 'pairs of strings');
}
