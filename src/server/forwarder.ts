import type { KvService, Query, Reply } from '../api/index.ts';
import type { Clock, Random, Timer } from '../io/index.ts';
import { assert, IntMap } from '../lib/index.ts';
import type { MemberId } from '../raft/index.ts';
import type { Forward, ForwardAnswer, ForwardReply } from '../transport/index.ts';
import { FORWARD_LIMITS, type ForwardLimits } from './limits.ts';

/** The end of an attempt here: an encoded answer; null: nobody led, and nothing happened. */
export type AttemptDone = (answer: Uint8Array | null) => void;

/** What a request is answered with that comes to no other end. */
export interface ForwardRefusals {
  /** Not applied: no leader was found in time. */
  readonly noLeader: Uint8Array;
  /** Unknown: it was passed on, and another leader is in force now. */
  readonly leadershipLost: Uint8Array;
  /** Unknown: it was passed on, and no answer came in time. */
  readonly timeout: Uint8Array;
  /** Not applied: too many wait. */
  readonly overloaded: Uint8Array;
  /** Not applied: this member is being closed. */
  readonly stopped: Uint8Array;
}

export interface ForwarderParts {
  readonly memberId: MemberId;
  readonly clock: Clock;
  readonly random: Pick<Random, 'uint32'>;
  readonly requestTimeoutMs: number;
  /** Executes the command if this member leads. */
  readonly execute: (command: Uint8Array, done: AttemptDone) => void;
  /** Answers the query if a leader confirms it. */
  readonly read: (query: Query, done: AttemptDone) => void;
  readonly leadership: () => Leadership;
  /** False: not sent. */
  readonly send: (message: Forward | ForwardReply) => boolean;
  readonly refusals: ForwardRefusals;
  /** Default FORWARD_LIMITS. */
  readonly limits?: Partial<ForwardLimits>;
}

/** Who leads, as far as this member knows, and in which term that is. */
export interface Leadership {
  readonly leader: MemberId | null;
  readonly term: number;
}

interface Request {
  readonly command: Uint8Array;
  readonly reply: Reply;
  readonly deadlineMs: number;
}

interface Pending extends Request {
  readonly id: number;
  readonly leader: MemberId;
  readonly term: number;
}

/**
 * A service that answers at any member, for clients that know nothing of leaders: a member that
 * does not lead passes commands on, once each; one that was certainly not taken is tried again
 * while there is time. So no command is applied twice, and its outcome is told as well as by the
 * leader itself.
 *
 *   execute ──▶ here? ──no──▶ queued for this turn ──▶ pending ──▶ answer
 *                 ▲              │ no leader, no link     │ "I do not lead"
 *                 └── retryMs ── waiting ◀────────────────┘
 */
export class Forwarder implements Pick<KvService, 'execute' | 'read'> {
  readonly #parts: ForwarderParts;
  readonly #limits: ForwardLimits;
  /** To be sent at the end of this turn. */
  #queue: Request[] = [];
  /** Sent and not answered, by id: in the order of their deadlines. */
  readonly #pending = new IntMap<Pending>();
  /** To be tried again. */
  #waiting: (() => void)[] = [];
  /** Answers of this turn to what others passed on to us. */
  readonly #answers = new Map<MemberId, ForwardAnswer[]>();
  /** Of the commands that are queued, pending or waiting. */
  #bytes = 0;
  /**
   * Ids of one process must not be those of its predecessor, to which an answer may be on its way.
   * Null before the first.
   */
  #nextId: number | null = null;
  #isFlushing = false;
  #timer: Timer | null = null;
  #isClosed = false;

  constructor(parts: ForwarderParts) {
    this.#parts = parts;
    this.#limits = { ...FORWARD_LIMITS, ...parts.limits };
  }

  // ── this member's clients ────────────────────────────────────────────────────────────────────

  execute(command: Uint8Array, reply: Reply): void {
    const { clock, requestTimeoutMs } = this.#parts;
    this.#try({ command, reply, deadlineMs: clock.nowMs() + requestTimeoutMs });
  }

