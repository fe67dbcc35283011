import { API_LIMITS, KvError } from '../api/index.ts';
import type { ClerkTls } from './dial.ts';
import { type Endpoint, endpointText, parseEndpoint } from './endpoint.ts';
import { CLERK_LIMITS } from './limits.ts';
import type { SessionOptions } from './opening.ts';
import { bytesOf } from './text.ts';

/** How to reach a cluster, and as whom. */
export interface ClerkOptions {
  /**
   * Members' client addresses: `host:port`, `[v6]:port`, `http://host:port` or `https://…`; one,
   * several, or several separated by commas (etcd: --endpoints).
   */
  readonly endpoints: string | readonly string[];
  /** For `https` endpoints; given, it also makes those `https` that have no scheme. */
  readonly tls?: ClerkTls;
  /**
   * Name of the session, at most 256 bytes: a clerk that is opened again under the same name finds
   * out what ran, and shuts out the earlier one. Default: an anonymous session for each clerk.
   */
  readonly session?: string;
  /**
   * Idle life of the session, milliseconds of log time; the server clamps it.
   * Default: 24 hours for a named session, 5 minutes for an anonymous one.
   */
  readonly sessionTtlMs?: number;
  /** How long a call waits unless it says otherwise, milliseconds. Default: 5000. */
  readonly requestTimeoutMs?: number;
  /**
   * May go to members outside `endpoints` that a leader hint names. Default: true; false helps
   * where the members' own addresses cannot be reached from here.
   */
  readonly discover?: boolean;
  /** Calls off the connecting; without effect afterwards. */
  readonly signal?: AbortSignal;
}

/** The same, checked and complete. */
export interface CheckedOptions {
  readonly endpoints: readonly Endpoint[];
  /** Endpoints without a scheme speak TLS. */
  readonly bareTls: boolean;
  readonly session: SessionOptions;
  readonly requestTimeoutMs: number;
  readonly discover: boolean;
}

/** @throws KvError INVALID_ARGUMENT that names the option and what is wrong, in one line. */
export function checkOptions(options: ClerkOptions): CheckedOptions {
  const bareTls = options.tls !== undefined;
  const name = options.session ?? null;
  if (name !== null) checkName(name);
  const ttlMs = name === null ? CLERK_LIMITS.anonymousTtlMs : CLERK_LIMITS.namedTtlMs;
  return {
    endpoints: checkEndpoints(options.endpoints, bareTls),
    bareTls,
    session: { name, ttlMs: checkMs(options.sessionTtlMs ?? ttlMs, 'sessionTtlMs') },
    requestTimeoutMs: checkTimeout(
      options.requestTimeoutMs ?? CLERK_LIMITS.requestTimeoutMs,
      'requestTimeoutMs',
    ),
    discover: options.discover ?? true,
  };
}

/** @throws KvError INVALID_ARGUMENT unless it is an integer a timer can carry. */
export function checkTimeout(timeoutMs: number, what: string): number {
  if (checkMs(timeoutMs, what) <= CLERK_LIMITS.timeoutMsMax) return timeoutMs;
  throw new KvError('INVALID_ARGUMENT', `${what}: at most ${CLERK_LIMITS.timeoutMsMax} ms`);
}

function checkMs(value: number, what: string): number {
  if (Number.isSafeInteger(value) && value >= 1) return value;
  const said = `${what}: expected a positive whole number of milliseconds, got ${value}`;
  throw new KvError('INVALID_ARGUMENT', said);
}

function checkEndpoints(given: string | readonly string[], bareTls: boolean): Endpoint[] {
  const texts = (typeof given === 'string' ? given.split(',') : given).map((text) => text.trim());
  const byText = new Map<string, Endpoint>();
  for (const text of texts) {
    const endpoint = parseEndpoint(text, bareTls);
    byText.set(endpointText(endpoint), endpoint);
  }
  if (byText.size === 0) throw new KvError('INVALID_ARGUMENT', 'endpoints: at least one is needed');
  if (byText.size > CLERK_LIMITS.endpointsMax) {
    throw new KvError('INVALID_ARGUMENT', `endpoints: at most ${CLERK_LIMITS.endpointsMax}`);
  }
  return [...byText.values()];
}

function checkName(name: string): void {
  const { length } = bytesOf(name, 'session');
  if (length === 0) {
    throw new KvError('INVALID_ARGUMENT', 'session: a name cannot be empty; leave it out instead');
  }
  if (length > API_LIMITS.sessionNameBytesMax) {
    const { sessionNameBytesMax } = API_LIMITS;
    const said = `session: a name has at most ${sessionNameBytesMax} bytes, not ${length}`;
    throw new KvError('INVALID_ARGUMENT', said);
  }
}
