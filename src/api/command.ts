import type { ChangeEvent } from './changes.ts';
import type { ErrorCode } from './errors.ts';
import type { KeyRange } from './key-range.ts';

/** A key with its value and etcd's bookkeeping. Revisions are integers 1 … 2^53 − 1. */
export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Revision in which the key was last created. */
  readonly createRevision: number;
  /** Revision of its last change. */
  readonly modRevision: number;
  /** 1 when created, +1 with every change since. */
  readonly version: number;
  /** The lease that the key ends with; only when it has one. */
  readonly lease?: bigint;
}

// ── commands: change the state, go through the log ─────────────────────────────────────────────

/**
 * Which command of which session this is.
 * `seq` counts a session's commands from 1 without a gap; `ackedSeq` (< seq) says that the answers
 * up to it have arrived and may be forgotten; `incarnation` fences clients that were replaced.
 */
export interface SessionRef {
  readonly sessionId: number;
  readonly incarnation: number;
  readonly seq: number;
  readonly ackedSeq: number;
}

/** Sets a key. */
export interface Put {
  readonly type: 'put';
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Answer with what the key held before. */
  readonly prevKv: boolean;
  /** The lease that the key ends with from now on; absent: none, also if it had one. */
  readonly lease?: bigint;
  /** Keep the value that is there (`value` is empty); refused for a missing key. */
  readonly ignoreValue?: true;
  /** Keep the lease that is there (`lease` is absent); refused for a missing key. */
  readonly ignoreLease?: true;
}

/**
 * Adds bytes to the end of a key's value; a missing key acts as an empty one. Its lease stays.
 */
