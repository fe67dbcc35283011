import {
  type Compare,
  type Delete,
  type DeleteResult,
  type KeyRange,
  type KeyValue,
  keyRange,
  type Put,
  type PutResult,
  type Range,
  type RangeOrder,
  type RangeResult,
  type RevisionBounds,
  type Txn,
  type TxnOperation,
  type TxnOperationResult,
  type TxnResult,
} from '../api/index.ts';
import { EMPTY_BYTES } from '../lib/index.ts';
import type { Draft } from './codec.ts';
import { etcdError } from './errors.ts';
import type { KeyValueMessage, ResponseHeader } from './messages/common.ts';
import type {
  CompareMessage,
  DeleteRangeRequest,
  DeleteRangeResponse,
  PutRequest,
  PutResponse,
  RangeRequest,
  RangeResponse,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from './messages/kv.ts';

/*
 * etcd's requests in the store's words, and the store's results in etcd's. Numbers that mean
 * nothing (negative limits and revisions) are read as etcd reads them.
 */

// ── requests ───────────────────────────────────────────────────────────────────────────────────

const SORT_DESCEND = 2;
const SORT_TARGETS = ['key', 'version', 'createRevision', 'modRevision', 'value'] as const;

/** @throws GrpcError for an order that is none. */
export function rangeOf(request: RangeRequest): Range {
  const order = orderOf(request);
  const bounds = boundsOf(request);
  return {
    type: 'range',
    range: keyRange(request.key, request.range_end),
    limit: request.limit > 0 ? request.limit : null,
    revision: request.revision > 0 ? request.revision : null,
    keysOnly: request.keys_only,
    countOnly: request.count_only,
    ...(order === null ? {} : { order }),
    ...(bounds === null ? {} : { bounds }),
  };
}

function orderOf({ sort_order, sort_target }: RangeRequest): RangeOrder | null {
  const target = SORT_TARGETS[sort_target];
  if (target === undefined || sort_order < 0 || sort_order > SORT_DESCEND) {
    throw etcdError('INVALID_ARGUMENT', 'invalid sort option');
  }
  const descending = sort_order === SORT_DESCEND;
  return target === 'key' && !descending ? null : { target, descending };
}

function boundsOf(request: RangeRequest): RevisionBounds | null {
  const bounds = {
    minModRevision: minOf(request.min_mod_revision),
    maxModRevision: maxOf(request.max_mod_revision),
    minCreateRevision: minOf(request.min_create_revision),
    maxCreateRevision: maxOf(request.max_create_revision),
  };
  return Object.values(bounds).every((bound) => bound === null) ? null : bounds;
}

function minOf(revision: number): number | null {
  return revision > 0 ? revision : null;
}

/** No key has revision 1, so that is the bound that a negative one is. */
function maxOf(revision: number): number | null {
  return revision === 0 ? null : Math.max(revision, 1);
}

export function putOf(request: PutRequest): Put {
  const { key, value, prev_kv: prevKv, lease, ignore_value, ignore_lease } = request;
  const put = { type: 'put', key, value, prevKv } as const;
  // Most puts have none of these, and putting them together costs as much as the rest.
  if (lease === 0n && !ignore_value && !ignore_lease) return put;
  return {
    ...put,
    ...(lease === 0n ? {} : { lease }),
    ...(ignore_value ? { ignoreValue: true } : {}),
    ...(ignore_lease ? { ignoreLease: true } : {}),
  };
}

export function deleteOf({ key, range_end, prev_kv }: DeleteRangeRequest): Delete {
  return { type: 'delete', range: keyRange(key, range_end), prevKv: prev_kv };
}

/** A transaction whose form was checked (see `checkTxn`). */
export function txnOf({ compare, success, failure }: TxnRequest): Txn {
  return {
    type: 'txn',
    compares: compare.map(compareOf),
    success: success.map(operationOf),
    failure: failure.map(operationOf),
  };
}

/** True when every range is content with what this member has: nobody is asked then, as in etcd. */
export function isSerializable({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(
    (op) =>
      op.request_range?.serializable === true ||
      (op.request_txn !== null && isSerializable(op.request_txn)),
  );
}

function operationOf(op: RequestOp): TxnOperation {
  if (op.request_range !== null) return rangeOf(op.request_range);
  if (op.request_put !== null) return putOf(op.request_put);
  if (op.request_delete_range !== null) return deleteOf(op.request_delete_range);
  if (op.request_txn !== null) return txnOf(op.request_txn);
  throw etcdError('INVALID_ARGUMENT', 'key not found');
}

const RELATIONS = ['equal', 'greater', 'less', 'notEqual'] as const;

function compareOf(compare: CompareMessage): Compare {
  const relation = RELATIONS[compare.result];
  if (relation === undefined) throw etcdError('INVALID_ARGUMENT', 'unknown compare result');
  const range = keyRange(compare.key, compare.range_end);
  const operand = operandOf(compare);
  const isNegative = typeof operand.value === 'number' && operand.value < 0;
  return isNegative ? compareBelowZero(range, relation) : { range, relation, operand };
}

/** What is not given is zero, or empty. */
function operandOf(compare: CompareMessage): Compare['operand'] {
  switch (compare.target) {
    case 0:
      return { target: 'version', value: compare.version ?? 0 };
    case 1:
      return { target: 'createRevision', value: compare.create_revision ?? 0 };
    case 2:
      return { target: 'modRevision', value: compare.mod_revision ?? 0 };
    case 3:
      return { target: 'value', value: compare.value ?? EMPTY_BYTES };
    case 4:
      return { target: 'lease', value: compare.lease ?? 0n };
    default:
      throw etcdError('INVALID_ARGUMENT', 'unknown compare target');
  }
}

/** No number is below zero: said with a version that no key ever reaches. */
function compareBelowZero(range: KeyRange, relation: Compare['relation']): Compare {
  const holds = relation === 'greater' || relation === 'notEqual';
  const operand = { target: 'version', value: Number.MAX_SAFE_INTEGER } as const;
  return { range, relation: holds ? 'notEqual' : 'equal', operand };
}

// ── results ────────────────────────────────────────────────────────────────────────────────────

/** What stands at the head of a result inside a transaction: only the revision. */
function innerHeader(revision: number): Draft<ResponseHeader> {
  return { revision };
}

export function keyValueOf(kv: KeyValue): Draft<KeyValueMessage> {
  return {
    key: kv.key,
    create_revision: kv.createRevision,
    mod_revision: kv.modRevision,
    version: kv.version,
    value: kv.value,
    lease: kv.lease ?? 0n,
  };
}

export function rangeResponse(
  { kvs, more, count }: RangeResult,
  header: Draft<ResponseHeader>,
): Draft<RangeResponse> {
  return { header, kvs: kvs.map(keyValueOf), more, count };
}

export function putResponse(
  { prevKv }: PutResult,
  header: Draft<ResponseHeader>,
): Draft<PutResponse> {
  return { header, prev_kv: prevKv === null ? null : keyValueOf(prevKv) };
}

export function deleteResponse(
  { deleted, prevKvs }: DeleteResult,
  header: Draft<ResponseHeader>,
): Draft<DeleteRangeResponse> {
  return { header, deleted, prev_kvs: prevKvs.map(keyValueOf) };
}

export function txnResponse(
  { succeeded, results }: TxnResult,
  header: Draft<ResponseHeader>,
): Draft<TxnResponse> {
  return { header, succeeded, responses: results.map(operationResponse) };
}

function operationResponse(result: TxnOperationResult): Draft<ResponseOp> {
  const header = innerHeader(result.revision);
  switch (result.type) {
    case 'range':
      return { response_range: rangeResponse(result, header) };
    case 'put':
      return { response_put: putResponse(result, header) };
    case 'delete':
      return { response_delete_range: deleteResponse(result, header) };
    case 'txn':
      return { response_txn: txnResponse(result, {}) };
    case 'append':
      throw new Error('an append came out of a transaction that etcd has no append in');
  }
}
