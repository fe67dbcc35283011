import { compareBytes, EMPTY_BYTES } from '../lib/index.ts';

/**
 * A set of neighbouring keys: `from` ≤ key < `to`; `to` null means no upper bound.
 * Requests are normalised to this once, and the very same value is authorised and executed.
 */
export interface KeyRange {
  readonly from: Uint8Array;
  readonly to: Uint8Array | null;
}

const ZERO_BYTE = new Uint8Array(1);

/** Just this key. */
export function singleKey(key: Uint8Array): KeyRange {
  const to = new Uint8Array(key.length + 1);
  to.set(key);
  return { from: key, to };
}

/** Every key that begins with `prefix`; the empty prefix is every key. */
export function prefixRange(prefix: Uint8Array): KeyRange {
  return { from: prefix, to: prefixEnd(prefix) };
}

/**
 * etcd's pair: no `rangeEnd` is one key, a single zero byte is "from key on", anything else is
 * exclusive. A `rangeEnd` at or below `key` is the empty range.
 */
export function keyRange(key: Uint8Array, rangeEnd: Uint8Array): KeyRange {
  if (rangeEnd.length === 0) return singleKey(key);
  if (rangeEnd.length === 1 && rangeEnd[0] === 0) {
    return { from: key.length === 1 && key[0] === 0 ? EMPTY_BYTES : key, to: null };
  }
  return { from: key, to: rangeEnd };
}

/** The pair that says the same on the wire; undoes `keyRange`. */
export function rangeEndOf(range: KeyRange): Uint8Array {
  if (range.to === null) return ZERO_BYTE;
  return isSingleKey(range) ? EMPTY_BYTES : range.to;
}

export function isInside(key: Uint8Array, { from, to }: KeyRange): boolean {
  return compareBytes(key, from) >= 0 && (to === null || compareBytes(key, to) < 0);
}

/** True when no other key than `from` is inside. */
export function isSingleKey(range: KeyRange): boolean {
  const { from, to } = range;
  return (
    to !== null &&
    to.length === from.length + 1 &&
    to[from.length] === 0 &&
    compareBytes(to.subarray(0, from.length), from) === 0
  );
}

/** Smallest byte string above all that begin with `prefix`; null when there is none. */
function prefixEnd(prefix: Uint8Array): Uint8Array | null {
  for (let length = prefix.length; length > 0; length--) {
    const last = prefix[length - 1] as number;
    if (last === 0xff) continue;
    const end = prefix.slice(0, length);
    end[length - 1] = last + 1;
    return end;
  }
  return null;
}
