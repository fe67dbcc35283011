import type {
  Command,
  ErrorCode,
  KeyRange,
  LeaseOperation,
  Operation,
  SessionRef,
  TxnOperation,
} from '../../api/index.ts';
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
  readonly lease?: bigint;
}

interface ModelLease {
  readonly ttlMs: number;
  readonly renewedMs: number;
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
  | 'leasesMax'
  | 'leaseTtlMsMin'
  | 'valueBytesMax'
  | 'sessionsMax'
  | 'sessionAnswersMax'
  | 'sessionTtlMsMin'
  | 'sessionTtlMsMax'
>;

export class Model {
  revision = 1;
  /** states[revision]: the keys as they were. */
  readonly states: Map<string, Kv>[] = [new Map(), new Map()];
  readonly sessions = new Map<number, ModelSession>();
  /** The oldest revision that can be read; 0 while nothing was compacted. */
  compactRevision = 0;
  readonly #limits: Limits;
  readonly leases = new Map<bigint, ModelLease>();
  #nextId = 1;
  #timeMs = 0;
  #term = 0;
  #termStartMs = 0;
  /** The command in progress: its state so far, and whether it changed anything. */
  #draft = new Map<string, Kv>();
  #changed = false;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  startBatch(timeMs: number, term: number): void {
    this.#timeMs = Math.max(this.#timeMs, timeMs);
    if (term !== this.#term) this.#termStartMs = this.#timeMs;
    this.#term = term;
    for (const session of [...this.sessions.values()]) {
      if (session.deadlineMs <= this.#timeMs) this.sessions.delete(session.id);
    }
    const over = [...this.leases].filter(([, lease]) => this.#deadline(lease) <= this.#timeMs);
    over.sort(([a, one], [b, other]) => {
      return this.#deadline(one) - this.#deadline(other) || (a < b ? -1 : 1);
    });
    for (const [id] of over) this.#endLease(id);
  }

  #deadline({ renewedMs, ttlMs }: ModelLease): number {
    return Math.max(renewedMs, this.#termStartMs) + ttlMs;
  }

  /** Deletes its keys in a revision of its own; returns how many. */
  #endLease(id: bigint): number {
    this.leases.delete(id);
    const rest = [...this.#now().values()].filter((kv) => kv.lease !== id);
    const deleted = this.#now().size - rest.length;
    if (deleted > 0) {
      this.states.push(new Map(rest.map((kv) => [kv.key, kv])));
      this.revision++;
    }
    return deleted;
  }

  #leaseCommand(operation: LeaseOperation): unknown {
    const { type, lease: id } = operation;
    const lease = this.leases.get(id);
    if (type === 'leaseGrant') {
      if (lease !== undefined) throw new Refused('LEASE_EXISTS');
      if (this.leases.size >= this.#limits.leasesMax) throw new Refused('LEASES_FULL');
      const ttlMs = Math.max(operation.ttlMs, this.#limits.leaseTtlMsMin);
      this.leases.set(id, { ttlMs, renewedMs: this.#timeMs });
      return { type, revision: this.revision, ttlMs };
    }
    if (lease === undefined) throw new Refused('LEASE_NOT_FOUND');
    if (type === 'leaseRevoke') {
      const deleted = this.#endLease(id);
      return { type, revision: this.revision, deleted };
    }
    this.leases.set(id, { ...lease, renewedMs: this.#timeMs });
    return { type, revision: this.revision, ttlMs: lease.ttlMs };
  }

  timeToLive(id: bigint): unknown {
    const lease = this.leases.get(id);
    if (lease === undefined) return { type: 'error', code: 'LEASE_NOT_FOUND' };
    const { revision } = this;
    const remainingMs = this.#deadline(lease) - this.#timeMs;
    const attached = [...this.#now().values()].filter((kv) => kv.lease === id);
    const keys = attached.map((kv) => kv.key).sort();
    return { type: 'leaseTimeToLive', revision, remainingMs, ttlMs: lease.ttlMs, keys };
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
    if (operation.type === 'compact') return this.#compact(operation.revision);
    if ('lease' in operation && operation.type !== 'put') return this.#leaseCommand(operation);
    this.#draft = new Map(this.#now());
    this.#changed = false;
    const result = this.#run(operation, null);
    if (this.#changed) {
      this.revision++;
      this.states.push(this.#draft);
    }
    return result;
  }

  #compact(revision: number): unknown {
    if (revision <= this.compactRevision) throw new Refused('COMPACTED');
    if (revision > this.revision) throw new Refused('FUTURE_REVISION');
    this.compactRevision = revision;
    return { type: 'compact', revision: this.revision };
  }

  /** `before`: the state in which compares are decided; null outside a transaction. */
  #run(operation: TxnOperation, before: Map<string, Kv> | null): unknown {
    switch (operation.type) {
      case 'put': {
        const prevKv = operation.prevKv ? (this.#draft.get(string(operation.key)) ?? null) : null;
        const old = this.#draft.get(string(operation.key));
        const { lease, ignoreValue, ignoreLease } = operation;
        if (lease !== undefined && !this.leases.has(lease)) throw new Refused('LEASE_NOT_FOUND');
        if (old === undefined && (ignoreValue || ignoreLease)) {
          throw new Refused('INVALID_ARGUMENT');
        }
        const value = ignoreValue ? (old?.value ?? '') : string(operation.value);
        this.#set(string(operation.key), value, ignoreLease ? old?.lease : lease);
        return { type: 'put', revision: this.#visible(), prevKv };
      }
      case 'append': {
        const value =
          (this.#draft.get(string(operation.key))?.value ?? '') + string(operation.value);
        if (value.length > this.#limits.valueBytesMax) throw new Refused('TOO_LARGE');
        this.#set(string(operation.key), value, this.#draft.get(string(operation.key))?.lease);
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
          return (kvs.length === 0 ? [missing as Kv] : kvs).every((kv) => {
            if (operand.target === 'value')
              return related(relation, kv.value, string(operand.value));
            if (operand.target === 'lease') return related(relation, kv.lease ?? 0n, operand.value);
            return related(relation, kv[operand.target], operand.value);
          });
        });
        const branch = succeeded ? operation.success : operation.failure;
        const results = branch.map((each) => this.#run(each, decidedIn));
        return { type: 'txn', revision: this.#visible(), succeeded, results };
      }
    }
  }

  read(range: RangeWords): unknown {
    return answering(() => this.range(range));
  }

  range(range: RangeWords, now = this.#now(), visible = this.revision): unknown {
    if (range.revision !== null && range.revision > this.revision) {
      throw new Refused('FUTURE_REVISION');
    }
    if (range.revision !== null && range.revision < this.compactRevision) {
      throw new Refused('COMPACTED');
    }
    const state = range.revision === null ? now : (this.states[range.revision] ?? now);
    const all = within(state, range.range);
    const wanted = range.countOnly ? [] : ordered(all.filter(boundsOf(range)), range);
    const cut = wanted.slice(0, range.limit ?? wanted.length);
    const kvs = cut.map((kv) => (range.keysOnly ? { ...kv, value: '' } : kv));
    const more = cut.length < wanted.length;
    return { type: 'range', revision: visible, kvs, more, count: all.length };
  }

  /** What the revisions from `from` on made of each key, in order of revision and key. */
  changes(from: number): unknown[] {
    const events: unknown[] = [];
    for (let revision = Math.max(from, 2); revision <= this.revision; revision++) {
      const before = this.states[revision - 1] ?? new Map<string, Kv>();
      const after = this.states[revision] ?? new Map<string, Kv>();
      for (const key of [...new Set([...before.keys(), ...after.keys()])].sort()) {
        const [was, is] = [before.get(key), after.get(key)];
        if (is === was) continue;
        const prevKv = revision > this.compactRevision ? (was ?? null) : null;
        const gone = { key, value: '', createRevision: 0, modRevision: revision, version: 0 };
        events.push({ type: is === undefined ? 'delete' : 'put', kv: is ?? gone, prevKv });
      }
    }
    return events;
  }

  /** What has to be kept for reads and watches from the compact revision on: rows of each table. */
  rowsKept(): { keys: number; deleted: number; history: number } {
    const oldest = Math.max(this.compactRevision, 1);
    let history = this.states[oldest]?.size ?? 0;
    const seen = new Set<string>();
    for (let revision = oldest - 1; revision < this.states.length; revision++) {
      const before = this.states[revision - 1] ?? new Map<string, Kv>();
      const after = this.states[revision] ?? new Map<string, Kv>();
      for (const key of after.keys()) seen.add(key);
      if (revision < oldest) continue;
      const written = [...after.values()].filter((kv) => kv.modRevision === revision);
      const deleted = [...before.keys()].filter((key) => !after.has(key));
      history += deleted.length + (revision > oldest ? written.length : 0);
    }
    const keys = this.#now().size;
    return { keys, deleted: [...seen].filter((key) => !this.#now().has(key)).length, history };
  }

  #set(key: string, value: string, lease: bigint | undefined): void {
    const old = this.#draft.get(key);
    const modRevision = this.revision + 1;
    this.#changed = true;
    this.#draft.set(key, {
      key,
      value,
      createRevision: old?.createRevision ?? modRevision,
      modRevision,
      version: (old?.version ?? 0) + 1,
      ...(lease !== undefined && { lease }),
    });
  }

  #visible(): number {
    return this.#changed ? this.revision + 1 : this.revision;
  }

  #now(): Map<string, Kv> {
    return this.states[this.revision] ?? new Map();
  }
}

type RangeWords = Extract<TxnOperation, { type: 'range' }>;

function within(state: ReadonlyMap<string, Kv>, range: KeyRange): Kv[] {
  const from = string(range.from);
  const to = range.to === null ? null : string(range.to);
  const inside = [...state.values()].filter(({ key }) => key >= from && (to === null || key < to));
  return inside.sort((a, b) => (a.key < b.key ? -1 : 1));
}

function boundsOf({ bounds }: RangeWords): (kv: Kv) => boolean {
  const within = (value: number, min?: number | null, max?: number | null): boolean =>
    value >= (min ?? 0) && value <= (max ?? value);
  return (kv) =>
    within(kv.modRevision, bounds?.minModRevision, bounds?.maxModRevision) &&
    within(kv.createRevision, bounds?.minCreateRevision, bounds?.maxCreateRevision);
}

function ordered(kvs: Kv[], { order }: RangeWords): Kv[] {
  if (order === undefined) return kvs;
  const sign = order.descending ? -1 : 1;
  const rank = (a: Kv, b: Kv): number =>
    a[order.target] < b[order.target] ? -1 : a[order.target] > b[order.target] ? 1 : 0;
  return [...kvs].sort((a, b) => sign * rank(a, b));
}

function related<T extends string | number | bigint>(relation: string, a: T, b: T): boolean {
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
