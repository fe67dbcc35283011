import { ProtoReader, type ProtoWriter, unreachable } from '../../lib/index.ts';
import type { Query, Resolve } from '../command.ts';
import { readChanges, writeChanges } from './changes.ts';
import { readLeaseTimeToLive, writeLeaseTimeToLive } from './lease.ts';
import { readRange, writeRange } from './operation.ts';
import { readOutermostTxn, writeTxn } from './txn.ts';
import { MESSAGE_DEPTH_MAX, readNothing } from './writing.ts';

/** @throws DecodeError on bytes that are not a ResolveRequest message. */
export function decodeResolve(bytes: Uint8Array): Resolve {
  return readResolve(new ProtoReader(bytes, MESSAGE_DEPTH_MAX));
}

export function writeQuery(
  writer: ProtoWriter,
  field: number,
  { serializable, query }: Query,
): void {
  const start = writer.begin(field);
  writer.bool(1, serializable);
  switch (query.type) {
    case 'range':
      writeRange(writer, 2, query);
      break;
    case 'resolve': {
      const inner = writer.begin(3);
      writer.uint(1, query.sessionId);
      writer.uint(2, query.seq);
      writer.end(inner);
      break;
    }
    case 'leaseTimeToLive':
      writeLeaseTimeToLive(writer, 4, query);
      break;
    case 'leases':
      writer.end(writer.begin(5));
      break;
    case 'changes':
      writeChanges(writer, 6, query);
      break;
    case 'txn':
      writeTxn(writer, 7, query);
      break;
    default:
      unreachable(query);
  }
  writer.end(start);
}

export function readQuery(reader: ProtoReader): Query {
  let serializable = false;
  let query: Query['query'] | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        serializable = reader.bool();
        break;
      case 2:
        query = reader.message(readRange);
        break;
      case 3:
        query = reader.message(readResolve);
        break;
      case 4:
        query = reader.message(readLeaseTimeToLive);
        break;
      case 5:
        reader.message(readNothing);
        query = { type: 'leases' };
        break;
      case 6:
        query = reader.message(readChanges);
        break;
      case 7:
        query = readOutermostTxn(reader);
        break;
      default:
        reader.skip();
    }
  }
  if (query === null) throw reader.error('query without body');
  return { serializable, query };
}

function readResolve(reader: ProtoReader): Resolve {
  let sessionId = 0;
  let seq = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        sessionId = reader.uint();
        break;
      case 2:
        seq = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'resolve', sessionId, seq };
}