export interface Append {
  readonly type: 'append';
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** Deletes all keys of a range. */
export interface Delete {
  readonly type: 'delete';
  readonly range: KeyRange;
  readonly prevKv: boolean;
}

/** In which order a range answers; keys of equal rank in the order of their bytes. */
export interface RangeOrder {
  readonly target: 'key' | 'version' | 'createRevision' | 'modRevision' | 'value';
  readonly descending: boolean;
}

/** Which keys of a range are wanted, by their revisions: inclusive, null for no bound. */
export interface RevisionBounds {
  readonly minModRevision: number | null;
  readonly maxModRevision: number | null;
  readonly minCreateRevision: number | null;
  readonly maxCreateRevision: number | null;
}

/** Reads keys. */
export interface Range {
  readonly type: 'range';
  readonly range: KeyRange;
  /** At most this many keys; null for all. */
  readonly limit: number | null;
  /** State as of this revision; null for now. */
  readonly revision: number | null;
  /** Leave the values out. */
  readonly keysOnly: boolean;
  /** Only count. */
  readonly countOnly: boolean;
  /** Absent: by key, ascending. */
  readonly order?: RangeOrder;
  /** Applied before the limit, and not to the count. */
  readonly bounds?: RevisionBounds;
}

/**
 * A condition on every key of a range; a missing single key compares as all zeros (VALUE: as
 * false), a key without lease as one with lease 0.
 */
export interface Compare {
  readonly range: KeyRange;
  readonly relation: 'equal' | 'notEqual' | 'greater' | 'less';
  readonly operand:
    | { readonly target: 'version' | 'createRevision' | 'modRevision'; readonly value: number }
    | { readonly target: 'value'; readonly value: Uint8Array }
    | { readonly target: 'lease'; readonly value: bigint };
}

/** If all compares hold then `success`, else `failure`; all in one revision. */
export interface Txn {
  readonly type: 'txn';
  readonly compares: readonly Compare[];
  readonly success: readonly TxnOperation[];
  readonly failure: readonly TxnOperation[];
}

export type TxnOperation = Put | Append | Delete | Range | Txn;

/** Uses up its seq and does nothing: fills the place of a command that the client gave up. */
export interface Skip {
  readonly type: 'skip';
}

/**
 * Forgets the past: reads below `revision` are refused from now on, and what only they could see is
 * removed little by little. Makes no revision of its own.
 */
export interface Compact {
  readonly type: 'compact';
  /** Stays readable. Above the one compacted to before, and not above the newest revision. */
  readonly revision: number;
}

/**
 * Makes a lease: keys put with it are deleted when it ends. It ends when it was not kept alive for
 * its time to live, in log time, or when it is revoked.
 */
export interface LeaseGrant {
  readonly type: 'leaseGrant';
  /** Chosen by whoever asks; 64 bits, not 0. One in use is refused. */
  readonly lease: bigint;
  /** Milliseconds; raised to the least that is granted. */
  readonly ttlMs: number;
}

/** The lease's time to live begins again. */
export interface LeaseKeepAlive {
  readonly type: 'leaseKeepAlive';
  readonly lease: bigint;
}

/** Ends a lease and deletes its keys, all in one revision. */
export interface LeaseRevoke {
  readonly type: 'leaseRevoke';
  readonly lease: bigint;
}

export type LeaseOperation = LeaseGrant | LeaseKeepAlive | LeaseRevoke;

/** What a session's command does. */
export type Operation = Put | Append | Delete | Txn | Skip | Compact | LeaseOperation;

/**
 * Opens a session, or resumes the one of that name under a new incarnation.
 * `nonce`: 16 random bytes of this attempt, the same in all its retries, so that a repetition
 * is recognised and does not fence its own client.
 */
export interface OpenSession {
  readonly type: 'openSession';
  /** Empty for an anonymous session. */
  readonly name: Uint8Array;
  readonly nonce: Uint8Array;
  /** Idle life in log time, milliseconds; clamped to the limits. */
  readonly ttlMs: number;
}

/** Ends a session and forgets its answers; refused for an old incarnation. */
export interface CloseSession {
  readonly type: 'closeSession';
  readonly sessionId: number;
  readonly incarnation: number;
}

/**
 * What one entry of a batch in the log says. `session` null: executed once per appearance, without
 * dedupe.
 */
export type Command =
  | {
      readonly type: 'operation';
      readonly session: SessionRef | null;
      readonly operation: Operation;
    }
  | OpenSession
  | CloseSession;

// ── queries: read only, never in the log ───────────────────────────────────────────────────────

/** What became of a command: looked up by session id. */
export interface Resolve {
  readonly type: 'resolve';
  readonly sessionId: number;
  readonly seq: number;
}

/** How long a lease has to live, and on request its keys. */
export interface LeaseTimeToLive {
  readonly type: 'leaseTimeToLive';
  readonly lease: bigint;
  readonly keys: boolean;
}

/** Which leases there are. */
export interface LeaseList {
  readonly type: 'leases';
}

/**
 * A page of the history, for who follows it. Every member has the same history, so what there is
 * to tell is told at once by any of them; that there is nothing more, up to what was acknowledged
 * before the answer, is confirmed like any read.
 */
export interface Changes {
  readonly type: 'changes';
  /** Changes of other keys are passed over. */
  readonly range: KeyRange;
  /** The first revision, ≥ 1; null: what comes behind the newest one, so there is nothing yet. */
  readonly from: number | null;
  /** So many wanted changes of revision `from` were told already; 0 at the start of a revision. */
  readonly skip: number;
  /** Say also what each key was before. */
  readonly prevKv: boolean;
  /** The answer may stay away so long while there is nothing to tell, milliseconds; 0: at once. */
  readonly waitMs: number;
}

/**
 * `serializable`: answered from local state without asking the others; may be stale.
 * A transaction must be one that changes nothing (`isReadTxn`): so it needs no place in the log.
 */
export interface Query {
  readonly serializable: boolean;
  readonly query: Range | Txn | Resolve | LeaseTimeToLive | LeaseList | Changes;
}

// ── answers ────────────────────────────────────────────────────────────────────────────────────

export interface PutResult {
  readonly type: 'put';
  readonly revision: number;
  readonly prevKv: KeyValue | null;
}

export interface AppendResult {
  readonly type: 'append';
  readonly revision: number;
  /** Length of the value after the append, bytes. */
  readonly valueBytes: number;
}

export interface DeleteResult {
  readonly type: 'delete';
  /** The store's revision afterwards; unchanged when nothing was deleted. */
  readonly revision: number;
  readonly deleted: number;
  readonly prevKvs: readonly KeyValue[];
}

export interface RangeResult {
  readonly type: 'range';
  /** The store's current revision, also for a read in the past. */
  readonly revision: number;
  readonly kvs: readonly KeyValue[];
  /** Keys were left out because of the limit. */
  readonly more: boolean;
  /** Keys in the range, before the limit. */
  readonly count: number;
}

export interface TxnResult {
  readonly type: 'txn';
  readonly revision: number;
  /** All compares held. */
  readonly succeeded: boolean;
  readonly results: readonly TxnOperationResult[];
}

export type TxnOperationResult = PutResult | AppendResult | DeleteResult | RangeResult | TxnResult;

export interface SkipResult {
  readonly type: 'skip';
}

export interface CompactResult {
  readonly type: 'compact';
  /** The store's current revision: compaction does not change it. */
  readonly revision: number;
}

export interface LeaseGrantResult {
  readonly type: 'leaseGrant';
  /** The store's current revision: a grant does not change it. */
  readonly revision: number;
  /** The time to live granted, milliseconds. */
  readonly ttlMs: number;
}

export interface LeaseKeepAliveResult {
  readonly type: 'leaseKeepAlive';
  readonly revision: number;
  /** The time to live from now, milliseconds. */
  readonly ttlMs: number;
}

export interface LeaseRevokeResult {
  readonly type: 'leaseRevoke';
  /** The store's revision afterwards; unchanged when the lease had no keys. */
  readonly revision: number;
  readonly deleted: number;
}

export interface LeaseTimeToLiveResult {
  readonly type: 'leaseTimeToLive';
  readonly revision: number;
  /** Milliseconds of log time, ≥ 0: at 0 the next entry ends the lease. */
  readonly remainingMs: number;
  readonly ttlMs: number;
  /** In the order of their bytes; empty when not asked for. */
  readonly keys: readonly Uint8Array[];
}

export interface LeaseListResult {
  readonly type: 'leases';
  readonly revision: number;
  /** Ascending. */
  readonly leases: readonly bigint[];
}

/** The page goes up to, and without, wanted change number `skip` (from 0) of revision `next`. */
export interface ChangesResult {
  readonly type: 'changes';
  /** The store's revision: a page that ends above it has told everything. */
  readonly revision: number;
  /** In order of revision, then as the command made them. */
  readonly events: readonly ChangeEvent[];
  /** Where the next page begins: the `from` and `skip` to ask with. */
  readonly next: number;
  /** Above 0 only when the changes of one revision were too many for one answer. */
  readonly skip: number;
}

export interface OpenSessionResult {
  readonly type: 'openSession';
  readonly sessionId: number;
  readonly incarnation: number;
  /** The session existed before. */
  readonly resumed: boolean;
  /** Last executed seq; 0 for none. */
  readonly lastSeq: number;
  /** Encoded answer of `lastSeq`; null when there is none or it was acknowledged. */
  readonly lastAnswer: Uint8Array | null;
  /** Idle life granted, milliseconds of log time. */
  readonly ttlMs: number;
}

export interface CloseSessionResult {
  readonly type: 'closeSession';
}

/** `answer`: the encoded answer, byte for byte as first given. */
export interface ResolveResult {
  readonly type: 'resolve';
  readonly state: 'executed' | 'notExecuted' | 'acknowledged';
  readonly answer: Uint8Array | null;
}

/** A definite or indefinite refusal; the code's row in the error table says which. */
export interface ErrorResult {
  readonly type: 'error';
  readonly code: ErrorCode;
  readonly message: string;
  /** Who leads, as far as the answerer knows. */
  readonly leader: LeaderHint | null;
  /** Only with COMPACTED: the oldest revision that can still be read. */
  readonly compactRevision?: number;
}

export interface LeaderHint {
  readonly memberId: bigint;
  readonly clientUrls: readonly string[];
}

/** The answer to a command or query. */
export type Answer =
  | PutResult
  | AppendResult
  | DeleteResult
  | RangeResult
  | TxnResult
  | SkipResult
  | CompactResult
  | LeaseGrantResult
  | LeaseKeepAliveResult
  | LeaseRevokeResult
  | LeaseTimeToLiveResult
  | LeaseListResult
  | ChangesResult
  | OpenSessionResult
  | CloseSessionResult
  | ResolveResult
  | ErrorResult;
