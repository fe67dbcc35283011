import {
  type Answer,
  type Command,
  type Compare,
  decodeAnswer,
  encodeCommand,
  type KeyRange,
  type KeyValue,
  type Operation,
  type Range,
  type SessionRef,
  singleKey,
  type Txn,
} from '../../api/index.ts';
import { memoryStore, type OrderedStore } from '../../store/index.ts';
import { fragileStore } from '../../store/testing/index.ts';
import { KV_LIMITS, type KvLimits, KvStateMachine } from '../index.ts';

/** A machine with a log of its own: each call is one batch, on a store whose views really die. */
export class Harness {
  readonly store: OrderedStore;
  readonly #limits: KvLimits;
  machine: KvStateMachine;
  index = 0;
  timeMs = 1_000_000;
  term = 1;

  constructor(limits: Partial<KvLimits> = {}, store = fragileStore(memoryStore())) {
    this.store = store;
    this.#limits = { ...KV_LIMITS, ...limits };
    this.machine = new KvStateMachine({ store, limits: this.#limits });
  }

  /** A new machine takes over on the same store. */
  restart(): void {
    this.machine = new KvStateMachine({ store: this.store, limits: this.#limits });
  }

  applyBytes(...commands: Uint8Array[]): Uint8Array[] {
    const { term, timeMs } = this;
    return this.machine.apply({ index: ++this.index, term, timeMs, commands, conf: null });
  }

  apply(...commands: Command[]): Answer[] {
    return this.applyBytes(...commands.map(encodeCommand)).map(decodeAnswer);
  }

  one(command: Command): Answer {
    return decodeAnswer(this.oneBytes(command));
  }

  oneBytes(command: Command): Uint8Array {
    const [answer] = this.applyBytes(encodeCommand(command));
    if (answer === undefined) throw new Error('no answer');
    return answer;
  }

  /** Executes without a session. */
  run(operation: Operation): Answer {
    return this.one({ type: 'operation', session: null, operation });
  }

  put(key: string, value: string): Answer {
    return this.run(put(key, value));
  }

  /** Opens a session and returns its id. */
  open(name = '', nonceByte = 1, ttlMs = 60_000): number {
    const answer = this.one(openSession(name, nonceByte, ttlMs));
    if (answer.type !== 'openSession') throw new Error(`not opened: ${JSON.stringify(answer)}`);
    return answer.sessionId;
  }

  read(range: KeyRange, options: Partial<Range> = {}): Answer {
    return decodeAnswer(
      this.machine.query({ serializable: true, query: { ...rangeOf(range), ...options } }),
    );
  }

  get(key: string, revision: number | null = null): KeyValue | null {
    const answer = this.read(singleKey(text(key)), { revision });
    if (answer.type !== 'range') throw new Error(`not read: ${JSON.stringify(answer)}`);
    return answer.kvs[0] ?? null;
  }

  /** The value as text; null for a missing key. */
  value(key: string, revision: number | null = null): string | null {
    const kv = this.get(key, revision);
    return kv === null ? null : string(kv.value);
  }

  resolve(sessionId: number, seq: number): Answer {
    const query = { type: 'resolve', sessionId, seq } as const;
    return decodeAnswer(this.machine.query({ serializable: true, query }));
  }
}

// ── short words for commands ───────────────────────────────────────────────────────────────────

export function put(key: string, value: string, prevKv = false) {
  return { type: 'put', key: text(key), value: text(value), prevKv } as const;
}

export function append(key: string, value: string) {
  return { type: 'append', key: text(key), value: text(value) } as const;
}

export function del(range: KeyRange | string, prevKv = false) {
  const keys = typeof range === 'string' ? singleKey(text(range)) : range;
  return { type: 'delete', range: keys, prevKv } as const;
}

export function rangeOf(range: KeyRange | string): Range {
  const keys = typeof range === 'string' ? singleKey(text(range)) : range;
  return {
    type: 'range',
    range: keys,
    limit: null,
    revision: null,
    keysOnly: false,
    countOnly: false,
  };
}

export function span(from: string, to: string | null): KeyRange {
  return { from: text(from), to: to === null ? null : text(to) };
}

export function compare(
  key: KeyRange | string,
  target: 'version' | 'createRevision' | 'modRevision' | 'value',
  relation: Compare['relation'],
  value: number | string,
): Compare {
  const range = typeof key === 'string' ? singleKey(text(key)) : key;
  if (target === 'value')
    return { range, relation, operand: { target, value: text(String(value)) } };
  return { range, relation, operand: { target, value: Number(value) } };
}

export function txn(
  compares: Txn['compares'],
  success: Txn['success'],
  failure: Txn['failure'] = [],
): Txn {
  return { type: 'txn', compares, success, failure };
}

export function inSession(
  operation: Operation,
  sessionId: number,
  seq: number,
  more: Partial<SessionRef> = {},
): Command {
  const session = { sessionId, incarnation: 1, seq, ackedSeq: 0, ...more };
  return { type: 'operation', session, operation };
}

export function openSession(name: string, nonceByte: number, ttlMs = 60_000): Command {
  return { type: 'openSession', name: text(name), nonce: nonce(nonceByte), ttlMs };
}

export function closeSession(sessionId: number, incarnation = 1): Command {
  return { type: 'closeSession', sessionId, incarnation };
}

export function nonce(byte: number): Uint8Array {
  const bytes = new Uint8Array(16).fill(byte);
  bytes[0] = byte >>> 8;
  return bytes;
}

/** One byte per character. */
export function text(characters: string): Uint8Array {
  return Uint8Array.from(characters, (character) => character.charCodeAt(0));
}

export function string(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');
}

/** An answer with its bytes as text: to be compared whole. */
export function readable(answer: unknown): unknown {
  return JSON.parse(
    JSON.stringify(answer, (_name, value) => {
      if (typeof value === 'bigint') return `${value}n`;
      return value instanceof Uint8Array ? string(value) : value;
    }),
  );
}
