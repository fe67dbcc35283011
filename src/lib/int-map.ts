import { assert } from './assert.ts';

/** Slots of an empty map; always a power of two. */
const SLOTS_MIN = 16;
/** 2^32 divided by the golden ratio: spreads numbers that follow each other (Knuth vol. 3). */
const SPREAD = 0x9e37_79b1;
/** No key. */
const FREE = -1;

/**
 * A map for what comes and goes fast, by whole numbers. Unlike JavaScript's own it lets go of what
 * was in it: when a `Map` is rehashed, which constant coming and going makes it do, its former
 * table keeps its entries and points to the next one. Once such a table has become old, V8 cannot
 * collect it before a full collection, and every table since then, with all that was in them,
 * becomes old as well.
 *
 * Open addressing with linear probing; removal moves what follows up, so no marks are left.
 */
export class IntMap<V> {
  #keys = new Array<number>(SLOTS_MIN).fill(FREE);
  #values = new Array<V | undefined>(SLOTS_MIN).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: number): V | undefined {
    return this.#values[this.#slotOf(key)];
  }

  /** @param key a safe integer ≥ 0. */
  set(key: number, value: V): void {
    assert(Number.isSafeInteger(key) && key >= 0, 'key out of range', { key });
    if (this.#size * 2 >= this.#keys.length) this.#grow();
    const slot = this.#slotOf(key);
    if (this.#keys[slot] === FREE) this.#size++;
    this.#keys[slot] = key;
    this.#values[slot] = value;
  }

  /** False when it was not there. */
  delete(key: number): boolean {
    const keys = this.#keys;
    let hole = this.#slotOf(key);
    if (keys[hole] === FREE) return false;
    const mask = keys.length - 1;
    for (let slot = (hole + 1) & mask; keys[slot] !== FREE; slot = (slot + 1) & mask) {
      const home = homeOf(keys[slot] as number, mask);
      // It stays when its home is behind the hole: no search for it passes there.
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      keys[hole] = keys[slot] as number;
      this.#values[hole] = this.#values[slot];
      hole = slot;
    }
    keys[hole] = FREE;
    this.#values[hole] = undefined;
    this.#size--;
    return true;
  }

  /** All values as they are now, by ascending key. */
  values(): V[] {
    const keys = this.#keys.filter((key) => key !== FREE).sort((a, b) => a - b);
    return keys.map((key) => this.get(key) as V);
  }

  clear(): void {
    this.#keys = new Array<number>(SLOTS_MIN).fill(FREE);
    this.#values = new Array<V | undefined>(SLOTS_MIN).fill(undefined);
    this.#size = 0;
  }

  /** Where the key is, or would be put. */
  #slotOf(key: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let slot = homeOf(key, mask);
    while (keys[slot] !== key && keys[slot] !== FREE) slot = (slot + 1) & mask;
    return slot;
  }

  #grow(): void {
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Array<number>(keys.length * 2).fill(FREE);
    this.#values = new Array<V | undefined>(keys.length * 2).fill(undefined);
    for (const [from, key] of keys.entries()) {
      if (key === FREE) continue;
      const slot = this.#slotOf(key);
      this.#keys[slot] = key;
      this.#values[slot] = values[from];
    }
  }
}

function homeOf(key: number, mask: number): number {
  // The upper bits of the product depend on all of the key's lower 32.
  return (Math.imul(key | 0, SPREAD) >>> 8) & mask;
}
