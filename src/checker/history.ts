/** An operation on one key. `output` is what the caller was told; null when it was told nothing. */
export type KvOperation =
  | { readonly type: 'get'; readonly output: string | null }
  | { readonly type: 'put'; readonly value: string }
  | { readonly type: 'append'; readonly value: string }
  /** `deleted`: whether the key existed, as the caller was told; null when it was not told. */
  | { readonly type: 'delete'; readonly deleted: boolean | null }
  /** A put that happens only if the value is `expected` (null: the key does not exist). */
  | {
      readonly type: 'compareAndSet';
      readonly expected: string | null;
      readonly value: string;
      readonly succeeded: boolean | null;
    };

/**
 * One call on one key as its caller saw it. Times are on one monotonic clock, any unit.
 * `returned` null: the caller never learnt the outcome, so the call may take effect at any time
 * after `called`, or never. A get whose caller learnt nothing says nothing: leave it out.
 */
export interface Call {
  /** For people: who called. */
  readonly clerk: string;
  readonly key: string;
  readonly operation: KvOperation;
  readonly called: number;
  readonly returned: number | null;
}

/** What stands in for a long value: see `digestOf`. */
export interface Digest {
  /** UTF-16 code units. */
  readonly length: number;
  /** 16 hexadecimal digits. */
  readonly hash: string;
}

/** A value that a read saw; null is "no such key". */
export type Seen = string | null | Digest;

/** An operation with its arguments, as a recorded history has it; docs/CHECKER.md. */
export type Operation =
  | { readonly type: 'get'; readonly key: string }
  /** All keys from `from` to just before `to`; `to` null: to the last key. */
  | { readonly type: 'range'; readonly from: string; readonly to: string | null }
  | { readonly type: 'put'; readonly key: string; readonly value: string }
  | { readonly type: 'append'; readonly key: string; readonly value: string }
  | { readonly type: 'delete'; readonly key: string }
  | {
      readonly type: 'txn';
      /** All of them hold: `success` runs, otherwise `failure`. */
      readonly compares: readonly Compare[];
      readonly success: readonly TxnStep[];
      readonly failure: readonly TxnStep[];
    };

/** A step of a transaction: no transaction inside a transaction. */
export type TxnStep = Exclude<Operation, { type: 'txn' }>;

/** Compares the value of a key; null is "no such key". */
export interface Compare {
  readonly key: string;
  readonly is: 'equal' | 'notEqual';
  readonly value: string | null;
}

/** What the caller was told. */
export type Result =
  | { readonly type: 'get'; readonly value: Seen }
  | { readonly type: 'range'; readonly entries: readonly (readonly [key: string, value: string])[] }
  | { readonly type: 'put' }
  /** Length of the value afterwards, UTF-8 bytes; null when it was not recorded. */
  | { readonly type: 'append'; readonly valueBytes: number | null }
  | { readonly type: 'delete'; readonly deleted: boolean }
  | { readonly type: 'txn'; readonly succeeded: boolean; readonly results: readonly Result[] };

export type Outcome =
  /** `revision`: the store's when the call took effect; null when it was not recorded. */
  | { readonly type: 'ok'; readonly result: Result; readonly revision: number | null }
  /** The caller was told that it certainly did not happen. */
  | { readonly type: 'notApplied' }
  /** It may have happened, may yet happen, or never. */
  | { readonly type: 'unknown' };

/** A call of a recorded history: one or several keys. */
export interface RecordedCall {
  readonly clerk: string;
  /** The session's name and the command's number in it; null outside sessions. */
  readonly session: { readonly name: string; readonly seq: number } | null;
  readonly operation: Operation;
  readonly outcome: Outcome;
  /** On one monotonic clock for the whole history, in the unit of its header. */
  readonly called: number;
  /** When the caller stopped waiting; null: never. ≥ `called`. */
  readonly returned: number | null;
}

/** Something that was done to the cluster, for the drawing only. */
export interface FaultBand {
  /** Kind, such as `partition` or `kill`. */
  readonly fault: string;
  readonly from: number;
  /** null: until the end. */
  readonly to: number | null;
  readonly label: string;
}

/** The first line of a recorded history. */
export interface HistoryHeader {
  readonly title: string;
  /** Unit of all times. */
  readonly unit: 'ns' | 'us';
  /** The store's revision before the first call; its keys were empty then. */
  readonly revision: number;
}

export interface History {
  readonly header: HistoryHeader;
  readonly calls: readonly RecordedCall[];
  readonly faults: readonly FaultBand[];
}

/** The simple form of a call in the full one. */
export function recordedCall(call: Call): RecordedCall {
  const { clerk, called, returned, key } = call;
  const [operation, result] = widen(key, call.operation);
  const outcome: Outcome =
    returned === null || result === null
      ? { type: 'unknown' }
      : { type: 'ok', result, revision: null };
  return { clerk, session: null, operation, outcome, called, returned };
}

function widen(key: string, operation: KvOperation): [Operation, Result | null] {
  switch (operation.type) {
    case 'get':
      return [
        { type: 'get', key },
        { type: 'get', value: operation.output },
      ];
    case 'put':
      return [{ type: 'put', key, value: operation.value }, { type: 'put' }];
    case 'append':
      return [
        { type: 'append', key, value: operation.value },
        { type: 'append', valueBytes: null },
      ];
    case 'delete': {
      const { deleted } = operation;
      return [{ type: 'delete', key }, deleted === null ? null : { type: 'delete', deleted }];
    }
    case 'compareAndSet': {
      const { expected, value, succeeded } = operation;
      const compares: Compare[] = [{ key, is: 'equal', value: expected }];
      const txn: Operation = {
        type: 'txn',
        compares,
        success: [{ type: 'put', key, value }],
        failure: [],
      };
      if (succeeded === null) return [txn, null];
      return [txn, { type: 'txn', succeeded, results: succeeded ? [{ type: 'put' }] : [] }];
    }
    default:
      return operation satisfies never;
  }
}
