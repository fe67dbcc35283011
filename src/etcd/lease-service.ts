import { API_LIMITS } from '../api/index.ts';
import { type GrpcBidiMethod, GrpcError, type GrpcStream } from '../grpc/index.ts';
import {
  ask,
  decoded,
  demandLeader,
  type EtcdContext,
  execute,
  headerOf,
  isStatus,
  type Methods,
  NO_LEADER,
  unary,
  wantsLeader,
} from './context.ts';
import { etcdError } from './errors.ts';
import { watchLeader } from './leader-watch.ts';
import { EMPTY_REQUEST, HEADER_ONLY } from './messages/common.ts';
import {
  LEASE_GRANT_REQUEST,
  LEASE_GRANT_RESPONSE,
  LEASE_ID_REQUEST,
  LEASE_KEEP_ALIVE_RESPONSE,
  LEASE_LEASES_RESPONSE,
  LEASE_TIME_TO_LIVE_REQUEST,
  LEASE_TIME_TO_LIVE_RESPONSE,
} from './messages/lease.ts';
import type { Writes } from './session-writes.ts';

/** etcdserverpb.Lease */
export function leaseMethods(context: EtcdContext, writes: Writes): Methods {
  return {
    LeaseGrant: unary(context, GRANT, ({ TTL, ID }, call) =>
      writes.run(call, async (write) => {
        const lease = ID === 0n ? write.leaseId() : ID;
        const grant = { type: 'leaseGrant', lease, ttlMs: ttlMsOf(TTL) } as const;
        const { revision, ttlMs } = await write.execute(grant);
        return { header: write.headerOf(revision), ID: lease, TTL: Math.ceil(ttlMs / 1000) };
      }),
    ),
    LeaseRevoke: writes.method(REVOKE, {
      operationOf: ({ ID }) => ({ type: 'leaseRevoke', lease: ID }),
      responseOf: ({ revision }, write) => ({ header: write.headerOf(revision) }),
    }),
    LeaseKeepAlive: keepAliveMethod(context),
    LeaseTimeToLive: unary(context, TIME_TO_LIVE, ({ ID, keys }) => timeToLive(context, ID, keys)),
    LeaseLeases: unary(context, LEASES, async () => {
      const { revision, leases } = await ask(context, { type: 'leases' });
      return { header: headerOf(context, revision), leases: leases.map((ID) => ({ ID })) };
    }),
  };
}

const GRANT = { request: LEASE_GRANT_REQUEST, response: LEASE_GRANT_RESPONSE };
const REVOKE = { request: LEASE_ID_REQUEST, response: HEADER_ONLY };
const TIME_TO_LIVE = { request: LEASE_TIME_TO_LIVE_REQUEST, response: LEASE_TIME_TO_LIVE_RESPONSE };
const LEASES = { request: EMPTY_REQUEST, response: LEASE_LEASES_RESPONSE };

/** Anything below the least that is granted is raised to it, zero and less among it. */
function ttlMsOf(seconds: number): number {
  const secondsMax = API_LIMITS.leaseTtlMsMax / 1000;
  if (seconds > secondsMax) throw etcdError('OUT_OF_RANGE', 'too large lease TTL');
  return Math.max(seconds, 0) * 1000;
}

async function timeToLive(context: EtcdContext, ID: bigint, keys: boolean) {
  try {
    const result = await ask(context, { type: 'leaseTimeToLive', lease: ID, keys });
    return {
      header: headerOf(context, result.revision),
      ID,
      TTL: Math.floor(result.remainingMs / 1000),
      grantedTTL: Math.ceil(result.ttlMs / 1000),
      keys: result.keys,
    };
  } catch (error) {
    if (!isStatus(error, 'NOT_FOUND')) throw error;
    return { header: headerOf(context, context.member.feed.revision), ID, TTL: -1 };
  }
}

/** One answer for each request, in their order; a lease that is no more is answered with 0. */
function keepAliveMethod(context: EtcdContext): GrpcBidiMethod {
  return {
    type: 'bidi',
    open(call, stream) {
      demandLeader(context, call);
      const queue = new OrderedAnswers(stream, context.limits.keepAlivesInFlightMax);
      const noLeader = (): void => stream.end(NO_LEADER);
      const leaderTimer = wantsLeader(call) ? watchLeader(context, noLeader) : null;
      return {
        onMessage: (message) =>
          queue.add(keepAlive(context, decoded(LEASE_ID_REQUEST, message).ID)),
        onEnd: () => queue.finish(),
        onClosed: () => leaderTimer?.cancel(),
        onStopping: () => stream.end(etcdError('UNAVAILABLE', 'server stopped')),
      };
    },
  };
}

async function keepAlive(context: EtcdContext, ID: bigint): Promise<Uint8Array> {
  try {
    const { revision, ttlMs } = await execute(context, { type: 'leaseKeepAlive', lease: ID });
    const TTL = Math.ceil(ttlMs / 1000);
    return LEASE_KEEP_ALIVE_RESPONSE.encode({ header: headerOf(context, revision), ID, TTL });
  } catch (error) {
    if (!isStatus(error, 'NOT_FOUND')) throw error;
    const header = headerOf(context, context.member.feed.revision);
    return LEASE_KEEP_ALIVE_RESPONSE.encode({ header, ID });
  }
}

/** Sends answers in the order of their requests, however they come; the first failure ends it. */
class OrderedAnswers {
  readonly #stream: GrpcStream;
  readonly #waitingMax: number;
  #waiting = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(stream: GrpcStream, waitingMax: number) {
    this.#stream = stream;
    this.#waitingMax = waitingMax;
  }

  add(answer: Promise<Uint8Array>): void {
    if (++this.#waiting === this.#waitingMax) this.#stream.pause();
    const deliver = answer.then(
      (message) => () => this.#stream.send(message),
      (cause: unknown) => () => this.#stream.end(asGrpcError(cause)),
    );
    this.#tail = this.#tail.then(async () => {
      const run = await deliver;
      run();
      if (this.#waiting-- === this.#waitingMax) this.#stream.resume();
    });
  }

  /** The client sends no more: the stream ends behind the last answer. */
  finish(): void {
    this.#tail = this.#tail.then(() => this.#stream.end(null));
  }
}

function asGrpcError(cause: unknown): GrpcError {
  if (cause instanceof GrpcError) return cause;
  return new GrpcError('INTERNAL', 'keep-alive failed', { cause });
}
