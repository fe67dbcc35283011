/*
 * UTF-8 (RFC 3629) for code that is compiled without Node and DOM and so has no TextEncoder.
 * For short strings: error messages, URLs, names. Keys and values are bytes and never come here.
 */

/** Bytes of a string; a lone surrogate becomes U+FFFD, as TextEncoder does it. */
export function utf8Bytes(text: string): Uint8Array {
  const out: number[] = [];
  for (const character of text) {
    const point = wellFormed(character.codePointAt(0) ?? 0);
    if (point < 0x80) out.push(point);
    else if (point < 0x800) out.push(0xc0 | (point >> 6), continuation(point));
    else if (point < 0x10000) {
      out.push(0xe0 | (point >> 12), continuation(point >> 6), continuation(point));
    } else {
      const middle = continuation(point >> 12);
      out.push(0xf0 | (point >> 18), middle, continuation(point >> 6), continuation(point));
    }
  }
  return Uint8Array.from(out);
}

/** The string of well-formed UTF-8; null for anything else (overlong, surrogates, cut short). */
export function utf8String(bytes: Uint8Array): string | null {
  let text = '';
  let at = 0;
  while (at < bytes.length) {
    const first = bytes[at] as number;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      at++;
      continue;
    }
    const length = sequenceLength(first);
    if (length === null || at + length > bytes.length) return null;
    let point = first & (0x7f >> length);
    for (let i = 1; i < length; i++) {
      const next = bytes[at + i] as number;
      if ((next & 0xc0) !== 0x80) return null;
      point = (point << 6) | (next & 0x3f);
    }
    if (point < (POINT_MIN[length] as number) || point > 0x10ffff || isSurrogate(point))
      return null;
    text += String.fromCodePoint(point);
    at += length;
  }
  return text;
}

/** Smallest code point that needs a sequence of this length; below it the sequence is overlong. */
const POINT_MIN = [0, 0, 0x80, 0x800, 0x10000];

function sequenceLength(first: number): number | null {
  if ((first & 0xe0) === 0xc0) return 2;
  if ((first & 0xf0) === 0xe0) return 3;
  if ((first & 0xf8) === 0xf0) return 4;
  return null;
}

function continuation(bits: number): number {
  return 0x80 | (bits & 0x3f);
}

function wellFormed(point: number): number {
  return isSurrogate(point) ? 0xfffd : point;
}

function isSurrogate(point: number): boolean {
  return point >= 0xd800 && point <= 0xdfff;
}
