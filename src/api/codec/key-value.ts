import { EMPTY_BYTES, type ProtoReader, type ProtoWriter } from '../../lib/index.ts';
import type { KeyValue } from '../command.ts';

export function writeKeyValue(writer: ProtoWriter, field: number, kv: KeyValue): void {
  const start = writer.begin(field);
  writer.bytes(1, kv.key);
  writer.uint(2, kv.createRevision);
  writer.uint(3, kv.modRevision);
  writer.uint(4, kv.version);
  writer.bytes(5, kv.value);
  writer.fixed64(6, kv.lease ?? 0n);
  writer.end(start);
}

export function readKeyValue(reader: ProtoReader): KeyValue {
  let key = EMPTY_BYTES;
  let createRevision = 0;
  let modRevision = 0;
  let version = 0;
  let value = EMPTY_BYTES;
  let lease = 0n;
  while (reader.next()) {
    switch (reader.field) {
      case 1:
        key = reader.bytes();
        break;
      case 2:
        createRevision = reader.uint();
        break;
      case 3:
        modRevision = reader.uint();
        break;
      case 4:
        version = reader.uint();
        break;
      case 5:
        value = reader.bytes();
        break;
      case 6:
        lease = reader.fixed64();
        break;
      default:
        reader.skip();
    }
  }
  const kv = { key, value, createRevision, modRevision, version };
  return lease === 0n ? kv : { ...kv, lease };
}
