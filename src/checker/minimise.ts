import type { Operation, Outcome, RecordedCall, Result, TxnStep } from './history.ts';
import { KvModel } from './model.ts';
import { search } from './search.ts';

const TRIALS_MAX = 2_000;
const STEPS_MAX = 5_000_000;
/** Each call that is free to happen at any time or never may double a search. */
const FREE_MAX = 6;

/** A call in the history that is being shortened. */
interface Item {
  /** In the original history; null for what stands in for a left-out beginning. */
  readonly index: number | null;
  readonly call: RecordedCall;
  /** Free to happen at any time or never: part of the history, but not of the contradiction. */
  readonly isFree: boolean;
  /** What it saw stands in for a left-out beginning, so it has to stay. */
  readonly isFixed: boolean;
}

/**
 * The fewest calls of a bad history that contradict each other, by leaving out. Every step only
 * takes constraints away, so what is left contradicts whatever the others did.
 * @param deadline time of the return that no order gets past
 * @returns indexes, in order of the calls
 */
export function minimise(
  keys: readonly string[],
  calls: readonly RecordedCall[],
  deadline: number,
): number[] {
  const trials = new Trials(keys);
  let items: readonly Item[] = calls.flatMap((call, index): Item[] => {
    const item = { index, call, isFree: false, isFixed: false };
    if (call.called > deadline) return [];
    // What returned later need not have happened by then.
    return (call.returned ?? 0) > deadline ? freed(item, call.called) : [item];
  });
  if (keys.length === 1) items = leaveOutBeginning(items, trials) ?? items;
  items = loosen(items, trials, (item) => isRead(item.call));
  items = loosen(items, trials, () => true);
  items = loosen(items, trials, (item) => isRead(item.call));
  const shown = items.filter((item) => !item.isFree && item.index !== null);
  shown.sort((a, b) => a.call.called - b.call.called);
  return shown.map((item) => item.index as number);
}

/** Asks whether a changed history is still bad, within a budget. */
class Trials {
  readonly #keys: readonly string[];
  #steps = 0;
  #trials = 0;

  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  get areOver(): boolean {
    return this.#steps >= STEPS_MAX || this.#trials >= TRIALS_MAX;
  }

