/** One AppendEntries with entries that is on its way. */
interface Inflight {
  /** Index of its last entry. */
  readonly lastIndex: number;
  /** Size of its entries. */
  readonly bytes: number;
}

/** The AppendEntries on their way to one follower, oldest first; bounded in count and bytes. */
export class InflightWindow {
  readonly #appendsMax: number;
  readonly #bytesMax: number;
  #appends: Inflight[] = [];
  #bytes = 0;

  constructor(limits: { readonly appendsMax: number; readonly bytesMax: number }) {
    this.#appendsMax = limits.appendsMax;
    this.#bytesMax = limits.bytesMax;
  }

  /** Appends on their way. */
  get count(): number {
    return this.#appends.length;
  }

  /** Entry bytes on their way. */
  get bytes(): number {
    return this.#bytes;
  }

  /** True when nothing more may be sent. The last append may have overshot the byte bound. */
  get full(): boolean {
    return this.#appends.length >= this.#appendsMax || this.#bytes >= this.#bytesMax;
  }

  /** Notes an append; appends follow each other in the log. */
  add(lastIndex: number, bytes: number): void {
    this.#appends.push({ lastIndex, bytes });
    this.#bytes += bytes;
  }

  /** The follower has everything up to `index`: what ended there or before has arrived. */
  freeTo(index: number): void {
    let freed = 0;
    for (const append of this.#appends) {
      if (append.lastIndex > index) break;
      this.#bytes -= append.bytes;
      freed++;
    }
    if (freed > 0) this.#appends.splice(0, freed);
  }

  /** Nothing that is still under way is waited for any more. */
  clear(): void {
    this.#appends = [];
    this.#bytes = 0;
  }
}
