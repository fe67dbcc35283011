/** The empty byte string; shared, so never written to. */
export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);

/** Orders byte strings as `memcmp` does, shorter first on a tie: negative, 0 or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** True when both hold the same bytes. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && compareBytes(a, b) === 0;
}

/** Up to here a loop copies faster than `set`, which is a call out of the compiled code. */
const LOOP_COPY_BYTES_MAX = 24;

/** Copies `source` into `target`, from `at` on, where there must be room. */
export function copyBytes(target: Uint8Array, at: number, source: Uint8Array): void {
  const { length } = source;
  if (length > LOOP_COPY_BYTES_MAX) target.set(source, at);
  else for (let i = 0; i < length; i++) target[at + i] = source[i] as number;
}

/** One new array with all parts in order. */
export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** A string with one character per byte (latin1): a Map key that no two byte strings share. */
export function bytesKey(bytes: Uint8Array): string {
  let key = '';
  for (let i = 0; i < bytes.length; i++) key += String.fromCharCode(bytes[i] as number);
  return key;
}

/** Lower-case hexadecimal. */
export function hex(bytes: Uint8Array): string {
  let out = '';
  for (const byte of bytes) out += byte.toString(16).padStart(2, '0');
  return out;
}
