import type { Clock, Log } from '../io/index.ts';
import { deferred } from '../lib/index.ts';
import type { MemberId, Message, PreVote } from '../raft/index.ts';

/*
 * A member without a replica asks the others how far the cluster is.
 *
 *   question   preVote { term: 0, lastLogIndex: 0 | 1, lastLogTerm: 0 | 1 }
 *   answer     preVoteReply { term }                from a member that runs: the term it is in
 *
 * Nobody campaigns in term 0, so a running member takes nothing from the question, and its answer
 * names its own term whether it grants or refuses. A member that asks itself does not answer: its
 * own question says what there is to say, in `lastLogTerm`: 0, its directory is new; 1, it has been
 * in use. So two members that ask see each other, and nobody takes either for one that remembers.
 * `lastLogIndex` is 1 when the sender has heard the receiver ask: who knows that may go on and run,
 * and is still known to have been new.
 */

/** Between two rounds of questions, milliseconds. */
const ASK_EVERY_MS = 100;
/** How long links stay after the last question, so that those who ask too hear it, milliseconds. */
const LINGER_MS = 50;
/** Between two log lines about members that have not answered, milliseconds. */
const REPORT_EVERY_MS = 10_000;

/** Links to the other members while there is no replica behind them. */
export interface AskLink {
  /** Sends or drops. */
  send(messages: readonly Message[]): void;
  close(): Promise<void>;
}

/** Opens links at the place where the replica will have its own. */
export type OpenAskLink = (onMessage: (message: Message) => void) => Promise<AskLink>;

/** What is known of another member. */
export type Answer =
  /**
   * Its replica runs and is in this term; 0: it knows of no election. `wasNew`: before, while this
   * member was asking already, it asked too, and its directory was empty.
   */
  | { readonly type: 'runs'; readonly term: number; readonly wasNew: boolean }
  /** It is not in use and asks too. `isNew`: its directory is empty; `hearsUs`: it says so. */
  | { readonly type: 'asks'; readonly isNew: boolean; readonly hearsUs: boolean };

export type Answers = ReadonlyMap<MemberId, Answer>;

export interface AskOptions {
  readonly openLink: OpenAskLink;
  readonly clock: Clock;
  readonly log: Log;
  readonly memberId: MemberId;
  readonly others: readonly MemberId[];
  /** This member's directory is empty; false: it has been in use. */
  readonly isNew: boolean;
  /** Ends the wait: rejects with its reason. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Asks every other member until `isEnough`, which is called after every answer and every so often.
 * For each member the highest term counts that it ever named.
 * @returns all answers that came
 */
export async function askTerms(
  options: AskOptions,
  isEnough: (answers: Answers, elapsedMs: number) => boolean,
): Promise<Answers> {
  const { openLink, clock, signal } = options;
  signal?.throwIfAborted();
  const asking = new Asking(options, isEnough);
  const link = await openLink((message) => asking.receive(message));
  try {
    await asking.run(link);
    asking.askAll();
    await new Promise<void>((resolve) => clock.setTimer(LINGER_MS, resolve));
  } finally {
    await link.close();
  }
  return asking.answers;
}

class Asking {
  readonly answers = new Map<MemberId, Answer>();
  readonly #options: AskOptions;
  readonly #isEnough: (answers: Answers, elapsedMs: number) => boolean;
  readonly #enough = deferred<void>();
  readonly #startMs: number;
  #reportedMs: number;
  #link: AskLink | null = null;

  constructor(options: AskOptions, isEnough: (answers: Answers, elapsedMs: number) => boolean) {
    this.#options = options;
    this.#isEnough = isEnough;
    this.#startMs = options.clock.nowMs();
    this.#reportedMs = this.#startMs;
  }

  /** Resolves when the answers are enough; rejects with the signal's reason. */
  async run(link: AskLink): Promise<void> {
    const { clock, signal } = this.#options;
    this.#link = link;
    const abort = (): void => this.#enough.reject(signal?.reason);
    signal?.addEventListener('abort', abort);
    if (signal?.aborted === true) abort();
    const round = (): void => {
      timer = clock.setTimer(ASK_EVERY_MS, round);
      this.askAll();
      this.#report();
      this.#check();
    };
    let timer = clock.setTimer(ASK_EVERY_MS, round);
    this.askAll();
    try {
      await this.#enough.promise;
    } finally {
      timer.cancel();
      signal?.removeEventListener('abort', abort);
    }
  }

  receive(message: Message): void {
    const { from } = message;
    const before = this.answers.get(from);
    if (!this.#options.others.includes(from)) return;
    if (message.type === 'preVoteReply') {
      const { term } = message;
      if (before?.type === 'runs' && before.term >= term) return;
      const wasNew = before?.type === 'runs' ? before.wasNew : before?.isNew === true;
      this.answers.set(from, { type: 'runs', term, wasNew });
    } else if (message.type === 'preVote' && message.term === 0) {
      // What it said while it ran was true, and stays so.
      if (before?.type === 'runs') return;
      const { lastLogIndex, lastLogTerm } = message;
      this.answers.set(from, { type: 'asks', isNew: lastLogTerm === 0, hearsUs: lastLogIndex > 0 });
      // It may just have come up: it shall not have to wait for the next round.
      if (before === undefined) this.#link?.send([this.#questionTo(from)]);
    } else return;
    this.#check();
  }

  askAll(): void {
    this.#link?.send(this.#options.others.map((id) => this.#questionTo(id)));
  }

  #questionTo(to: MemberId): PreVote {
    const { memberId: from, isNew } = this.#options;
    const lastLogIndex = this.answers.get(to)?.type === 'asks' ? 1 : 0;
    return { type: 'preVote', from, to, term: 0, lastLogIndex, lastLogTerm: isNew ? 0 : 1 };
  }

  #check(): void {
    const elapsedMs = this.#options.clock.nowMs() - this.#startMs;
    if (this.#isEnough(this.answers, elapsedMs)) this.#enough.resolve();
  }

  #report(): void {
    const { clock, log, others } = this.#options;
    const nowMs = clock.nowMs();
    if (nowMs - this.#reportedMs < REPORT_EVERY_MS) return;
    this.#reportedMs = nowMs;
    log.warn('still waiting for the terms of the other members', {
      running: idsOf(others.filter((id) => this.answers.get(id)?.type === 'runs')),
      waitingToo: idsOf(others.filter((id) => this.answers.get(id)?.type === 'asks')),
      silent: idsOf(others.filter((id) => !this.answers.has(id))),
    });
  }
}

function idsOf(members: readonly MemberId[]): string[] {
  return members.map((id) => id.toString(16));
}
