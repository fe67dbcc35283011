import { HeaderField } from './field.ts';

/** RFC 7541, Appendix A; the index of its first entry is 1. */
// biome-ignore format: a table
const STATIC: readonly (readonly [string, string])[] = [
  [':authority', ''], [':method', 'GET'], [':method', 'POST'], [':path', '/'],
  [':path', '/index.html'], [':scheme', 'http'], [':scheme', 'https'], [':status', '200'],
  [':status', '204'], [':status', '206'], [':status', '304'], [':status', '400'],
  [':status', '404'], [':status', '500'], ['accept-charset', ''],
  ['accept-encoding', 'gzip, deflate'], ['accept-language', ''], ['accept-ranges', ''],
  ['accept', ''], ['access-control-allow-origin', ''], ['age', ''], ['allow', ''],
  ['authorization', ''], ['cache-control', ''], ['content-disposition', ''],
  ['content-encoding', ''], ['content-language', ''], ['content-length', ''],
  ['content-location', ''], ['content-range', ''], ['content-type', ''], ['cookie', ''],
  ['date', ''], ['etag', ''], ['expect', ''], ['expires', ''], ['from', ''], ['host', ''],
  ['if-match', ''], ['if-modified-since', ''], ['if-none-match', ''], ['if-range', ''],
  ['if-unmodified-since', ''], ['last-modified', ''], ['link', ''], ['location', ''],
  ['max-forwards', ''], ['proxy-authenticate', ''], ['proxy-authorization', ''], ['range', ''],
  ['referer', ''], ['refresh', ''], ['retry-after', ''], ['server', ''], ['set-cookie', ''],
  ['strict-transport-security', ''], ['transfer-encoding', ''], ['user-agent', ''], ['vary', ''],
  ['via', ''], ['www-authenticate', ''],
];
const STATIC_FIELDS = STATIC.map(([name, value]) => new HeaderField(name, value));

/** Entries of the static table; the dynamic one's indexes follow. */
export const STATIC_ENTRIES = STATIC_FIELDS.length;

/** Smallest size a field can have: what bounds the entries of a table. */
const FIELD_BYTES_MIN = 32;

/**
 * Static and dynamic table under one index (RFC 7541, section 2.3.3): 1 … 61 static, 62 the newest
 * dynamic entry. Invariant: the sizes of the dynamic entries sum up to sizeBytes ≤ limitBytes.
 */
export class HeaderTable {
  /** A ring: the entry of insertion number n stands at n modulo its length. */
  readonly #ring: (HeaderField | undefined)[];
  /** Number of the next insertion; never goes down. */
  #inserted = 0;
  #entries = 0;
  #sizeBytes = 0;
  #limitBytes: number;
  #changes = 0;

  /** @param bytesMax the limit at the start, and the highest ever. */
  constructor(bytesMax: number) {
    this.#limitBytes = bytesMax;
    this.#ring = Array.from({ length: Math.max(1, Math.ceil(bytesMax / FIELD_BYTES_MIN)) });
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get limitBytes(): number {
    return this.#limitBytes;
  }

  /** Dynamic entries. */
  get entries(): number {
    return this.#entries;
  }

  /** Moves with every change of the dynamic table: while it stands, an index means the same. */
  get changes(): number {
    return this.#changes;
  }

  /** The field at an index; null when there is none. */
  at(index: number): HeaderField | null {
    if (index <= STATIC_ENTRIES) return STATIC_FIELDS[index - 1] ?? null;
    const age = index - STATIC_ENTRIES - 1;
    if (age >= this.#entries) return null;
    return this.#ring[(this.#inserted - 1 - age) % this.#ring.length] ?? null;
  }

  /** Adds the newest entry and evicts old ones; one that can never fit empties the table. */
  insert(field: HeaderField): void {
    this.#changes++;
    this.#evictTo(this.#limitBytes - field.sizeBytes);
    if (field.sizeBytes > this.#limitBytes) return;
    this.#ring[this.#inserted % this.#ring.length] = field;
    this.#inserted++;
    this.#entries++;
    this.#sizeBytes += field.sizeBytes;
  }

  /** Changes the limit, ≤ the bytesMax of the constructor, and evicts what no longer fits. */
  resize(limitBytes: number): void {
    this.#changes++;
    this.#limitBytes = limitBytes;
    this.#evictTo(limitBytes);
  }

  /** Index of this name and value, and of a field with at least this name; 0: none. */
  find(field: HeaderField): { exact: number; named: number } {
    let named = 0;
    const last = STATIC_ENTRIES + this.#entries;
    for (let index = 1; index <= last; index++) {
      const entry = this.at(index);
      if (entry === null || entry.name !== field.name) continue;
      if (entry.value === field.value) return { exact: index, named: index };
      if (named === 0) named = index;
    }
    return { exact: 0, named };
  }

  #evictTo(sizeBytesMax: number): void {
    while (this.#entries > 0 && this.#sizeBytes > sizeBytesMax) {
      const slot = (this.#inserted - this.#entries) % this.#ring.length;
      this.#sizeBytes -= this.#ring[slot]?.sizeBytes ?? 0;
      this.#ring[slot] = undefined;
      this.#entries--;
    }
  }
}
