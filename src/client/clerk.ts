import { decodeAnswer, type KeyValue, KvError, type MemberStatus } from '../api/index.ts';
import { systemClock, systemRandom } from '../io/index.ts';
import { type CallOptions, ClerkCore, type ClerkIo } from './core.ts';
import { dialer } from './dial.ts';
import {
  campaign,
  type ElectOptions,
  type Leadership,
  type ObserveOptions,
  observeLeaders,
} from './election.ts';
import { grpcChannels } from './grpc-channel.ts';
import { type GrantOptions, holdLease, type Lease, Leases } from './lease.ts';
import { acquireLock, type Lock, type LockOptions } from './lock.ts';
import type { OpenedSession } from './opening.ts';
import { type ClerkOptions, checkOptions } from './options.ts';
import {
  deleteOf,
  integer,
  type OnLease,
  putOf,
  type RangeOptions,
  rangeOf,
  type Span,
  type TxnRequest,
  txnOf,
} from './request.ts';
import {
  type AppendOutcome,
  type CompactOutcome,
  type DeleteOutcome,
  type Entry,
  entryOf,
  expectType,
  type PutOutcome,
  type RangeOutcome,
  type Resolution,
  rangeOutcomeOf,
  resolutionOf,
  stepOutcomeOf,
  type TxnOutcome,
} from './result.ts';
import { type As, type Bytes, bytesOf, type Out, outOf } from './text.ts';
import { openWatch, type Watch, type WatchOptions } from './watch.ts';

/** What every write takes. */
export interface WriteOptions extends CallOptions {
  /**
   * The command's number in a named session, for scripts that count by themselves. The next number
   * is executed; an executed one gets the answer that was given first, and nothing happens; a
   * larger one is refused with OUT_OF_ORDER, which names the next one.
   */
  readonly seq?: number;
}

/** How keys and values are given out. */
export interface Format<A extends As> {
  /** Default: `text`, which refuses what is not UTF-8. */
  readonly as?: A;
}

/** What a write takes that can tell what was there before. */
export interface PrevOptions<A extends As> extends WriteOptions, Format<A> {
  /** Answer with what the keys held before. Default: false. */
  readonly prevKv?: boolean;
}

/** What every read takes. */
export interface ReadOptions<A extends As> extends CallOptions, Format<A> {
  /**
   * Let any member answer from what it has: faster, works without a majority, and may be stale.
   * Default: false, that is linearizable.
   */
  readonly serializable?: boolean;
}

/**
 * A client of a cluster. Every command is executed exactly once, and commands of one clerk in the
 * order of the calls, awaited or not; it is retried under its number until that is certain, on
 * whatever member leads. A rejected call's `KvError.outcome` says whether the command happened.
 * A read sees every write that was acknowledged before the read was called, by whomever; a read
 * called while writes are under way may run before or after them: await what it must see.
 */
export class Clerk {
  readonly #core: ClerkCore;
  readonly #leases: Leases;

  /** Use `Clerk.connect`. */
  constructor(core: ClerkCore) {
    this.#core = core;
    this.#leases = new Leases(core);
  }

  /**
   * Connects to a cluster. With a session name, resolves when the session is open; without one at
   * once, and the anonymous session is opened by the first write.
   * @throws KvError INVALID_ARGUMENT for unusable options; DEADLINE_* or CANCELLED_* when the
   *   session could not be opened in time.
   */
  static async connect(options: ClerkOptions): Promise<Clerk> {
    const channels = grpcChannels(systemClock, dialer(options.tls));
    return await createClerk(options, { clock: systemClock, random: systemRandom, channels });
  }

  /**
   * The session in use; null before an anonymous one is opened by the first write, and after one
   * expired until the next write opens another.
   */
  get session(): OpenedSession | null {
    return this.#core.session;
  }

  /** Sets a key. */
  async put<A extends As = 'text'>(
    key: Bytes,
    value: Bytes,
    options: PrevOptions<A> & OnLease = {},
  ): Promise<PutOutcome<A>> {
    const written = await this.#core.write('put', putOf(key, value, options), options);
    const result = expectType(written.answer, 'put', wanted('put', options));
    const prev = result.prevKv === null ? null : entryOf(result.prevKv, formatOf(options));
    return { seq: written.seq, revision: result.revision, prev };
  }

