import {
  type Answer,
  type Command,
  decodeCommand,
  type ErrorCode,
  type ErrorResult,
  encodeAnswer,
  KvError,
  type Operation,
  type Query,
  type Range,
  type Refusal,
  type SessionRef,
  type Skip,
  type Txn,
  type TxnResult,
  validateCommand,
  validateOperation,
  validateQuery,
} from '../api/index.ts';
import { assert, ByteReader, ByteWriter, DecodeError, unreachable } from '../lib/index.ts';
import type { OrderedStore } from '../store/index.ts';
import { KV_LIMITS, type KvLimits } from './limits.ts';
import { Mvcc } from './mvcc.ts';
import { Sessions } from './sessions.ts';
import { Tables } from './tables.ts';
import { executeTxn } from './txn.ts';

/** Key of the one row of `counters`. */
const COUNTERS_KEY = new Uint8Array(1);
/** An empty store has revision 1, as etcd's: so 0 can mean "never" in a compare. */
const FIRST_REVISION = 1;
const FIRST_SESSION_ID = 1;
const HASH_BYTES = 16;

/** Commands of one log entry. */
export interface CommandBatch {
  /** The entry's index: ascending. */
  readonly index: number;
  readonly term: number;
  /** Log time, milliseconds: integer; one that runs back counts as the latest so far. */
  readonly timeMs: number;
  /** Encoded commands. */
  readonly commands: readonly Uint8Array[];
}

/** The last entry that the state contains; both 0 for none. */
export interface Position {
  readonly index: number;
  readonly term: number;
}

/**
 * The key/value state machine. The same batches yield the same answers and the same state, on every
 * member and every time. All state is in the store's tables (docs/STATE.md); a machine that is made
 * on the store of another goes on where that one was after its last batch.
 */
export class KvStateMachine {
  readonly #tables: Tables;
  readonly #mvcc: Mvcc;
  readonly #sessions: Sessions;
  readonly #row = new ByteWriter();
  #applied: Position = { index: 0, term: 0 };
  #logTimeMs: number;

  constructor({ store, limits = KV_LIMITS }: { store: OrderedStore; limits?: KvLimits }) {
    this.#tables = new Tables(store);
    this.#loadPosition();
    const { revision, nextSessionId, logTimeMs } = this.#loadCounters();
    this.#logTimeMs = logTimeMs;
    this.#mvcc = new Mvcc({ tables: this.#tables, limits, revision });
    this.#sessions = new Sessions({
      tables: this.#tables,
      limits,
      nextId: nextSessionId,
      logTimeMs,
    });
  }

  /** The last batch applied. */
  get applied(): Position {
    return this.#applied;
  }

  /** Revision of the newest change; 1 in an empty store. */
  get revision(): number {
    return this.#mvcc.revision;
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
    assert(index > this.#applied.index, 'batch applied again', { index, applied: this.#applied });
    assert(Number.isSafeInteger(timeMs) && timeMs >= 0, 'log time out of range', { timeMs });
    this.#logTimeMs = Math.max(this.#logTimeMs, timeMs);
    this.#sessions.advanceTo(this.#logTimeMs);
    const answers = batch.commands.map((command) => this.#applyCommand(command));
    this.#sessions.flush();
    this.#saveCounters();
    this.#applied = { index, term };
    this.#savePosition();
    return answers;
  }

  /** Answers a query from the state after the last batch: an encoded `Answer`. Changes nothing. */
  query(query: Query): Uint8Array {
    return encodeAnswer(answerOf(() => this.#read(query)));
  }

  #read(query: Query): Answer {
    refuse(validateQuery(query));
    if (query.query.type === 'resolve') return this.#sessions.resolve(query.query);
    return this.#range(query.query);
  }

  #range(range: Range): Answer {
    this.#mvcc.begin();
    return this.#mvcc.range(range);
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
    return answerOf(() => {
      refuse(validateOperation(operation));
      if (operation.type === 'skip') return { type: 'skip' };
      this.#mvcc.begin();
      const result = this.#change(operation);
      this.#mvcc.commit();
      return result;
    });
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

  // ── counters and position ────────────────────────────────────────────────────────────────────

  #loadCounters(): { revision: number; nextSessionId: number; logTimeMs: number } {
    const row = this.#tables.get('counters', COUNTERS_KEY);
    if (row === null) {
      return { revision: FIRST_REVISION, nextSessionId: FIRST_SESSION_ID, logTimeMs: 0 };
    }
    const reader = new ByteReader(row);
    const revision = reader.varint();
    const nextSessionId = reader.varint();
    const logTimeMs = reader.varint();
    reader.end();
    return { revision, nextSessionId, logTimeMs };
  }

  #saveCounters(): void {
    this.#row.clear();
    this.#row.varint(this.#mvcc.revision);
    this.#row.varint(this.#sessions.nextId);
    this.#row.varint(this.#logTimeMs);
    const was = this.#tables.get('counters', COUNTERS_KEY);
    this.#tables.put('counters', COUNTERS_KEY, this.#row.view(), was);
  }

  #loadPosition(): void {
    const row = this.#tables.loadPosition();
    if (row === null) return;
    const reader = new ByteReader(row);
    this.#applied = { index: reader.varint(), term: reader.varint() };
    this.#tables.restoreHash(reader.raw(HASH_BYTES));
    reader.end();
  }

  #savePosition(): void {
    this.#tables.savePosition((hash) => {
      this.#row.clear();
      this.#row.varint(this.#applied.index);
      this.#row.varint(this.#applied.term);
      this.#row.raw(hash);
      return this.#row.view();
    });
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
  return error(cause.code, cause.message);
}

function error(code: ErrorCode, message: string): ErrorResult {
  return { type: 'error', code, message, leader: null };
}
