/** The codes of google.rpc.Code (https://grpc.io/docs/guides/status-codes/). */
export const GRPC_STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type GrpcStatus = keyof typeof GRPC_STATUS;

export type GrpcTrailers = Readonly<Record<string, string | Uint8Array>>;

/** A call that ends with a status other than OK. The message is shown to the client. */
export class GrpcError extends Error {
  /** Code number: a key of GRPC_STATUS, or one that a newer peer knows. */
  readonly code: number;
  /**
   * Sent as trailers beside the status: names in lower case, values in printable ASCII; bytes under
   * names that end in `-bin` (grpc-status-details-bin: a google.rpc.Status).
   */
  readonly trailers: GrpcTrailers;

  constructor(
    status: GrpcStatus | number,
    message: string,
    options: { trailers?: GrpcTrailers; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'GrpcError';
    this.code = typeof status === 'number' ? status : GRPC_STATUS[status];
    this.trailers = options.trailers ?? {};
  }
}
