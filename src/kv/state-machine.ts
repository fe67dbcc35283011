import {
  type Answer,
  type ChangesPage,
  type ChangesRequest,
  type Command,
  type Compact,
  type CompactResult,
  changesRequestOf,
  changesResultOf,
  decodeCommand,
  type ErrorCode,
  type ErrorResult,
  encodeAnswer,
  KvError,
  type LeaseOperation,
  type Operation,
  type Query,
  type Refusal,
  type SessionRef,
  type Skip,
  type Txn,
  type TxnResult,
  validateCommand,
  validateOperation,
  validateQuery,
} from '../api/index.ts';
import { assert, ByteWriter, DecodeError, type OrderedStore, unreachable } from '../lib/index.ts';
import { Compaction } from './compaction.ts';
import { Leases } from './leases.ts';
import { KV_LIMITS, type KvLimits } from './limits.ts';
import { Mvcc } from './mvcc.ts';
import {
  type KvPosition,
  positionOf,
  readCounters,
  readPositionRow,
  writeCounters,
  writePositionRow,
} from './position.ts';
import { Sessions } from './sessions.ts';
import { COUNTERS_KEY, POSITION_KEYS, POSITION_TABLE, Tables } from './tables.ts';
import { executeTxn } from './txn.ts';

/** What one log entry says to the state machine. */
export interface CommandBatch {
  /** The entry's index: ascending. */
  readonly index: number;
  readonly term: number;
  /** Log time, milliseconds: integer; one that runs back counts as the latest so far. */
  readonly timeMs: number;
  /** Encoded commands; none in an entry that only moves the position. */
  readonly commands: readonly Uint8Array[];
  /** The cluster's configuration, encoded, when this entry changed it; kept as it is. */
  readonly conf: Uint8Array | null;
}

/**
 * The key/value state machine. The same batches yield the same answers and the same state, on every
 * member and every time. All state is in the store's tables (docs/STATE.md); a machine that is made
 * on the store of another goes on where that one was after its last batch.
 */
export class KvStateMachine {
  readonly #store: OrderedStore;
  readonly #tables: Tables;
  readonly #limits: KvLimits;
  readonly #leases: Leases;
  readonly #mvcc: Mvcc;
  readonly #compaction: Compaction;
  readonly #sessions: Sessions;
  readonly #row = new ByteWriter();
  /** Index of the last batch; 0 before the first. */
  #index: number;
  #logTimeMs: number;
  /** Changes that the commands of this batch made so far. */
  #changes = 0;

  /** @throws StateFormatError when the store's rows are of a version that this one can't read. */
  constructor({ store, limits = KV_LIMITS }: { store: OrderedStore; limits?: KvLimits }) {
    this.#store = store;
    const tables = new Tables(store);
    this.#tables = tables;
    const { index, hash } = readPositionRow(store.get(POSITION_TABLE, POSITION_KEYS.applied));
    this.#index = index;
    tables.restoreHash(hash);
    const counters = readCounters(tables.get('counters', COUNTERS_KEY));
    const { revision, compactRevision, logTimeMs, termStart } = counters;
    this.#limits = limits;
    this.#logTimeMs = logTimeMs;
    this.#leases = new Leases({ tables, limits, logTimeMs, termStart });
    this.#mvcc = new Mvcc({ tables, limits, leases: this.#leases, revision, compactRevision });
    this.#compaction = new Compaction({ tables, limits, next: counters.compactionNext });
    this.#sessions = new Sessions({ tables, limits, nextId: counters.nextSessionId, logTimeMs });
  }

