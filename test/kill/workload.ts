import type { Operation, Result } from '../../src/checker/index.ts';
import type { Prng } from '../../src/lib/index.ts';

/** Appends of one clerk to one key; then comes the next key, so that values stay small. */
const APPENDS_PER_KEY = 40;

/** Keys that everybody puts to, and that transactions move on from what they last held. */
const COUNTERS = 8;

/** What one clerk asks: appends of unique tokens, puts, compare-and-set transactions and reads. */
export class Workload {
  readonly #clerk: string;
  readonly #prng: Prng;
  #calls = 0;
  #appends = 0;
  /** What this clerk last knew of each counter; null: absent. */
  readonly #known = new Map<string, string | null>();

  /** `clerk`: unique, without `<` and `>`. */
  constructor(clerk: string, prng: Prng) {
    this.#clerk = clerk;
    this.#prng = prng;
  }

  next(): Operation {
    const draw = this.#prng.below(100);
    const unique = `${this.#clerk} ${++this.#calls}`;
    if (draw < 55) return { type: 'append', key: this.#log(this.#appends++), value: `<${unique}>` };
    if (draw < 75) return { type: 'get', key: this.#log(this.#prng.below(this.#appends + 1)) };
    const key = `counter/${this.#prng.below(COUNTERS)}`;
    if (draw < 85) return { type: 'put', key, value: unique };
    return {
      type: 'txn',
      compares: [{ key, is: 'equal', value: this.#known.get(key) ?? null }],
      success: [{ type: 'put', key, value: unique }],
      failure: [{ type: 'get', key }],
    };
  }

  /** Remembers what an answer tells of the counters. */
  learn(operation: Operation, result: Result): void {
    if (operation.type === 'put') this.#known.set(operation.key, operation.value);
    if (operation.type !== 'txn' || result.type !== 'txn') return;
    const [step, [found]] = [operation.success[0], result.results];
    if (step?.type !== 'put') return;
    if (result.succeeded) this.#known.set(step.key, step.value);
    else if (found?.type === 'get' && (found.value === null || typeof found.value === 'string')) {
      this.#known.set(step.key, found.value);
    }
  }

  /** The key that this clerk's append number `n` goes to; all clerks append to the same keys. */
  #log(n: number): string {
    return `log/${Math.floor(n / APPENDS_PER_KEY)}`;
  }
}
