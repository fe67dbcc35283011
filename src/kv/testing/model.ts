import type { Command, ErrorCode, KeyRange, Operation, SessionRef } from '../../api/index.ts';
import type { KvLimits } from '../index.ts';
import { string } from './harness.ts';

/*
 * The state machine once more, as naively as can be: the whole state copied for each revision, all
 * answers in a list, keys as strings. Shares no code with the real one but the types of the words.
 * Answers are plain values: bytes as strings, errors by their code.
 */

interface Kv {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
  readonly version: number;
}

interface ModelSession {
  readonly id: number;
  readonly name: string;
  readonly nonces: string[];
  incarnation: number;
  /** answers[seq - 1]; null when acknowledged. */
  answers: (unknown | null)[];
  deadlineMs: number;
  ttlMs: number;
}

class Refused extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode) {
    super(code);
    this.code = code;
  }
}

type Limits = Pick<
  KvLimits,
  'valueBytesMax' | 'sessionsMax' | 'sessionAnswersMax' | 'sessionTtlMsMin' | 'sessionTtlMsMax'
>;

export class Model {
  revision = 1;
  /** states[revision]: the keys as they were. */
  readonly states: Map<string, Kv>[] = [new Map(), new Map()];
  readonly sessions = new Map<number, ModelSession>();
  readonly #limits: Limits;
  #nextId = 1;
  #timeMs = 0;
  /** The command in progress: its state so far, and whether it changed anything. */
  #draft = new Map<string, Kv>();
  #changed = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  startBatch(timeMs: number): void {
    this.#timeMs = Math.max(this.#timeMs, timeMs);
    for (const session of [...this.sessions.values()]) {
      if (session.deadlineMs <= this.#timeMs) this.sessions.delete(session.id);
    }
  }

  apply(command: Command): unknown {
    return answering(() => {
      switch (command.type) {
        case 'openSession':
          return this.#open(string(command.name), string(command.nonce), command.ttlMs);
        case 'closeSession': {
          const session = this.#session(command.sessionId, command.incarnation);
          this.sessions.delete(session.id);
          return { type: 'closeSession' };
        }
        case 'operation':
          if (command.session === null) return this.execute(command.operation);
          return this.#inSession(command.session, command.operation);
      }
    });
  }