  isBad(items: readonly Item[]): boolean {
    if (this.areOver) return false;
    const calls = items.map((item) => item.call);
    const stepsMax = 50_000 + 10 * calls.length;
    const bounds = { stepsMax, configurationsMax: stepsMax };
    const result = search(new KvModel(this.#keys), calls, bounds);
    this.#trials++;
    this.#steps += result.steps + calls.length;
    return result.type === 'violation';
  }
}

/**
 * Starts from a read instead of from nothing: at some moment of the read the key had the value
 * that it saw. What returned before the read was called is over; a write that overlaps it may or
 * may not be part of that value.
 */
function leaveOutBeginning(items: readonly Item[], trials: Trials): Item[] | null {
  const pins = items
    .filter((item) => readOf(item.call) !== null)
    .sort((a, b) => b.call.called - a.call.called);
  for (let back = 0; back < pins.length; back = back < 4 ? back + 1 : 2 * back) {
    const pin = pins[back] as Item;
    const value = readOf(pin.call);
    if (value === null) continue;
    const { called, returned } = pin.call;
    const rest = items.flatMap((item): Item[] => {
      if (item === pin) return [{ ...item, isFixed: true }];
      if ((item.call.returned ?? Number.POSITIVE_INFINITY) < called) return [];
      if (item.call.called > (returned ?? called)) return [item];
      return freed(item, item.call.called);
    });
    if (countFree(rest) > FREE_MAX) continue;
    const shorter = [...startingWith(value.key, value.text), ...rest];
    if (shorter.length < items.length && trials.isBad(shorter)) return shorter;
  }
  return null;
}

/** A call that may happen at any time from `called` on, or never; nothing, if it only reads. */
function freed(item: Item, called: number): Item[] {
  if (isRead(item.call)) return [];
  const outcome: Outcome = { type: 'unknown' };
  return [{ ...item, call: { ...item.call, called, returned: null, outcome }, isFree: true }];
}

function countFree(items: readonly Item[]): number {
  return items.filter((item) => item.isFree).length;
}

/** The key and the whole value that a get saw. */
function readOf({ operation, outcome }: RecordedCall): { key: string; text: string | null } | null {
  if (operation.type !== 'get' || outcome.type !== 'ok' || outcome.result.type !== 'get') {
    return null;
  }
  const { value } = outcome.result;
  return value === null || typeof value === 'string' ? { key: operation.key, text: value } : null;
}

/** What makes the key have this value before anything else. */
function startingWith(key: string, value: string | null): Item[] {
  if (value === null) return [];
  const always = Number.NEGATIVE_INFINITY;
  const call: RecordedCall = {
    clerk: '',
    session: null,
    operation: { type: 'put', key, value },
    outcome: { type: 'ok', result: { type: 'put' }, revision: null },
    called: always,
    returned: always,
  };
  return [{ index: null, call, isFree: false, isFixed: true }];
}

/** Leaves out what may be left out, in halves, quarters, … single calls (Zeller's ddmin). */
function loosen(
  items: readonly Item[],
  trials: Trials,
  isCandidate: (item: Item) => boolean,
): readonly Item[] {
  let present = items;
  for (let size = Math.ceil(items.length / 2); size >= 1; size = Math.floor(size / 2)) {
    const queue = present.filter((item) => !item.isFixed && !item.isFree && isCandidate(item));
    for (let from = 0; from < queue.length && !trials.areOver; from += size) {
      const chunk = new Set(queue.slice(from, from + size));
      const looser = without(present, chunk);
      if (looser !== null && trials.isBad(looser)) present = looser;
    }
  }
  return present;
}

/**
 * The history without some calls. A write whose value no reply can show is left out, any other
 * becomes free to happen at any time or never; null if too many would be free.
 */
function without(items: readonly Item[], chunk: ReadonlySet<Item>): Item[] | null {
  const rest = items.filter((item) => !chunk.has(item));
  const evidence = new Evidence(rest);
  const result = items.flatMap((item): Item[] => {
    if (!chunk.has(item)) return [item];
    if (!evidence.mayShow(item.call.operation)) return [];
    return freed(item, Number.NEGATIVE_INFINITY);
  });
  return countFree(result) > Math.max(FREE_MAX, countFree(items)) ? null : result;
}

/** Which writes the replies of a history can show. */
class Evidence {
  readonly #texts: string[] = [];
  /** A reply may show any write: a digest, a length, a comparison. */
  #showsAll = false;
  /** A reply saw that a key was absent. */
  #showsAbsence = false;

  constructor(items: readonly Item[]) {
    for (const { call } of items) {
      if (call.operation.type === 'txn') this.#showsAll = true;
      if (call.outcome.type === 'ok') this.#add(call.outcome.result);
    }
  }

  mayShow(operation: Operation): boolean {
    if (this.#showsAll || operation.type === 'txn') return true;
    if (operation.type === 'delete') return this.#showsAbsence || this.#texts.length > 0;
    if (operation.type !== 'put' && operation.type !== 'append') return false;
    return this.#texts.some((text) => text.includes(operation.value));
  }

  #add(result: Result): void {
    if (result.type === 'append' && result.valueBytes !== null) this.#showsAll = true;
    if (result.type === 'delete') this.#showsAll = true;
    if (result.type === 'range') this.#showsAll = true;
    if (result.type !== 'get') return;
    if (result.value === null) this.#showsAbsence = true;
    else if (typeof result.value === 'string') this.#texts.push(result.value);
    else this.#showsAll = true;
  }
}

function isRead({ operation }: RecordedCall): boolean {
  const reads = (step: TxnStep): boolean => step.type === 'get' || step.type === 'range';
  if (operation.type !== 'txn') return reads(operation);
  return [...operation.success, ...operation.failure].every(reads);
}
