import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { ClientClosedError, type Etcd3 } from 'etcd3';
import { ExactlyOnceError } from './exactly-once-error.ts';
import { Numbers } from './numbers.ts';
import { type AttemptEnd, callWith, type Pool, type PoolCall } from './scoped-call.ts';
import { Slots } from './slots.ts';

export interface ExactlyOnceOptions {
  /**
   * Name of the session. Of the clients that name it the last one counts: it shuts out the others.
   */
  readonly session: string;
  /** Idle life of the session, milliseconds; in whole seconds [24 hours]. */
  readonly sessionTtlMs?: number;
  /**
   * A write is repeated for that long before it is given up, milliseconds [60,000]; by a deadline
   * of its own sooner. At most 50 are under way at the same time, others wait for them meanwhile.
   */
  readonly timeoutMs?: number;
}

/**
 * Opens the session, and makes every write of this client (put, delete, transaction, compaction,
 * lease grant and revoke), of its namespaces, locks and leases too, one of the session's.
 * Resolves with the same client.
 * @throws ExactlyOnceError when no member answers in time, or the server keeps no sessions.
 */
export async function withExactlyOnce(etcd: Etcd3, options: ExactlyOnceOptions): Promise<Etcd3> {
  // Protected, but part of the published types: the one thing that all calls go through.
  const pool = etcd['pool'];
  if (POOLS.has(pool)) throw new Error('this client has a session already');
  POOLS.add(pool);
  const writer = new SessionWriter(pool, options);
  const { exec } = pool;
  await writer.open();
  pool.exec = <T>(...[service, method, payload, callOptions]: Parameters<Pool['exec']>) => {
    const call: PoolCall = { service, method, payload, options: callOptions };
    if (!isWrite(call)) return exec.call(pool, service, method, payload, callOptions) as Promise<T>;
    return writer.write(call) as Promise<T>;
  };
  return etcd;
}

/** Those whose writes are a session's: a write can be of one session only. */
const POOLS = new WeakSet<Pool>();

const WRITES: ReadonlySet<string> = new Set([
  'KV.put',
  'KV.deleteRange',
  'KV.txn',
  'KV.compact',
  'Lease.leaseGrant',
  'Lease.leaseRevoke',
]);

function isWrite({ service, method }: PoolCall): boolean {
  return WRITES.has(`${service}.${method}`);
}

const TIMEOUT_MS = 60_000;
/**
 * Writes that have a number at the same time. A server takes 100 calls at a time on a connection:
 * with more of them, a write that has to be sent again would wait for room behind its successors,
 * which wait for it.
 */
const NUMBERED_MAX = 50;
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 500;

/** Changes nothing, and uses up a number that was given to a write that nobody waits for. */
const NOTHING: PoolCall = {
  service: 'KV',
  method: 'txn',
  payload: { compare: [], success: [], failure: [] },
};
const STATUS: PoolCall = { service: 'Maintenance', method: 'status', payload: {} };

/** gRPC statuses after which the same call can end otherwise. */
const STATUS_CODE = { RESOURCE_EXHAUSTED: 8, DEADLINE_EXCEEDED: 4 } as const;
/** CANCELLED, UNKNOWN, ABORTED, INTERNAL, UNAVAILABLE */
const PASSING: ReadonlySet<number> = new Set([1, 2, 10, 13, 14]);

/** A write's place: which number of which incarnation. */
interface Place {
  readonly numbers: Numbers;
  readonly seq: number;
}

class SessionWriter {
  readonly #pool: Pool;
  readonly #exec: Pool['exec'];
  readonly #options: ExactlyOnceOptions;
  readonly #slots = new Slots(NUMBERED_MAX);
  #numbers: Numbers | null = null;
  /** The session that is being opened, one for all who wait. */
  #opening: Promise<Numbers> | null = null;

  constructor(pool: Pool, options: ExactlyOnceOptions) {
    this.#pool = pool;
    this.#exec = pool.exec;
    this.#options = options;
  }

