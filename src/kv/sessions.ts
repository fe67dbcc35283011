import {
  API_LIMITS,
  type CloseSession,
  type ErrorCode,
  KvError,
  type OpenSession,
  type OpenSessionResult,
  type Resolve,
  type ResolveResult,
  type SessionRef,
} from '../api/index.ts';
import { assert, ByteWriter } from '../lib/index.ts';
import { ExpiryHeap } from './expiry-heap.ts';
import type { KvLimits } from './limits.ts';
import { answerKey, sessionKey } from './rows.ts';
import {
  isAnonymous,
  nameKeyOf,
  positionOf,
  readNameRow,
  readSession,
  type Session,
  writeNameRow,
  writeSession,
} from './session-rows.ts';
import type { Tables } from './tables.ts';

const EVERYTHING = { from: new Uint8Array(0), to: null } as const;
/** Sessions in the cache between two batches; a fuller one is emptied. */
const CACHED_SESSIONS_MAX = 10_000;
/** Heap entries of sessions long closed are swept out beyond twice the sessions and this. */
const HEAP_SLACK = 1024;

/** What becomes of a session's command: it runs, or an answer is there already. */
export type Admission =
  | { readonly type: 'execute'; readonly session: Session }
  | { readonly type: 'answered'; readonly answer: Uint8Array };

/**
 * Sessions: each command of one executes exactly once and in the order of its seq; its answer is
 * kept until the client says it has it. Who is refused here has not used up its seq, and has
 * changed nothing but that its acknowledgement may have counted. (Ongaro, Raft thesis §6.3; here
 * with named sessions and many commands in flight.)
 *
 * The rows are the state. In memory, derived from them: sessions in use, so that a batch of
 * commands reads and writes their rows once, and the heap of deadlines.
 */
export class Sessions {
  readonly #tables: Tables;
  readonly #limits: KvLimits;
  readonly #cache = new Map<number, Session>();
  /** In the cache, changed since `flush`. */
  readonly #changed = new Set<Session>();
  readonly #deadlines = new ExpiryHeap<number>();
  readonly #row = new ByteWriter();
  #count = 0;
  /** Next id to give out; ids are never used again. */
  #nextId: number;
  #logTimeMs: number;

  constructor(options: { tables: Tables; limits: KvLimits; nextId: number; logTimeMs: number }) {
    this.#tables = options.tables;
    this.#limits = options.limits;
    this.#nextId = options.nextId;
    this.#logTimeMs = options.logTimeMs;
    this.#collectDeadlines();
    this.#count = this.#deadlines.size;
  }

  /** Sessions there are, those included that are past their deadline and not swept yet. */
  get count(): number {
    return this.#count;
  }

  get nextId(): number {
    return this.#nextId;
  }

  // ── time ─────────────────────────────────────────────────────────────────────────────────────

  /**
   * The log's clock goes on to `logTimeMs`; sessions whose idle life is over end. From now on they
   * are refused; their rows go in order of (deadline, id), at most so many in one batch, so that
   * a hundred thousand clients that vanished together do not stop the member for a second.
   */
  advanceTo(logTimeMs: number): void {
    assert(logTimeMs >= this.#logTimeMs, 'log time went back');
    this.#logTimeMs = logTimeMs;
    let rowsLeft = this.#limits.expiryRowsPerBatchMax;
    while (rowsLeft > 0) {
      const deadlineMs = this.#deadlines.nextDeadlineMs;
      if (deadlineMs === null || deadlineMs > logTimeMs) break;
      const session = this.#load(this.#deadlines.pop() ?? 0);
      if (session === null) continue;
      if (this.#isOver(session)) rowsLeft -= this.#remove(session);
      else this.#deadlines.push(deadlineOf(session), session.id);
    }
    if (this.#deadlines.size > 2 * this.#count + HEAP_SLACK) this.#collectDeadlines();
  }

  #isOver(session: Session): boolean {
    return deadlineOf(session) <= this.#logTimeMs;
  }

  /** Builds the heap anew from the rows; needs them all written. */
  #collectDeadlines(): void {
    this.#deadlines.clear();
    for (const { key, value } of this.#tables.range('sessions', EVERYTHING)) {
      const session = readSession(sessionIdOf(key), value);
      this.#deadlines.push(deadlineOf(session), session.id);
    }
  }

  // ── opening and closing ──────────────────────────────────────────────────────────────────────

  /**
   * The command's form is valid.
   * @throws KvError SESSION_FENCED for the nonce of a replaced incarnation, SESSIONS_FULL.
   */
  open(command: OpenSession): OpenSessionResult {
    const nameKey = nameKeyOf(command.name, command.nonce);
    const known = this.#findByName(nameKey);
    if (known === null) return this.#describe(this.#create(nameKey, command));
    const { session, nonces } = known;
    if (!isAnonymous(nameKey)) {
      const position = positionOf(nonces, command.nonce);
      if (position > 0) throw fenced(session);
      if (position < 0) this.#replaceIncarnation(session, nonces, command);
    }
    this.#touch(session);
    return this.#describe(session);
  }

  /** @throws KvError SESSION_FENCED, SESSION_EXPIRED, SESSION_UNKNOWN. */
  close(command: CloseSession): void {
    const session = this.#find(command.sessionId);
    this.#checkIncarnation(session, command.incarnation);
    this.#remove(session);
  }

  #findByName(nameKey: Uint8Array): { session: Session; nonces: readonly Uint8Array[] } | null {
    const row = this.#tables.get('names', nameKey);
    if (row === null) return null;
    const { sessionId, nonces } = readNameRow(row, API_LIMITS.sessionNonceBytes);
    const session = this.#load(sessionId);
    assert(session !== null, 'name without session', { sessionId });
    if (!this.#isOver(session)) return { session, nonces };
    this.#remove(session);
    return null;
  }

  #create(nameKey: Uint8Array, { nonce, ttlMs }: OpenSession): Session {
    if (this.#count >= this.#limits.sessionsMax) {
      throw new KvError('SESSIONS_FULL', `there are ${this.#limits.sessionsMax} sessions already`);
    }
    const session: Session = {
      id: this.#nextId++,
      incarnation: 1,
      lastSeq: 0,
      ackedSeq: 0,
      activityMs: this.#logTimeMs,
      ttlMs: this.#clampTtl(ttlMs),
      answerBytes: 0,
      nameKey,
    };
    this.#count++;
    this.#cache.set(session.id, session);
    this.#changed.add(session);
    this.#deadlines.push(deadlineOf(session), session.id);
    this.#putName(session, isAnonymous(nameKey) ? [] : [nonce.slice()], null);
    return session;
  }

