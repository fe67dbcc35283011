/** A write that ended without the cluster's own answer. Its number can never run from now on. */
export class ExactlyOnceError extends Error {
  /** Whether it happened. `unknown`: perhaps, once. */
  readonly outcome: 'notApplied' | 'unknown';

  constructor(message: string, outcome: 'notApplied' | 'unknown', options: { cause?: unknown }) {
    super(
      `${message} (${outcome === 'unknown' ? 'it may have happened' : 'not applied'})`,
      options,
    );
    this.name = 'ExactlyOnceError';
    this.outcome = outcome;
  }
}
