import {
  type Compare,
  type Delete,
  type KeyRange,
  KvError,
  prefixRange,
  type Range,
  singleKey,
  type Txn,
  type TxnOperation,
} from '../api/index.ts';
import { type Bytes, bytesOf } from './text.ts';

/** One key, all keys with a prefix (the empty one: every key), or `from` ≤ key < `to`. */
export type Span =
  | Bytes
  | { readonly prefix: Bytes }
  | {
      readonly from: Bytes;
      /** Without it: no upper bound. */
      readonly to?: Bytes;
    };

/** What to read of a span. */
export interface RangeOptions {
  /** At most this many keys, the lowest ones; all without it. */
  readonly limit?: number;
  /** The state as of this revision; without it, now. */
  readonly revision?: number;
  /** Leave the values out. */
  readonly keysOnly?: boolean;
  /** Only count. */
  readonly countOnly?: boolean;
}

/**
 * A condition on every key of a span: how what it holds relates to the operand. For a missing
 * single key the numbers are 0 (`{ key: 'k', version: 0 }`: it is missing); `value` never holds.
 */
export type Condition = {
  readonly key: Span;
  /** Default: equal. */
  readonly is?: 'equal' | 'notEqual' | 'greater' | 'less';
} & (
  | { readonly value: Bytes }
  | { readonly version: number }
  | { readonly createRevision: number }
  | { readonly modRevision: number }
);

/** One step of a transaction. */
export type Step =
  | { readonly put: Bytes; readonly value: Bytes; readonly prevKv?: boolean }
  | { readonly append: Bytes; readonly value: Bytes }
  | { readonly delete: Span; readonly prevKv?: boolean }
  | ({ readonly range: Span } & RangeOptions)
  | { readonly txn: TxnRequest };

/** If all conditions hold then `success`, else `failure`; all in one revision. */
export interface TxnRequest {
  /** None: they hold. */
  readonly compares?: readonly Condition[];
  readonly success?: readonly Step[];
  readonly failure?: readonly Step[];
}

/** @throws KvError INVALID_ARGUMENT for what is not a span. */
export function keyRangeOf(span: Span): KeyRange {
  if (typeof span === 'string' || span instanceof Uint8Array)
    return singleKey(bytesOf(span, 'key'));
  if (typeof span === 'object' && span !== null) {
    if ('prefix' in span) return prefixRange(bytesOf(span.prefix, 'prefix'));
    if ('from' in span) {
      const to = span.to === undefined ? null : bytesOf(span.to, 'to');
      return { from: bytesOf(span.from, 'from'), to };
    }
  }
  throw new KvError('INVALID_ARGUMENT', 'expected a key, { prefix } or { from, to }');
}

/** @throws KvError INVALID_ARGUMENT */
export function rangeOf(span: Span, options: RangeOptions): Range {
  return {
    type: 'range',
    range: keyRangeOf(span),
    limit: optionalInteger(options.limit, 'limit', 1),
    revision: optionalInteger(options.revision, 'revision', 1),
    keysOnly: options.keysOnly ?? false,
    countOnly: options.countOnly ?? false,
  };
}

/** @throws KvError INVALID_ARGUMENT */
export function deleteOf(span: Span, prevKv: boolean): Delete {
  return { type: 'delete', range: keyRangeOf(span), prevKv };
}

/** @throws KvError INVALID_ARGUMENT */
export function txnOf(request: TxnRequest): Txn {
  return {
    type: 'txn',
    compares: (request.compares ?? []).map(compareOf),
    success: (request.success ?? []).map(stepOf),
    failure: (request.failure ?? []).map(stepOf),
  };
}

/**
 * An integer from `min` to 2^53 − 1.
 * @throws KvError INVALID_ARGUMENT
 */
export function integer(value: number, what: string, min: number): number {
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw new KvError('INVALID_ARGUMENT', `${what}: expected an integer from ${min}, got ${value}`);
}

function optionalInteger(value: number | undefined, what: string, min: number): number | null {
  return value === undefined ? null : integer(value, what, min);
}

function stepOf(step: Step): TxnOperation {
  if ('put' in step) {
    const key = bytesOf(step.put, 'key');
    const value = bytesOf(step.value, 'value');
    return { type: 'put', key, value, prevKv: step.prevKv ?? false };
  }
  if ('append' in step) {
    const key = bytesOf(step.append, 'key');
    return { type: 'append', key, value: bytesOf(step.value, 'value') };
  }
  if ('delete' in step) return deleteOf(step.delete, step.prevKv ?? false);
  if ('range' in step) return rangeOf(step.range, step);
  if ('txn' in step) return txnOf(step.txn);
  throw new KvError('INVALID_ARGUMENT', 'a step is a put, append, delete, range or txn');
}

function compareOf(condition: Condition): Compare {
  const range = keyRangeOf(condition.key);
  const relation = condition.is ?? 'equal';
  if (!['equal', 'notEqual', 'greater', 'less'].includes(relation)) {
    throw new KvError(
      'INVALID_ARGUMENT',
      `a condition's "is" cannot be ${JSON.stringify(relation)}`,
    );
  }
  return { range, relation, operand: operandOf(condition) };
}

function operandOf(condition: Condition): Compare['operand'] {
  if ('value' in condition) return { target: 'value', value: bytesOf(condition.value, 'value') };
  if ('version' in condition) {
    return { target: 'version', value: integer(condition.version, 'version', 0) };
  }
  if ('createRevision' in condition) {
    const value = integer(condition.createRevision, 'createRevision', 0);
    return { target: 'createRevision', value };
  }
  if ('modRevision' in condition) {
    const value = integer(condition.modRevision, 'modRevision', 0);
    return { target: 'modRevision', value };
  }
  const said = 'a condition needs a value, version, createRevision or modRevision';
  throw new KvError('INVALID_ARGUMENT', said);
}
