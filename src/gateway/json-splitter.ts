import { JsonError } from './json-codec.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = [0x7b, 0x5b];
const CLOSE = [0x7d, 0x5d];

/**
 * Finds where one JSON object in a stream of bytes ends and the next begins, by its brackets alone:
 * whether it is one is for the parser to say.
 */
export class JsonSplitter {
  readonly #bytesMax: number;
  #parts: Uint8Array[] = [];
  #bytes = 0;
  #depth = 0;
  #isInString = false;
  #isEscaped = false;

  /** @param bytesMax of one object. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * The objects that are complete now.
   * @throws JsonError when one is too large, or what comes is none.
   */
  push(bytes: Uint8Array): string[] {
    const texts: string[] = [];
    let start = 0;
    for (let at = 0; at < bytes.length; at++) {
      if (!this.#endsWith(bytes[at] as number)) continue;
      this.#keep(bytes.subarray(start, at + 1));
      texts.push(this.#take());
      start = at + 1;
    }
    this.#keep(bytes.subarray(start));
    return texts;
  }

  /** What is left at the end: blanks, or an object that is not complete. */
  rest(): string {
    return this.#take().trim();
  }

  #endsWith(byte: number): boolean {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isInString = false;
      return false;
    }
    if (byte === QUOTE) this.#isInString = true;
    else if (OPEN.includes(byte)) this.#depth++;
    else if (CLOSE.includes(byte)) return --this.#depth <= 0;
    return false;
  }

  #keep(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#bytes += bytes.length;
    if (this.#bytes > this.#bytesMax) throw new JsonError('the request is too large');
    this.#parts.push(bytes);
  }

  #take(): string {
    const text = Buffer.concat(this.#parts).toString('utf8');
    this.#parts = [];
    this.#bytes = 0;
    this.#depth = 0;
    return text;
  }
}