  /** Opens the session, unless that is going on. */
  open(): Promise<Numbers> {
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null;
    });
    return this.#opening;
  }

  /** Repeats a write until its end is certain. */
  async write(call: PoolCall): Promise<unknown> {
    const deadlineMs = this.#deadlineMs();
    const ownMs = Number(call.options?.deadline ?? Number.POSITIVE_INFINITY) - Date.now();
    if (!(await this.#slots.take(Math.min(ownMs, deadlineMs - performance.now())))) {
      throw new ExactlyOnceError(`${call.method}: those before it took too long`, 'notApplied', {});
    }
    // What is given up keeps its slot until its number is used up: no others pile up behind it.
    let usedUp = Promise.resolve();
    try {
      return await this.#write(call, deadlineMs, (place) => {
        usedUp = this.#useUp(place);
      });
    } finally {
      void usedUp.finally(() => this.#slots.give());
    }
  }

  async #write(
    call: PoolCall,
    deadlineMs: number,
    giveUp: (place: Place) => void,
  ): Promise<unknown> {
    let place = await this.#take();
    let isInDoubt = false;
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const attempt = await this.#attempt(call, place);
      const { error, ends } = attempt;
      if (ends.some((end) => isUsedUp(end, place.seq))) {
        place.numbers.end(place.seq);
        if (error === null) return attempt.response;
        throw error;
      }
      isInDoubt ||= ends.some(mayHaveHappened);
      const next = this.#next(attempt);
      if (next === 'reopen' && !isInDoubt) {
        place = await this.#take(place.numbers);
        continue;
      }
      if (next === 'again' && performance.now() + pauseMs < deadlineMs) {
        await pause(pauseMs);
        continue;
      }
      if (next === 'fenced') place.numbers.isFenced = true;
      if (next === 'again' || next === 'giveUp') giveUp(place);
      throw givenUp(call, isInDoubt, error);
    }
  }

  #deadlineMs(): number {
    return performance.now() + (this.#options.timeoutMs ?? TIMEOUT_MS);
  }

  /** @param over the incarnation whose session is over; another one is needed. */
  async #take(over: Numbers | null = null): Promise<Place> {
    const isUsable = this.#numbers !== null && this.#numbers !== over;
    const numbers = isUsable && this.#numbers !== null ? this.#numbers : await this.open();
    if (numbers.isFenced) throw fencedError(this.#options.session);
    return { numbers, seq: numbers.take() };
  }

  async #attempt(call: PoolCall, { numbers, seq }: Place): Promise<Attempt> {
    return this.#call(call, {
      'quorate-session': numbers.token,
      'quorate-seq': `${seq}`,
      'quorate-acked': `${numbers.ackedBelow(seq)}`,
    });
  }

  async #call(call: PoolCall, metadata: Readonly<Record<string, string>>): Promise<Attempt> {
    const ends: AttemptEnd[] = [];
    const onEnd = (end: AttemptEnd): void => void ends.push(end);
    const through = { pool: this.#pool, exec: this.#exec };
    try {
      const response = await callWith(through, call, { metadata, onEnd });
      return { response, error: null, ends };
    } catch (error) {
      return { response: null, error, ends };
    }
  }

  #next({ error, ends }: Attempt): Next {
    // The circuit breaker was open, or there was no connection: nothing was sent.
    const last = ends.at(-1);
    if (error instanceof ClientClosedError) return 'closed';
    if (last === undefined) return 'again';
    switch (last.said.get('quorate-code')) {
      case 'SESSION_FENCED':
        return 'fenced';
      case 'SESSION_EXPIRED':
      case 'SESSION_UNKNOWN':
        return 'reopen';
      case undefined:
        return PASSING.has(last.status) ? 'again' : 'giveUp';
      default: {
        const { RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED } = STATUS_CODE;
        const mayPass = [RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED].some(
          (code) => code === last.status,
        );
        return mayPass || PASSING.has(last.status) ? 'again' : 'giveUp';
      }
    }
  }

  /** Until the number is certainly used up: by the write itself if it happened, or by nothing. */
  async #useUp(place: Place): Promise<void> {
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const attempt = await this.#attempt(NOTHING, place);
      if (attempt.ends.some((end) => isUsedUp(end, place.seq))) {
        place.numbers.end(place.seq);
        return;
      }
      const next = this.#next(attempt);
      if (next === 'fenced' || next === 'reopen' || next === 'closed') return;
      // Nobody waits for this: it does not keep the process alive.
      await pause(pauseMs, undefined, { ref: false });
    }
  }

  async #open(): Promise<Numbers> {
    const { session, sessionTtlMs } = this.#options;
    const deadlineMs = this.#deadlineMs();
    const metadata = {
      'quorate-session-open': session,
      'quorate-nonce': randomBytes(16).toString('hex'),
      ...(sessionTtlMs === undefined
        ? {}
        : { 'quorate-session-ttl': `${Math.ceil(sessionTtlMs / 1000)}` }),
    };
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      const attempt = await this.#call(STATUS, metadata);
      const { error, ends } = attempt;
      const said = ends.at(-1)?.said;
      const token = said?.get('quorate-session');
      if (token !== undefined) {
        this.#numbers = new Numbers({ token, lastSeq: Number(said?.get('quorate-last-seq')) });
        return this.#numbers;
      }
      const what = `opening session ${JSON.stringify(session)}`;
      if (error === null) {
        throw new ExactlyOnceError(`${what}: this server keeps no sessions`, 'notApplied', {});
      }
      if (this.#next(attempt) !== 'again' || performance.now() + pauseMs >= deadlineMs) {
        throw new ExactlyOnceError(what, 'notApplied', { cause: error });
      }
      await pause(pauseMs);
    }
  }
}

interface Attempt {
  readonly response: unknown;
  /** As etcd3 throws it; null: none. */
  readonly error: unknown;
  readonly ends: readonly AttemptEnd[];
}

/**
 * What a write does that has no certain end yet. `again`: the same, after a pause · `reopen`: its
 * session is over · `fenced`: another client has the session · `giveUp`: it would end like that
 * each time · `closed`: this client is.
 */
type Next = 'again' | 'reopen' | 'fenced' | 'giveUp' | 'closed';

/** The answer says that the number is used up: then it is certain. */
function isUsedUp({ said }: AttemptEnd, seq: number): boolean {
  return said.get('quorate-seq') === `${seq}`;
}

function mayHaveHappened({ said }: AttemptEnd): boolean {
  return said.get('quorate-outcome') !== 'notApplied';
}

function givenUp({ method }: PoolCall, isInDoubt: boolean, cause: unknown): ExactlyOnceError {
  const why = cause instanceof Error ? cause.message : 'the server keeps no sessions';
  return new ExactlyOnceError(`${method}: ${why}`, isInDoubt ? 'unknown' : 'notApplied', { cause });
}

function fencedError(session: string): ExactlyOnceError {
  const message = `another client opened session ${JSON.stringify(session)}`;
  return new ExactlyOnceError(message, 'notApplied', {});
}
