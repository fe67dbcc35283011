import type { Digest, Seen } from './history.ts';

/** The id of "no such key" in every `ValueTable`. */
export const ABSENT = 0;

/** Two 32-bit hashes that can be carried on over what is appended, and lengths. */
interface Sum {
  high: number;
  low: number;
  /** UTF-16 code units. */
  length: number;
  utf8Bytes: number;
}

/** Carries a sum on over `text`. Each step is a bijection of either hash, for any code unit. */
function extend(sum: Sum, text: string): Sum {
  let { high, low, utf8Bytes } = sum;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    high = Math.imul(high ^ unit, 0x01000193);
    low = Math.imul(((low << 5) | (low >>> 27)) ^ unit, 0x9e3779b1);
    // A surrogate pair takes four bytes, two for each half.
    if (unit < 0x80) utf8Bytes += 1;
    else utf8Bytes += unit < 0x800 || (unit & 0xf800) === 0xd800 ? 2 : 3;
  }
  return { high, low, length: sum.length + text.length, utf8Bytes };
}

const EMPTY_SUM: Readonly<Sum> = { high: 0x811c9dc5 | 0, low: 0x2545f491, length: 0, utf8Bytes: 0 };

/**
 * Length and hash of a value, to record a read of a long value in a short line.
 *
 * high = 811c9dc5, low = 2545f491; for each UTF-16 code unit u, modulo 2^32:
 * high = (high xor u) * 01000193; low = (rotateLeft(low, 5) xor u) * 9e3779b1.
 * The hash is high and low, 8 hexadecimal digits each.
 */
export function digestOf(value: string): Digest {
  const { high, low, length } = extend(EMPTY_SUM, value);
  return { length, hash: hex32(high) + hex32(low) };
}

function hex32(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}

/**
 * Running digest of a growing value, without keeping the value: two words and the length.
 */
export class RunningDigest {
  #sum: Sum = EMPTY_SUM;

  append(text: string): void {
    this.#sum = extend(this.#sum, text);
  }

  get high(): number {
    return this.#sum.high;
  }

  get low(): number {
    return this.#sum.low;
  }

  get utf8Bytes(): number {
    return this.#sum.utf8Bytes;
  }
}

/**
 * Gives every value that occurs a small id, equal for equal values. Values are known by length and
 * 64 bits of hash, so that a chain of n appends costs its tokens and not n whole strings.
 */
export class ValueTable {
  readonly #sums: Sum[] = [{ ...EMPTY_SUM, length: -1 }];
  readonly #ids = new Map<number, number>();

  /** How many values there are. */
  get size(): number {
    return this.#sums.length;
  }

  /** The id of a value as a read saw it. */
  intern(value: Seen): number {
    if (value === null) return ABSENT;
    if (typeof value === 'string') return this.#idOf(extend(EMPTY_SUM, value));
    const high = Number.parseInt(value.hash.slice(0, 8), 16) | 0;
    const low = Number.parseInt(value.hash.slice(8), 16) | 0;
    return this.#idOf({ high, low, length: value.length, utf8Bytes: -1 });
  }

  /** The id of a value with `text` behind it; "no such key" counts as empty. */
  append(id: number, text: string): number {
    const sum = id === ABSENT ? EMPTY_SUM : (this.#sums[id] ?? EMPTY_SUM);
    return this.#idOf(extend(sum, text));
  }

  /** Of a value that was made by `append`, or interned as text. */
  utf8Bytes(id: number): number {
    return this.#sums[id]?.utf8Bytes ?? -1;
  }

  #idOf(sum: Sum): number {
    // 53 bits make a number; the rest is compared, and a collision takes the next free number.
    let slot = (sum.high >>> 0) * 2 ** 21 + (sum.low >>> 11);
    for (;;) {
      const id = this.#ids.get(slot);
      if (id === undefined) break;
      const known = this.#sums[id] as Sum;
      if (known.high === sum.high && known.low === sum.low && known.length === sum.length) {
        if (known.utf8Bytes < 0) known.utf8Bytes = sum.utf8Bytes;
        return id;
      }
      slot++;
    }
    const id = this.#sums.length;
    this.#sums.push(sum);
    this.#ids.set(slot, id);
    return id;
  }
}
