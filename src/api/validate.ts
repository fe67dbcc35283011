import { bytesKey } from '../lib/index.ts';
import type { Command, Compare, Operation, Put, Query, Txn, TxnOperation } from './command.ts';
import type { ErrorCode } from './errors.ts';
import { isInside, isSingleKey, type KeyRange } from './key-range.ts';
import { API_LIMITS } from './limits.ts';

/*
 * What can be said against a request without looking at any state. One set of rules for all three
 * who ask: the Clerk before it takes a seq, the server before it proposes, and the state machine
 * when it applies, which must give the same answer to bytes that came past the other two.
 * Texts are etcd's where etcd has one: its clients compare them.
 */

/** Why a request is refused. */
export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
}

const NO_KEY = invalid('key is not provided');
const KEY_TOO_LONG = invalid(`key is longer than ${API_LIMITS.keyBytesMax} bytes`);
const LEASE_PROVIDED = invalid('lease is provided');
const TTL_TOO_LARGE: Refusal = { code: 'LEASE_TTL_TOO_LARGE', message: 'too large lease TTL' };
const TOO_LARGE: Refusal = { code: 'TOO_LARGE', message: 'request is too large' };
const TOO_MANY_OPERATIONS = invalid('too many operations in txn request');
const TOO_DEEP = invalid('txn is nested too deep');
const CHANGES_SOMETHING = invalid('a transaction that changes something is no query');
const DUPLICATE_KEY = invalid('duplicate key given in txn request');

/** Null when the command is well-formed. The session reference is not looked at. */
export function validateCommand(command: Command): Refusal | null {
  switch (command.type) {
    case 'operation':
      return validateOperation(command.operation);
    case 'openSession':
      if (command.name.length > API_LIMITS.sessionNameBytesMax) {
        return invalid(`session name is longer than ${API_LIMITS.sessionNameBytesMax} bytes`);
      }
      if (command.nonce.length !== API_LIMITS.sessionNonceBytes) {
        return invalid(`nonce must have ${API_LIMITS.sessionNonceBytes} bytes`);
      }
      return null;
    case 'closeSession':
      return null;
  }
}

/** Null when the operation is well-formed. */
export function validateOperation(operation: Operation): Refusal | null {
  switch (operation.type) {
    case 'put':
      return validatePut(operation);
    case 'append':
      return validateWrite(operation.key, operation.value);
    case 'delete':
      return validateRange(operation.range);
    case 'txn':
      return validateTxn(operation);
    case 'leaseGrant':
      if (operation.lease === 0n) return invalid('lease id is not provided');
      return operation.ttlMs > API_LIMITS.leaseTtlMsMax ? TTL_TOO_LARGE : null;
    case 'leaseKeepAlive':
    case 'leaseRevoke':
    case 'compact':
    case 'skip':
      return null;
  }
}

/** Null when the query is well-formed. */
export function validateQuery({ query }: Query): Refusal | null {
  switch (query.type) {
    case 'range':
      return validateRange(query.range);
    case 'txn':
      return validateTxn(query) ?? (isReadTxn(query) ? null : CHANGES_SOMETHING);
    case 'resolve':
      return query.seq > 0 ? null : invalid('seq counts from 1');
    case 'changes':
      if (query.from === 0) return invalid('revisions count from 1');
      if (query.waitMs > API_LIMITS.changesWaitMsMax) {
        return invalid(`changes are waited for at most ${API_LIMITS.changesWaitMsMax} ms`);
      }
      return validateRange(query.range);
    case 'leaseTimeToLive':
    case 'leases':
      return null;
  }
}

function validatePut(put: Put): Refusal | null {
  const refusal = validateWrite(put.key, put.value);
  if (refusal !== null) return refusal;
  if (put.ignoreValue === true && put.value.length > 0) return invalid('value is provided');
  return put.ignoreLease === true && put.lease !== undefined ? LEASE_PROVIDED : null;
}

function validateWrite(key: Uint8Array, value: Uint8Array): Refusal | null {
  if (key.length === 0) return NO_KEY;
  if (key.length > API_LIMITS.keyBytesMax) return KEY_TOO_LONG;
  return key.length + value.length > API_LIMITS.requestBytesMax ? TOO_LARGE : null;
}

/**
 * An empty key is no key; as the start of a longer range it means "from the first one". A bound may
 * be a byte longer than a key: whoever turns pages goes on behind the last key, at key + zero byte.
 */
function validateRange(range: KeyRange): Refusal | null {
  const { keyBytesMax } = API_LIMITS;
  if (isSingleKey(range)) {
    if (range.from.length === 0) return NO_KEY;
    return range.from.length > keyBytesMax ? KEY_TOO_LONG : null;
  }
  const longest = Math.max(range.from.length, range.to?.length ?? 0);
  return longest > keyBytesMax + 1 ? KEY_TOO_LONG : null;
}

