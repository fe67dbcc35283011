import type { Clock } from './clock.ts';
import type { Log, LogFields } from './log.ts';

const REPEAT_AFTER_MS = 60_000;
const KEYS_MAX = 256;

/** Log lines that strangers can provoke: the same one at most once a minute. */
export class RepeatGate {
  readonly #log: Log;
  readonly #clock: Clock;
  /** When a line with this key was last written. Bounded: all are forgotten when it is full. */
  readonly #lastMs = new Map<string, number>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  info(message: string, fields: LogFields): void {
    this.#log.info(message, fields);
  }

  debug(message: string, fields: LogFields): void {
    this.#log.debug(message, fields);
  }

  /** Something an operator may have to look at; `key` names the trouble and who has it. */
  warn(key: string, message: string, fields: LogFields): void {
    if (this.#passes(key)) this.#log.warn(message, fields);
  }

  /** Something that will not heal by itself. */
  error(key: string, message: string, fields: LogFields): void {
    if (this.#passes(key)) this.#log.error(message, fields);
  }

  /** The trouble is over: when it comes back it is written again. */
  forget(key: string): void {
    this.#lastMs.delete(key);
  }

  #passes(key: string): boolean {
    const nowMs = this.#clock.nowMs();
    const lastMs = this.#lastMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < REPEAT_AFTER_MS) return false;
    if (this.#lastMs.size >= KEYS_MAX) this.#lastMs.clear();
    this.#lastMs.set(key, nowMs);
    return true;
  }
}
