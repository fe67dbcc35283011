import {
  type Answer,
  type KeyValue,
  KvError,
  type RangeResult,
  type TxnOperationResult,
} from '../api/index.ts';
import { type As, type Out, outOf } from './text.ts';

/** A key with its value and history, as text or bytes. */
export interface Entry<A extends As = 'text'> {
  readonly key: Out<A>;
  readonly value: Out<A>;
  /** Revision in which the key was last created. */
  readonly createRevision: number;
  /** Revision of its last change. */
  readonly modRevision: number;
  /** 1 when created, +1 with every change since. */
  readonly version: number;
  /** The lease that the key ends with; only when it has one. */
  readonly lease?: bigint;
}

export interface PutOutcome<A extends As = 'text'> {
  /** The command's place in its session: ask `resolve` or repeat it under this seq. */
  readonly seq: number;
  /** Revision that the write made. */
  readonly revision: number;
  /** What the key held before, if that was asked for; null for nothing. */
  readonly prev: Entry<A> | null;
}

export interface AppendOutcome {
  readonly seq: number;
  readonly revision: number;
  /** Length of the value after the append, bytes. */
  readonly valueBytes: number;
}

export interface DeleteOutcome<A extends As = 'text'> {
  readonly seq: number;
  /** The store's revision afterwards; unchanged when nothing was deleted. */
  readonly revision: number;
  /** How many keys were deleted. */
  readonly deleted: number;
  /** What they held, if that was asked for. */
  readonly prev: readonly Entry<A>[];
}

export interface RangeOutcome<A extends As = 'text'> {
  /** The store's current revision, also for a read in the past. */
  readonly revision: number;
  /** In the order of the keys' bytes. */
  readonly entries: readonly Entry<A>[];
  /** Keys were left out because of the limit. */
  readonly more: boolean;
  /** Keys in the span, before the limit. */
  readonly count: number;
}

/** What one step of a transaction did, in the order of the steps. */
export type StepOutcome<A extends As = 'text'> =
  | { readonly type: 'put'; readonly revision: number; readonly prev: Entry<A> | null }
  | { readonly type: 'append'; readonly revision: number; readonly valueBytes: number }
  | {
      readonly type: 'delete';
      readonly revision: number;
      readonly deleted: number;
      readonly prev: readonly Entry<A>[];
    }
  | ({ readonly type: 'range' } & RangeOutcome<A>)
  | {
      readonly type: 'txn';
      readonly revision: number;
      /** All conditions held. */
      readonly succeeded: boolean;
      readonly results: readonly StepOutcome<A>[];
    };

/** What a whole command did. */
export type CommandOutcome<A extends As = 'text'> =
  | StepOutcome<A>
  | { readonly type: 'compact'; readonly revision: number }
  | {
      readonly type: 'leaseGrant' | 'leaseKeepAlive';
      readonly revision: number;
      readonly ttlMs: number;
    }
  | { readonly type: 'leaseRevoke'; readonly revision: number; readonly deleted: number };

export interface CompactOutcome {
  readonly seq: number;
  /** The store's current revision. */
  readonly revision: number;
}

export interface TxnOutcome<A extends As = 'text'> {
  readonly seq: number;
  readonly revision: number;
  /** All conditions held, so `success` ran; else `failure` did. */
  readonly succeeded: boolean;
  readonly results: readonly StepOutcome<A>[];
}

/**
 * What became of a command.
 * `executed`: once, with this result · `refused`: it was executed and ended in this error, changing
 * nothing · `skipped`: never, for its place was given to nobody · `notExecuted`: not until now; an
 * attempt that is still under way may be · `acknowledged`: executed, and its answer was dropped
 * after it had arrived.
 */
export type Resolution =
  | { readonly state: 'executed'; readonly result: CommandOutcome<'bytes'> }
  | { readonly state: 'refused'; readonly error: KvError }
  | { readonly state: 'skipped' | 'notExecuted' | 'acknowledged' };

export function entryOf<A extends As>(kv: KeyValue, as: A): Entry<A> {
  const entry = {
    key: outOf(kv.key, as, 'the key'),
    value: outOf(kv.value, as, 'the value'),
    createRevision: kv.createRevision,
    modRevision: kv.modRevision,
    version: kv.version,
  };
  return kv.lease === undefined ? entry : { ...entry, lease: kv.lease };
}

export function rangeOutcomeOf<A extends As>(result: RangeResult, as: A): RangeOutcome<A> {
  const entries = result.kvs.map((kv) => entryOf(kv, as));
  return { revision: result.revision, entries, more: result.more, count: result.count };
}

export function stepOutcomeOf<A extends As>(result: TxnOperationResult, as: A): StepOutcome<A> {
  const { revision } = result;
  switch (result.type) {
    case 'put': {
      const prev = result.prevKv === null ? null : entryOf(result.prevKv, as);
      return { type: 'put', revision, prev };
    }
    case 'append':
      return { type: 'append', revision, valueBytes: result.valueBytes };
    case 'delete': {
      const prev = result.prevKvs.map((kv) => entryOf(kv, as));
      return { type: 'delete', revision, deleted: result.deleted, prev };
    }
    case 'range':
      return { type: 'range', ...rangeOutcomeOf(result, as) };
    case 'txn': {
      const results = result.results.map((one) => stepOutcomeOf(one, as));
      return { type: 'txn', revision, succeeded: result.succeeded, results };
    }
  }
}

/**
 * The answer as the type that was asked for.
 * @throws KvError for a repetition whose seq belongs to something else: CANCELLED_NOT_APPLIED when
 *   the command was given up and can never run, INVALID_ARGUMENT for another kind of command;
 *   BAD_PEER when a member answers a question with something else.
 */
export function expectType<T extends Answer['type']>(
  answer: Answer,
  type: T,
  wanted: { readonly what: string; readonly repeatedSeq: number | null },
): Extract<Answer, { type: T }> {
  if (isOfType(answer, type)) return answer;
  const { what, repeatedSeq } = wanted;
  if (answer.type === 'error') throw new KvError(answer.code, `${what}: ${answer.message}`);
  if (repeatedSeq === null) {
    throw new KvError('BAD_PEER', `${what} was answered with "${answer.type}"`);
  }
  if (answer.type === 'skip') {
    const said = `${what}: seq ${repeatedSeq} was given up and skipped: it can never run`;
    throw new KvError('CANCELLED_NOT_APPLIED', said);
  }
  const said = `${what}: seq ${repeatedSeq} was another command, of type "${answer.type}"`;
  throw new KvError('INVALID_ARGUMENT', said);
}

/** The kept or arrived answer of a seq, as what became of its command. */
export function resolutionOf(answer: Answer): Resolution {
  switch (answer.type) {
    case 'skip':
      return { state: 'skipped' };
    case 'error':
      return { state: 'refused', error: new KvError(answer.code, answer.message) };
    case 'openSession':
    case 'closeSession':
    case 'resolve':
    case 'leaseTimeToLive':
    case 'leases':
    case 'changes': {
      const said = `a command was answered with "${answer.type}"`;
      return { state: 'refused', error: new KvError('BAD_PEER', said) };
    }
    case 'compact':
      return { state: 'executed', result: { type: 'compact', revision: answer.revision } };
    case 'leaseGrant':
    case 'leaseKeepAlive':
    case 'leaseRevoke':
      return { state: 'executed', result: answer };
    default:
      return { state: 'executed', result: stepOutcomeOf(answer, 'bytes') };
  }
}

function isOfType<T extends Answer['type']>(
  answer: Answer,
  type: T,
): answer is Extract<Answer, { type: T }> {
  return answer.type === type;
}
