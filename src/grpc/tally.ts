import type { GrpcMethod } from './method.ts';
import { GRPC_STATUS } from './status.ts';

/** What became of the calls of one method since the server was made. Counters only grow. */
export interface MethodTally {
  /** `/package.Service/Method`. */
  readonly path: string;
  readonly type: GrpcMethod['type'];
  /** Calls that reached the method. */
  readonly started: number;
  /** Those that are over, by code: the index is that of GRPC_STATUS. */
  readonly handled: readonly number[];
  /** Messages that were given to the method, and their bytes: without prefix, not compressed. */
  readonly received: number;
  readonly receivedBytes: number;
  /** Messages that the method gave, and their bytes. */
  readonly sent: number;
  readonly sentBytes: number;
}

/** The same, for calls to count in: plain numbers, as this is done for every message. */
export class CallCounter implements MethodTally {
  readonly path: string;
  readonly type: GrpcMethod['type'];
  readonly handled: number[] = Object.values(GRPC_STATUS).map(() => 0);
  started = 0;
  received = 0;
  receivedBytes = 0;
  sent = 0;
  sentBytes = 0;

  constructor(path: string, { type }: GrpcMethod) {
    this.path = path;
    this.type = type;
  }

  /** A call is over. Codes of newer peers, passed on by a method, count as UNKNOWN. */
  end(code: number): void {
    const before = this.handled[code];
    if (before === undefined) this.end(GRPC_STATUS.UNKNOWN);
    else this.handled[code] = before + 1;
  }
}

/** A method and the place where its calls are counted. */
export interface CountedMethod {
  readonly method: GrpcMethod;
  readonly counter: CallCounter;
}

/** Gives each method its counter. */
export function countedMethods(
  methods: ReadonlyMap<string, GrpcMethod>,
): ReadonlyMap<string, CountedMethod> {
  const counted = [...methods].map(([path, method]) => {
    return [path, { method, counter: new CallCounter(path, method) }] as const;
  });
  return new Map(counted);
}
