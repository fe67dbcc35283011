import {
  type Compare,
  type Delete,
  type KeyRange,
  KvError,
  type Put,
  prefixRange,
  type Range,
  type RangeOrder,
  type RevisionBounds,
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
  /** By what to sort, before the limit; keys of equal rank by their bytes. Default: by key. */
  readonly sortBy?: RangeOrder['target'];
  /** Default: false. */
  readonly descending?: boolean;
  /** Only keys last changed in this revision or later; this and the next three before the limit. */
  readonly minModRevision?: number;
  readonly maxModRevision?: number;
  readonly minCreateRevision?: number;
  readonly maxCreateRevision?: number;
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
  /** The lease that the key ends with; 0n: none. */
  | { readonly lease: bigint }
);

/** With what a put key ends. */
export interface OnLease {
  /** The lease that the key ends with. Default: none, also if it had one. */
  readonly lease?: bigint;
}

/** One step of a transaction. */
export type Step =
  | ({ readonly put: Bytes; readonly value: Bytes; readonly prevKv?: boolean } & OnLease)
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
    ...orderOf(options),
    ...boundsOf(options),
  };
}

/** @throws KvError INVALID_ARGUMENT */
export function putOf(
  key: Bytes,
  value: Bytes,
  { prevKv = false, lease }: { readonly prevKv?: boolean } & OnLease,
): Put {
  const put = { key: bytesOf(key, 'key'), value: bytesOf(value, 'value'), prevKv };
  return { type: 'put', ...put, ...(lease === undefined ? {} : { lease: leaseId(lease) }) };
}

/**
 * A lease's id: 64 bits, not 0.
 * @throws KvError INVALID_ARGUMENT
 */
export function leaseId(id: bigint): bigint {
  if (typeof id === 'bigint' && id > 0n && id < 2n ** 64n) return id;
  throw new KvError('INVALID_ARGUMENT', `lease: expected an id from 1 to 2^64 - 1, got ${id}`);
}

function orderOf({ sortBy, descending = false }: RangeOptions): Pick<Range, 'order'> {
  if (sortBy === undefined && !descending) return {};
  const target = sortBy ?? 'key';
  if (!SORT_TARGETS.includes(target)) {
    throw new KvError('INVALID_ARGUMENT', `sortBy: one of ${SORT_TARGETS.join(', ')}`);
  }
  return { order: { target, descending } };
}

const SORT_TARGETS: readonly RangeOrder['target'][] = [
  'key',
  'version',
  'createRevision',
  'modRevision',
  'value',
];

function boundsOf(options: RangeOptions): Pick<Range, 'bounds'> {
  const bounds: RevisionBounds = {
    minModRevision: optionalInteger(options.minModRevision, 'minModRevision', 1),
    maxModRevision: optionalInteger(options.maxModRevision, 'maxModRevision', 1),
    minCreateRevision: optionalInteger(options.minCreateRevision, 'minCreateRevision', 1),
    maxCreateRevision: optionalInteger(options.maxCreateRevision, 'maxCreateRevision', 1),
  };
  return Object.values(bounds).some((bound) => bound !== null) ? { bounds } : {};
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
  if ('put' in step) return putOf(step.put, step.value, step);
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
  if ('lease' in condition) {
    const { lease } = condition;
    return { target: 'lease', value: lease === 0n ? lease : leaseId(lease) };
  }
  const said = 'a condition needs a value, version, createRevision, modRevision or lease';
  throw new KvError('INVALID_ARGUMENT', said);
}
