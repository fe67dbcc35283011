import {
  type Answer,
  ERRORS,
  type ErrorResult,
  encodeCommand,
  KvError,
  type Operation,
} from '../api/index.ts';
import type { Random } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import { Call, type GiveUpReason, type Patience } from './call.ts';
import { Endings } from './endings.ts';
import { CLERK_LIMITS } from './limits.ts';
import type { Outgoing, Source, Urgency, Verdict } from './link.ts';
import { type OpenedSession, Opening, type SessionOptions } from './opening.ts';
import { givenUpError } from './refusals.ts';
import { type Resolution, resolutionOf } from './result.ts';
import { SeqWindow, type Slot } from './window.ts';
import { type Write, WriteQueue, type Written } from './write-queue.ts';

/** A session that is open, and its commands under way. */
interface Live {
  readonly info: OpenedSession;
  readonly window: SeqWindow<Write>;
  readonly endings: Endings;
  /** A seq whose final answer this version could not read: it may have stayed free. */
  unreadableSeq: number | null;
}

/**
 *   none ─a write─▶ opening ─answer─▶ open ─expired, fenced─▶ losing ─all attempts back─▶ none
 *                                      │                                               └▶ fenced
 *                                      └─end()─▶ ending
 */
type State =
  | { readonly type: 'none' }
  | { readonly type: 'opening'; readonly opening: Opening }
  | { readonly type: 'open'; readonly live: Live }
  | {
      readonly type: 'losing';
      readonly live: Live;
      readonly error: KvError;
      /** Comes next, when somebody waits for it already. */
      opening: Opening | null;
    }
  | { readonly type: 'fenced'; readonly error: KvError }
  | { readonly type: 'ending'; readonly live: Live; readonly done: () => void; sent: boolean };

const SKIP: Operation = { type: 'skip' };
/** Framing and fields of a command without its keys and values, estimated. */
const COMMAND_BYTES = 64;

/**
 * The writes of a clerk: each takes one seq of the session, in the order of the calls, and is sent
 * under that seq until its end is certain. The place of a given-up command is filled by a `skip`:
 * if the command was executed, the skip gets its kept answer; if not, it never can be.
 */
export class ClientSession implements Source {
  readonly #options: SessionOptions;
  readonly #random: Random;
  readonly #trouble: () => KvError | null;
  readonly #queue = new WriteQueue();
  #state: State = { type: 'none' };
  /** Writes in the window whose caller still waits. */
  #windowCount = 0;
  /** Their bytes. */
  #windowBytes = 0;

  /** `trouble`: why the last try to reach a member failed, for messages. */
  constructor(options: SessionOptions, random: Random, trouble: () => KvError | null) {
    this.#options = options;
    this.#random = random;
    this.#trouble = trouble;
  }

  /** The session in use; null while there is none. */
  get opened(): OpenedSession | null {
    return this.#state.type === 'open' ? this.#state.live.info : null;
  }

  // ── for callers ──────────────────────────────────────────────────────────────────────────────

