/**
 * Ground that every other folder stands on: assertions, bytes, our own binary reader and writer,
 * the protobuf wire format, UTF-8, a seeded generator, a map for what comes and goes fast, the
 * interface of ordered bytes. Pure: no
 * Node, no clock, no I/O.
 */
export { assert, InvariantViolation, unreachable } from './assert.ts';
export {
  bytesKey,
  compareBytes,
  concatBytes,
  copyBytes,
  EMPTY_BYTES,
  equalBytes,
  hex,
} from './bytes.ts';
export { type Deferred, deferred } from './deferred.ts';
export { IntMap } from './int-map.ts';
export type { KeySpan, OrderedStore, RangeSpan, StoreEntry } from './ordered-store.ts';
export { Prng } from './prng.ts';
export { ProtoReader, ProtoWriter } from './proto.ts';
export { ByteReader, DecodeError } from './reader.ts';
export { utf8Bytes, utf8String } from './utf8.ts';
export { ByteWriter } from './writer.ts';
