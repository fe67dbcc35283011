import { assert, EMPTY_BYTES, type ProtoReader, type ProtoWriter } from '../../lib/index.ts';
import type { Append, Delete, Put, Range } from '../command.ts';
import { isSingleKey, type KeyRange, keyRange, rangeEndOf } from '../key-range.ts';

/* The single operations: of a Command, of a TxnOperation, and (Range) of a Query. */

const ONE_BYTE = Uint8Array.of(1);

export function writePut(writer: ProtoWriter, field: number, put: Put): void {
  const start = writer.begin(field);
  writer.bytes(1, put.key);
  writer.bytes(2, put.value);
  writer.bool(3, put.prevKv);
  writer.end(start);
}

export function readPut(reader: ProtoReader): Put {
  let key = EMPTY_BYTES;
  let value = EMPTY_BYTES;
  let prevKv = false;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        value = reader.bytes();
        break;
      case 3:
        prevKv = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'put', key, value, prevKv };
}

export function writeAppend(writer: ProtoWriter, field: number, append: Append): void {
  const start = writer.begin(field);
  writer.bytes(1, append.key);
  writer.bytes(2, append.value);
  writer.end(start);
}

export function readAppend(reader: ProtoReader): Append {
  let key = EMPTY_BYTES;
  let value = EMPTY_BYTES;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        value = reader.bytes();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'append', key, value };
}

export function writeDelete(writer: ProtoWriter, field: number, operation: Delete): void {
  const start = writer.begin(field);
  writeKeyRange(writer, operation.range);
  writer.bool(3, operation.prevKv);
  writer.end(start);
}

export function readDelete(reader: ProtoReader): Delete {
  let key = EMPTY_BYTES;
  let rangeEnd = EMPTY_BYTES;
  let prevKv = false;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        rangeEnd = reader.bytes();
        break;
      case 3:
        prevKv = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'delete', range: keyRange(key, rangeEnd), prevKv };
}

export function writeRange(writer: ProtoWriter, field: number, range: Range): void {
  assert(range.limit !== 0 && range.revision !== 0, 'no limit, no revision: null, not 0');
  const start = writer.begin(field);
  writeKeyRange(writer, range.range);
  writer.uint(3, range.limit ?? 0);
  writer.uint(4, range.revision ?? 0);
  writer.bool(5, range.keysOnly);
  writer.bool(6, range.countOnly);
  writer.end(start);
}

export function readRange(reader: ProtoReader): Range {
  let key = EMPTY_BYTES;
  let rangeEnd = EMPTY_BYTES;
  let limit = 0;
  let revision = 0;
  let keysOnly = false;
  let countOnly = false;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        rangeEnd = reader.bytes();
        break;
      case 3:
        limit = reader.uint();
        break;
      case 4:
        revision = reader.uint();
        break;
      case 5:
        keysOnly = reader.bool();
        break;
      case 6:
        countOnly = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  return {
    type: 'range',
    range: keyRange(key, rangeEnd),
    limit: limit === 0 ? null : limit,
    revision: revision === 0 ? null : revision,
    keysOnly,
    countOnly,
  };
}

/**
 * Fields 1 and 2 of every message that has a range: etcd's `key` and `range_end`. That pair has no
 * way to say "below the empty key" or "below a zero byte", which hold no key: its `range_end` would
 * mean one key, or every key from there on. Such a range travels as another empty one.
 */
export function writeKeyRange(writer: ProtoWriter, range: KeyRange): void {
  const { to } = range;
  const special = to !== null && (to.length === 0 || (to.length === 1 && to[0] === 0));
  if (special && !isSingleKey(range)) {
    writer.bytes(1, ONE_BYTE);
    writer.bytes(2, ONE_BYTE);
    return;
  }
  writer.bytes(1, range.from);
  writer.bytes(2, rangeEndOf(range));
}
