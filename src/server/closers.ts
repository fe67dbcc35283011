/** What was opened and must be closed again: in reverse, each once, also when one of them fails. */
export class Closers {
  readonly #stack: (() => Promise<void>)[] = [];
  #closing: Promise<void> | null = null;

  /** Remembers how to close what was just opened. */
  add(close: () => Promise<void>): void {
    this.#stack.push(close);
  }

  /**
   * Closes all; the second call waits for the first. Rejects with the first failure after all were
   * tried.
   */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (let close = this.#stack.pop(); close !== undefined; close = this.#stack.pop()) {
      try {
        await close();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}
