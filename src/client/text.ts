import { KvError } from '../api/index.ts';

/** A key or a value: bytes, or text that stands for its UTF-8 encoding. */
export type Bytes = Uint8Array | string;

/** How keys and values are given out: as text, which must be UTF-8, or as bytes. */
export type As = 'text' | 'bytes';

/** The type of a key or value that is given out `A`. */
export type Out<A extends As> = A extends 'bytes' ? Uint8Array : string;

const LONE_SURROGATE = /\p{Surrogate}/u;
const encoder = new TextEncoder();
/** Strict, and without dropping a leading byte order mark: text comes back as it went in. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * The bytes of a key or value, as a copy that the caller cannot change any more.
 * @throws KvError INVALID_ARGUMENT for anything else, and for text that UTF-8 cannot say.
 */
export function bytesOf(value: Bytes, what: string): Uint8Array {
  if (typeof value === 'string') {
    // An encoder would write U+FFFD for each: two keys would become one.
    if (LONE_SURROGATE.test(value)) {
      throw new KvError('INVALID_ARGUMENT', `${what}: text with half a surrogate pair`);
    }
    return encoder.encode(value);
  }
  // A plain Uint8Array, also for a Buffer, whose slice would share its memory.
  if (value instanceof Uint8Array) return new Uint8Array(value);
  throw new KvError('INVALID_ARGUMENT', `${what}: expected a string or a Uint8Array`);
}

/** @throws KvError INVALID_ARGUMENT when text is wanted of bytes that are not UTF-8. */
export function outOf<A extends As>(bytes: Uint8Array, as: A, what: string): Out<A>;
export function outOf(bytes: Uint8Array, as: As, what: string): Uint8Array | string {
  // Answers are views into a message that is much larger: a kept slice would keep all of it.
  if (as === 'bytes') return new Uint8Array(bytes);
  try {
    return decoder.decode(bytes);
  } catch (error) {
    const said = `${what} is not UTF-8 text: ask for it with { as: 'bytes' }`;
    throw new KvError('INVALID_ARGUMENT', said, { cause: error });
  }
}
