import { EMPTY_BYTES, ProtoReader, type ProtoWriter, unreachable } from '../../lib/index.ts';
import type {
  Answer,
  AppendResult,
  CloseSessionResult,
  CompactResult,
  DeleteResult,
  ErrorResult,
  KeyValue,
  LeaderHint,
  OpenSessionResult,
  PutResult,
  RangeResult,
  ResolveResult,
  TxnOperationResult,
  TxnResult,
} from '../command.ts';
import { ERRORS, errorCodeOf } from '../errors.ts';
import { readChangesResult, writeChangesResult } from './changes.ts';
import { readKeyValue, writeKeyValue } from './key-value.ts';
import { readLeaseResult, writeLeaseResult } from './lease.ts';
import { MESSAGE_DEPTH_MAX, readNothing, writeMessage } from './writing.ts';

const RESOLVE_STATES = ['notExecuted', 'executed', 'acknowledged'] as const;

/** @throws InvariantViolation on numbers out of range. */
export function encodeAnswer(answer: Answer): Uint8Array {
  return writeMessage((writer) => writeAnswer(writer, answer));
}

/**
 * Keys and values are views of `bytes`: whoever keeps one copies it.
 * @throws DecodeError on bytes that are not an Answer.
 */
export function decodeAnswer(bytes: Uint8Array): Answer {
  return readAnswer(new ProtoReader(bytes, MESSAGE_DEPTH_MAX));
}

export function encodeOpenSessionResult(result: OpenSessionResult): Uint8Array {
  return writeMessage((writer) => writeOpenSessionResult(writer, result));
}

export function encodeCloseSessionResult(_result: CloseSessionResult): Uint8Array {
  return EMPTY_BYTES;
}

export function encodeResolveResult(result: ResolveResult): Uint8Array {
  return writeMessage((writer) => writeResolveResult(writer, result));
}

function writeAnswer(writer: ProtoWriter, answer: Answer): void {
  const start = writer.begin(ANSWER_FIELDS[answer.type]);
  switch (answer.type) {
    case 'leaseGrant':
    case 'leaseKeepAlive':
    case 'leaseRevoke':
    case 'leaseTimeToLive':
    case 'leases':
      writeLeaseResult(writer, answer);
      break;
    case 'changes':
      writeChangesResult(writer, answer);
      break;
    case 'openSession':
      writeOpenSessionResult(writer, answer);
      break;
    case 'resolve':
      writeResolveResult(writer, answer);
      break;
    case 'error':
      writeError(writer, answer);
      break;
    case 'compact':
      writer.uint(1, answer.revision);
      break;
    case 'skip':
    case 'closeSession':
      break;
    default:
      writeOperationResult(writer, answer);
  }
  writer.end(start);
}

const ANSWER_FIELDS = {
  put: 1,
  append: 2,
  delete: 3,
  range: 4,
  txn: 5,
  skip: 6,
  openSession: 7,
  closeSession: 8,
  resolve: 9,
  compact: 10,
  leaseGrant: 11,
  leaseKeepAlive: 12,
  leaseRevoke: 13,
  leaseTimeToLive: 14,
  error: 15,
  leases: 16,
  changes: 17,
} as const satisfies Record<Answer['type'], number>;

function readAnswer(reader: ProtoReader): Answer {
  let body: Answer | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 6:
        reader.message(readNothing);
        body = { type: 'skip' };
        break;
      case 7:
        body = reader.message(readOpenSessionResult);
        break;
      case 8:
        reader.message(readNothing);
        body = { type: 'closeSession' };
        break;
      case 9:
        body = reader.message(readResolveResult);
        break;
      case 10:
        body = reader.message(readCompactResult);
        break;
      case 15:
        body = reader.message(readError);
        break;
      case 11:
      case 12:
      case 13:
      case 14:
      case 16:
        body = readLeaseResult(reader);
        break;
      case 17:
        body = reader.message(readChangesResult);
        break;
      default:
        body = readOperationResultField(reader) ?? body;
    }
  }
  if (body === null) throw reader.error('answer without body');
  return body;
}

/** The fields 1 to 5 of Answer and of TxnOperationResult alike; null when the field is another. */
function readOperationResultField(reader: ProtoReader): TxnOperationResult | null {
  switch (reader.field) {
    case 1:
      return reader.message(readPutResult);
    case 2:
      return reader.message(readAppendResult);
    case 3:
      return reader.message(readDeleteResult);
    case 4:
      return reader.message(readRangeResult);
    case 5:
      return reader.message(readTxnResult);
    default:
      reader.skip();
      return null;
  }
}

function writeOperationResult(writer: ProtoWriter, result: TxnOperationResult): void {
  writer.uint(1, result.revision);
  switch (result.type) {
    case 'put':
      if (result.prevKv !== null) writeKeyValue(writer, 2, result.prevKv);
      return;
    case 'append':
      writer.uint(2, result.valueBytes);
      return;
    case 'delete':
      writer.uint(2, result.deleted);
      for (const kv of result.prevKvs) writeKeyValue(writer, 3, kv);
      return;
    case 'range':
      for (const kv of result.kvs) writeKeyValue(writer, 2, kv);
      writer.bool(3, result.more);
      writer.uint(4, result.count);
      return;
    case 'txn':
      writer.bool(2, result.succeeded);
      for (const each of result.results) writeTxnOperationResult(writer, each);
      return;
    default:
      unreachable(result);
  }
}

function writeTxnOperationResult(writer: ProtoWriter, result: TxnOperationResult): void {
  const outer = writer.begin(3);
  const inner = writer.begin(ANSWER_FIELDS[result.type]);
  writeOperationResult(writer, result);
  writer.end(inner);
  writer.end(outer);
}