  /** Adds to the end of a key's value; on a missing key it acts like `put`. */
  async append(key: Bytes, value: Bytes, options: WriteOptions = {}): Promise<AppendOutcome> {
    const operation = { key: bytesOf(key, 'key'), value: bytesOf(value, 'value') };
    const written = await this.#core.write('append', { type: 'append', ...operation }, options);
    const result = expectType(written.answer, 'append', wanted('append', options));
    return { seq: written.seq, revision: result.revision, valueBytes: result.valueBytes };
  }

  /** Deletes a key, or all keys of a span. */
  async delete<A extends As = 'text'>(
    span: Span,
    options: PrevOptions<A> = {},
  ): Promise<DeleteOutcome<A>> {
    const operation = deleteOf(span, options.prevKv ?? false);
    const written = await this.#core.write('delete', operation, options);
    const { revision, deleted, prevKvs } = expectType(
      written.answer,
      'delete',
      wanted('delete', options),
    );
    const prev = prevKvs.map((kv) => entryOf(kv, formatOf(options)));
    return { seq: written.seq, revision, deleted, prev };
  }

  /** Looks at conditions and takes one of two lists of steps, all in one revision. */
  async txn<A extends As = 'text'>(
    request: TxnRequest,
    options: WriteOptions & Format<A> = {},
  ): Promise<TxnOutcome<A>> {
    const written = await this.#core.write('txn', txnOf(request), options);
    const result = expectType(written.answer, 'txn', wanted('txn', options));
    const results = result.results.map((one) => stepOutcomeOf(one, formatOf(options)));
    const { revision, succeeded } = result;
    return { seq: written.seq, revision, succeeded, results };
  }

  /**
   * Forgets what the keys were before a revision, which itself stays readable. The space is freed
   * bit by bit afterwards.
   * @throws KvError COMPACTED for a revision that is not above the last one compacted to,
   *   FUTURE_REVISION for one above the newest.
   */
  async compact(revision: number, options: WriteOptions = {}): Promise<CompactOutcome> {
    integer(revision, 'revision', 1);
    const written = await this.#core.write('compact', { type: 'compact', revision }, options);
    const result = expectType(written.answer, 'compact', wanted('compact', options));
    return { seq: written.seq, revision: result.revision };
  }

  /**
   * The value of a key; null when there is none. Text unless `{ as: 'bytes' }` is asked for.
   * @throws KvError INVALID_ARGUMENT when text is wanted and the value is not UTF-8.
   */
  async get<A extends As = 'text'>(
    key: Bytes,
    options: ReadOptions<A> & Pick<RangeOptions, 'revision'> = {},
  ): Promise<Out<A> | null> {
    const kv = await this.#getOne(key, options);
    return kv === null ? null : outOf(kv.value, formatOf(options), 'the value');
  }

  /** A key with its value and revisions; null when there is none. */
  async getEntry<A extends As = 'text'>(
    key: Bytes,
    options: ReadOptions<A> & Pick<RangeOptions, 'revision'> = {},
  ): Promise<Entry<A> | null> {
    const kv = await this.#getOne(key, options);
    return kv === null ? null : entryOf(kv, formatOf(options));
  }

  /** Reads the keys of a span in the order of their bytes. */
  async range<A extends As = 'text'>(
    span: Span,
    options: ReadOptions<A> & RangeOptions = {},
  ): Promise<RangeOutcome<A>> {
    const query = { serializable: options.serializable ?? false, query: rangeOf(span, options) };
    const answer = await this.#core.ask('range', query, options);
    const result = expectType(answer, 'range', wanted('range', {}));
    return rangeOutcomeOf(result, formatOf(options));
  }

