import { EMPTY_BYTES, ProtoReader, type ProtoWriter, unreachable } from '../../lib/index.ts';
import type {
  CloseSession,
  Command,
  Compact,
  OpenSession,
  Operation,
  SessionRef,
} from '../command.ts';
import { readLeaseGrant, readLeaseId, writeLeaseGrant, writeLeaseId } from './lease.ts';
import {
  readAppend,
  readDelete,
  readPut,
  writeAppend,
  writeDelete,
  writePut,
} from './operation.ts';
import { readOutermostTxn, writeTxn } from './txn.ts';
import { MESSAGE_DEPTH_MAX, readNothing, writeMessage } from './writing.ts';

/*
 * Commands. Every function here is the pair of one message of quorate.proto: `write*` and `read*`
 * of its fields, without the tag and length around them; who contains the message writes those.
 */

/** @throws InvariantViolation on numbers out of range: callers check what users give them. */
export function encodeCommand(command: Command): Uint8Array {
  return writeMessage((writer) => writeCommand(writer, command));
}

/**
 * Keys and values are views of `bytes`: whoever keeps one beyond the command copies it, or a small
 * key holds on to a whole log entry. (Most are only looked at; a copy of each would cost more than
 * the rest of the decoding.)
 * @throws DecodeError on bytes that are no Command, on missing bodies, on ids beyond 2^53 − 1.
 */
export function decodeCommand(bytes: Uint8Array): Command {
  return readCommand(new ProtoReader(bytes, MESSAGE_DEPTH_MAX));
}

/** @throws DecodeError on bytes that are not an OpenSession message. */
export function decodeOpenSession(bytes: Uint8Array): OpenSession {
  return readOpenSession(new ProtoReader(bytes, MESSAGE_DEPTH_MAX));
}

/** @throws DecodeError on bytes that are not a CloseSession message. */
export function decodeCloseSession(bytes: Uint8Array): CloseSession {
  return readCloseSession(new ProtoReader(bytes, MESSAGE_DEPTH_MAX));
}

function writeCommand(writer: ProtoWriter, command: Command): void {
  switch (command.type) {
    case 'operation':
      if (command.session !== null) writeSessionRef(writer, command.session);
      writeOperation(writer, command.operation);
      return;
    case 'openSession': {
      const start = writer.begin(7);
      writer.bytes(1, command.name);
      writer.bytes(2, command.nonce);
      writer.uint(3, command.ttlMs);
      writer.end(start);
      return;
    }
    case 'closeSession': {
      const start = writer.begin(8);
      writer.uint(1, command.sessionId);
      writer.uint(2, command.incarnation);
      writer.end(start);
      return;
    }
    default:
      unreachable(command);
  }
}

function readCommand(reader: ProtoReader): Command {
  let session: SessionRef | null = null;
  let body: Operation | OpenSession | CloseSession | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        session = reader.message(readSessionRef);
        break;
      case 2:
        body = reader.message(readPut);
        break;
      case 3:
        body = reader.message(readAppend);
        break;
      case 4:
        body = reader.message(readDelete);
        break;
      case 5:
        body = readOutermostTxn(reader);
        break;
      case 6:
        reader.message(readNothing);
        body = { type: 'skip' };
        break;
      case 7:
        body = reader.message(readOpenSession);
        break;
      case 8:
        body = reader.message(readCloseSession);
        break;
      case 9:
        body = reader.message(readCompact);
        break;
      case 10:
        body = reader.message(readLeaseGrant);
        break;
      case 11:
        body = { type: 'leaseKeepAlive', lease: reader.message(readLeaseId) };
        break;
      case 12:
        body = { type: 'leaseRevoke', lease: reader.message(readLeaseId) };
        break;
      default:
        reader.skip();
    }
  }
  if (body === null) throw reader.error('command without body');
  if (body.type !== 'openSession' && body.type !== 'closeSession') {
    return { type: 'operation', session, operation: body };
  }
  if (session !== null) throw reader.error(`${body.type} inside a session`);
  return body;
}

function writeSessionRef(writer: ProtoWriter, session: SessionRef): void {
  const start = writer.begin(1);
  writer.uint(1, session.sessionId);
  writer.uint(2, session.incarnation);
  writer.uint(3, session.seq);
  writer.uint(4, session.ackedSeq);
  writer.end(start);
}

function readSessionRef(reader: ProtoReader): SessionRef {
  let sessionId = 0;
  let incarnation = 0;
  let seq = 0;
  let ackedSeq = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        sessionId = reader.uint();
        break;
      case 2:
        incarnation = reader.uint();
        break;
      case 3:
        seq = reader.uint();
        break;
      case 4:
        ackedSeq = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { sessionId, incarnation, seq, ackedSeq };
}

function writeOperation(writer: ProtoWriter, operation: Operation): void {
  switch (operation.type) {
    case 'put':
      writePut(writer, 2, operation);
      return;
    case 'append':
      writeAppend(writer, 3, operation);
      return;
    case 'delete':
      writeDelete(writer, 4, operation);
      return;
    case 'txn':
      writeTxn(writer, 5, operation);
      return;
    case 'skip':
      writer.end(writer.begin(6));
      return;
    case 'compact': {
      const start = writer.begin(9);
      writer.uint(1, operation.revision);
      writer.end(start);
      return;
    }
    case 'leaseGrant':
      writeLeaseGrant(writer, 10, operation);
      return;
    case 'leaseKeepAlive':
      writeLeaseId(writer, 11, operation.lease);
      return;
    case 'leaseRevoke':
      writeLeaseId(writer, 12, operation.lease);
      return;
    default:
      unreachable(operation);
  }
}

function readOpenSession(reader: ProtoReader): OpenSession {
  let name = EMPTY_BYTES;
  let nonce = EMPTY_BYTES;
  let ttlMs = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        name = reader.bytes();
        break;
      case 2:
        nonce = reader.bytes();
        break;
      case 3:
        ttlMs = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'openSession', name, nonce, ttlMs };
}

function readCloseSession(reader: ProtoReader): CloseSession {
  let sessionId = 0;
  let incarnation = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        sessionId = reader.uint();
        break;
      case 2:
        incarnation = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'closeSession', sessionId, incarnation };
}

function readCompact(reader: ProtoReader): Compact {
  let revision = 0;
  while (reader.next()) {
    if (reader.field === 1) revision = reader.uint();
    else reader.skip();
  }
  return { type: 'compact', revision };
}