  /** How far the state goes: up to the last batch applied. */
  get position(): KvPosition {
    return positionOf((table, key) => this.#store.get(table, key));
  }

  /** Revision of the newest change; 1 in an empty store. */
  get revision(): number {
    return this.#mvcc.revision;
  }

  /** The oldest revision that can be read; 0 while nothing was compacted. */
  get compactRevision(): number {
    return this.#mvcc.compactRevision;
  }

  /**
   * True while rows below the compact revision wait for their removal. It goes on with every batch,
   * also an empty one: whoever wants the room soon sees to it that there are some.
   */
  get compacting(): boolean {
    return this.#compaction.next !== null;
  }

  /** Number of leases. */
  get leases(): number {
    return this.#leases.count;
  }

  /**
   * Log time, milliseconds, at which a lease may be over; null without leases. A leader sees to it
   * that an entry, if only an empty one, reaches that time: only entries end leases.
   */
  get nextLeaseDeadlineMs(): number | null {
    return this.#leases.nextDeadlineMs;
  }

  /** Number of sessions. */
  get sessions(): number {
    return this.#sessions.count;
  }

  /** Log time of the last batch, milliseconds; never runs back. */
  get logTimeMs(): number {
    return this.#logTimeMs;
  }

  /**
   * Hash over the whole replicated state, 32 hexadecimal digits: equal states have equal hashes,
   * however they came about. Costs nothing: it is kept up to date.
   */
  stateHash(): string {
    return this.#tables.hash;
  }

  /** The same from a full scan. */
  recomputeStateHash(): string {
    return this.#tables.recomputeHash();
  }

  /**
   * Executes a batch: one encoded `Answer` for each command, in order. No bytes make it throw.
   * @throws InvariantViolation when `index` is not above the one applied before.
   */
  apply(batch: CommandBatch): Uint8Array[] {
    const { index, term, timeMs } = batch;
    assert(index > this.#index, 'batch applied again', { index, applied: this.#index });
    assert(Number.isSafeInteger(timeMs) && timeMs >= 0, 'log time out of range', { timeMs });
    this.#logTimeMs = Math.max(this.#logTimeMs, timeMs);
    this.#sessions.advanceTo(this.#logTimeMs);
    this.#leases.advanceTo(this.#logTimeMs, term);
    this.#changes = 0;
    this.#endExpiredLeases();
    const answers = batch.commands.map((command) => this.#applyCommand(command));
    this.#sessions.flush();
    this.#compaction.advance(this.#mvcc.compactRevision, this.#changes);
    this.#saveCounters();
    this.#index = index;
    this.#savePosition(batch);
    return answers;
  }

  /**
   * Answers a query from the state after the last batch: an encoded `Answer`. Changes nothing.
   * @param nowMs log time now, as far as this member knows: for what is counted down till the next
   */
  query(query: Query, nowMs: number = this.#logTimeMs): Uint8Array {
    return encodeAnswer(answerOf(() => this.#read(query, nowMs)));
  }

  /**
   * A page of the history, from a revision on. Keys and values are views: they live until the next
   * batch. Whoever follows asks again when `revision` has risen.
   * @throws KvError COMPACTED.
   */
  changes(request: ChangesRequest): ChangesPage {
    return this.#mvcc.changes(request);
  }

  #read({ serializable, query }: Query, nowMs: number): Answer {
    refuse(validateQuery({ serializable, query }));
    const { revision } = this.#mvcc;
    this.#mvcc.begin();
    switch (query.type) {
      case 'range':
        return this.#mvcc.range(query);
      case 'txn':
        return executeTxn(this.#mvcc, query);
      case 'resolve':
        return this.#sessions.resolve(query);
      case 'leaseTimeToLive': {
        const times = this.#leases.timeToLive(query.lease, nowMs);
        const keys = query.keys ? this.#mvcc.attachedKeys(query.lease) : [];
        return { type: 'leaseTimeToLive', revision, ...times, keys };
      }
      case 'leases':
        return { type: 'leases', revision, leases: this.#leases.list() };
      case 'changes': {
        const page = this.changes(changesRequestOf(query, revision));
        return changesResultOf(query, page, revision);
      }
      default:
        return unreachable(query);
    }
  }

  // ── commands ─────────────────────────────────────────────────────────────────────────────────

  #applyCommand(bytes: Uint8Array): Uint8Array {
    const command = decode(bytes);
    if (command === null) return encodeAnswer(error('INVALID_ARGUMENT', 'not a command'));
    if (command.type !== 'operation') {
      return encodeAnswer(answerOf(() => this.#applySessionCommand(command)));
    }
    if (command.session === null) return encodeAnswer(this.#execute(command.operation));
    return this.#applyInSession(command.session, command.operation);
  }

  #applySessionCommand(command: Exclude<Command, { type: 'operation' }>): Answer {
    refuse(validateCommand(command));
    if (command.type === 'openSession') return this.#sessions.open(command);
    this.#sessions.close(command);
    return { type: 'closeSession' };
  }

  /** Exactly once: what comes again gets the kept answer; also a refused operation has one. */
  #applyInSession(ref: SessionRef, operation: Operation): Uint8Array {
    try {
      const admission = this.#sessions.admit(ref);
      if (admission.type === 'answered') return admission.answer;
      const answer = encodeAnswer(this.#execute(operation));
      this.#sessions.record(admission.session, answer);
      return answer;
    } catch (cause) {
      return encodeAnswer(errorOf(cause));
    }
  }

  #execute(operation: Operation): Answer {
    // Not through `answerOf`: a closure for every command counts.
    try {
      refuse(validateOperation(operation));
      if (operation.type === 'skip') return { type: 'skip' };
      this.#mvcc.begin();
      const result = this.#change(operation);
      this.#changes += this.#mvcc.commit();
      return result;
    } catch (cause) {
      return errorOf(cause);
    }
  }

  /** Refused single operations have changed nothing yet; of a transaction parts may have run. */
  #change(operation: Exclude<Operation, Skip>): Answer {
    switch (operation.type) {
      case 'put':
        return this.#mvcc.put(operation);
      case 'append':
        return this.#mvcc.append(operation);
      case 'delete':
        return this.#mvcc.delete(operation);
      case 'txn':
        return this.#changeAllOrNothing(operation);
      case 'compact':
        return this.#compact(operation);
      case 'leaseGrant':
      case 'leaseKeepAlive':
      case 'leaseRevoke':
        return this.#changeLease(operation);
      default:
        return unreachable(operation);
    }
  }

  #changeAllOrNothing(txn: Txn): TxnResult {
    this.#tables.startJournal();
    try {
      const result = executeTxn(this.#mvcc, txn);
      this.#tables.dropJournal();
      return result;
    } catch (cause) {
      this.#tables.rollBack();
      throw cause;
    }
  }

  #compact({ revision }: Compact): CompactResult {
    const previous = this.#mvcc.compactRevision;
    this.#mvcc.compactTo(revision);
    this.#compaction.start(previous);
    return { type: 'compact', revision: this.#mvcc.revision };
  }

  // ── leases ───────────────────────────────────────────────────────────────────────────────────

  #changeLease(operation: LeaseOperation): Answer {
    const { lease } = operation;
    const { revision } = this.#mvcc;
    switch (operation.type) {
      case 'leaseGrant':
        return { type: 'leaseGrant', revision, ttlMs: this.#leases.grant(operation) };
      case 'leaseKeepAlive':
        return { type: 'leaseKeepAlive', revision, ttlMs: this.#leases.keepAlive(lease) };
      case 'leaseRevoke': {
        this.#leases.demand(lease);
        const deleted = this.#endLease(lease);
        return { type: 'leaseRevoke', revision: this.#mvcc.visibleRevision, deleted };
      }
      default:
        return unreachable(operation);
    }
  }

  /** Those whose time is over: each with its keys in one revision, so many rows in one batch. */
  #endExpiredLeases(): void {
    let rowsLeft = this.#limits.expiryRowsPerBatchMax;
    while (rowsLeft > 0) {
      const lease = this.#leases.takeExpired();
      if (lease === null) return;
      this.#mvcc.begin();
      rowsLeft -= this.#endLease(lease) + 1;
      this.#changes += this.#mvcc.commit();
    }
  }

  #endLease(lease: bigint): number {
    const deleted = this.#mvcc.deleteAttached(lease);
    this.#leases.remove(lease);
    return deleted;
  }

  // ── counters and position ────────────────────────────────────────────────────────────────────

  #saveCounters(): void {
    this.#row.clear();
    writeCounters(this.#row, {
      revision: this.#mvcc.revision,
      nextSessionId: this.#sessions.nextId,
      logTimeMs: this.#logTimeMs,
      termStart: this.#leases.termStart,
      compactRevision: this.#mvcc.compactRevision,
      compactionNext: this.#compaction.next,
    });
    const was = this.#tables.get('counters', COUNTERS_KEY);
    this.#tables.put('counters', COUNTERS_KEY, this.#row.view(), was);
  }

  #savePosition({ index, term, conf }: CommandBatch): void {
    this.#row.clear();
    writePositionRow(this.#row, { index, term, hash: this.#tables.saveHash() });
    this.#store.put(POSITION_TABLE, POSITION_KEYS.applied, this.#row.view());
    if (conf !== null) this.#store.put(POSITION_TABLE, POSITION_KEYS.conf, conf);
  }
}

/** Null for bytes that are not a command. */
function decode(bytes: Uint8Array): Command | null {
  try {
    return decodeCommand(bytes);
  } catch (cause) {
    if (cause instanceof DecodeError) return null;
    throw cause;
  }
}

/** @throws KvError for a request whose form is refused. */
function refuse(refusal: Refusal | null): void {
  if (refusal !== null) throw new KvError(refusal.code, refusal.message);
}

/** What `run` answers, or its refusal as an answer. */
function answerOf(run: () => Answer): Answer {
  try {
    return run();
  } catch (cause) {
    return errorOf(cause);
  }
}

/** A refusal is an answer; anything else that is thrown is a bug, and goes on. */
function errorOf(cause: unknown): ErrorResult {
  if (!(cause instanceof KvError)) throw cause;
  const refusal = error(cause.code, cause.message);
  const { compactRevision } = cause;
  return compactRevision === null ? refusal : { ...refusal, compactRevision };
}

function error(code: ErrorCode, message: string): ErrorResult {
  return { type: 'error', code, message, leader: null };
}
