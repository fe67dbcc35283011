import {
  type Answer,
  type Changes,
  encodeCommand,
  KvError,
  type MemberStatus,
  type Operation,
  type Query,
  type Refusal,
  validateOperation,
  validateQuery,
} from '../api/index.ts';
import type { Clock, Random } from '../io/index.ts';
import { Call, type Patience } from './call.ts';
import type { ChannelFactory } from './channel.ts';
import { type Endpoint, parseEndpoint } from './endpoint.ts';
import { CLERK_LIMITS } from './limits.ts';
import { Link } from './link.ts';
import type { OpenedSession } from './opening.ts';
import { type CheckedOptions, checkTimeout } from './options.ts';
import { Reads } from './reads.ts';
import { givenUpError } from './refusals.ts';
import { integer } from './request.ts';
import type { Resolution } from './result.ts';
import { Roster } from './roster.ts';
import { ClientSession } from './session.ts';
import type { Written } from './write-queue.ts';

/** The outside world of a clerk. */
export interface ClerkIo {
  readonly clock: Clock;
  readonly random: Random;
  readonly channels: ChannelFactory;
}

/** What every call takes. */
export interface CallOptions {
  /** Calls the request off; an answer that has arrived wins. */
  readonly signal?: AbortSignal;
  /** How long to wait, milliseconds. Default: the clerk's `requestTimeoutMs`. */
  readonly timeoutMs?: number;
}

/** The clerk without its words: commands and queries in, answers out. */
export class ClerkCore {
  readonly #options: CheckedOptions;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #channels: ChannelFactory;
  readonly #link: Link;
  readonly #session: ClientSession;
  readonly #reads: Reads;
  /** Questions whose answers may stay away for a while, so that they hold up no other. */
  readonly #polls: Reads;
  /** Told when the clerk is closed. */
  readonly #closers = new Set<() => void>();
  readonly #statuses = new Set<Call<MemberStatus>>();
  #closing: Promise<void> | null = null;

