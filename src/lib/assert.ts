/** A promise made inside this program was broken: a bug. Whoever owns the process stops it. */
export class InvariantViolation extends Error {
  /** The values that show the breach. */
  readonly details: Readonly<Record<string, unknown>>;

  constructor(message: string, details: Readonly<Record<string, unknown>>) {
    super(`invariant broken: ${message} ${describe(details)}`);
    this.name = 'InvariantViolation';
    this.details = details;
  }
}

/**
 * States what must hold here; asserts stay on in production.
 * @throws InvariantViolation when `condition` is false.
 */
export function assert(
  condition: boolean,
  message: string,
  details: Readonly<Record<string, unknown>> = {},
): asserts condition {
  if (!condition) throw new InvariantViolation(message, details);
}

/** Closes an exhaustive `switch`: the compiler refuses it while a case is missing. */
export function unreachable(value: never): never {
  throw new InvariantViolation('unreachable case', { value });
}

function describe(details: Readonly<Record<string, unknown>>): string {
  return Object.entries(details)
    .map(
      ([name, value]) =>
        `${name}=${typeof value === 'object' ? JSON.stringify(value, bigints) : String(value)}`,
    )
    .join(' ');
}

function bigints(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString(16) : value;
}