  #replaceIncarnation(
    session: Session,
    nonces: readonly Uint8Array[],
    { nonce, ttlMs }: OpenSession,
  ): void {
    const was = this.#tables.get('names', session.nameKey);
    const remembered = [nonce.slice(), ...nonces.slice(0, this.#limits.sessionOldNoncesMax)];
    this.#putName(session, remembered, was);
    const deadlineMs = deadlineOf(session);
    session.incarnation++;
    session.ttlMs = this.#clampTtl(ttlMs);
    this.#touch(session);
    // The heap may hold an earlier deadline than the true one, never a later one.
    if (deadlineOf(session) < deadlineMs) this.#deadlines.push(deadlineOf(session), session.id);
  }

  #putName(session: Session, nonces: readonly Uint8Array[], was: Uint8Array | null): void {
    this.#row.clear();
    writeNameRow(this.#row, { sessionId: session.id, nonces });
    this.#tables.put('names', session.nameKey, this.#row.view(), was);
  }

  #clampTtl(ttlMs: number): number {
    return Math.min(Math.max(ttlMs, this.#limits.sessionTtlMsMin), this.#limits.sessionTtlMsMax);
  }

  #describe(session: Session): OpenSessionResult {
    const { id, incarnation, lastSeq, ttlMs } = session;
    const lastAnswer = lastSeq > session.ackedSeq ? this.#answer(id, lastSeq) : null;
    const resumed = incarnation > 1;
    return { type: 'openSession', sessionId: id, incarnation, resumed, lastSeq, lastAnswer, ttlMs };
  }

  /** Ends a session: nothing of it stays but its id, which is never given out again. */
  #remove(session: Session): number {
    const answers = this.#dropAnswers(session, session.lastSeq);
    const name = this.#tables.get('names', session.nameKey);
    assert(name !== null, 'session without name', { id: session.id });
    this.#tables.remove('names', session.nameKey, name);
    const key = sessionKey(session.id);
    const row = this.#tables.get('sessions', key);
    if (row !== null) this.#tables.remove('sessions', key, row);
    this.#cache.delete(session.id);
    this.#changed.delete(session);
    this.#count--;
    return answers + 2;
  }

  // ── commands ─────────────────────────────────────────────────────────────────────────────────

  /**
   * Decides about a command before it is executed. After `execute` comes `record`.
   * @throws KvError SESSION_UNKNOWN, SESSION_EXPIRED, SESSION_FENCED, SESSION_STALE, OUT_OF_ORDER,
   * SESSION_WINDOW_FULL, INVALID_ARGUMENT for a reference that no client can mean.
   */
  admit(ref: SessionRef): Admission {
    const session = this.#find(ref.sessionId);
    this.#checkIncarnation(session, ref.incarnation);
    if (ref.seq === 0 || ref.ackedSeq >= ref.seq) {
      throw new KvError('INVALID_ARGUMENT', 'seq counts from 1, ackedSeq is below seq');
    }
    const expected = session.lastSeq + 1;
    if (ref.seq > expected) {
      throw new KvError('OUT_OF_ORDER', `expected seq ${expected}, got ${ref.seq}`);
    }
    if (ref.seq <= session.ackedSeq) {
      throw new KvError('SESSION_STALE', `answer ${ref.seq} was acknowledged and dropped`);
    }
    this.#dropAnswers(session, ref.ackedSeq);
    if (ref.seq === expected) {
      this.#checkWindow(session);
      return { type: 'execute', session };
    }
    this.#touch(session);
    return { type: 'answered', answer: this.#answer(session.id, ref.seq) };
  }

  /** Keeps the answer of the command just executed; its seq is used up. */
  record(session: Session, answer: Uint8Array): void {
    session.lastSeq++;
    session.answerBytes += answer.length;
    this.#tables.put('answers', answerKey(session.id, session.lastSeq), answer, null);
    this.#touch(session);
  }

  /**
   * What became of a command. `notExecuted` is final only when its incarnation is fenced: it may
   * still be on its way.
   * @throws KvError SESSION_UNKNOWN, SESSION_EXPIRED.
   */
  resolve({ sessionId, seq }: Resolve): ResolveResult {
    const session = this.#find(sessionId);
    if (seq > session.lastSeq) return { type: 'resolve', state: 'notExecuted', answer: null };
    if (seq <= session.ackedSeq) return { type: 'resolve', state: 'acknowledged', answer: null };
    return { type: 'resolve', state: 'executed', answer: this.#answer(sessionId, seq) };
  }

  /** @throws KvError when this incarnation is not the current one. */
  #checkIncarnation(session: Session, incarnation: number): void {
    if (incarnation < session.incarnation) throw fenced(session);
    if (incarnation > session.incarnation) {
      throw new KvError('SESSION_UNKNOWN', `incarnation ${incarnation} was never given out`);
    }
  }

  /** An answer is never dropped for room: the client has to say that it arrived. */
  #checkWindow(session: Session): void {
    const { sessionAnswersMax, sessionAnswerBytesMax } = this.#limits;
    const answers = session.lastSeq - session.ackedSeq;
    if (answers < sessionAnswersMax && session.answerBytes < sessionAnswerBytesMax) return;
    const kept = `${answers} answers, ${session.answerBytes} bytes`;
    throw new KvError('SESSION_WINDOW_FULL', `${kept} not acknowledged`);
  }

  /** Forgets the answers up to `ackedSeq`; returns how many. */
  #dropAnswers(session: Session, ackedSeq: number): number {
    const first = session.ackedSeq + 1;
    if (ackedSeq < first) return 0;
    for (let seq = first; seq <= ackedSeq; seq++) {
      const key = answerKey(session.id, seq);
      const answer = this.#tables.get('answers', key);
      assert(answer !== null, 'answer not acknowledged and not kept', { id: session.id, seq });
      session.answerBytes -= answer.length;
      this.#tables.remove('answers', key, answer);
    }
    session.ackedSeq = ackedSeq;
    this.#changed.add(session);
    return ackedSeq - first + 1;
  }

  #answer(sessionId: number, seq: number): Uint8Array {
    const answer = this.#tables.get('answers', answerKey(sessionId, seq));
    assert(answer !== null, 'answer not acknowledged and not kept', { sessionId, seq });
    return answer.slice();
  }

  // ── rows and cache ───────────────────────────────────────────────────────────────────────────

  /** At the end of each batch: writes the rows of the sessions it changed. */
  flush(): void {
    for (const session of this.#changed) {
      const key = sessionKey(session.id);
      this.#row.clear();
      writeSession(this.#row, session);
      this.#tables.put('sessions', key, this.#row.view(), this.#tables.get('sessions', key));
    }
    this.#changed.clear();
    if (this.#cache.size > CACHED_SESSIONS_MAX) this.#cache.clear();
  }

  /** @throws KvError SESSION_EXPIRED when it is over, SESSION_UNKNOWN when it never was. */
  #find(id: number): Session {
    const session = this.#load(id);
    if (session !== null && !this.#isOver(session)) return session;
    const code: ErrorCode = id > 0 && id < this.#nextId ? 'SESSION_EXPIRED' : 'SESSION_UNKNOWN';
    throw new KvError(
      code,
      `session ${id} ${code === 'SESSION_EXPIRED' ? 'is over' : 'is unknown'}`,
    );
  }

  #load(id: number): Session | null {
    const cached = this.#cache.get(id);
    if (cached !== undefined) return cached;
    const row = this.#tables.get('sessions', sessionKey(id));
    if (row === null) return null;
    const session = readSession(id, row);
    this.#cache.set(id, session);
    return session;
  }

  #touch(session: Session): void {
    session.activityMs = this.#logTimeMs;
    this.#changed.add(session);
  }
}

function deadlineOf(session: Session): number {
  return session.activityMs + session.ttlMs;
}

function fenced(session: Session): KvError {
  const message = `session ${session.id} was taken over by incarnation ${session.incarnation}`;
  return new KvError('SESSION_FENCED', message);
}

function sessionIdOf(key: Uint8Array): number {
  let id = 0;
  for (const byte of key) id = id * 0x100 + byte;
  return id;
}