  /** @returns undefined: nothing waits for changes here. */
  read(query: Query, reply: Reply): undefined {
    const { clock, requestTimeoutMs, refusals } = this.#parts;
    const deadlineMs = clock.nowMs() + requestTimeoutMs;
    const attempt = (): void => {
      if (this.#isClosed) return reply(refusals.stopped);
      this.#parts.read(query, (answer) => {
        if (answer !== null) reply(answer);
        else if (clock.nowMs() >= deadlineMs) reply(refusals.noLeader);
        else this.#wait(attempt);
      });
    };
    attempt();
  }

  /** Another leader is known, or none. */
  leaderChanged(): void {
    const { leader, term } = this.#parts.leadership();
    if (leader === null) return;
    for (const { id, term: sentIn } of this.#pending.values()) {
      if (sentIn < term) this.#end(id, this.#parts.refusals.leadershipLost);
    }
  }

  /** Answers everything that waits. Safe to call twice. */
  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#timer = null;
    const { stopped, leadershipLost } = this.#parts.refusals;
    for (const { command, reply } of this.#queue.splice(0)) {
      this.#bytes -= command.length;
      reply(stopped);
    }
    for (const { id } of this.#pending.values()) this.#end(id, leadershipLost);
    for (const attempt of this.#waiting.splice(0)) attempt();
  }

  #try(request: Request): void {
    const { refusals, execute } = this.#parts;
    if (this.#isClosed) return request.reply(refusals.stopped);
    execute(request.command, (answer) => {
      if (answer !== null) return request.reply(answer);
      const { pendingMax, pendingBytesMax } = this.#limits;
      const count = this.#queue.length + this.#pending.size + this.#waiting.length;
      const bytes = this.#bytes + request.command.length;
      if (count >= pendingMax || bytes > pendingBytesMax) return request.reply(refusals.overloaded);
      this.#bytes = bytes;
      this.#queue.push(request);
      this.#schedule();
    });
  }

  #tryAgain(request: Request): void {
    const { clock, refusals } = this.#parts;
    const { command, deadlineMs, reply } = request;
    if (clock.nowMs() < deadlineMs) {
      return this.#wait(() => {
        this.#bytes -= command.length;
        this.#try(request);
      });
    }
    this.#bytes -= command.length;
    reply(refusals.noLeader);
  }

  #wait(attempt: () => void): void {
    this.#waiting.push(attempt);
    this.#arm();
  }

  // ── between members ──────────────────────────────────────────────────────────────────────────

  /** Takes a message that the transport received. */
  receive(message: Forward | ForwardReply): void {
    if (this.#isClosed) return;
    if (message.type === 'forward') return this.#serve(message);
    for (const { id, answer } of message.answers) {
      const pending = this.#pending.get(id);
      if (pending === undefined || pending.leader !== message.from) continue;
      if (answer !== null) {
        this.#end(id, answer);
      } else {
        this.#pending.delete(id);
        this.#tryAgain(pending);
      }
    }
  }

  #serve({ from, firstId, commands }: Forward): void {
    for (const [i, command] of commands.entries()) {
      this.#parts.execute(command, (answer) => {
        const answers = this.#answers.get(from) ?? [];
        this.#answers.set(from, answers);
        answers.push({ id: firstId + i, answer });
        this.#schedule();
      });
    }
  }

  #end(id: number, answer: Uint8Array): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    this.#bytes -= pending.command.length;
    const isEmpty = this.#queue.length + this.#pending.size + this.#waiting.length === 0;
    assert(!isEmpty || this.#bytes === 0, 'commands that are gone count', { bytes: this.#bytes });
    pending.reply(answer);
  }

  // ── once a turn ──────────────────────────────────────────────────────────────────────────────

  #schedule(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    this.#parts.clock.defer(() => {
      this.#isFlushing = false;
      this.#sendAnswers();
      this.#sendQueue();
    });
  }

  #sendQueue(): void {
    const { memberId, leadership, send } = this.#parts;
    const queue = this.#queue;
    this.#queue = [];
    const { leader, term } = leadership();
    for (const part of partsOf(queue, ({ command }) => command.length, this.#limits)) {
      const commands = part.map(({ command }) => command);
      const firstId = this.#takeIds(commands.length);
      const isElsewhere = leader !== null && leader !== memberId;
      if (
        !isElsewhere ||
        !send({ type: 'forward', from: memberId, to: leader, firstId, commands })
      ) {
        for (const request of part) this.#tryAgain(request);
        continue;
      }
      for (const [i, request] of part.entries()) {
        const id = firstId + i;
        this.#pending.set(id, { ...request, id, leader, term });
      }
      this.#arm();
    }
  }

  #takeIds(count: number): number {
    const first = this.#nextId ?? this.#parts.random.uint32() * 2 ** 20;
    this.#nextId = first + count;
    return first;
  }

  /** An answer that gets lost is one more command of unknown outcome, after its time. */
  #sendAnswers(): void {
    const { memberId, send } = this.#parts;
    for (const [to, answers] of this.#answers) {
      for (const part of partsOf(answers, ({ answer }) => answer?.length ?? 0, this.#limits)) {
        send({ type: 'forwardReply', from: memberId, to, answers: part });
      }
    }
    this.#answers.clear();
  }

  #arm(): void {
    if (this.#timer !== null || this.#isClosed) return;
    this.#timer = this.#parts.clock.setTimer(this.#limits.retryMs, () => {
      this.#timer = null;
      this.#look();
    });
  }

  /** Ends what has had its time, tries the rest again. */
  #look(): void {
    const { clock, refusals } = this.#parts;
    const nowMs = clock.nowMs();
    for (const { id, deadlineMs } of this.#pending.values()) {
      if (deadlineMs <= nowMs) this.#end(id, refusals.timeout);
    }
    for (const attempt of this.#waiting.splice(0)) attempt();
    if (this.#pending.size > 0) this.#arm();
  }
}

/** In pieces of at most `messageBytesMax` and `messageItemsMax`; one item always fits. */
function* partsOf<T>(
  items: readonly T[],
  sizeOf: (item: T) => number,
  { messageBytesMax, messageItemsMax }: ForwardLimits,
): Generator<readonly T[]> {
  let start = 0;
  let bytes = 0;
  for (const [i, item] of items.entries()) {
    const size = sizeOf(item);
    if (i > start && (bytes + size > messageBytesMax || i - start === messageItemsMax)) {
      yield items.slice(start, i);
      start = i;
      bytes = 0;
    }
    bytes += size;
  }
  if (start < items.length) yield items.slice(start);
}