  constructor(options: CheckedOptions, io: ClerkIo) {
    const { clock, random, channels } = io;
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#channels = channels;
    const trouble = () => this.#link.trouble;
    this.#session = new ClientSession(options.session, random, trouble);
    const { readsInFlightMax, pollsInFlightMax } = CLERK_LIMITS;
    const withdraw = (id: number) => this.#link.withdraw(id);
    this.#reads = new Reads({ trouble, withdraw, inFlightMax: readsInFlightMax });
    this.#polls = new Reads({ trouble, withdraw, inFlightMax: pollsInFlightMax });
    const { endpoints, discover } = options;
    this.#link = new Link({
      clock,
      random,
      channels,
      roster: new Roster({ endpoints, discover, random }),
      sources: [this.#session, this.#reads, this.#polls],
    });
  }

  /** @throws KvError INVALID_ARGUMENT */
  endpointOf(text: string): Endpoint {
    return parseEndpoint(text, this.#options.bareTls);
  }

  get session(): OpenedSession | null {
    return this.#session.opened;
  }

  /** Waits until the session is open. */
  async open(options: CallOptions): Promise<OpenedSession> {
    return await this.#open(this.#patience('opening a session', options));
  }

  /** Executes a command once; takes its place in the order of the calls before it returns. */
  async write(
    what: string,
    operation: Operation,
    options: CallOptions & { readonly seq?: number },
  ): Promise<Written> {
    const patience = this.#patience(what, options);
    refuse(what, validateOperation(operation));
    if (options.seq !== undefined)
      return await this.#writeAt(what, operation, options.seq, patience);
    return await this.#enqueue({ what, operation, wantedSeq: null }, patience);
  }

  /** Answers a query. */
  async ask(what: string, query: Query, options: CallOptions): Promise<Answer> {
    const patience = this.#patience(what, options);
    refuse(what, validateQuery(query));
    const body = { type: 'query', query } as const;
    const question = { what, body, local: query.serializable, executed: null };
    const answer = this.#reads.ask(question, patience);
    this.#link.wake();
    return await answer;
  }

  /**
   * Asks for changes, as often as it takes: any member's history will do, and it may wait for news.
   */
  async poll(query: Changes, signal: AbortSignal): Promise<Answer> {
    const patience = this.#patience('watch', { signal, timeoutMs: CLERK_LIMITS.timeoutMsMax });
    const body = { type: 'query', query: { serializable: false, query } } as const;
    const question = { what: 'watch', body, local: true, executed: null, waitMs: query.waitMs };
    const answer = this.#polls.ask(question, patience);
    this.#link.wake();
    return await answer;
  }

  /** Executes an operation for which once or several times is the same; it takes no seq. */
  async repeat(what: string, operation: Operation, options: CallOptions): Promise<Answer> {
    const patience = this.#patience(what, options);
    refuse(what, validateOperation(operation));
    const command = encodeCommand({ type: 'operation', session: null, operation });
    const body = { type: 'command', command } as const;
    const answer = this.#reads.ask({ what, body, local: false, executed: null }, patience);
    this.#link.wake();
    return await answer;
  }

  get clock(): Clock {
    return this.#clock;
  }

  get random(): Random {
    return this.#random;
  }

  /** Calls `run` when the clerk is closed; what is returned takes that back. */
  onClose(run: () => void): () => void {
    this.#closers.add(run);
    return () => void this.#closers.delete(run);
  }

  /** How a command ended, if this clerk knows or is about to find out; else null. */
  async ending(seq: number, options: CallOptions): Promise<Resolution | null> {
    const patience = this.#patience(`resolve(${seq})`, options);
    const ending = this.#session.ending(seq, patience);
    if (ending === null) return null;
    this.#link.wake();
    return await ending;
  }

  /** Asks one member about itself: the one in use unless another is named. */
  async status(endpoint: Endpoint | null, options: CallOptions): Promise<MemberStatus> {
    const patience = this.#patience('status', options);
    const first = this.#options.endpoints[0] as Endpoint;
    const call: Call<MemberStatus> = new Call<MemberStatus>(patience, (reason) => {
      pending.cancel();
      return givenUpError({
        what: 'status',
        reason,
        call,
        inDoubt: false,
        place: null,
        trouble: null,
      });
    });
    this.#statuses.add(call);
    const asked = endpoint ?? this.#link.place?.endpoint ?? first;
    const pending = this.#channels.status(asked, (result) => {
      if (result instanceof KvError) call.reject(result);
      else call.resolve(result);
    });
    return await call.promise.finally(() => this.#statuses.delete(call));
  }

  /** Ends every call and the connection; an anonymous session too, if that can be done at once. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /**
   * A command whose caller chose the seq: the next one is executed, an executed one gets its kept
   * answer, anything beyond is refused.
   */
  async #writeAt(
    what: string,
    operation: Operation,
    seq: number,
    patience: Patience,
  ): Promise<Written> {
    integer(seq, 'seq', 1);
    if (this.#options.session.name === null) {
      throw new KvError('INVALID_ARGUMENT', `${what}: seq needs a named session`);
    }
    if (this.#session.opened === null) await this.#open(patience);
    this.#checkUsable(what, patience.signal);
    const { opened } = this.#session;
    if (opened === null || !this.#session.hasAnswered(seq)) {
      return await this.#enqueue({ what, operation, wantedSeq: seq }, patience);
    }
    const command = this.#session.encodeRepetition(seq, operation);
    const question = {
      what,
      body: { type: 'command', command } as const,
      local: false,
      executed: { sessionId: opened.id, seq },
      onError: (error: KvError) => {
        if (isSessionLoss(error)) this.#session.lose(opened, error);
      },
    };
    const answer = this.#reads.ask(question, patience);
    this.#link.wake();
    return { seq, answer: await answer };
  }

  #enqueue(
    request: {
      readonly what: string;
      readonly operation: Operation;
      readonly wantedSeq: number | null;
    },
    patience: Patience,
  ): Promise<Written> {
    const bytes = operationBytes(request.operation);
    const written = this.#session.write({ ...request, bytes }, patience);
    this.#link.wake();
    return written;
  }

  #open(patience: Patience): Promise<OpenedSession> {
    const opened = this.#session.open(patience);
    this.#link.wake();
    return opened;
  }

  async #close(): Promise<void> {
    for (const run of [...this.#closers]) run();
    this.#reads.giveUpAll('closed');
    this.#polls.giveUpAll('closed');
    this.#session.giveUpAll('closed');
    for (const call of [...this.#statuses]) call.giveUp('closed');
    if (this.#link.isOpen) await this.#endSession();
    this.#link.close();
  }

  /** Best effort: what does not end now expires by itself. */
  #endSession(): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#clock.setTimer(CLERK_LIMITS.closeTimeoutMs, resolve);
      this.#session.end(() => {
        timer.cancel();
        resolve();
      });
      this.#link.wake();
    });
  }

  /** @throws KvError when the clerk is closed, the signal aborted or the timeout nonsense. */
  #patience(what: string, options: CallOptions): Patience {
    const timeoutMs =
      options.timeoutMs === undefined
        ? this.#options.requestTimeoutMs
        : checkTimeout(options.timeoutMs, 'timeoutMs');
    this.#checkUsable(what, options.signal);
    return { clock: this.#clock, timeoutMs, signal: options.signal };
  }

  #checkUsable(what: string, signal: AbortSignal | undefined): void {
    if (this.#closing !== null) throw new KvError('CLOSED', `${what}: the clerk is closed`);
    if (signal?.aborted !== true) return;
    throw new KvError('CANCELLED_NOT_APPLIED', `${what}: called off before it began, not applied`, {
      cause: signal.reason,
    });
  }
}

/** Key and value bytes of an operation, for the bounds. */
function operationBytes(operation: Operation): number {
  if (operation.type === 'put' || operation.type === 'append') {
    return operation.key.length + operation.value.length;
  }
  return encodeCommand({ type: 'operation', session: null, operation }).length;
}

function isSessionLoss({ code }: KvError): boolean {
  return code === 'SESSION_EXPIRED' || code === 'SESSION_UNKNOWN' || code === 'SESSION_FENCED';
}

/** @throws KvError for a request that is not well-formed. */
export function refuse(what: string, refusal: Refusal | null): void {
  if (refusal !== null) throw new KvError(refusal.code, `${what}: ${refusal.message}`);
}
