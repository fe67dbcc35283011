import { unreachable } from '../lib/index.ts';
import type { Compare, Operation, RecordedCall, Result, TxnStep } from './history.ts';
import { ABSENT, ValueTable } from './values.ts';

/** `step` gives this when the call's reply contradicts the state. */
export const REFUSED = -1;

/** A step of the sequential store; `seen`, `valueBytes`, `deleted` null: any reply will do. */
type Step =
  | { readonly type: 'get'; readonly slots: readonly number[]; readonly seen: readonly number[] }
  | { readonly type: 'put'; readonly slot: number; readonly value: number }
  | {
      readonly type: 'append';
      readonly slot: number;
      readonly text: string;
      readonly valueBytes: number | null;
    }
  | { readonly type: 'delete'; readonly slot: number; readonly deleted: boolean | null }
  | {
      readonly type: 'txn';
      readonly compares: readonly { slot: number; isEqual: boolean; value: number }[];
      readonly success: readonly Step[];
      readonly failure: readonly Step[];
      readonly succeeded: boolean | null;
    };

/** A call made ready for the model. */
export interface Action {
  readonly step: Step;
  /** With this reply it can't change anything: a read, a comparison that failed. */
  readonly isPure: boolean;
}

/**
 * The sequential key/value store, restricted to some keys, in place: one value id for each key.
 */
export class KvStore {
  readonly row: Int32Array;
  /** Slots and what they held before, in pairs, to go back by; null: not kept. */
  journal: number[] | null = null;
  readonly #slots: ReadonlyMap<string, number>;
  readonly #keys: readonly string[];
  readonly #values = new ValueTable();

  /** @param keys in order */
  constructor(keys: readonly string[]) {
    this.#keys = keys;
    this.#slots = new Map(keys.map((key, slot) => [key, slot]));
    this.row = new Int32Array(keys.length).fill(ABSENT);
  }

  /** Values that occurred, each kept. */
  get valueCount(): number {
    return this.#values.size;
  }

  /** Makes a call ready. Its keys are among the store's. */
  action({ operation, outcome }: RecordedCall): Action {
    const result = outcome.type === 'ok' ? outcome.result : null;
    const step = this.#compile(operation, result);
    return { step, isPure: isPure(step) };
  }

  /** Runs a call; false: its reply contradicts, and the store may be left half way. */
  run({ step }: Action): boolean {
    return this.#run(step);
  }

  /** Goes back to when the journal was that long. */
  undoTo(length: number): void {
    const journal = this.journal ?? [];
    while (journal.length > length) {
      const value = journal.pop() as number;
      this.row[journal.pop() as number] = value;
    }
  }

