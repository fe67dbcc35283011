import { type Answer, ERRORS, type ExecuteRequest, KvError } from '../api/index.ts';
import { Call, type GiveUpReason, type Patience } from './call.ts';
import { Fifo } from './fifo.ts';
import { CLERK_LIMITS } from './limits.ts';
import type { Outgoing, Source, Urgency, Verdict } from './link.ts';
import { type CommandPlace, givenUpError } from './refusals.ts';

/** Framing and fields of a query, estimated. */
const QUERY_BYTES = 64;

/** Something to ask that changes nothing: in any order, and as often as needed. */
export interface Question {
  /** For messages: "get", "range", … */
  readonly what: string;
  readonly body: ExecuteRequest['body'];
  /** Any member may answer: a served answer says nothing about who leads. */
  readonly local: boolean;
  /** How long a member may keep the answer back, milliseconds; absent: it may not. */
  readonly waitMs?: number;
  /** For a repetition: the executed command whose kept answer is asked for; else null. */
  readonly executed: CommandPlace | null;
  /** Told about an error for good before the caller is. */
  readonly onError?: (error: KvError) => void;
}

interface Read extends Question {
  readonly call: Call<Answer>;
  /** Under which a question that may wait is at a member; null while it is not. */
  sentAs: number | null;
}

/** Requests outside the session's order: queries, and repetitions of commands long executed. */
export class Reads implements Source {
  readonly #unsent = new Fifo<Read>();
  #inFlightCount = 0;
  /** Reads whose caller still waits, sent or not. */
  readonly #waiting = new Set<Read>();
  readonly #trouble: () => KvError | null;
  readonly #withdraw: (id: number) => void;
  readonly #inFlightMax: number;

  /**
   * `trouble`: why the last try to reach a member failed, for messages; `withdraw`: told of
   * questions that wait at a member when nobody waits for the answer any more.
   */
  constructor({
    trouble,
    withdraw,
    inFlightMax,
  }: {
    readonly trouble: () => KvError | null;
    readonly withdraw: (id: number) => void;
    readonly inFlightMax: number;
  }) {
    this.#trouble = trouble;
    this.#withdraw = withdraw;
    this.#inFlightMax = inFlightMax;
  }

  /** @throws KvError OVERLOADED when too many reads wait. */
  ask(question: Question, patience: Patience): Promise<Answer> {
    if (this.#waiting.size >= CLERK_LIMITS.readsQueueMax) {
      const said = `${question.what}: ${this.#waiting.size} reads wait in this clerk already`;
      throw new KvError('OVERLOADED', said);
    }
    const call: Call<Answer> = new Call<Answer>(patience, (reason) => {
      this.#forget(read);
      if (read.sentAs !== null) this.#withdraw(read.sentAs);
      return givenUpError({
        what: question.what,
        reason,
        call,
        inDoubt: question.executed !== null,
        place: question.executed,
        trouble: this.#trouble(),
      });
    });
    const read: Read = { ...question, call, sentAs: null };
    this.#waiting.add(read);
    this.#unsent.push(read);
    this.#unsent.compact(this.#waiting.size, (waiting) => !waiting.call.settled);
    return call.promise;
  }

  next(): Outgoing | null {
    while (this.#inFlightCount < this.#inFlightMax) {
      const read = this.#unsent.shift();
      if (read === null) return null;
      if (!read.call.settled) return this.#send(read);
    }
    return null;
  }

  urgency(): Urgency {
    return this.#waiting.size > 0 ? 'caller' : 'none';
  }

  /** Every caller stops waiting. */
  giveUpAll(reason: GiveUpReason): void {
    for (const read of [...this.#waiting]) read.call.giveUp(reason);
    this.#unsent.drain();
  }

  #send(read: Read): Outgoing {
    this.#inFlightCount++;
    const { body, waitMs } = read;
    const sent = (id: number): void => {
      read.sentAs = id;
    };
    const ended = (): void => {
      this.#inFlightCount--;
      read.sentAs = null;
    };
    return {
      body,
      bytes: body.type === 'command' ? body.command.length : QUERY_BYTES,
      ...(waitMs === undefined ? {} : { waitMs, sent }),
      answered: (answer) => {
        ended();
        return this.#answered(read, answer);
      },
      lost: () => {
        ended();
        this.#retry(read);
      },
    };
  }

  #answered(read: Read, answer: Answer): Verdict {
    if (answer.type !== 'error') {
      this.#forget(read);
      read.call.resolve(answer);
      return read.local ? 'local' : 'done';
    }
    const { retry } = ERRORS[answer.code];
    if (retry !== 'never') {
      this.#retry(read);
      return retry;
    }
    this.#forget(read);
    const { compactRevision = null } = answer;
    const error = new KvError(answer.code, `${read.what}: ${answer.message}`, { compactRevision });
    read.onError?.(error);
    read.call.reject(error);
    return read.local ? 'local' : 'done';
  }

  #retry(read: Read): void {
    if (!read.call.settled) this.#unsent.push(read);
  }

  #forget(read: Read): void {
    this.#waiting.delete(read);
  }
}
