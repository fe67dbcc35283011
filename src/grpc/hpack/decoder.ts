import { HeaderField } from './field.ts';
import { huffmanDecode, latin1 } from './huffman.ts';
import { HeaderTable } from './table.ts';

/** A header block that breaks RFC 7541: the connection's table is lost (COMPRESSION_ERROR). */
export class HpackError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'HpackError';
  }
}

export interface HpackDecoderLimits {
  /** Bytes of the dynamic table: what our SETTINGS allow. */
  readonly tableBytesMax: number;
  /** Size of one list, as section 4.1 counts it. */
  readonly listBytesMax: number;
  /** Fields of one list. */
  readonly pairsMax: number;
}

/** No number in a block that we accept is larger; more digits are refused (section 5.1). */
const INTEGER_MAX = 2 ** 28;

/**
 * Decodes the header blocks of one connection, in their order (RFC 7541).
 *
 *   1xxxxxxx  indexed field                        (6.1)
 *   01xxxxxx  literal, to be put into the table    (6.2.1)
 *   001xxxxx  new limit of the table               (6.3)
 *   000nxxxx  literal, not to be put there         (6.2.2, 6.2.3)
 */
export class HpackDecoder {
  readonly #limits: HpackDecoderLimits;
  readonly #table: HeaderTable;
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  constructor(limits: HpackDecoderLimits) {
    this.#limits = limits;
    this.#table = new HeaderTable(limits.tableBytesMax);
  }

  /** Moves whenever a block changed the table: while it stands, equal blocks are equal lists. */
  get tableChanges(): number {
    return this.#table.changes;
  }

  /** The dynamic table's size, bytes. */
  get tableBytes(): number {
    return this.#table.sizeBytes;
  }

  /**
   * The fields of a whole block, in order; null when the list exceeds a limit: nothing of it was
   * kept then, and the table is in step all the same.
   * @throws HpackError when the block is malformed; the decoder is of no use afterwards.
   */
  decode(block: Uint8Array): HeaderField[] | null {
    const { listBytesMax, pairsMax } = this.#limits;
    const fields: HeaderField[] = [];
    let listBytes = 0;
    let pairs = 0;
    this.#bytes = block;
    this.#at = 0;
    while (this.#at < block.length) {
      const first = block[this.#at] as number;
      if ((first & 0xe0) === 0x20) {
        if (pairs > 0) throw new HpackError('table size changed inside a block');
        this.#resize();
        continue;
      }
      const field = first >= 0x80 ? this.#indexed() : this.#literal(first);
      listBytes += field.sizeBytes;
      pairs++;
      if (listBytes <= listBytesMax && pairs <= pairsMax) fields.push(field);
    }
    return listBytes <= listBytesMax && pairs <= pairsMax ? fields : null;
  }

  #indexed(): HeaderField {
    return this.#fieldAt(this.#integer(0x7f));
  }

  #literal(first: number): HeaderField {
    const isKept = first >= 0x40;
    const index = this.#integer(isKept ? 0x3f : 0x0f);
    const name = index === 0 ? this.#string() : this.#fieldAt(index).name;
    const field = new HeaderField(name, this.#string());
    if (isKept) this.#table.insert(field);
    return field;
  }

  #resize(): void {
    const limitBytes = this.#integer(0x1f);
    if (limitBytes > this.#limits.tableBytesMax) throw new HpackError('table size beyond SETTINGS');
    if (limitBytes !== this.#table.limitBytes) this.#table.resize(limitBytes);
  }

  #fieldAt(index: number): HeaderField {
    const field = this.#table.at(index);
    if (field === null) throw new HpackError(`no field has index ${index}`);
    return field;
  }

  /** An integer whose prefix fills the bits of `mask` (section 5.1). */
  #integer(mask: number): number {
    const prefix = this.#byte() & mask;
    if (prefix < mask) return prefix;
    let value = mask;
    for (let weight = 1; weight < INTEGER_MAX; weight *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * weight;
      if (byte < 0x80) return value;
    }
    throw new HpackError('integer too long');
  }

  /** A string literal (section 5.2). */
  #string(): string {
    const isHuffman = ((this.#bytes[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(0x7f);
    const from = this.#at;
    const to = from + length;
    if (to > this.#bytes.length) throw new HpackError('block ends inside a string');
    this.#at = to;
    if (!isHuffman) return latin1(this.#bytes, from, to);
    const text = huffmanDecode(this.#bytes, from, to);
    if (text === null) throw new HpackError('not a Huffman code');
    return text;
  }

  #byte(): number {
    const byte = this.#bytes[this.#at++];
    if (byte === undefined) throw new HpackError('block ends inside a field');
    return byte;
  }
}
