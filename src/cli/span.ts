import type { Span } from '../client/index.ts';

const ZERO_KEY = new Uint8Array(1);

/** etcdctl's way to say which keys are meant. */
export interface SpanWords {
  readonly key: Uint8Array;
  /** Exclusive upper bound; null when only one key is meant. */
  readonly end: Uint8Array | null;
  /** All keys that begin with `key`; with an empty one, all keys. */
  readonly prefix: boolean;
  /** `key` and all keys behind it; with an empty one, all keys. */
  readonly fromKey: boolean;
}

/** The keys that are meant. At most one of `end`, `prefix`, `fromKey` is used. */
export function spanOf({ key, end, prefix, fromKey }: SpanWords): Span {
  if (prefix) return { prefix: key };
  if (fromKey) return { from: key.length === 0 ? ZERO_KEY : key };
  return end === null ? key : { from: key, to: end };
}
