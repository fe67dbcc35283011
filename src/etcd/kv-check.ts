import type { GrpcError } from '../grpc/index.ts';
import { etcdError } from './errors.ts';
import type { PutRequest, RequestOp, TxnRequest } from './messages/kv.ts';

/*
 * What etcd refuses before it looks at the store, in etcd's order: so a request with two faults
 * gets the same answer. The store checks the rest itself, duplicate keys among it.
 */

/** @throws GrpcError for a key of no bytes. */
export function checkKey({ key }: { readonly key: Uint8Array }): void {
  if (key.length === 0) throw invalid('key is not provided');
}

/** @throws GrpcError */
export function checkPut(put: PutRequest): void {
  checkKey(put);
  if (put.ignore_value && put.value.length > 0) throw invalid('value is provided');
  if (put.ignore_lease && put.lease !== 0n) throw invalid('lease is provided');
}

/**
 * Nested transactions get what the longest list of the outer one left of the budget.
 * @throws GrpcError
 */
export function checkTxn(txn: TxnRequest, operationsMax: number): void {
  const most = Math.max(txn.compare.length, txn.success.length, txn.failure.length);
  if (most > operationsMax) throw invalid('too many operations in txn request');
  for (const compare of txn.compare) checkKey(compare);
  for (const op of [...txn.success, ...txn.failure]) checkOperation(op, operationsMax - most);
}

function checkOperation(op: RequestOp, operationsMax: number): void {
  if (op.request_range !== null) return checkKey(op.request_range);
  if (op.request_put !== null) return checkPut(op.request_put);
  if (op.request_delete_range !== null) return checkKey(op.request_delete_range);
  if (op.request_txn !== null) return checkTxn(op.request_txn, operationsMax);
  throw invalid('key not found');
}

function invalid(message: string): GrpcError {
  return etcdError('INVALID_ARGUMENT', message);
}
