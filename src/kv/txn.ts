import {
  type Compare,
  isSingleKey,
  type Txn,
  type TxnOperation,
  type TxnOperationResult,
  type TxnResult,
} from '../api/index.ts';
import { compareBytes, unreachable } from '../lib/index.ts';
import { type Mvcc, ownedKeyValue } from './mvcc.ts';
import type { KeyRow } from './rows.ts';

/** Which way a transaction goes: decided for it and all inside it before anything is written. */
interface Plan {
  readonly succeeded: boolean;
  readonly steps: readonly Step[];
}

type Step = Exclude<TxnOperation, Txn> | { readonly type: 'nested'; readonly plan: Plan };

/**
 * Executes a transaction whose form is valid.
 * @throws KvError when a part is refused; what was written by then has to be taken back.
 */
export function executeTxn(mvcc: Mvcc, txn: Txn): TxnResult {
  return runPlan(mvcc, planTxn(mvcc, txn));
}

function planTxn(mvcc: Mvcc, txn: Txn): Plan {
  const succeeded = txn.compares.every((compare) => holds(mvcc, compare));
  const operations = succeeded ? txn.success : txn.failure;
  const steps = operations.map((operation): Step => {
    if (operation.type !== 'txn') return operation;
    return { type: 'nested', plan: planTxn(mvcc, operation) };
  });
  return { succeeded, steps };
}

function runPlan(mvcc: Mvcc, plan: Plan): TxnResult {
  const results = plan.steps.map((step) => runStep(mvcc, step));
  return { type: 'txn', revision: mvcc.visibleRevision, succeeded: plan.succeeded, results };
}

function runStep(mvcc: Mvcc, step: Step): TxnOperationResult {
  switch (step.type) {
    case 'put':
      return mvcc.put(step);
    case 'append':
      return mvcc.append(step);
    case 'delete':
      return mvcc.delete(step);
    case 'range': {
      const result = mvcc.range(step);
      // What follows may change the table that these are views of.
      return { ...result, kvs: result.kvs.map(ownedKeyValue) };
    }
    case 'nested':
      return runPlan(mvcc, step.plan);
    default:
      return unreachable(step);
  }
}

// ── compares ───────────────────────────────────────────────────────────────────────────────────

const MISSING: KeyRow = {
  createRevision: 0,
  modRevision: 0,
  modSub: 0,
  version: 0,
  lease: null,
};

/**
 * True when the condition holds for every key of the range. Without any key it is asked of one
 * with all numbers zero, so `createRevision equal 0` tests absence; a value is never anything then.
 */
function holds(mvcc: Mvcc, compare: Compare): boolean {
  const { range } = compare;
  if (isSingleKey(range)) {
    const row = mvcc.find(range.from);
    return row === null ? holdsForMissing(mvcc, compare) : holdsFor(mvcc, compare, row);
  }
  let empty = true;
  for (const { row } of mvcc.keys(range)) {
    empty = false;
    if (!holdsFor(mvcc, compare, row)) return false;
  }
  return empty ? holdsForMissing(mvcc, compare) : true;
}

function holdsForMissing(mvcc: Mvcc, compare: Compare): boolean {
  return compare.operand.target !== 'value' && holdsFor(mvcc, compare, MISSING);
}

function holdsFor(mvcc: Mvcc, { operand, relation }: Compare, row: KeyRow): boolean {
  const order = orderOf(mvcc, operand, row);
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

/** How the key stands to the operand: negative, 0 or positive. Leases are in the order of int64. */
function orderOf(mvcc: Mvcc, operand: Compare['operand'], row: KeyRow): number {
  switch (operand.target) {
    case 'value':
      return compareBytes(mvcc.valueOf(row), operand.value);
    case 'lease': {
      const lease = BigInt.asIntN(64, row.lease ?? 0n);
      const other = BigInt.asIntN(64, operand.value);
      return lease < other ? -1 : lease > other ? 1 : 0;
    }
    default:
      return row[operand.target] - operand.value;
  }
}