/** The key bytes that a request spends on a range: the end of a single key is implied. */
function rangeBytes(range: KeyRange): number {
  return range.from.length + (range.to === null || isSingleKey(range) ? 0 : range.to.length);
}

// ── transactions ───────────────────────────────────────────────────────────────────────────────

/** What a transaction holds, nested ones included. */
interface TxnTotals {
  compares: number;
  success: number;
  failure: number;
  bytes: number;
}

/** True for a transaction of nothing but ranges, and of others like it. */
export function isReadTxn({ success, failure }: Txn): boolean {
  return [...success, ...failure].every(
    (operation) => operation.type === 'range' || (operation.type === 'txn' && isReadTxn(operation)),
  );
}

function validateTxn(txn: Txn): Refusal | null {
  const totals: TxnTotals = { compares: 0, success: 0, failure: 0, bytes: 0 };
  const refusal = validateTxnParts(txn, totals, API_LIMITS.txnDepthMax);
  if (refusal !== null) return refusal;
  if (totals.bytes > API_LIMITS.requestBytesMax) return TOO_LARGE;
  const unique = writesOf(txn.success) !== null && writesOf(txn.failure) !== null;
  return unique ? null : DUPLICATE_KEY;
}

/** Adds the transaction to `totals` and looks at each of its parts. */
function validateTxnParts(txn: Txn, totals: TxnTotals, depthLeft: number): Refusal | null {
  if (depthLeft === 0) return TOO_DEEP;
  totals.compares += txn.compares.length;
  totals.success += txn.success.length;
  totals.failure += txn.failure.length;
  const most = Math.max(totals.compares, totals.success, totals.failure);
  if (most > API_LIMITS.txnOperationsMax) return TOO_MANY_OPERATIONS;
  for (const { range, operand } of txn.compares) {
    totals.bytes += rangeBytes(range) + operandBytes(operand);
    const refusal = validateRange(range);
    if (refusal !== null) return refusal;
  }
  for (const operations of [txn.success, txn.failure]) {
    for (const operation of operations) {
      const refusal = validateTxnOperation(operation, totals, depthLeft);
      if (refusal !== null) return refusal;
    }
  }
  return null;
}

function validateTxnOperation(
  operation: TxnOperation,
  totals: TxnTotals,
  depthLeft: number,
): Refusal | null {
  switch (operation.type) {
    case 'put':
      totals.bytes += operation.key.length + operation.value.length;
      return validatePut(operation);
    case 'append':
      totals.bytes += operation.key.length + operation.value.length;
      return validateWrite(operation.key, operation.value);
    case 'delete':
    case 'range':
      totals.bytes += rangeBytes(operation.range);
      return validateRange(operation.range);
    case 'txn':
      return validateTxnParts(operation, totals, depthLeft - 1);
  }
}

function operandBytes(operand: Compare['operand']): number {
  return operand.target === 'value' ? operand.value.length : 0;
}

/** The keys that a list of operations may write, and the ranges that it may delete. */
interface Writes {
  readonly keys: Map<string, Uint8Array>;
  readonly deleted: KeyRange[];
}

/**
 * Null when two operations of the list may write the same key: two puts or appends, or one of them
 * inside a deleted range. Two deletes may overlap. The two branches of a nested transaction never
 * run both, so they may write the same keys. (etcd lets one case pass that is refused here: a put
 * and a delete of its key in two nested transactions side by side.)
 */
function writesOf(operations: readonly TxnOperation[]): Writes | null {
  const all: Writes = { keys: new Map(), deleted: [] };
  for (const operation of operations) {
    const one = writesOfOne(operation);
    if (one === null || overlap(all, one)) return null;
    for (const [name, key] of one.keys) all.keys.set(name, key);
    all.deleted.push(...one.deleted);
  }
  return all;
}

function writesOfOne(operation: TxnOperation): Writes | null {
  switch (operation.type) {
    case 'put':
    case 'append':
      return { keys: new Map([[bytesKey(operation.key), operation.key]]), deleted: [] };
    case 'delete':
      return { keys: new Map(), deleted: [operation.range] };
    case 'range':
      return { keys: new Map(), deleted: [] };
    case 'txn': {
      const success = writesOf(operation.success);
      const failure = writesOf(operation.failure);
      if (success === null || failure === null) return null;
      return {
        keys: new Map([...success.keys, ...failure.keys]),
        deleted: [...success.deleted, ...failure.deleted],
      };
    }
  }
}

function overlap(a: Writes, b: Writes): boolean {
  for (const name of b.keys.keys()) if (a.keys.has(name)) return true;
  return anyInside(a.keys, b.deleted) || anyInside(b.keys, a.deleted);
}

function anyInside(keys: ReadonlyMap<string, Uint8Array>, ranges: readonly KeyRange[]): boolean {
  if (ranges.length === 0) return false;
  for (const key of keys.values()) {
    if (ranges.some((range) => isInside(key, range))) return true;
  }
  return false;
}

function invalid(message: string): Refusal {
  return { code: 'INVALID_ARGUMENT', message };
}