  /**
   * What became of a command of this clerk's session, or of another one's: for after a rejection
   * whose outcome is unknown. Of a command that this clerk gave up, waits until that is certain.
   */
  async resolve(
    seq: number,
    options: CallOptions & { readonly sessionId?: number } = {},
  ): Promise<Resolution> {
    integer(seq, 'seq', 1);
    const ownId = this.#core.session?.id;
    const sessionId = options.sessionId ?? ownId;
    if (sessionId === undefined) {
      throw new KvError('INVALID_ARGUMENT', 'resolve: no session is open: name one by sessionId');
    }
    integer(sessionId, 'sessionId', 1);
    if (sessionId === ownId) {
      const ending = await this.#core.ending(seq, options);
      if (ending !== null) return ending;
    }
    const query = { type: 'resolve', sessionId, seq } as const;
    const answer = await this.#core.ask('resolve', { serializable: false, query }, options);
    const { state, answer: kept } = expectType(answer, 'resolve', wanted('resolve', {}));
    if (state !== 'executed') return { state };
    if (kept === null) throw new KvError('BAD_PEER', 'resolve: executed, but without its answer');
    return resolutionOf(decodeAnswer(kept));
  }

  /**
   * Follows the changes of a span from now on, or from a revision: see `Watch`. Resolves when the
   * place where it begins is known: every change acknowledged after that is seen.
   * @throws KvError as a read.
   */
  watch<A extends As = 'text'>(span: Span, options: WatchOptions<A> = {}): Promise<Watch<A>> {
    return openWatch(this.#core, span, options);
  }

  /** Leases by their ids, one command each. */
  get leases(): Leases {
    return this.#leases;
  }

  /** Makes a lease and keeps it alive while this clerk lives: see `Lease`. */
  lease(options: GrantOptions): Promise<Lease> {
    return holdLease(this.#core, this.#leases, options);
  }

  /**
   * Waits for a lock and holds it until `release`, or until its lease is lost: see `Lock`. First
   * come, first served, together with etcd's clients; like theirs, lock `a` also waits for holders
   * of `a/b`.
   * @throws KvError LEASE_LOST when the lease did not last; CANCELLED_* after the signal.
   */
  lock(name: string, options: LockOptions = {}): Promise<Lock> {
    return acquireLock(this, name, options);
  }

  /**
   * Campaigns in an election until this clerk leads: see `Leadership`. It proclaims `value`.
   * @throws KvError as `lock`.
   */
  elect(name: string, value: Bytes, options: ElectOptions = {}): Promise<Leadership> {
    return campaign(this, { name, value }, options);
  }

  /** Who leads in an election and what it proclaims, now and from now on. Left with `break`. */
  observe<A extends As = 'text'>(
    name: string,
    options: ObserveOptions<A> = {},
  ): AsyncGenerator<Entry<A>, void, undefined> {
    return observeLeaders(this, name, options);
  }

  /** How a member sees itself: the one in use, or the one at `endpoint`. */
  async status(endpoint: string | null = null, options: CallOptions = {}): Promise<MemberStatus> {
    const parsed = endpoint === null ? null : this.#core.endpointOf(endpoint);
    return await this.#core.status(parsed, options);
  }

  /**
   * Rejects what is under way, ends an anonymous session if that is possible at once, and releases
   * every socket and timer. A named session stays for the next clerk. Twice is safe.
   */
  close(): Promise<void> {
    return this.#core.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #getOne(
    key: Bytes,
    options: ReadOptions<As> & Pick<RangeOptions, 'revision'>,
  ): Promise<KeyValue | null> {
    const { revision, serializable = false } = options;
    const range = rangeOf(bytesOf(key, 'key'), revision === undefined ? {} : { revision });
    const answer = await this.#core.ask('get', { serializable, query: range }, options);
    return expectType(answer, 'range', wanted('get', {})).kvs[0] ?? null;
  }
}

/**
 * A clerk on any clock, randomness and channels: the same code in production and in simulations.
 * @throws KvError as `Clerk.connect`.
 */
export async function createClerk(options: ClerkOptions, io: ClerkIo): Promise<Clerk> {
  const checked = checkOptions(options);
  const { signal } = options;
  const core = new ClerkCore(checked, io);
  try {
    if (checked.session.name !== null) await core.open(signal === undefined ? {} : { signal });
    else if (signal?.aborted === true) {
      const said = 'connecting: called off before it began';
      throw new KvError('CANCELLED_NOT_APPLIED', said, { cause: signal.reason });
    }
  } catch (error) {
    await core.close();
    throw error;
  }
  return new Clerk(core);
}

function formatOf<A extends As>(options: Format<A>): A {
  return options.as ?? ('text' as A);
}

function wanted(what: string, { seq }: WriteOptions): { what: string; repeatedSeq: number | null } {
  return { what, repeatedSeq: seq ?? null };
}
