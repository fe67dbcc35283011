import {
  type Answer,
  API_LIMITS,
  decodeAnswer,
  type ExecuteRequest,
  type Hello,
  type IdentifiedAnswer,
  KvError,
  type LeaderHint,
} from '../api/index.ts';
import type { Clock, Random, Timer } from '../io/index.ts';
import { DecodeError } from '../lib/index.ts';
import type { ChannelFactory, ClerkChannel } from './channel.ts';
import { CLERK_LIMITS } from './limits.ts';
import type { Place, Roster } from './roster.ts';

/**
 * What an answer was to the one who asked.
 * `done`: an answer for good, which a working leader gave · `local`: for good, but any member could
 * have given it · `elsewhere`, `later`: refused, see `Retry` · `again`: refused, and nothing is
 * wrong with the member.
 */
export type Verdict = 'done' | 'local' | 'elsewhere' | 'later' | 'again';

/**
 * A request on its way. Exactly one of the two is called, once; `lost` also when the link closes.
 * Neither wakes the link: it looks at its sources by itself afterwards.
 */
export interface Outgoing {
  readonly body: ExecuteRequest['body'];
  /** Size estimate of the body, bytes. */
  readonly bytes: number;
  /** How long the member may keep the answer back, milliseconds; absent: it may not. */
  readonly waitMs?: number;
  /** Told the id under which the request leaves, for `withdraw`. */
  sent?(id: number): void;
  answered(answer: Answer): Verdict;
  /** The channel ended without an answer: it may have been executed, or still may be. */
  lost(): void;
}

/** Who has something to ask. */
export interface Source {
  /** The next request to send; null while there is none. */
  next(): Outgoing | null;
  /** Whether anything waits to be sent or answered, and whether a caller waits for it. */
  urgency(): Urgency;
}

export type Urgency = 'none' | 'background' | 'caller';

const WITHDRAWAL = { type: 'withdrawal' } as const;

/** Why a member could not serve, and whom it named. */
interface Refusal {
  readonly error: KvError;
  readonly hint: LeaderHint | null;
}

/** A wait before the next try; cut short when a caller turns up and nobody waited before. */
interface Pause {
  readonly timer: Timer;
  readonly urgency: Urgency;
}

/**
 *   idle ──work──▶ waiting ──backoff──▶ connecting ──hello──▶ open ─┐
 *    ▲               ▲                      │                  │    │ refused: pause
 *    └── no work ────┴────── failed ────────┴──────────────────┘    └─▶ (still open, probing)
 */
type State =
  | { readonly type: 'idle' }
  | { readonly type: 'waiting'; readonly pause: Pause }
  | {
      readonly type: 'connecting';
      readonly channel: ClerkChannel;
      readonly place: Place;
      readonly timer: Timer;
    }
  | {
      readonly type: 'open';
      readonly channel: ClerkChannel;
      readonly place: Place;
      /** One request at a time, until a member has shown that it serves. */
      probing: boolean;
      /** Nothing is sent before it ends. */
      pause: Pause | null;
    }
  | { readonly type: 'closed' };

/**
 * The one connection of a clerk: to the leader, as soon as it is found. Pulls requests from its
 * sources, all of one turn into one message; notices refusals, silence and broken connections, and
 * moves on: at once to a hinted leader, else round the members with growing, random pauses.
 */
export class Link {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #channels: ChannelFactory;
  readonly #roster: Roster;
  readonly #sources: readonly Source[];
  #state: State = { type: 'idle' };
  readonly #inFlight = new Map<number, Outgoing>();
  /** Those in flight that the member has to answer at once. */
  #promptCount = 0;
  #lastId = 0;
  /** Questions in flight to which nobody wants the answer any more: the member is still to hear. */
  #withdrawn: number[] = [];
  #flushing = false;
  #stallTimer: Timer | null = null;
  /** Last sign of life while requests were in flight. */
  #heardAtMs = 0;
  /** Failures and refusals since a leader last answered. */
  #failures = 0;
  #hintsInRow = 0;
  #silences = 0;
  /** No new try before this time. */
  #notBeforeMs = 0;
  /** Where the next connection goes; null lets the roster choose. */
  #target: Place | null = null;
  #clusterId: bigint | null = null;
  #trouble: KvError | null = null;