function readPutResult(reader: ProtoReader): PutResult {
  let revision = 0;
  let prevKv: KeyValue | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        prevKv = reader.message(readKeyValue);
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'put', revision, prevKv };
}

function readAppendResult(reader: ProtoReader): AppendResult {
  let revision = 0;
  let valueBytes = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        valueBytes = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'append', revision, valueBytes };
}

function readDeleteResult(reader: ProtoReader): DeleteResult {
  let revision = 0;
  let deleted = 0;
  const prevKvs: KeyValue[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        deleted = reader.uint();
        break;
      case 3:
        prevKvs.push(reader.message(readKeyValue));
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'delete', revision, deleted, prevKvs };
}

function readRangeResult(reader: ProtoReader): RangeResult {
  let revision = 0;
  const kvs: KeyValue[] = [];
  let more = false;
  let count = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        kvs.push(reader.message(readKeyValue));
        break;
      case 3:
        more = reader.bool();
        break;
      case 4:
        count = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'range', revision, kvs, more, count };
}

/** Nesting is bounded by the reader's depth. */
function readTxnResult(reader: ProtoReader): TxnResult {
  let revision = 0;
  let succeeded = false;
  const results: TxnOperationResult[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        succeeded = reader.bool();
        break;
      case 3:
        results.push(reader.message(readTxnOperationResult));
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'txn', revision, succeeded, results };
}

function readTxnOperationResult(reader: ProtoReader): TxnOperationResult {
  let body: TxnOperationResult | null = null;
  while (reader.next()) body = readOperationResultField(reader) ?? body;
  if (body === null) throw reader.error('transaction result without body');
  return body;
}

function readCompactResult(reader: ProtoReader): CompactResult {
  let revision = 0;
  while (reader.next()) {
    if (reader.field === 1) revision = reader.uint();
    else reader.skip();
  }
  return { type: 'compact', revision };
}

function writeOpenSessionResult(writer: ProtoWriter, result: OpenSessionResult): void {
  writer.uint(1, result.sessionId);
  writer.uint(2, result.incarnation);
  writer.bool(3, result.resumed);
  writer.uint(4, result.lastSeq);
  if (result.lastAnswer !== null) writer.bytesAlways(5, result.lastAnswer);
  writer.uint(6, result.ttlMs);
}

function readOpenSessionResult(reader: ProtoReader): OpenSessionResult {
  let sessionId = 0;
  let incarnation = 0;
  let resumed = false;
  let lastSeq = 0;
  let lastAnswer: Uint8Array | null = null;
  let ttlMs = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        sessionId = reader.uint();
        break;
      case 2:
        incarnation = reader.uint();
        break;
      case 3:
        resumed = reader.bool();
        break;
      case 4:
        lastSeq = reader.uint();
        break;
      case 5:
        lastAnswer = reader.bytes();
        break;
      case 6:
        ttlMs = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'openSession', sessionId, incarnation, resumed, lastSeq, lastAnswer, ttlMs };
}

function writeResolveResult(writer: ProtoWriter, result: ResolveResult): void {
  writer.uint(1, RESOLVE_STATES.indexOf(result.state));
  if (result.answer !== null) writer.bytesAlways(2, result.answer);
}

function readResolveResult(reader: ProtoReader): ResolveResult {
  let state: ResolveResult['state'] | undefined = 'notExecuted';
  let answer: Uint8Array | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        state = RESOLVE_STATES[reader.uint()];
        if (state === undefined) throw reader.error('unknown state');
        break;
      case 2:
        answer = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'resolve', state, answer };
}

function writeError(writer: ProtoWriter, error: ErrorResult): void {
  writer.uint(1, ERRORS[error.code].number);
  writer.string(2, error.message);
  if (error.leader !== null) writeLeaderHint(writer, 3, error.leader);
  writer.uint(4, error.compactRevision ?? 0);
}

/**
 * A code of a newer version is read as BAD_PEER: its outcome "unknown" is the one that promises
 * nothing.
 */
function readError(reader: ProtoReader): ErrorResult {
  let number = 0;
  let message = '';
  let leader: LeaderHint | null = null;
  let compactRevision = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        number = reader.uint();
        break;
      case 2:
        message = reader.string();
        break;
      case 3:
        leader = reader.message(readLeaderHint);
        break;
      case 4:
        compactRevision = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  if (number === 0) throw reader.error('error without code');
  const code = errorCodeOf(number);
  const error: ErrorResult =
    code !== null
      ? { type: 'error', code, message, leader }
      : { type: 'error', code: 'BAD_PEER', message: `error ${number}: ${message}`, leader };
  return compactRevision === 0 ? error : { ...error, compactRevision };
}

export function writeLeaderHint(writer: ProtoWriter, field: number, hint: LeaderHint): void {
  const start = writer.begin(field);
  writer.fixed64(1, hint.memberId);
  for (const url of hint.clientUrls) writer.stringAlways(2, url);
  writer.end(start);
}

export function readLeaderHint(reader: ProtoReader): LeaderHint {
  let memberId = 0n;
  const clientUrls: string[] = [];
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        memberId = reader.fixed64();
        break;
      case 2:
        if (clientUrls.length === CLIENT_URLS_MAX) throw reader.error('too many client URLs');
        clientUrls.push(reader.string());
        break;
      default:
        reader.skip();
    }
  }
  return { memberId, clientUrls };
}

/** URLs of one member; more is not a hint. */
const CLIENT_URLS_MAX = 64;