  #open(name: string, nonce: string, ttlMs: number): unknown {
    const { sessionsMax, sessionTtlMsMin, sessionTtlMsMax } = this.#limits;
    const granted = Math.min(Math.max(ttlMs, sessionTtlMsMin), sessionTtlMsMax);
    let session = [...this.sessions.values()].find((each) =>
      name === '' ? each.name === '' && each.nonces[0] === nonce : each.name === name,
    );
    if (session === undefined) {
      if (this.sessions.size >= sessionsMax) throw new Refused('SESSIONS_FULL');
      const id = this.#nextId++;
      session = {
        id,
        name,
        nonces: [nonce],
        incarnation: 1,
        answers: [],
        deadlineMs: 0,
        ttlMs: granted,
      };
      this.sessions.set(id, session);
    } else if (session.nonces[0] !== nonce) {
      if (session.nonces.slice(0, 17).includes(nonce)) throw new Refused('SESSION_FENCED');
      session.nonces.unshift(nonce);
      session.incarnation++;
      session.ttlMs = granted;
    }
    session.deadlineMs = this.#timeMs + session.ttlMs;
    return {
      type: 'openSession',
      sessionId: session.id,
      incarnation: session.incarnation,
      resumed: session.incarnation > 1,
      lastSeq: session.answers.length,
      lastAnswer: session.answers.at(-1) ?? null,
      ttlMs: session.ttlMs,
    };
  }

  #session(id: number, incarnation: number): ModelSession {
    const session = this.sessions.get(id);
    if (session === undefined) {
      throw new Refused(id > 0 && id < this.#nextId ? 'SESSION_EXPIRED' : 'SESSION_UNKNOWN');
    }
    if (incarnation < session.incarnation) throw new Refused('SESSION_FENCED');
    if (incarnation > session.incarnation) throw new Refused('SESSION_UNKNOWN');
    return session;
  }

  #inSession({ sessionId, incarnation, seq, ackedSeq }: SessionRef, operation: Operation): unknown {
    const session = this.#session(sessionId, incarnation);
    if (seq === 0 || ackedSeq >= seq) throw new Refused('INVALID_ARGUMENT');
    if (seq > session.answers.length + 1) throw new Refused('OUT_OF_ORDER');
    if (session.answers[seq - 1] === null) throw new Refused('SESSION_STALE');
    session.answers = session.answers.map((answer, i) => (i < ackedSeq ? null : answer));
    if (seq === session.answers.length + 1) {
      const kept = session.answers.filter((answer) => answer !== null).length;
      if (kept >= this.#limits.sessionAnswersMax) throw new Refused('SESSION_WINDOW_FULL');
      session.answers.push(answering(() => this.execute(operation)));
    }
    session.deadlineMs = this.#timeMs + session.ttlMs;
    return session.answers[seq - 1];
  }

  resolve(sessionId: number, seq: number): unknown {
    return answering(() => {
      const session = this.#session(sessionId, this.sessions.get(sessionId)?.incarnation ?? 0);
      if (seq > session.answers.length)
        return { type: 'resolve', state: 'notExecuted', answer: null };
      const answer = session.answers[seq - 1] ?? null;
      return { type: 'resolve', state: answer === null ? 'acknowledged' : 'executed', answer };
    });
  }

  // ── operations: their form is valid ──────────────────────────────────────────────────────────

  execute(operation: Operation): unknown {
    if (operation.type === 'skip') return { type: 'skip' };
    this.#draft = new Map(this.#now());
    this.#changed = false;
    const result = this.#run(operation, null);
    if (this.#changed) {
      this.revision++;
      this.states.push(this.#draft);
    }
    return result;
  }

  /** `before`: the state in which compares are decided; null outside a transaction. */
  #run(
    operation: Exclude<Operation, { type: 'skip' }> | RangeWords,
    before: Map<string, Kv> | null,
  ): unknown {
    switch (operation.type) {
      case 'put': {
        const prevKv = operation.prevKv ? (this.#draft.get(string(operation.key)) ?? null) : null;
        this.#set(string(operation.key), string(operation.value));
        return { type: 'put', revision: this.#visible(), prevKv };
      }
      case 'append': {
        const value =
          (this.#draft.get(string(operation.key))?.value ?? '') + string(operation.value);
        if (value.length > this.#limits.valueBytesMax) throw new Refused('TOO_LARGE');
        this.#set(string(operation.key), value);
        return { type: 'append', revision: this.#visible(), valueBytes: value.length };
      }
      case 'delete': {
        const doomed = within(this.#draft, operation.range);
        for (const { key } of doomed) this.#draft.delete(key);
        if (doomed.length > 0) this.#changed = true;
        const prevKvs = operation.prevKv ? doomed : [];
        return { type: 'delete', revision: this.#visible(), deleted: doomed.length, prevKvs };
      }
      case 'range':
        return this.range(operation, this.#draft, this.#visible());
      case 'txn': {
        const decidedIn = before ?? new Map(this.#draft);
        const succeeded = operation.compares.every((compare) => {
          const kvs = within(decidedIn, compare.range);
          const { operand, relation } = compare;
          if (kvs.length === 0 && operand.target === 'value') return false;
          const missing = { key: '', value: '', createRevision: 0, modRevision: 0, version: 0 };
          return (kvs.length === 0 ? [missing] : kvs).every((kv) => {
            if (operand.target === 'value')
              return related(relation, kv.value, string(operand.value));
            return related(relation, kv[operand.target], operand.value);
          });
        });
        const branch = succeeded ? operation.success : operation.failure;
        const results = branch.map((each) => this.#run(each, decidedIn));
        return { type: 'txn', revision: this.#visible(), succeeded, results };
      }
    }
  }

  range(range: RangeWords, now = this.#now(), visible = this.revision): unknown {
    if (range.revision !== null && range.revision > this.revision) {
      throw new Refused('FUTURE_REVISION');
    }
    const state = range.revision === null ? now : (this.states[range.revision] ?? now);
    const all = within(state, range.range);
    const cut = range.countOnly ? [] : all.slice(0, range.limit ?? all.length);
    const kvs = cut.map((kv) => (range.keysOnly ? { ...kv, value: '' } : kv));
    const more = !range.countOnly && cut.length < all.length;
    return { type: 'range', revision: visible, kvs, more, count: all.length };
  }

  #set(key: string, value: string): void {
    const old = this.#draft.get(key);
    const modRevision = this.revision + 1;
    this.#changed = true;
    this.#draft.set(key, {
      key,
      value,
      createRevision: old?.createRevision ?? modRevision,
      modRevision,
      version: (old?.version ?? 0) + 1,
    });
  }

  #visible(): number {
    return this.#changed ? this.revision + 1 : this.revision;
  }

  #now(): Map<string, Kv> {
    return this.states[this.revision] ?? new Map();
  }
}

type RangeWords = Extract<Operation, { type: 'txn' }>['success'][number] & { type: 'range' };

function within(state: ReadonlyMap<string, Kv>, range: KeyRange): Kv[] {
  const from = string(range.from);
  const to = range.to === null ? null : string(range.to);
  const inside = [...state.values()].filter(({ key }) => key >= from && (to === null || key < to));
  return inside.sort((a, b) => (a.key < b.key ? -1 : 1));
}

function related(relation: string, a: string | number, b: string | number): boolean {
  switch (relation) {
    case 'equal':
      return a === b;
    case 'notEqual':
      return a !== b;
    case 'greater':
      return a > b;
    default:
      return a < b;
  }
}

function answering(run: () => unknown): unknown {
  try {
    return run();
  } catch (cause) {
    if (cause instanceof Refused) return { type: 'error', code: cause.code };
    throw cause;
  }
}
