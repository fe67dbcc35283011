import { EMPTY_BYTES, type ProtoReader, type ProtoWriter } from '../../lib/index.ts';
import type { ChangeEvent } from '../changes.ts';
import type { Changes, ChangesResult, KeyValue } from '../command.ts';
import { keyRange, rangeEndOf } from '../key-range.ts';
import { readKeyValue, writeKeyValue } from './key-value.ts';

/* The history, page by page. Revisions count from 1, so 0 on the wire stands for none. */

export function writeChanges(writer: ProtoWriter, field: number, query: Changes): void {
  const start = writer.begin(field);
  writer.bytes(1, query.range.from);
  writer.bytes(2, rangeEndOf(query.range));
  writer.uint(3, query.from ?? 0);
  writer.uint(4, query.skip);
  writer.bool(5, query.prevKv);
  writer.uint(6, query.waitMs);
  writer.end(start);
}

export function readChanges(reader: ProtoReader): Changes {
  let key = EMPTY_BYTES;
  let rangeEnd = EMPTY_BYTES;
  let from = 0;
  let skip = 0;
  let prevKv = false;
  let waitMs = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        rangeEnd = reader.bytes();
        break;
      case 3:
        from = reader.uint();
        break;
      case 4:
        skip = reader.uint();
        break;
      case 5:
        prevKv = reader.bool();
        break;
      case 6:
        waitMs = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  const range = keyRange(key, rangeEnd);
  return { type: 'changes', range, from: from === 0 ? null : from, skip, prevKv, waitMs };
}

export function writeChangesResult(writer: ProtoWriter, result: ChangesResult): void {
  writer.uint(1, result.revision);
  for (const { type, kv, prevKv } of result.events) {
    const start = writer.begin(2);
    writer.uint(1, EVENT_TYPES.indexOf(type));
    writeKeyValue(writer, 2, kv);
    if (prevKv !== null) writeKeyValue(writer, 3, prevKv);
    writer.end(start);
  }
  writer.uint(3, result.next);
  writer.uint(4, result.skip);
}

export function readChangesResult(reader: ProtoReader): ChangesResult {
  let revision = 0;
  const events: ChangeEvent[] = [];
  let next = 0;
  let skip = 0;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        revision = reader.uint();
        break;
      case 2:
        events.push(reader.message(readEvent));
        break;
      case 3:
        next = reader.uint();
        break;
      case 4:
        skip = reader.uint();
        break;
      default:
        reader.skip();
    }
  }
  return { type: 'changes', revision, events, next, skip };
}

const EVENT_TYPES = ['put', 'delete'] as const;

function readEvent(reader: ProtoReader): ChangeEvent {
  let type: ChangeEvent['type'] | undefined = 'put';
  let kv: KeyValue | null = null;
  let prevKv: KeyValue | null = null;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        type = EVENT_TYPES[reader.uint()];
        if (type === undefined) throw reader.error('unknown type of change');
        break;
      case 2:
        kv = reader.message(readKeyValue);
        break;
      case 3:
        prevKv = reader.message(readKeyValue);
        break;
      default:
        reader.skip();
    }
  }
  if (kv === null) throw reader.error('change without a key');
  return { type, kv, prevKv };
}