  /** Waits until a session is open. @throws KvError SESSION_FENCED after a takeover. */
  open(patience: Patience): Promise<OpenedSession> {
    this.#refuseFenced('open');
    if (this.#state.type === 'open') return Promise.resolve(this.#state.live.info);
    if (this.#state.type !== 'losing') return this.#startOpening().wait(patience);
    this.#state.opening ??= this.#newOpening();
    return this.#state.opening.wait(patience);
  }

  /**
   * Queues a write.
   * @throws KvError OVERLOADED when the queue is full; SESSION_FENCED after a takeover; for a
   *   `wantedSeq`: OUT_OF_ORDER beyond the next one, INVALID_ARGUMENT for one that is under way.
   */
  write(
    request: Pick<Write, 'what' | 'operation' | 'bytes' | 'wantedSeq'>,
    patience: Patience,
  ): Promise<Written> {
    const { what, wantedSeq } = request;
    this.#refuseFenced(what);
    if (wantedSeq !== null) this.#checkWanted(what, wantedSeq);
    const bytes = request.bytes + COMMAND_BYTES;
    this.#queue.checkRoom(what, bytes);
    const call = new Call<Written>(patience, (reason) => this.#giveUp(write, reason));
    const write: Write = { ...request, bytes, call, slot: null };
    this.#queue.push(write);
    return call.promise;
  }

  /** The command of this seq was executed, and its answer came to this clerk or an earlier one. */
  hasAnswered(seq: number): boolean {
    return this.#state.type === 'open' && seq <= this.#state.live.window.answeredSeq;
  }

  /** A command that can only get the kept answer of an executed seq. */
  encodeRepetition(seq: number, operation: Operation): Uint8Array {
    assert(this.#state.type === 'open' && this.hasAnswered(seq), 'not executed yet', { seq });
    return encodeInSession(this.#state.live, seq, ackedSeqFor(seq, true, seq - 1), operation);
  }

  /** How a command of the present session ended; waits for its end; null: ask the cluster. */
  ending(seq: number, patience: Patience): Promise<Resolution> | null {
    const state = this.#state;
    if (state.type !== 'open' && state.type !== 'losing') return null;
    const { endings, info, window } = state.live;
    const known = endings.get(seq);
    if (known !== null) return Promise.resolve(known);
    if (window.get(seq) === null) return null;
    return endings.follow({ sessionId: info.id, seq }, patience);
  }

  /** Every caller stops waiting. */
  giveUpAll(reason: GiveUpReason): void {
    const state = this.#state;
    if (state.type === 'open' || state.type === 'losing') {
      for (const slot of state.live.window.slots()) slot.item?.call.giveUp(reason);
      state.live.endings.giveUpAll(reason);
    }
    if (state.type === 'losing') state.opening?.giveUpAll(reason);
    if (state.type === 'opening') state.opening.giveUpAll(reason);
    this.#queue.giveUpAll(reason);
  }

  /** Has the cluster end an anonymous session; `done` is called when that was tried. */
  end(done: () => void): void {
    const state = this.#state;
    if (state.type === 'open' && state.live.info.name === null) {
      this.#state = { type: 'ending', live: state.live, done, sent: false };
    } else {
      done();
    }
  }

  // ── for the link ─────────────────────────────────────────────────────────────────────────────

  next(): Outgoing | null {
    const state = this.#state;
    switch (state.type) {
      case 'none':
        if (this.#queue.count === 0) return null;
        this.#startOpening();
        return this.next();
      case 'opening':
        return state.opening.next((end) => this.#endOpening(end));
      case 'open': {
        if (state.live.window.blocked) return null;
        const slot = state.live.window.nextToSend() ?? this.#admit(state.live);
        return slot === null ? null : this.#send(state.live, slot);
      }
      case 'ending':
        return state.sent ? null : this.#sendClose(state);
      default:
        return null;
    }
  }

  urgency(): Urgency {
    const state = this.#state;
    if (this.#queue.count > 0 || this.#windowCount > 0) return 'caller';
    if (state.type === 'opening') return state.opening.hasCallers ? 'caller' : 'none';
    if (state.type === 'ending') return state.sent ? 'none' : 'caller';
    if (state.type !== 'open' && state.type !== 'losing') return 'none';
    if (state.live.endings.hasFollowers) return 'caller';
    return state.live.window.size > 0 ? 'background' : 'none';
  }

  /** The cluster said that a session of this clerk is gone or taken over; old news are ignored. */
  lose(session: OpenedSession, error: KvError): void {
    if (this.#state.type !== 'open' || this.#state.live.info !== session) return;
    this.#state = { type: 'losing', live: this.#state.live, error, opening: null };
    this.#maybeFinishLoss();
  }

  // ── opening ──────────────────────────────────────────────────────────────────────────────────

  #startOpening(): Opening {
    if (this.#state.type === 'opening') return this.#state.opening;
    const opening = this.#newOpening();
    this.#state = { type: 'opening', opening };
    return opening;
  }

  #newOpening(): Opening {
    return new Opening(this.#options, this.#random, this.#trouble);
  }

  #endOpening(end: OpenedSession | KvError): void {
    if (end instanceof KvError) {
      this.#state = { type: 'none' };
      this.#queue.rejectAll((write) => refused(write.what, end.code, end.message, end));
      return;
    }
    const window = new SeqWindow<Write>(end.lastSeq);
    const live: Live = { info: end, window, endings: new Endings(), unreadableSeq: null };
    this.#state = { type: 'open', live };
  }

  // ── one command ──────────────────────────────────────────────────────────────────────────────

  #checkWanted(what: string, seq: number): void {
    assert(this.#state.type === 'open', 'a seq of no open session', { seq });
    const { info, window } = this.#state.live;
    const next = window.nextSeq + this.#queue.count;
    if (seq === next) return;
    const session = `session ${JSON.stringify(info.name)}`;
    if (seq > next) throw outOfOrder(what, seq, next);
    const said = `${what}: seq ${seq} of ${session} is under way in this clerk`;
    throw new KvError('INVALID_ARGUMENT', said);
  }

  /** Gives the next queued write its seq; null when none waits or the window is full. */
  #admit(live: Live): Slot<Write> | null {
    const { window } = live;
    while (window.span < CLERK_LIMITS.windowRequestsMax) {
      const roomBytes =
        this.#windowCount === 0
          ? Number.MAX_SAFE_INTEGER
          : CLERK_LIMITS.windowBytesMax - this.#windowBytes;
      const write = this.#queue.take(roomBytes);
      if (write === null) return null;
      if (write.wantedSeq !== null && write.wantedSeq !== window.nextSeq) {
        write.call.reject(outOfOrder(write.what, write.wantedSeq, window.nextSeq));
        continue;
      }
      this.#windowCount++;
      this.#windowBytes += write.bytes;
      write.slot = window.add(write);
      return write.slot;
    }
    return null;
  }

  #send(live: Live, slot: Slot<Write>): Outgoing {
    const { window } = live;
    const wanted = slot.item !== null && slot.item.wantedSeq !== null;
    const ackedSeq = ackedSeqFor(slot.seq, wanted, window.answeredSeq);
    const command = encodeInSession(live, slot.seq, ackedSeq, slot.item?.operation ?? SKIP);
    window.markSent(slot);
    return {
      body: { type: 'command', command },
      bytes: command.length,
      answered: (answer) => {
        const verdict =
          answer.type === 'error'
            ? this.#answeredError(live, slot, answer)
            : this.#answeredForGood(live, slot, answer);
        this.#maybeFinishLoss();
        return verdict;
      },
      lost: () => {
        window.takeBack(slot, true);
        this.#maybeFinishLoss();
      },
    };
  }

  #answeredForGood(live: Live, slot: Slot<Write>, answer: Answer): Verdict {
    const write = slot.item;
    this.#detach(slot);
    live.window.answer(slot);
    if (write === null || live.endings.hasFollowers) {
      live.endings.ended(slot.seq, resolutionOf(answer), write === null);
    }
    write?.call.resolve({ seq: slot.seq, answer });
    return 'done';
  }

  #answeredError(live: Live, slot: Slot<Write>, answer: ErrorResult): Verdict {
    const { window } = live;
    const { retry, outcome } = ERRORS[answer.code];
    switch (answer.code) {
      case 'SESSION_EXPIRED':
      case 'SESSION_UNKNOWN':
      case 'SESSION_FENCED':
        window.takeBack(slot, false);
        this.lose(
          live.info,
          new KvError(answer.code, `session ${live.info.id}: ${answer.message}`),
        );
        return 'done';
      case 'OUT_OF_ORDER': {
        const isHead = slot.seq === window.answeredSeq + 1;
        window.takeBack(slot, false);
        if (!isHead) return 'again';
        if (live.unreadableSeq === window.answeredSeq) {
          const said = `session ${live.info.id}: ${answer.message}`;
          this.lose(live.info, new KvError('SESSION_LOST_UNKNOWN', said));
        }
        return 'later';
      }
    }
    if (slot.item === null && (retry === 'never' || answer.code === 'BAD_PEER')) {
      // The seq is used up, by the given-up command itself or by its skip.
      if (answer.code === 'BAD_PEER') live.unreadableSeq = slot.seq;
      return this.#answeredForGood(live, slot, answer);
    }
    // A member that is full refuses at its door: that says nothing about an earlier attempt.
    const mayHaveRun = answer.code === 'NO_SPACE' && slot.doubt;
    window.takeBack(slot, outcome === 'unknown');
    if (mayHaveRun) return 'later';
    if (retry !== 'never') return retry;
    // A refusal for good may have used up the seq or not: a skip makes sure that it has.
    const { item } = slot;
    this.#detach(slot);
    item?.call.reject(refused(item.what, answer.code, answer.message));
    return 'done';
  }

  /** The caller stops waiting: what was never sent is forgotten, anything else becomes a skip. */
  #giveUp(write: Write, reason: GiveUpReason): KvError {
    const { slot, call, what } = write;
    const facts = { what, reason, call, trouble: this.#trouble() };
    const state = this.#state;
    if (slot === null) {
      this.#queue.forget(write);
      return givenUpError({ ...facts, inDoubt: false, place: null });
    }
    assert(state.type === 'open' || state.type === 'losing', 'a place without a session');
    const place = { sessionId: state.live.info.id, seq: slot.seq };
    this.#detach(slot);
    return givenUpError({ ...facts, inDoubt: slot.sent || slot.doubt, place });
  }

  #detach(slot: Slot<Write>): void {
    if (slot.item === null) return;
    this.#windowCount--;
    this.#windowBytes -= slot.item.bytes;
    slot.item = null;
  }

  // ── losing and ending ────────────────────────────────────────────────────────────────────────

  #refuseFenced(what: string): void {
    if (this.#state.type !== 'fenced') return;
    const { error } = this.#state;
    throw refused(what, 'SESSION_FENCED', `${error.message}; open a new clerk`, error);
  }

  /** All attempts are back, so it is known which commands are in doubt. */
  #maybeFinishLoss(): void {
    if (this.#state.type !== 'losing' || this.#state.live.window.sentCount > 0) return;
    const { live, error, opening } = this.#state;
    const isFenced = error.code === 'SESSION_FENCED';
    if (isFenced) {
      this.#state = { type: 'fenced', error };
      opening?.rejectAll(error);
    } else {
      this.#state = opening === null ? { type: 'none' } : { type: 'opening', opening };
    }
    const slots = [...live.window.slots()].filter((slot) => slot.item !== null);
    const inDoubt = slots.some((slot) => slot.doubt);
    const writes: Write[] = [];
    for (const slot of slots) {
      if (slot.item !== null) writes.push(slot.item);
      this.#detach(slot);
    }
    const lost = refused('resolve', 'SESSION_LOST_UNKNOWN', error.message, error);
    live.endings.rejectAll(lost);
    if (live.info.name === null && !inDoubt && !isFenced) {
      for (const write of writes) write.slot = null;
      this.#queue.unshift(writes);
      return;
    }
    for (const { what, call, slot } of writes) {
      const code = slot?.doubt === true ? 'SESSION_LOST_UNKNOWN' : definiteCode(error);
      call.reject(refused(what, code, error.message, error));
    }
    this.#queue.rejectAll(({ what }) => refused(what, definiteCode(error), error.message, error));
  }

  #sendClose(state: Extract<State, { type: 'ending' }>): Outgoing {
    state.sent = true;
    const { id, incarnation } = state.live.info;
    const command = encodeCommand({ type: 'closeSession', sessionId: id, incarnation });
    return {
      body: { type: 'command', command },
      bytes: command.length,
      answered: () => {
        state.done();
        return 'done';
      },
      lost: state.done,
    };
  }
}

function encodeInSession(
  live: Live,
  seq: number,
  ackedSeq: number,
  operation: Operation,
): Uint8Array {
  const { id, incarnation } = live.info;
  const session = { sessionId: id, incarnation, seq, ackedSeq };
  return encodeCommand({ type: 'operation', session, operation });
}

/**
 * Which answers a command acknowledges. Callers who number their commands themselves may come
 * back for an answer, after a restart for instance: some stay kept.
 */
function ackedSeqFor(seq: number, wanted: boolean, answeredSeq: number): number {
  const ackedSeq = Math.min(answeredSeq, seq - 1);
  return wanted
    ? Math.max(0, Math.min(ackedSeq, seq - 1 - CLERK_LIMITS.explicitSeqKept))
    : ackedSeq;
}

function refused(what: string, code: KvError['code'], message: string, cause?: KvError): KvError {
  return new KvError(code, `${what}: ${message}`, { cause });
}

function outOfOrder(what: string, seq: number, next: number): KvError {
  const said = `${what}: seq ${seq} leaves a gap, the next one is ${next}`;
  return new KvError('OUT_OF_ORDER', said);
}

/** What a lost session says about a command that was definitely not executed. */
function definiteCode(error: KvError): KvError['code'] {
  return error.code === 'SESSION_FENCED' ? 'SESSION_FENCED' : 'SESSION_EXPIRED';
}
