import type { HeaderField, HeaderList } from './field.ts';
import { huffmanBytes, huffmanEncode } from './huffman.ts';
import { HeaderTable } from './table.ts';

/** Bytes of our table at most, whatever the peer allows: its default (RFC 9113, section 6.5.2). */
const TABLE_BYTES_MAX = 4096;
/** Longest integer we write: a prefix and four more bytes. */
const INTEGER_BYTES_MAX = 5;

/** Encodes the header lists of one connection, in their order (RFC 7541). */
export class HpackEncoder {
  readonly #table = new HeaderTable(TABLE_BYTES_MAX);
  /** Limits to announce at the start of the next block (section 4.2). */
  #announced: number[] = [];
  #out = new Uint8Array(256);
  #length = 0;
  /** Blocks of reused lists, valid while the table stands at `changes`. */
  readonly #blocks = new Map<HeaderList, { changes: number; block: Uint8Array }>();

  /** The peer's SETTINGS_HEADER_TABLE_SIZE, bytes. */
  setTableBytesMax(bytes: number): void {
    const limitBytes = Math.min(bytes, TABLE_BYTES_MAX);
    if (limitBytes === this.#table.limitBytes) return;
    this.#table.resize(limitBytes);
    // A size that went down and up again must be seen by the other side: at most these two.
    const lowest = Math.min(limitBytes, ...this.#announced);
    this.#announced = lowest < limitBytes ? [lowest, limitBytes] : [limitBytes];
  }

  /** The block of a list; to be used before the next call unless the list is a reused one. */
  encode(list: HeaderList): Uint8Array {
    if (list.isReused && this.#announced.length === 0) {
      const known = this.#blocks.get(list);
      if (known?.changes === this.#table.changes) return known.block;
    }
    this.#length = 0;
    for (const limitBytes of this.#announced) this.#integer(0x20, 0x1f, limitBytes);
    const isPlain = this.#announced.length === 0;
    this.#announced = [];
    const { changes } = this.#table;
    for (const field of list.fields) this.#field(field, list.isReused);
    const block = this.#out.subarray(0, this.#length);
    if (!list.isReused || !isPlain || changes !== this.#table.changes) return block;
    const kept = block.slice();
    this.#blocks.set(list, { changes, block: kept });
    return kept;
  }

  #field(field: HeaderField, isReused: boolean): void {
    const { exact, named } = this.#table.find(field);
    if (exact > 0) {
      this.#integer(0x80, 0x7f, exact);
      return;
    }
    const isKept = isReused && field.sizeBytes <= this.#table.limitBytes;
    if (isKept) this.#integer(0x40, 0x3f, named);
    else this.#integer(0x00, 0x0f, named);
    if (named === 0) this.#string(field.name);
    this.#string(field.value);
    if (isKept) this.#table.insert(field);
  }

  /** Section 5.1: `pattern` are the bits before the prefix, `mask` those of the prefix. */
  #integer(pattern: number, mask: number, value: number): void {
    this.#reserve(INTEGER_BYTES_MAX);
    if (value < mask) {
      this.#out[this.#length++] = pattern | value;
      return;
    }
    this.#out[this.#length++] = pattern | mask;
    let rest = value - mask;
    for (; rest >= 0x80; rest >>= 7) this.#out[this.#length++] = 0x80 | (rest & 0x7f);
    this.#out[this.#length++] = rest;
  }

  /** Section 5.2: Huffman when that is shorter. */
  #string(text: string): void {
    const codedBytes = huffmanBytes(text);
    const isHuffman = codedBytes < text.length;
    const length = isHuffman ? codedBytes : text.length;
    this.#integer(isHuffman ? 0x80 : 0x00, 0x7f, length);
    this.#reserve(length);
    if (isHuffman) huffmanEncode(text, this.#out, this.#length);
    else for (let i = 0; i < length; i++) this.#out[this.#length + i] = text.charCodeAt(i);
    this.#length += length;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#out.length) return;
    const larger = new Uint8Array(Math.max(this.#out.length * 2, this.#length + bytes));
    larger.set(this.#out.subarray(0, this.#length));
    this.#out = larger;
  }
}
