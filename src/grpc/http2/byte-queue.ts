/** Pieces up to this long are copied together; longer ones are kept as they are. */
const COPIED_BYTES_MAX = 2_048;
const BLOCK_BYTES_MIN = 256;
const BLOCK_BYTES_MAX = 16_384;
const NONE = new Uint8Array(0);

/**
 * Bytes in a queue. Small pieces share blocks: what a million of them cost is their bytes, not a
 * million objects.
 */
export class ByteQueue {
  /** Pieces before #head are gone. */
  #pieces: Uint8Array[] = [];
  #head = 0;
  #length = 0;
  /** The block that small pieces are copied to; its last #blockUsed bytes stand in #pieces. */
  #block = NONE;
  #blockUsed = 0;
  /** Where the last piece begins within the block; −1: the last piece is not of the block. */
  #openAt = -1;

  /** Bytes in the queue. */
  get length(): number {
    return this.#length;
  }

  /** Adds bytes; not to be changed any more. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#length += bytes.length;
    if (bytes.length > COPIED_BYTES_MAX) {
      this.#pieces.push(bytes);
      this.#openAt = -1;
      return;
    }
    if (this.#blockUsed + bytes.length > this.#block.length) this.#startBlock(bytes.length);
    this.#block.set(bytes, this.#blockUsed);
    this.#blockUsed += bytes.length;
    const openAt = this.#openAt;
    if (openAt >= 0) {
      this.#pieces[this.#pieces.length - 1] = this.#block.subarray(openAt, this.#blockUsed);
      return;
    }
    this.#openAt = this.#blockUsed - bytes.length;
    this.#pieces.push(this.#block.subarray(this.#openAt, this.#blockUsed));
  }

  /** The next bytes, at most `bytesMax` ≥ 1 and not more than lie in one piece; null when empty. */
  take(bytesMax: number): Uint8Array | null {
    const piece = this.#pieces[this.#head];
    if (piece === undefined) return null;
    if (piece.length > bytesMax) {
      this.#length -= bytesMax;
      this.#pieces[this.#head] = piece.subarray(bytesMax);
      if (this.#head === this.#pieces.length - 1) this.#openAt = -1;
      return piece.subarray(0, bytesMax);
    }
    this.#length -= piece.length;
    this.#head++;
    this.#compact();
    return piece;
  }

  /** Empties the queue. */
  clear(): void {
    this.#pieces = [];
    this.#head = 0;
    this.#length = 0;
    this.#block = NONE;
    this.#blockUsed = 0;
    this.#openAt = -1;
  }

  #startBlock(bytes: number): void {
    const grown = Math.min(BLOCK_BYTES_MAX, Math.max(BLOCK_BYTES_MIN, this.#block.length * 2));
    this.#block = new Uint8Array(Math.max(grown, bytes));
    this.#blockUsed = 0;
    this.#openAt = -1;
  }

  /** Lets go of pieces that were taken, at a cost that the takes have earned. */
  #compact(): void {
    if (this.#head === this.#pieces.length) this.clear();
    else if (this.#head * 2 > this.#pieces.length) {
      this.#pieces = this.#pieces.slice(this.#head);
      this.#head = 0;
    }
  }
}
