import type { Random } from '../io/index.ts';
import { Prng } from '../lib/index.ts';

/**
 * Random numbers of one purpose. Streams of different names are independent, so that taking a
 * fault away does not shift what the network draws.
 */
export class Stream implements Random {
  readonly #prng: Prng;

  constructor(seed: number, name: string) {
    let hash = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
    const low = (hash ^ seed) >>> 0;
    const high = (Math.imul(hash, 0x9e3779b1) ^ Math.floor(seed / 2 ** 32)) & 0x1fffff;
    this.#prng = new Prng(high * 2 ** 32 + low);
  }

  uint32(): number {
    return this.#prng.uint32();
  }

  bytes(length: number): Uint8Array {
    return Uint8Array.from({ length }, () => this.#prng.below(256));
  }

  /** A uniform integer in 0 … bound − 1. */
  below(bound: number): number {
    return this.#prng.below(bound);
  }

  /** True with this probability, 0 … 1. */
  chance(probability: number): boolean {
    return this.#prng.chance(probability);
  }

  /** Uniform in [from, to). */
  between(from: number, to: number): number {
    return from + (this.#prng.uint32() / 2 ** 32) * (to - from);
  }

  /** Exponentially distributed with this mean, at most twenty times as much. */
  exponential(mean: number): number {
    return -Math.log(1 - this.#prng.uint32() / 2 ** 32 + 1e-9) * mean;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.#prng.below(items.length)];
    if (item === undefined) throw new RangeError('nothing to pick from');
    return item;
  }

  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.#prng.below(i + 1);
      [result[i], result[j]] = [result[j] as T, result[i] as T];
    }
    return result;
  }
}
