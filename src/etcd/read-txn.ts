import {
  type Compare,
  isSingleKey,
  type KeyValue,
  type Range,
  type RangeResult,
  singleKey,
  type Txn,
  type TxnOperation,
  type TxnOperationResult,
  type TxnResult,
  validateOperation,
} from '../api/index.ts';
import { compareBytes, EMPTY_BYTES, unreachable } from '../lib/index.ts';
import { ask, type EtcdContext, isStatus } from './context.ts';
import type { TxnRequest } from './messages/kv.ts';

/*
 * Transactions that change nothing need no place in the log: they are read, behind one barrier,
 * from the state of this member. Their parts are read one by one, and all answers must be of one
 * revision, so they are of one state.
 */

/** A transaction of nothing but ranges, and of others like it. */
export interface ReadTxn extends Txn {
  readonly success: readonly ReadOperation[];
  readonly failure: readonly ReadOperation[];
}

type ReadOperation = Range | ReadTxn;

export function isReadTxn(txn: Txn): txn is ReadTxn {
  return [...txn.success, ...txn.failure].every(isRead);
}

function isRead(operation: TxnOperation): operation is ReadOperation {
  return operation.type === 'range' || (operation.type === 'txn' && isReadTxn(operation));
}

/** True when every range is content with what this member has: nobody is asked then, as in etcd. */
export function isSerializable({ success, failure }: TxnRequest): boolean {
  return [...success, ...failure].every(
    (op) =>
      op.request_range?.serializable === true ||
      (op.request_txn !== null && isSerializable(op.request_txn)),
  );
}

/**
 * The transaction's result; null when it is not to be had like this: the state changes too fast,
 * or the form is refused, or it is too large for one answer. Then the log decides.
 * @throws GrpcError (rejects)
 */
export async function readTxn(
  context: EtcdContext,
  txn: ReadTxn,
  { serializable }: { readonly serializable: boolean },
): Promise<TxnResult | null> {
  if (validateOperation(txn) !== null) return null;
  for (let attempt = 0; attempt < context.limits.readTxnAttemptsMax; attempt++) {
    const { revision } = await ask(context, NOTHING, { serializable });
    try {
      return await new Reading(context, revision).txn(txn);
    } catch (error) {
      if (isStatus(error, 'INVALID_ARGUMENT')) return null;
      if (error !== MOVED) throw error;
    }
  }
  return null;
}

const NOTHING: Range = {
  type: 'range',
  range: singleKey(new Uint8Array(1)),
  limit: null,
  revision: null,
  keysOnly: true,
  countOnly: true,
};

/** Another revision came in between. */
const MOVED = new Error('the state has moved on');

/** Reads the state at the newest revision, as long as that is the newest. */
class Reading {
  readonly #context: EtcdContext;
  readonly #revision: number;
  #bytesLeft: number;

  constructor(context: EtcdContext, revision: number) {
    this.#context = context;
    this.#revision = revision;
    this.#bytesLeft = context.limits.readTxnBytesMax;
  }

  async txn(txn: ReadTxn): Promise<TxnResult> {
    const succeeded = await this.#allHold(txn.compares);
    const results: TxnOperationResult[] = [];
    for (const operation of succeeded ? txn.success : txn.failure) {
      const isRange = operation.type === 'range';
      results.push(isRange ? await this.#range(operation) : await this.txn(operation));
    }
    return { type: 'txn', revision: this.#revision, succeeded, results };
  }

  async #allHold(compares: readonly Compare[]): Promise<boolean> {
    for (const compare of compares) if (!(await this.#holds(compare))) return false;
    return true;
  }

  /** Every key of the range; without any, one that is all zeros and has no value. */
  async #holds({ range, operand, relation }: Compare): Promise<boolean> {
    const limit = isSingleKey(range) ? 1 : null;
    const keysOnly = operand.target !== 'value';
    const { kvs } = await this.#range({ ...NOTHING, range, limit, keysOnly, countOnly: false });
    if (kvs.length === 0) return keysOnly && isInOrder(orderOf(MISSING, operand), relation);
    return kvs.every((kv) => isInOrder(orderOf(kv, operand), relation));
  }

  async #range(range: Range): Promise<RangeResult> {
    const result = await ask(this.#context, range, { serializable: true });
    for (const { key, value } of result.kvs) this.#bytesLeft -= key.length + value.length;
    if (result.revision !== this.#revision || this.#bytesLeft < 0) throw MOVED;
    return result;
  }
}

const MISSING: KeyValue = {
  key: EMPTY_BYTES,
  value: EMPTY_BYTES,
  createRevision: 0,
  modRevision: 0,
  version: 0,
};

/** How the key stands to the operand: negative, 0 or positive. Leases are in the order of int64. */
function orderOf(kv: KeyValue, operand: Compare['operand']): number {
  switch (operand.target) {
    case 'value':
      return compareBytes(kv.value, operand.value);
    case 'lease': {
      const lease = BigInt.asIntN(64, kv.lease ?? 0n);
      const other = BigInt.asIntN(64, operand.value);
      return lease < other ? -1 : lease > other ? 1 : 0;
    }
    default:
      return kv[operand.target] - operand.value;
  }
}

function isInOrder(order: number, relation: Compare['relation']): boolean {
  switch (relation) {
    case 'equal':
      return order === 0;
    case 'notEqual':
      return order !== 0;
    case 'greater':
      return order > 0;
    case 'less':
      return order < 0;
    default:
      return unreachable(relation);
  }
}
