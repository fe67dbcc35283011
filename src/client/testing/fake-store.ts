import {
  type Answer,
  type Command,
  type ErrorCode,
  encodeAnswer,
  type KeyRange,
  type KeyValue,
  type Operation,
  type Query,
  type SessionRef,
  type TxnOperation,
  type TxnOperationResult,
} from '../../api/index.ts';
import { bytesKey, compareBytes, concatBytes, EMPTY_BYTES, hex } from '../../lib/index.ts';

interface Session {
  readonly name: string;
  nonce: string;
  incarnation: number;
  lastSeq: number;
  readonly answers: Map<number, Uint8Array>;
}

/** A command that really ran. */
export interface Execution {
  readonly sessionId: number;
  readonly seq: number;
  readonly operation: Operation;
}

/** The smallest state machine that keeps the rules of sessions. */
export class FakeStore {
  readonly executions: Execution[] = [];
  readonly sessions = new Map<number, Session>();
  /** Ids of sessions that were ended by their clerk. */
  readonly closedIds: number[] = [];
  readonly #values = new Map<string, KeyValue>();
  #lastId = 10;
  #revision = 1;

  execute(command: Command): Uint8Array {
    switch (command.type) {
      case 'openSession':
        return encodeAnswer(this.#open(bytesKey(command.name), hex(command.nonce), command.ttlMs));
      case 'closeSession':
        this.sessions.delete(command.sessionId);
        this.closedIds.push(command.sessionId);
        return encodeAnswer({ type: 'closeSession' });
      case 'operation':
        if (command.session === null) return refusal('INVALID_ARGUMENT', 'no session');
        return this.#executeInSession(command.session, command.operation);
    }
  }

  read({ query }: Query): Uint8Array {
    if (query.type === 'range') return encodeAnswer(this.#range(query));
    if (query.type !== 'resolve') return refusal('INVALID_ARGUMENT', `no ${query.type} here`);
    const session = this.sessions.get(query.sessionId);
    if (session === undefined) return refusal('SESSION_UNKNOWN', 'no such session');
    const answer = session.answers.get(query.seq) ?? null;
    const state =
      query.seq > session.lastSeq ? 'notExecuted' : answer === null ? 'acknowledged' : 'executed';
    return encodeAnswer({ type: 'resolve', state, answer });
  }

  /** The session is forgotten, as after its idle life. */
  expire(sessionId: number): void {
    this.sessions.delete(sessionId);
  }

  /** The value of a key as text; null when there is none. */
  text(key: string): string | null {
    const value = this.#values.get(key)?.value;
    return value === undefined ? null : new TextDecoder().decode(value);
  }

  #open(name: string, nonce: string, ttlMs: number): Answer {
    let id = [...this.sessions].find(([, { name: other }]) => name !== '' && other === name)?.[0];
    const resumed = id !== undefined;
    const again = [...this.sessions].find(([, session]) => session.nonce === nonce)?.[0];
    id ??= again ?? ++this.#lastId;
    const fresh = { name, nonce, incarnation: 0, lastSeq: 0, answers: new Map() };
    const session = this.sessions.get(id) ?? fresh;
    if (again === undefined) {
      session.incarnation++;
      session.nonce = nonce;
    }
    this.sessions.set(id, session);
    const { incarnation, lastSeq } = session;
    const lastAnswer = session.answers.get(lastSeq) ?? null;
    return { type: 'openSession', sessionId: id, incarnation, resumed, lastSeq, lastAnswer, ttlMs };
  }

  #executeInSession(ref: SessionRef, operation: Operation): Uint8Array {
    const session = this.sessions.get(ref.sessionId);
    if (session === undefined) return refusal('SESSION_EXPIRED', 'it was idle for too long');
    if (ref.incarnation !== session.incarnation) {
      return refusal('SESSION_FENCED', `incarnation ${session.incarnation} took over`);
    }
    if (ref.seq > session.lastSeq + 1) {
      return refusal('OUT_OF_ORDER', `the next seq is ${session.lastSeq + 1}`);
    }
    if (ref.seq <= session.lastSeq) {
      const kept = session.answers.get(ref.seq);
      return kept ?? refusal('SESSION_STALE', 'its answer was acknowledged');
    }
    for (const seq of session.answers.keys()) if (seq <= ref.ackedSeq) session.answers.delete(seq);
    session.lastSeq = ref.seq;
    this.executions.push({ sessionId: ref.sessionId, seq: ref.seq, operation });
    const answer = encodeAnswer(this.#apply(operation));
    session.answers.set(ref.seq, answer);
    return answer;
  }

  #apply(operation: Operation): Answer {
    switch (operation.type) {
      case 'skip':
        return { type: 'skip' };
      case 'compact':
        return { type: 'compact', revision: this.#revision };
      case 'leaseGrant':
      case 'leaseKeepAlive':
      case 'leaseRevoke':
        throw new Error('a clerk has no leases');
    }
    const revision = ++this.#revision;
    return this.#applyOne(operation, revision);
  }

  #applyOne(operation: TxnOperation, revision: number): TxnOperationResult {
    switch (operation.type) {
      case 'put': {
        const prev = this.#set(operation.key, operation.value, revision);
        return { type: 'put', revision, prevKv: operation.prevKv ? prev : null };
      }
      case 'append': {
        const before = this.#values.get(bytesKey(operation.key))?.value ?? EMPTY_BYTES;
        const value = concatBytes([before, operation.value]);
        this.#set(operation.key, value, revision);
        return { type: 'append', revision, valueBytes: value.length };
      }
      case 'delete': {
        const kvs = this.#inside(operation.range);
        for (const kv of kvs) this.#values.delete(bytesKey(kv.key));
        const prevKvs = operation.prevKv ? kvs : [];
        return { type: 'delete', revision, deleted: kvs.length, prevKvs };
      }
      case 'range':
        return this.#range(operation);
      case 'txn': {
        const succeeded = operation.compares.every(({ range, operand }) => {
          const held = this.#inside(range)[0];
          if (operand.target === 'value') {
            return held !== undefined && compareBytes(held.value, operand.value) === 0;
          }
          return (held?.[operand.target] ?? 0) === operand.value;
        });
        const steps = succeeded ? operation.success : operation.failure;
        const results = steps.map((step) => this.#applyOne(step, revision));
        return { type: 'txn', revision, succeeded, results };
      }
    }
  }

  #set(key: Uint8Array, value: Uint8Array, revision: number): KeyValue | null {
    const prev = this.#values.get(bytesKey(key)) ?? null;
    this.#values.set(bytesKey(key), {
      key: key.slice(),
      value: value.slice(),
      createRevision: prev?.createRevision ?? revision,
      modRevision: revision,
      version: (prev?.version ?? 0) + 1,
    });
    return prev;
  }

  #inside({ from, to }: KeyRange): KeyValue[] {
    return [...this.#values.values()]
      .filter(
        ({ key }) => compareBytes(key, from) >= 0 && (to === null || compareBytes(key, to) < 0),
      )
      .sort((a, b) => compareBytes(a.key, b.key));
  }

  #range(range: {
    readonly range: KeyRange;
    readonly limit: number | null;
  }): Extract<Answer, { type: 'range' }> {
    const kvs = this.#inside(range.range);
    const shown = kvs.slice(0, range.limit ?? kvs.length);
    const more = shown.length < kvs.length;
    return { type: 'range', revision: this.#revision, kvs: shown, more, count: kvs.length };
  }
}

/** An encoded refusal without a hint. */
export function refusal(code: ErrorCode, message: string): Uint8Array {
  return encodeAnswer({ type: 'error', code, message, leader: null });
}
