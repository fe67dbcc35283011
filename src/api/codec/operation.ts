import { assert, EMPTY_BYTES, type ProtoReader, type ProtoWriter } from '../../lib/index.ts';
import type { Append, Delete, Put, Range, RangeOrder, RevisionBounds } from '../command.ts';
import { isSingleKey, type KeyRange, keyRange, rangeEndOf } from '../key-range.ts';

/* The single operations: of a Command, of a TxnOperation, and (Range) of a Query. */

const ONE_BYTE = Uint8Array.of(1);

export function writePut(writer: ProtoWriter, field: number, put: Put): void {
  assert(put.lease !== 0n, 'no lease: absent, not 0');
  const start = writer.begin(field);
  writer.bytes(1, put.key);
  writer.bytes(2, put.value);
  writer.bool(3, put.prevKv);
  if (put.lease !== undefined) writer.fixed64(4, put.lease);
  writer.bool(5, put.ignoreValue === true);
  writer.bool(6, put.ignoreLease === true);
  writer.end(start);
}

export function readPut(reader: ProtoReader): Put {
  let key = EMPTY_BYTES;
  let value = EMPTY_BYTES;
  let prevKv = false;
  let lease = 0n;
  let ignoreValue = false;
  let ignoreLease = false;
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
      case 4:
        lease = reader.fixed64();
        break;
      case 5:
        ignoreValue = reader.bool();
        break;
      case 6:
        ignoreLease = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  const put = { type: 'put', key, value, prevKv } as const;
  if (lease === 0n && !ignoreValue && !ignoreLease) return put;
  return {
    ...put,
    ...(lease !== 0n && { lease }),
    ...(ignoreValue && { ignoreValue }),
    ...(ignoreLease && { ignoreLease }),
  };
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

const ORDER_TARGETS = ['key', 'version', 'createRevision', 'modRevision', 'value'] as const;

export function writeRange(writer: ProtoWriter, field: number, range: Range): void {
  assert(range.limit !== 0 && range.revision !== 0, 'no limit, no revision: null, not 0');
  const start = writer.begin(field);
  writeKeyRange(writer, range.range);
  writer.uint(3, range.limit ?? 0);
  writer.uint(4, range.revision ?? 0);
  writer.bool(5, range.keysOnly);
  writer.bool(6, range.countOnly);
  if (range.order !== undefined) writeOrder(writer, range.order);
  if (range.bounds !== undefined) writeBounds(writer, range.bounds);
  writer.end(start);
}

function writeOrder(writer: ProtoWriter, { target, descending }: RangeOrder): void {
  const start = writer.begin(7);
  writer.uint(1, ORDER_TARGETS.indexOf(target));
  writer.bool(2, descending);
  writer.end(start);
}

function writeBounds(writer: ProtoWriter, bounds: RevisionBounds): void {
  const { minModRevision, maxModRevision, minCreateRevision, maxCreateRevision } = bounds;
  const all = [minModRevision, maxModRevision, minCreateRevision, maxCreateRevision];
  assert(!all.includes(0) && all.some((bound) => bound !== null), 'no bound: null, not 0');
  for (const [i, bound] of all.entries()) writer.uint(8 + i, bound ?? 0);
}

export function readRange(reader: ProtoReader): Range {
  let key = EMPTY_BYTES;
  let rangeEnd = EMPTY_BYTES;
  let limit = 0;
  let revision = 0;
  let keysOnly = false;
  let countOnly = false;
  let order: RangeOrder | null = null;
  let bounds = NO_BOUNDS;
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
      case 7:
        order = reader.message(readOrder);
        break;
      default:
        bounds = readBound(reader, bounds);
    }
  }
  const range = {
    type: 'range',
    range: keyRange(key, rangeEnd),
    limit: nullIfZero(limit),
    revision: nullIfZero(revision),
    keysOnly,
    countOnly,
  } as const;
  if (order === null && bounds === NO_BOUNDS) return range;
  return { ...range, ...(order !== null && { order }), ...(isBounded(bounds) && { bounds }) };
}

function readOrder(reader: ProtoReader): RangeOrder {
  let target: RangeOrder['target'] | undefined = 'key';
  let descending = false;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        target = ORDER_TARGETS[reader.uint()];
        if (target === undefined) throw reader.error('unknown order');
        break;
      case 2:
        descending = reader.bool();
        break;
      default:
        reader.skip();
    }
  }
  return { target, descending };
}

const NO_BOUNDS: RevisionBounds = {
  minModRevision: null,
  maxModRevision: null,
  minCreateRevision: null,
  maxCreateRevision: null,
};

/** The fields 8 to 11 of Range; any other is passed over. */
function readBound(reader: ProtoReader, bounds: RevisionBounds): RevisionBounds {
  switch (reader.field) {
    case 8:
      return { ...bounds, minModRevision: nullIfZero(reader.uint()) };
    case 9:
      return { ...bounds, maxModRevision: nullIfZero(reader.uint()) };
    case 10:
      return { ...bounds, minCreateRevision: nullIfZero(reader.uint()) };
    case 11:
      return { ...bounds, maxCreateRevision: nullIfZero(reader.uint()) };
    default:
      reader.skip();
      return bounds;
  }
}

function isBounded(bounds: RevisionBounds): boolean {
  return Object.values(bounds).some((bound) => bound !== null);
}

function nullIfZero(value: number): number | null {
  return value === 0 ? null : value;
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
