/** A promise was broken: what the simulator is looking for. */
export class Violation extends Error {
  /** Short name of the promise, for counting. */
  readonly promise: string;

  constructor(promise: string, what: string) {
    super(`${promise}: ${what}`);
    this.name = 'Violation';
    this.promise = promise;
  }
}
