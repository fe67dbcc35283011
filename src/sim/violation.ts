import { InvariantViolation } from '../lib/index.ts';

/** A promise was broken: what the simulator is looking for. */
export class Violation extends Error {
  /** Short name of the promise, for counting. */
  readonly promise: string;

  /** `cause`: what was thrown, when it was not the simulator that noticed. */
  constructor(promise: string, what: string, options?: ErrorOptions) {
    super(`${promise}: ${what}`, options);
    this.name = 'Violation';
    this.promise = promise;
  }

  /** An assertion of the production code noticed it, and not the simulator. */
  get byAssertion(): boolean {
    return this.cause instanceof InvariantViolation;
  }
}
