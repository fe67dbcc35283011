import { EMPTY_BYTES, type ProtoReader, type ProtoWriter, unreachable } from '../../lib/index.ts';
import type { Compare, Txn, TxnOperation } from '../command.ts';
import { keyRange } from '../key-range.ts';
import { API_LIMITS } from '../limits.ts';
import {
  readAppend,
  readDelete,
  readPut,
  readRange,
  writeAppend,
  writeDelete,
  writeKeyRange,
  writePut,
  writeRange,
} from './operation.ts';

const RELATIONS = ['equal', 'notEqual', 'greater', 'less'] as const;

function writeCompare(writer: ProtoWriter, compare: Compare): void {
  const start = writer.begin(1);
  writeKeyRange(writer, compare.range);
  writer.uint(3, RELATIONS.indexOf(compare.relation));
  const operand = compare.operand;
  switch (operand.target) {
    case 'version':
      writer.uintAlways(4, operand.value);
      break;
    case 'createRevision':
      writer.uintAlways(5, operand.value);
      break;
    case 'modRevision':
      writer.uintAlways(6, operand.value);
      break;
    case 'value':
      writer.bytesAlways(7, operand.value);
      break;
    case 'lease':
      writer.fixed64Always(8, operand.value);
      break;
    default:
      unreachable(operand);
  }
  writer.end(start);
}

function readCompare(reader: ProtoReader): Compare {
  let key = EMPTY_BYTES;
  let rangeEnd = EMPTY_BYTES;
  let relation: Compare['relation'] | undefined = 'equal';
  let operand: Compare['operand'] | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        rangeEnd = reader.bytes();
        break;
      case 3:
        relation = RELATIONS[reader.uint()];
        if (relation === undefined) throw reader.error('unknown relation');
        break;
      case 4:
        operand = { target: 'version', value: reader.uint() };
        break;
      case 5:
        operand = { target: 'createRevision', value: reader.uint() };
        break;
      case 6:
        operand = { target: 'modRevision', value: reader.uint() };
        break;
      case 7:
        operand = { target: 'value', value: reader.bytes() };
        break;
      case 8:
        operand = { target: 'lease', value: reader.fixed64() };
        break;
      default:
        reader.skip();
    }
  }
  if (operand === null) throw reader.error('compare without operand');
  return { range: keyRange(key, rangeEnd), relation, operand };
}

/** What one whole Txn, with all nested ones, may still hold while it is read. */
interface TxnBudget {
  /** Compares and operations. */
  items: number;
  /** Transactions inside this one. */
  depth: number;
}

/** All three lists together; the finer bound of each is `validateOperation`'s. */
const TXN_ITEMS_MAX = 3 * API_LIMITS.txnOperationsMax;

export function writeTxn(writer: ProtoWriter, field: number, txn: Txn): void {
  const start = writer.begin(field);
  for (const compare of txn.compares) writeCompare(writer, compare);
  for (const operation of txn.success) writeTxnOperation(writer, 2, operation);
  for (const operation of txn.failure) writeTxnOperation(writer, 3, operation);
  writer.end(start);
}

export function readOutermostTxn(reader: ProtoReader): Txn {
  const budget = { items: TXN_ITEMS_MAX, depth: API_LIMITS.txnDepthMax };
  return reader.message((inner) => readTxn(inner, budget));
}

function readTxn(reader: ProtoReader, budget: TxnBudget): Txn {
  const compares: Compare[] = [];
  const success: TxnOperation[] = [];
  const failure: TxnOperation[] = [];
  const readOperation = (inner: ProtoReader): TxnOperation => readTxnOperation(inner, budget);
  if (--budget.depth < 0) throw reader.error('transactions nested too deep');
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        spend(reader, budget);
        compares.push(reader.message(readCompare));
        break;
      case 2:
        spend(reader, budget);
        success.push(reader.message(readOperation));
        break;
      case 3:
        spend(reader, budget);
        failure.push(reader.message(readOperation));
        break;
      default:
        reader.skip();
    }
  }
  budget.depth++;
  return { type: 'txn', compares, success, failure };
}

function spend(reader: ProtoReader, budget: TxnBudget): void {
  if (--budget.items < 0) throw reader.error('transaction of too many parts');
}

function writeTxnOperation(writer: ProtoWriter, field: number, operation: TxnOperation): void {
  const start = writer.begin(field);
  switch (operation.type) {
    case 'put':
      writePut(writer, 1, operation);
      break;
    case 'append':
      writeAppend(writer, 2, operation);
      break;
    case 'delete':
      writeDelete(writer, 3, operation);
      break;
    case 'range':
      writeRange(writer, 4, operation);
      break;
    case 'txn':
      writeTxn(writer, 5, operation);
      break;
    default:
      unreachable(operation);
  }
  writer.end(start);
}

function readTxnOperation(reader: ProtoReader, budget: TxnBudget): TxnOperation {
  let body: TxnOperation | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        body = reader.message(readPut);
        break;
      case 2:
        body = reader.message(readAppend);
        break;
      case 3:
        body = reader.message(readDelete);
        break;
      case 4:
        body = reader.message(readRange);
        break;
      case 5:
        body = reader.message((inner) => readTxn(inner, budget));
        break;
      default:
        reader.skip();
    }
  }
  if (body === null) throw reader.error('transaction operation without body');
  return body;
}
