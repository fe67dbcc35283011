import { assert, unreachable } from '../lib/index.ts';
import type { Call, KvOperation } from './history.ts';

/**
 * What the checker found. `undecided`: the budget ran out; whoever asked must treat it as a
 * failure.
 */
export type Verdict =
  | { readonly type: 'linearizable' }
  | {
      readonly type: 'violation';
      readonly key: string;
      /**
       * A longest order of calls that could be explained before none of the rest could come next.
       */
      readonly explained: readonly Call[];
      /** Calls that were open at that point and can't be explained. */
      readonly contradiction: readonly Call[];
    }
  | { readonly type: 'undecided'; readonly key: string };

/**
 * Decides whether a history of a key/value store is linearizable (Herlihy & Wing), by the search of
 * Wing & Gong with Lowe's memory of visited configurations. Keys are independent objects, so each
 * is
 * judged alone (P-compositionality, Horn & Kroening): do not mix in operations on several keys.
 * @param stepsMax bound on search steps per key, so that a verdict comes in bounded time
 */
export function checkLinearizable(history: readonly Call[], stepsMax = 5_000_000): Verdict {
  for (const [key, calls] of byKey(history)) {
    const verdict = checkKey(key, calls, stepsMax);
    if (verdict.type !== 'linearizable') return verdict;
  }
  return { type: 'linearizable' };
}

function byKey(history: readonly Call[]): Map<string, Call[]> {
  const keys = new Map<string, Call[]>();
  for (const call of history) {
    const calls = keys.get(call.key);
    if (calls === undefined) keys.set(call.key, [call]);
    else calls.push(call);
  }
  return keys;
}

/**
 * A point of the timeline: a call begins or ends. Doubly linked, so that a call can be lifted out
 * and put back.
 */
interface Point {
  readonly call: number;
  readonly isReturn: boolean;
  /** The return of this call; null for returns, and for calls that never ended. */
  end: Point | null;
  previous: Point | null;
  next: Point | null;
}

interface Step {
  readonly point: Point;
  readonly before: string | null;
}

function checkKey(key: string, calls: readonly Call[], stepsMax: number): Verdict {
  const head = timeline(calls);
  const linearized = new BitSet(calls.length);
  const visited = new Set<string>();
  const taken: Step[] = [];
  let longest: readonly Step[] = [];
  let state: string | null = null;
  let point = head.next;
  let pendingReturns = calls.filter((call) => call.returned !== null).length;
  for (let steps = 0; pendingReturns > 0; steps++) {
    if (steps >= stepsMax) return { type: 'undecided', key };
    assert(point !== null, 'a call that returned was not found on the timeline', { key });
    if (!point.isReturn) {
      const after = apply(state, (calls[point.call] as Call).operation);
      if (after !== REFUSED && remember(visited, linearized, point.call, after)) {
        taken.push({ point, before: state });
        linearized.add(point.call);
        state = after;
        if (point.end !== null) pendingReturns--;
        lift(point);
        point = head.next;
        continue;
      }
      point = point.next;
      if (point !== null) continue;
    }
    // A return is reached whose call was not explained (or the end): go back and try otherwise.
    if (taken.length > longest.length) longest = [...taken];
    const last = taken.pop();
    if (last === undefined) return violation(key, calls, longest);
    linearized.delete(last.point.call);
    if (last.point.end !== null) pendingReturns++;
    state = last.before;
    unlift(last.point);
    point = last.point.next;
  }
  return { type: 'linearizable' };
}

function violation(key: string, calls: readonly Call[], longest: readonly Step[]): Verdict {
  const done = new Set(longest.map((step) => step.point.call));
  const rest = calls.filter((_, index) => !done.has(index));
  const firstReturn = Math.min(...rest.map((call) => call.returned ?? Number.MAX_VALUE));
  return {
    type: 'violation',
    key,
    explained: longest.map((step) => calls[step.point.call] as Call),
    contradiction: rest.filter((call) => call.called <= firstReturn),
  };
}

const REFUSED = Symbol('refused');

/** The sequential store of one key: null is "no such key". */
function apply(state: string | null, operation: KvOperation): string | null | typeof REFUSED {
  switch (operation.type) {
    case 'get':
      return operation.output === state ? state : REFUSED;
    case 'put':
      return operation.value;
    case 'append':
      return (state ?? '') + operation.value;
    default:
      unreachable(operation);
  }
}

/** True when (set of linearized calls, state) was not seen before. */
function remember(
  visited: Set<string>,
  linearized: BitSet,
  call: number,
  state: string | null,
): boolean {
  linearized.add(call);
  const configuration = `${linearized.key()}|${state === null ? '' : `=${state}`}`;
  linearized.delete(call);
  if (visited.has(configuration)) return false;
  visited.add(configuration);
  return true;
}

/**
 * Calls and returns in order of time; at the same instant calls come first, for intervals are
 * closed.
 */
function timeline(calls: readonly Call[]): Point {
  const points: { at: number; point: Point }[] = [];
  calls.forEach((call, index) => {
    const begin: Point = { call: index, isReturn: false, end: null, previous: null, next: null };
    points.push({ at: call.called, point: begin });
    if (call.returned === null) return;
    begin.end = { call: index, isReturn: true, end: null, previous: null, next: null };
    points.push({ at: call.returned, point: begin.end });
  });
  points.sort((a, b) => a.at - b.at || Number(a.point.isReturn) - Number(b.point.isReturn));
  const head: Point = { call: -1, isReturn: false, end: null, previous: null, next: null };
  let last = head;
  for (const { point } of points) {
    last.next = point;
    point.previous = last;
    last = point;
  }
  return head;
}

function lift(point: Point): void {
  unlink(point);
  if (point.end !== null) unlink(point.end);
}

function unlift(point: Point): void {
  if (point.end !== null) relink(point.end);
  relink(point);
}

function unlink(point: Point): void {
  if (point.previous !== null) point.previous.next = point.next;
  if (point.next !== null) point.next.previous = point.previous;
}

function relink(point: Point): void {
  if (point.previous !== null) point.previous.next = point;
  if (point.next !== null) point.next.previous = point;
}

/** A set of small integers with a compact key. */
class BitSet {
  readonly #words: Uint32Array;

  constructor(size: number) {
    this.#words = new Uint32Array(Math.ceil(size / 32));
  }

  add(value: number): void {
    this.#words[value >>> 5] = (this.#words[value >>> 5] ?? 0) | (1 << (value & 31));
  }

  delete(value: number): void {
    this.#words[value >>> 5] = (this.#words[value >>> 5] ?? 0) & ~(1 << (value & 31));
  }

  key(): string {
    return this.#words.join();
  }
}
