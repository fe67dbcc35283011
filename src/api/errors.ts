/**
 * Whether a refused command happened.
 * `notApplied`: never, by this request. `unknown`: perhaps, now or later. `applied`: yes, earlier.
 */
export type Outcome = 'notApplied' | 'unknown' | 'applied';

/**
 * `elsewhere`: at another member at once; `later`: after a pause; `never`: the same request fails
 * again.
 */
export type Retry = 'elsewhere' | 'later' | 'never';

interface ErrorRow {
  /** Number on the wire; never reused. */
  readonly number: number;
  readonly outcome: Outcome;
  readonly retry: Retry;
  /** gRPC status code (google.rpc.Code) for unary calls. */
  readonly grpcStatus: number;
}

const CANCELLED = 1;
const INVALID_ARGUMENT = 3;
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const RESOURCE_EXHAUSTED = 8;
const FAILED_PRECONDITION = 9;
const ABORTED = 10;
const OUT_OF_RANGE = 11;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const DATA_LOSS = 15;

/** One row for every way to be refused: the outcome comes from here, never from the caller. */
export const ERRORS = {
  // who serves
  NOT_LEADER: { number: 1, outcome: 'notApplied', retry: 'elsewhere', grpcStatus: UNAVAILABLE },
  LEADERSHIP_LOST: { number: 2, outcome: 'unknown', retry: 'elsewhere', grpcStatus: UNAVAILABLE },
  READ_UNCONFIRMED: {
    number: 3,
    outcome: 'notApplied',
    retry: 'elsewhere',
    grpcStatus: UNAVAILABLE,
  },
  STOPPING: { number: 4, outcome: 'notApplied', retry: 'elsewhere', grpcStatus: UNAVAILABLE },
  OVERLOADED: { number: 5, outcome: 'notApplied', retry: 'later', grpcStatus: RESOURCE_EXHAUSTED },
  REQUEST_TIMEOUT: {
    number: 6,
    outcome: 'unknown',
    retry: 'elsewhere',
    grpcStatus: DEADLINE_EXCEEDED,
  },
  NO_SPACE: { number: 7, outcome: 'notApplied', retry: 'never', grpcStatus: RESOURCE_EXHAUSTED },
  // the request itself
  INVALID_ARGUMENT: {
    number: 20,
    outcome: 'notApplied',
    retry: 'never',
    grpcStatus: INVALID_ARGUMENT,
  },
  TOO_LARGE: { number: 21, outcome: 'notApplied', retry: 'never', grpcStatus: INVALID_ARGUMENT },
  COMPACTED: { number: 22, outcome: 'notApplied', retry: 'never', grpcStatus: OUT_OF_RANGE },
  FUTURE_REVISION: { number: 23, outcome: 'notApplied', retry: 'never', grpcStatus: OUT_OF_RANGE },
  // leases
  LEASE_NOT_FOUND: { number: 24, outcome: 'notApplied', retry: 'never', grpcStatus: NOT_FOUND },
  LEASE_EXISTS: {
    number: 25,
    outcome: 'notApplied',
    retry: 'never',
    grpcStatus: FAILED_PRECONDITION,
  },
  LEASE_TTL_TOO_LARGE: {
    number: 26,
    outcome: 'notApplied',
    retry: 'never',
    grpcStatus: OUT_OF_RANGE,
  },
  LEASES_FULL: {
    number: 27,
    outcome: 'notApplied',
    retry: 'later',
    grpcStatus: RESOURCE_EXHAUSTED,
  },
  // sessions
  SESSION_UNKNOWN: {
    number: 40,
    outcome: 'notApplied',
    retry: 'never',
    grpcStatus: FAILED_PRECONDITION,
  },
  SESSION_EXPIRED: {
    number: 41,
    outcome: 'notApplied',
    retry: 'never',
    grpcStatus: FAILED_PRECONDITION,
  },
  SESSION_FENCED: { number: 42, outcome: 'notApplied', retry: 'never', grpcStatus: ABORTED },
  SESSION_STALE: {
    number: 43,
    outcome: 'applied',
    retry: 'never',
    grpcStatus: FAILED_PRECONDITION,
  },
  OUT_OF_ORDER: { number: 44, outcome: 'notApplied', retry: 'later', grpcStatus: ABORTED },
  SESSION_WINDOW_FULL: {
    number: 45,
    outcome: 'notApplied',
    retry: 'later',
    grpcStatus: RESOURCE_EXHAUSTED,
  },
  SESSIONS_FULL: {
    number: 46,
    outcome: 'notApplied',
    retry: 'later',
    grpcStatus: RESOURCE_EXHAUSTED,
  },
  // made by the client library
  CONNECTION_LOST: { number: 60, outcome: 'unknown', retry: 'elsewhere', grpcStatus: UNAVAILABLE },
  UNREACHABLE: { number: 61, outcome: 'notApplied', retry: 'elsewhere', grpcStatus: UNAVAILABLE },
  DEADLINE_UNKNOWN: {
    number: 62,
    outcome: 'unknown',
    retry: 'never',
    grpcStatus: DEADLINE_EXCEEDED,
  },
  DEADLINE_NOT_APPLIED: {
    number: 63,
    outcome: 'notApplied',
    retry: 'never',
    grpcStatus: DEADLINE_EXCEEDED,
  },
  CANCELLED_UNKNOWN: { number: 64, outcome: 'unknown', retry: 'never', grpcStatus: CANCELLED },
  CANCELLED_NOT_APPLIED: {
    number: 65,
    outcome: 'notApplied',
    retry: 'never',
    grpcStatus: CANCELLED,
  },
  SESSION_LOST_UNKNOWN: { number: 66, outcome: 'unknown', retry: 'never', grpcStatus: ABORTED },
  CLOSED: { number: 67, outcome: 'notApplied', retry: 'never', grpcStatus: CANCELLED },
  LEASE_LOST: { number: 69, outcome: 'notApplied', retry: 'never', grpcStatus: ABORTED },
  BAD_PEER: { number: 68, outcome: 'unknown', retry: 'elsewhere', grpcStatus: INTERNAL },
  // the member
  CORRUPT: { number: 80, outcome: 'notApplied', retry: 'elsewhere', grpcStatus: DATA_LOSS },
} as const satisfies Record<string, ErrorRow>;

/** Stable name of a refusal. */
export type ErrorCode = keyof typeof ERRORS;

/** A request that was refused or whose outcome is not known; `outcome` says whether it happened. */
export class KvError extends Error {
  readonly code: ErrorCode;
  /** With COMPACTED the oldest revision that can still be read; else null. */
  readonly compactRevision: number | null;

  constructor(
    code: ErrorCode,
    message: string,
    {
      compactRevision = null,
      ...options
    }: { cause?: unknown; compactRevision?: number | null } = {},
  ) {
    super(message, options);
    this.name = 'KvError';
    this.code = code;
    this.compactRevision = compactRevision;
  }

  /** Whether the command happened. */
  get outcome(): Outcome {
    return ERRORS[this.code].outcome;
  }
}

const CODE_BY_NUMBER: ReadonlyMap<number, ErrorCode> = new Map(
  Object.entries(ERRORS).map(([code, row]) => [row.number, code as ErrorCode]),
);

/** The code with this wire number; null for one of a newer version. */
export function errorCodeOf(number: number): ErrorCode | null {
  return CODE_BY_NUMBER.get(number) ?? null;
}