  constructor(options: {
    readonly clock: Clock;
    readonly random: Random;
    readonly channels: ChannelFactory;
    readonly roster: Roster;
    /** In order of precedence. */
    readonly sources: readonly Source[];
  }) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#channels = options.channels;
    this.#roster = options.roster;
    this.#sources = options.sources;
  }

  /** Why the last try failed; null when the last one did not. */
  get trouble(): KvError | null {
    return this.#trouble;
  }

  /** The member in use or being reached; null between two. */
  get place(): Place | null {
    const { type } = this.#state;
    return type === 'open' || type === 'connecting' ? this.#state.place : null;
  }

  /** A channel is open and its member has said hello. */
  get isOpen(): boolean {
    return this.#state.type === 'open';
  }

  /** There is new work: it leaves at the end of this turn, or as soon as a member is reached. */
  wake(): void {
    const state = this.#state;
    if (state.type === 'idle') this.#connectSoon();
    else if (state.type === 'waiting') {
      if (this.#cutShort(state.pause)) this.#connectSoon();
    } else if (state.type === 'open') {
      if (state.pause === null) this.#flushSoon();
      else if (this.#cutShort(state.pause)) this.#pause();
    }
  }

  /** Nobody waits for the answer to a question sent: a member that keeps it back need not. */
  withdraw(id: number): void {
    this.#withdrawn.push(id);
    this.wake();
  }

  /** Ends a pause that was long because nobody waited; false when it stays as it is. */
  #cutShort(pause: Pause): boolean {
    if (pause.urgency === 'caller' || this.#urgency() !== 'caller') return false;
    pause.timer.cancel();
    const soonestMs = this.#clock.nowMs() + CLERK_LIMITS.backoffFirstMs;
    this.#notBeforeMs = Math.min(this.#notBeforeMs, soonestMs);
    return true;
  }

  /** Ends the connection and every timer; what is in flight is lost. Twice is safe. */
  close(): void {
    if (this.#state.type === 'closed') return;
    this.#leave();
    this.#state = { type: 'closed' };
  }

  // ── connecting ───────────────────────────────────────────────────────────────────────────────

  #connectSoon(): void {
    const urgency = this.#urgency();
    if (urgency === 'none') {
      this.#state = { type: 'idle' };
      return;
    }
    const delayMs = Math.max(0, this.#notBeforeMs - this.#clock.nowMs());
    const timer = this.#clock.setTimer(delayMs, () => this.#connect());
    this.#state = { type: 'waiting', pause: { timer, urgency } };
  }

  #connect(): void {
    if (this.#urgency() === 'none') {
      this.#state = { type: 'idle' };
      return;
    }
    const place = this.#target ?? this.#roster.next(this.#clock.nowMs());
    this.#target = null;
    this.#roster.used(place);
    const waitMs = this.#patient(CLERK_LIMITS.connectTimeoutMs);
    const timer = this.#clock.setTimer(waitMs, () => {
      this.#silences++;
      const said = `${place.text}: no answer to connecting within ${waitMs} ms`;
      this.#fail(place, new KvError('UNREACHABLE', said));
    });
    // Events of a channel that was left behind find that it is no longer the present one.
    const present = (run: () => void) => {
      const state = this.#state;
      if ((state.type === 'connecting' || state.type === 'open') && state.channel === channel)
        run();
    };
    const channel: ClerkChannel = this.#channels.open(place.endpoint, {
      onHello: (hello) => present(() => this.#welcome(place, channel, hello)),
      onReplies: (replies) => present(() => this.#receive(place, replies)),
      onClose: (error) => present(() => this.#closed(place, error)),
    });
    this.#state = { type: 'connecting', channel, place, timer };
  }

  #welcome(place: Place, channel: ClerkChannel, hello: Hello): void {
    if (this.#state.type !== 'connecting') {
      this.#fail(place, new KvError('BAD_PEER', `${place.text}: said hello twice`));
      return;
    }
    this.#clusterId ??= hello.clusterId;
    if (hello.clusterId !== this.#clusterId) {
      const ids = `${hello.clusterId.toString(16)}, not ${this.#clusterId.toString(16)}`;
      this.#fail(place, new KvError('BAD_PEER', `${place.text}: is of another cluster: ${ids}`));
      return;
    }
    this.#state.timer.cancel();
    this.#roster.met(place, hello.memberId);
    this.#state = { type: 'open', channel, place, probing: true, pause: null };
    this.#flushSoon();
  }

  // ── sending ──────────────────────────────────────────────────────────────────────────────────

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    this.#clock.defer(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    const state = this.#state;
    if (state.type !== 'open' || state.pause !== null) return;
    let batch: ExecuteRequest[] = this.#withdrawn.map((id) => ({ id, body: WITHDRAWAL }));
    this.#withdrawn = [];
    let batchBytes = 0;
    while (!(state.probing && this.#promptCount > 0)) {
      const outgoing = this.#nextOutgoing();
      if (outgoing === null) break;
      const id = this.#expect(outgoing);
      const full =
        batch.length === API_LIMITS.streamMessageRequestsMax ||
        batchBytes + outgoing.bytes > API_LIMITS.streamMessageBytesMax / 2;
      if (full && batch.length > 0) {
        state.channel.send(batch);
        batch = [];
        batchBytes = 0;
      }
      batch.push({ id, body: outgoing.body });
      batchBytes += outgoing.bytes;
    }
    if (batch.length > 0) state.channel.send(batch);
    if (this.#inFlight.size > 0 && this.#stallTimer === null) this.#watchSilence();
  }

  /** Counts a request in; returns its id. Silence counts from the first that is to be answered. */
  #expect(outgoing: Outgoing): number {
    const isPrompt = outgoing.waitMs === undefined;
    const isFirst = isPrompt ? this.#promptCount === 0 : this.#inFlight.size === 0;
    if (isFirst) {
      this.#heardAtMs = this.#clock.nowMs();
      // A timer for those that may wait would come too late for this one.
      this.#stallTimer?.cancel();
      this.#stallTimer = null;
    }
    if (isPrompt) this.#promptCount++;
    const id = ++this.#lastId;
    this.#inFlight.set(id, outgoing);
    outgoing.sent?.(id);
    return id;
  }

  #nextOutgoing(): Outgoing | null {
    for (const source of this.#sources) {
      const outgoing = source.next();
      if (outgoing !== null) return outgoing;
    }
    return null;
  }

  /** One timer for all that is in flight: any answer is a sign of life. */
  #watchSilence(): void {
    const restMs = Math.max(0, this.#heardAtMs + this.#silenceMsMax() - this.#clock.nowMs());
    this.#stallTimer = this.#clock.setTimer(restMs, () => {
      this.#stallTimer = null;
      if (this.#state.type !== 'open' || this.#inFlight.size === 0) return;
      const limitMs = this.#silenceMsMax();
      if (this.#clock.nowMs() - this.#heardAtMs < limitMs) return this.#watchSilence();
      this.#silences++;
      const { place } = this.#state;
      const said = `${place.text}: no answer within ${limitMs} ms`;
      this.#fail(place, new KvError('CONNECTION_LOST', said));
    });
  }

  /** How long there may be no answer, given what is in flight. */
  #silenceMsMax(): number {
    let longestMs = 0;
    if (this.#promptCount === 0) {
      for (const { waitMs = 0 } of this.#inFlight.values()) longestMs = Math.max(longestMs, waitMs);
    }
    return this.#patient(CLERK_LIMITS.attemptTimeoutMs) + longestMs;
  }

  #patient(baseMs: number): number {
    const doublings = Math.floor(this.#silences / CLERK_LIMITS.silencesPerDoubling);
    return baseMs * 2 ** Math.min(doublings, CLERK_LIMITS.patienceDoublingsMax);
  }

  // ── receiving ────────────────────────────────────────────────────────────────────────────────

  #receive(place: Place, replies: readonly IdentifiedAnswer[]): void {
    this.#heardAtMs = this.#clock.nowMs();
    const seen = new Set<Verdict>();
    let refusal: Refusal | null = null as Refusal | null;
    for (const reply of replies) {
      const outgoing = this.#inFlight.get(reply.id);
      if (outgoing === undefined) continue; // nobody waits for it any more
      const answer = decodeOrError(reply.answer);
      if (answer instanceof DecodeError) {
        const said = `${place.text}: unreadable answer: ${answer.message}`;
        this.#fail(place, new KvError('BAD_PEER', said, { cause: answer }));
        return;
      }
      this.#inFlight.delete(reply.id);
      if (outgoing.waitMs === undefined) this.#promptCount--;
      const verdict = outgoing.answered(answer);
      seen.add(verdict);
      if (answer.type === 'error' && (verdict === 'elsewhere' || verdict === 'later')) {
        const error = new KvError(answer.code, `${place.text}: ${answer.message}`);
        refusal = { error, hint: answer.leader ?? refusal?.hint ?? null };
      }
    }
    this.#judge(place, seen, refusal);
  }

  /** Acts once on all answers of a message. */
  #judge(place: Place, seen: ReadonlySet<Verdict>, refusal: Refusal | null): void {
    if (seen.has('done')) {
      this.#failures = 0;
      this.#hintsInRow = 0;
    }
    if (seen.has('done') || seen.has('local')) {
      this.#silences = 0;
      this.#roster.served(place);
      if (this.#state.type === 'open') this.#state.probing = false;
    }
    if (refusal !== null) {
      this.#trouble = refusal.error;
      this.#refused(place, seen.has('elsewhere'), refusal.hint);
      return;
    }
    if (seen.has('done')) this.#trouble = null;
    this.#flushSoon();
  }

  #refused(place: Place, elsewhere: boolean, hint: LeaderHint | null): void {
    const nowMs = this.#clock.nowMs();
    if (!elsewhere) {
      this.#failures = Math.max(1, this.#failures);
      this.#backOff();
      this.#pause();
      return;
    }
    const leader = hint === null ? null : this.#roster.find(hint, nowMs);
    const followsHint =
      leader !== null && leader !== place && this.#hintsInRow < CLERK_LIMITS.hintsInRowMax;
    if (followsHint) this.#hintsInRow++;
    else this.#backOff();
    const target = followsHint ? leader : this.#roster.next(nowMs);
    if (target === place) {
      this.#pause();
      return;
    }
    this.#leave();
    this.#target = target;
    this.#connectSoon();
  }

  /** Stays connected, sends nothing for a while, then probes. */
  #pause(): void {
    const state = this.#state;
    if (state.type !== 'open') return;
    state.pause?.timer.cancel();
    state.probing = true;
    const delayMs = Math.max(0, this.#notBeforeMs - this.#clock.nowMs());
    const timer = this.#clock.setTimer(delayMs, () => {
      state.pause = null;
      this.#roster.used(state.place);
      this.#flush();
    });
    state.pause = { timer, urgency: this.#urgency() };
  }

  // ── leaving ──────────────────────────────────────────────────────────────────────────────────

  /**
   * The channel ended by itself. Where a member has just served, that is more often a broken
   * connection than a dead member: it is tried once more before the others are.
   */
  #closed(place: Place, error: KvError): void {
    const hasServed = this.#state.type === 'open' && !this.#state.probing;
    if (!hasServed || error.code === 'BAD_PEER') {
      this.#fail(place, error);
      return;
    }
    this.#trouble = error;
    this.#leave();
    this.#backOff();
    this.#target = place;
    this.#connectSoon();
  }

  /** The member cannot be used now: on to another, if there is work. */
  #fail(place: Place, error: KvError): void {
    this.#trouble = error;
    this.#roster.failed(place, this.#clock.nowMs());
    this.#leave();
    this.#backOff();
    this.#connectSoon();
  }

  /** Sets how soon the next try may start: the first failure costs nothing, then pauses grow. */
  #backOff(): void {
    const doublings = this.#failures - 1;
    this.#failures++;
    this.#hintsInRow = 0;
    const maxMs =
      this.#urgency() === 'caller' ? CLERK_LIMITS.backoffMaxMs : CLERK_LIMITS.backoffIdleMaxMs;
    const fullMs =
      doublings < 0
        ? 0
        : Math.min(maxMs, CLERK_LIMITS.backoffFirstMs * 2 ** Math.min(doublings, 30));
    // Between half and all of it: clerks that failed together do not come back together.
    const jitter = 0.5 + this.#random.uint32() / 2 ** 33;
    this.#notBeforeMs = this.#clock.nowMs() + fullMs * jitter;
  }

  #leave(): void {
    const state = this.#state;
    this.#state = { type: 'idle' };
    if (state.type === 'waiting') state.pause.timer.cancel();
    if (state.type === 'connecting') state.timer.cancel();
    if (state.type === 'open') state.pause?.timer.cancel();
    if (state.type === 'connecting' || state.type === 'open') state.channel.close();
    this.#stallTimer?.cancel();
    this.#stallTimer = null;
    const lost = [...this.#inFlight.values()];
    this.#inFlight.clear();
    this.#promptCount = 0;
    this.#withdrawn = [];
    for (const outgoing of lost) outgoing.lost();
  }

  #urgency(): Urgency {
    let most: Urgency = 'none';
    for (const source of this.#sources) {
      const urgency = source.urgency();
      if (urgency === 'caller') return 'caller';
      if (urgency === 'background') most = 'background';
    }
    return most;
  }
}

function decodeOrError(bytes: Uint8Array): Answer | DecodeError {
  try {
    return decodeAnswer(bytes);
  } catch (error) {
    if (error instanceof DecodeError) return error;
    throw error;
  }
}
