/** One at a time, in order; a task calls `finished` once, when the next may begin. */
export type Task = (finished: () => void) => void;

/** What changes the durable state: flushes and the installation of a snapshot never overlap. */
export class SerialTasks {
  readonly #waiting: Task[] = [];
  readonly #onIdle: (() => void)[] = [];
  #running = false;

  /** True when nothing runs. */
  get idle(): boolean {
    return !this.#running;
  }

  run(task: Task): void {
    this.#waiting.push(task);
    if (!this.#running) this.#next();
  }

  /** Calls back once everything has finished: at once, or later. */
  whenIdle(done: () => void): void {
    if (this.#running) this.#onIdle.push(done);
    else done();
  }

  #next(): void {
    const task = this.#waiting.shift();
    this.#running = task !== undefined;
    if (task !== undefined) return task(() => this.#next());
    for (const done of this.#onIdle.splice(0)) done();
  }
}
