import {
  type Answer,
  API_LIMITS,
  decodeAnswer,
  ERRORS,
  encodeCommand,
  KvError,
  type OpenSessionResult,
} from '../api/index.ts';
import type { Random } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import { Call, type GiveUpReason, type Patience } from './call.ts';
import type { Outgoing, Verdict } from './link.ts';
import { givenUpError } from './refusals.ts';
import { type Resolution, resolutionOf } from './result.ts';

/** A clerk's session, as it was opened. */
export interface OpenedSession {
  readonly id: number;
  /** null: anonymous. */
  readonly name: string | null;
  /** Counts the clerks that opened it; earlier ones are shut out. */
  readonly incarnation: number;
  /** It existed before. */
  readonly resumed: boolean;
  /** The last command that was executed before this clerk opened it; 0 for none. */
  readonly lastSeq: number;
  /** How `lastSeq` ended; null when there is none or its answer was acknowledged. */
  readonly lastAnswer: Resolution | null;
}

/** What to open. */
export interface SessionOptions {
  /** null: anonymous, opened by the first write and ended by `close`. */
  readonly name: string | null;
  /** Idle life asked for, milliseconds of log time. */
  readonly ttlMs: number;
}

/**
 * One logical attempt to open a session: its nonce is the same in all repetitions, however many
 * callers come and go meanwhile, so that it never fences itself or opens two.
 */
export class Opening {
  readonly #options: SessionOptions;
  readonly #trouble: () => KvError | null;
  readonly #nonce: Uint8Array;
  readonly #callers = new Set<Call<OpenedSession>>();
  #sent = false;
  /** A repetition may have opened it already. */
  #doubt = false;

  constructor(options: SessionOptions, random: Random, trouble: () => KvError | null) {
    this.#options = options;
    this.#trouble = trouble;
    this.#nonce = random.bytes(API_LIMITS.sessionNonceBytes);
  }

  /** Somebody waits for the session itself. */
  get hasCallers(): boolean {
    return this.#callers.size > 0;
  }

  wait(patience: Patience): Promise<OpenedSession> {
    const call: Call<OpenedSession> = new Call<OpenedSession>(patience, (reason) => {
      this.#callers.delete(call);
      const { name } = this.#options;
      return givenUpError({
        what: name === null ? 'opening a session' : `opening session ${JSON.stringify(name)}`,
        reason,
        call,
        inDoubt: this.#sent || this.#doubt,
        place: null,
        trouble: this.#trouble(),
      });
    });
    this.#callers.add(call);
    return call.promise;
  }

  rejectAll(error: KvError): void {
    for (const call of this.#callers) call.reject(error);
    this.#callers.clear();
  }

  giveUpAll(reason: GiveUpReason): void {
    for (const call of [...this.#callers]) call.giveUp(reason);
  }

  /** The request; null while it is on its way. `onEnd` gets the session, or an error for good. */
  next(onEnd: (end: OpenedSession | KvError) => void): Outgoing | null {
    if (this.#sent) return null;
    this.#sent = true;
    const { name, ttlMs } = this.#options;
    const command = encodeCommand({
      type: 'openSession',
      name: new TextEncoder().encode(name ?? ''),
      nonce: this.#nonce,
      ttlMs,
    });
    return {
      body: { type: 'command', command },
      bytes: command.length,
      answered: (answer) => {
        this.#sent = false;
        return this.#answered(answer, onEnd);
      },
      lost: () => {
        this.#sent = false;
        this.#doubt = true;
      },
    };
  }

  #answered(answer: Answer, onEnd: (end: OpenedSession | KvError) => void): Verdict {
    if (answer.type === 'error') {
      const { retry, outcome } = ERRORS[answer.code];
      if (outcome === 'unknown') this.#doubt = true;
      if (retry !== 'never') return retry;
    }
    const end = this.#endOf(answer);
    onEnd(end);
    if (end instanceof KvError) this.rejectAll(end);
    else for (const call of this.#callers) call.resolve(end);
    this.#callers.clear();
    return 'done';
  }

  #endOf(answer: Answer): OpenedSession | KvError {
    if (answer.type === 'openSession') return this.#openedBy(answer);
    if (answer.type === 'error') {
      return new KvError(answer.code, `opening a session: ${answer.message}`);
    }
    return new KvError('BAD_PEER', `opening a session was answered with "${answer.type}"`);
  }

  #openedBy(result: OpenSessionResult): OpenedSession | KvError {
    try {
      return {
        id: result.sessionId,
        name: this.#options.name,
        incarnation: result.incarnation,
        resumed: result.resumed,
        lastSeq: result.lastSeq,
        lastAnswer:
          result.lastAnswer === null ? null : resolutionOf(decodeAnswer(result.lastAnswer)),
      };
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      const said = `opening a session: unreadable last answer: ${error.message}`;
      return new KvError('BAD_PEER', said, { cause: error });
    }
  }
}
