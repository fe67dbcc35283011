/** Bytes that do not follow their format. The caller decides what that means: see STYLE rule 18. */
export class DecodeError extends Error {
  /** Where in the input reading failed, in bytes from its start. */
  readonly offset: number;

  constructor(message: string, offset: number) {
    super(`${message} at byte ${offset}`);
    this.name = 'DecodeError';
    this.offset = offset;
  }
}

/** Reads what `ByteWriter` wrote. Every read is bounds-checked; bad input throws `DecodeError`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Next byte to read. */
  get offset(): number {
    return this.#offset;
  }

  /** Bytes not yet read. */
  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#bytes[this.#advance(1)] as number;
  }

  u32(): number {
    return this.#u32At(this.#advance(4));
  }

  u64(): bigint {
    const start = this.#advance(8);
    return (BigInt(this.#u32At(start + 4)) << 32n) | BigInt(this.#u32At(start));
  }

  /** An integer in 0 … 2^53 − 1. */
  varint(): number {
    const first = this.#bytes[this.#offset];
    if (first !== undefined && first < 0x80) {
      this.#offset++;
      return first;
    }
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) break;
        return value;
      }
      scale *= 0x80;
    }
    throw new DecodeError('varint beyond 2^53 - 1', this.#offset);
  }

  bool(): boolean {
    const byte = this.u8();
    if (byte > 1) throw new DecodeError(`boolean is ${byte}`, this.#offset - 1);
    return byte === 1;
  }

  /** `length` bytes as a view of the input: copy it if it must outlive the input. */
  raw(length: number): Uint8Array {
    const start = this.#advance(length);
    return this.#bytes.subarray(start, start + length);
  }

  /** Bytes behind their varint length, as a view of the input. */
  bytes(): Uint8Array {
    return this.raw(this.varint());
  }

  /**
   * A count of items that take at least `itemBytesMin` bytes each: checked before anything is
   * allocated.
   */
  count(itemBytesMin: number): number {
    const count = this.varint();
    if (count * itemBytesMin > this.remaining) {
      throw new DecodeError(`count ${count} exceeds the input`, this.#offset);
    }
    return count;
  }

  /** Refuses trailing bytes. */
  end(): void {
    if (this.remaining !== 0)
      throw new DecodeError(`${this.remaining} bytes too many`, this.#offset);
  }

  /** Of bytes that are there: a `DataView` would cost more than most of what is read. */
  #u32At(at: number): number {
    const bytes = this.#bytes;
    const high = ((bytes[at + 3] as number) << 8) | (bytes[at + 2] as number);
    return high * 0x1_0000 + (((bytes[at + 1] as number) << 8) | (bytes[at] as number));
  }

  #advance(length: number): number {
    const start = this.#offset;
    if (length > this.#bytes.length - start)
      throw new DecodeError(`input ends, ${length} bytes wanted`, start);
    this.#offset = start + length;
    return start;
  }
}