  #set(slot: number, value: number): void {
    this.journal?.push(slot, this.row[slot] as number);
    this.row[slot] = value;
  }

  #slot(key: string): number {
    return this.#slots.get(key) as number;
  }

  #compile(operation: Operation, result: Result | null): Step {
    switch (operation.type) {
      case 'get': {
        const seen = result?.type === 'get' ? [this.#values.intern(result.value)] : [];
        return { type: 'get', slots: seen.length > 0 ? [this.#slot(operation.key)] : [], seen };
      }
      case 'range': {
        if (result?.type !== 'range') return { type: 'get', slots: [], seen: [] };
        const { from, to } = operation;
        const entries = new Map(result.entries);
        const keys = keysBetween(this.#keys, from, to);
        const seen = keys.map((key) => this.#values.intern(entries.get(key) ?? null));
        return { type: 'get', slots: keys.map((key) => this.#slot(key)), seen };
      }
      case 'put':
        return {
          type: 'put',
          slot: this.#slot(operation.key),
          value: this.#values.intern(operation.value),
        };
      case 'append': {
        const valueBytes = result?.type === 'append' ? result.valueBytes : null;
        const slot = this.#slot(operation.key);
        return { type: 'append', slot, text: operation.value, valueBytes };
      }
      case 'delete': {
        const deleted = result?.type === 'delete' ? result.deleted : null;
        return { type: 'delete', slot: this.#slot(operation.key), deleted };
      }
      case 'txn': {
        const answer = result?.type === 'txn' ? result : null;
        const branch = (steps: readonly TxnStep[], taken: boolean): Step[] =>
          steps.map((step, i) =>
            this.#compile(step, answer?.succeeded === taken ? (answer.results[i] ?? null) : null),
          );
        return {
          type: 'txn',
          compares: operation.compares.map((each) => this.#compare(each)),
          success: branch(operation.success, true),
          failure: branch(operation.failure, false),
          succeeded: answer?.succeeded ?? null,
        };
      }
      default:
        unreachable(operation);
    }
  }

  #compare({ key, is, value }: Compare): { slot: number; isEqual: boolean; value: number } {
    return { slot: this.#slot(key), isEqual: is === 'equal', value: this.#values.intern(value) };
  }

  #run(step: Step): boolean {
    const { row } = this;
    switch (step.type) {
      case 'get':
        for (let i = 0; i < step.slots.length; i++) {
          if (row[step.slots[i] as number] !== step.seen[i]) return false;
        }
        return true;
      case 'put':
        this.#set(step.slot, step.value);
        return true;
      case 'append': {
        const value = this.#values.append(row[step.slot] as number, step.text);
        this.#set(step.slot, value);
        return step.valueBytes === null || this.#values.utf8Bytes(value) === step.valueBytes;
      }
      case 'delete': {
        const existed = row[step.slot] !== ABSENT;
        if (existed) this.#set(step.slot, ABSENT);
        return step.deleted === null || step.deleted === existed;
      }
      case 'txn': {
        const holds = step.compares.every(
          (each) => (row[each.slot] === each.value) === each.isEqual,
        );
        if (step.succeeded !== null && step.succeeded !== holds) return false;
        return (holds ? step.success : step.failure).every((each) => this.#run(each));
      }
      default:
        unreachable(step);
    }
  }
}

/**
 * The same as a machine of states, for the search: a state is a small integer, the id of the one
 * key's value or of a row of values.
 */
export class KvModel {
  readonly initial: number;
  readonly #store: KvStore;
  readonly #rows: Int32Array[] = [];
  readonly #rowIds = new Map<string, number>();

  /** @param keys in order */
  constructor(keys: readonly string[]) {
    this.#store = new KvStore(keys);
    this.initial = this.#stateOfRow();
  }

  action(call: RecordedCall): Action {
    return this.#store.action(call);
  }

  /** Values and states that occurred, each kept. */
  get size(): number {
    return this.#store.valueCount + this.#rows.length;
  }

  /** The state after the call, or REFUSED. */
  step(state: number, action: Action): number {
    const { row } = this.#store;
    if (row.length === 1) row[0] = state;
    else row.set(this.#rows[state] as Int32Array);
    return this.#store.run(action) ? this.#stateOfRow() : REFUSED;
  }

  #stateOfRow(): number {
    const { row } = this.#store;
    if (row.length === 1) return row[0] as number;
    const name = row.join();
    const known = this.#rowIds.get(name);
    if (known !== undefined) return known;
    this.#rowIds.set(name, this.#rows.length);
    return this.#rows.push(row.slice()) - 1;
  }
}

/** The keys from `from` to just before `to`, of keys in order. */
export function keysBetween(
  keys: readonly string[],
  from: string,
  to: string | null,
): readonly string[] {
  const first = lowerBound(keys, from);
  return keys.slice(first, to === null ? keys.length : Math.max(first, lowerBound(keys, to)));
}

function lowerBound(keys: readonly string[], key: string): number {
  let from = 0;
  for (let to = keys.length; from < to; ) {
    const middle = (from + to) >>> 1;
    if ((keys[middle] as string) < key) from = middle + 1;
    else to = middle;
  }
  return from;
}

function isPure(step: Step): boolean {
  switch (step.type) {
    case 'get':
      return true;
    case 'put':
    case 'append':
      return false;
    case 'delete':
      return step.deleted === false;
    case 'txn':
      if (step.succeeded === null) return [...step.success, ...step.failure].every(isPure);
      return (step.succeeded ? step.success : step.failure).every(isPure);
    default:
      unreachable(step);
  }
}

/** Calls `visit` with every key that the operation names, of either branch; ranges name none. */
export function forEachKey(operation: Operation, visit: (key: string) => void): void {
  if (operation.type === 'txn') {
    for (const { key } of operation.compares) visit(key);
    for (const step of operation.success) forEachKey(step, visit);
    for (const step of operation.failure) forEachKey(step, visit);
  } else if (operation.type !== 'range') {
    visit(operation.key);
  }
}

/** Calls `visit` with every range of the operation. */
export function forEachRange(
  operation: Operation,
  visit: (range: Extract<Operation, { type: 'range' }>) => void,
): void {
  if (operation.type === 'range') visit(operation);
  if (operation.type !== 'txn') return;
  for (const step of operation.success) forEachRange(step, visit);
  for (const step of operation.failure) forEachRange(step, visit);
}
