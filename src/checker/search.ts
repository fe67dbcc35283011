import { assert } from '../lib/index.ts';
import type { RecordedCall } from './history.ts';
import { type Action, type KvModel, REFUSED } from './model.ts';
import { shownUntil } from './shown.ts';

/** Bounds of one search. */
export interface SearchBounds {
  /** Calls tried at a place; whoever reaches it gets `undecided`. */
  readonly stepsMax: number;
  /** Configurations remembered, about 24 bytes each; the oldest are forgotten. */
  readonly configurationsMax: number;
}

export type SearchResult =
  /** `order`: indexes of the calls in an order that explains all replies. */
  | { readonly type: 'linearizable'; readonly order: readonly number[]; readonly steps: number }
  | {
      readonly type: 'violation';
      /** The longest order that could be explained. */
      readonly explained: readonly number[];
      /** No order gets past the return at this time. */
      readonly deadline: number;
      readonly steps: number;
    }
  | { readonly type: 'undecided'; readonly steps: number };

const NONE = -1;

/** Values and states of one search, some 100 bytes each; at this many it is `undecided`. */
const STATES_MAX = 12_000_000;

/**
 * Looks for an order of the calls that respects time and explains every reply: the search of Wing
 * and Gong with Lowe's memory of configurations (calls done, state). Two additions. A call that
 * changes nothing and whose reply fits is taken at once and never reconsidered: any order that has
 * it later works with it here too. Calls without an outcome are tried last, for most never count,
 * and only while a read to come can show them.
 *
 * The set of calls done is known by 64 random bits for each call, combined by xor. Two sets that
 * collide could only make a good history look bad, never the reverse.
 */
export function search(
  model: KvModel,
  calls: readonly RecordedCall[],
  bounds: SearchBounds,
): SearchResult {
  return new Search(model, calls, bounds).run();
}

/** What was taken, in order, to go back by. */
class Trail {
  readonly calls: number[] = [];
  readonly before: number[] = [];
  readonly isForced: boolean[] = [];
  readonly #longest: number[] = [];
  /** `calls` and `#longest` agree up to here. */
  #common = 0;

  push(call: number, before: number, isForced: boolean): void {
    this.calls.push(call);
    this.before.push(before);
    this.isForced.push(isForced);
  }

  pop(): { call: number; before: number; isForced: boolean } | null {
    const call = this.calls.pop();
    const before = this.before.pop();
    const isForced = this.isForced.pop();
    if (call === undefined || before === undefined || isForced === undefined) return null;
    this.#common = Math.min(this.#common, this.calls.length);
    return { call, before, isForced };
  }

  noteDeadEnd(): void {
    if (this.calls.length <= this.#longest.length) return;
    this.#longest.length = this.#common;
    for (let i = this.#common; i < this.calls.length; i++) {
      this.#longest.push(this.calls[i] as number);
    }
    this.#common = this.calls.length;
  }

  get longest(): readonly number[] {
    return this.#longest;
  }
}

class Search {
  readonly #model: KvModel;
  readonly #actions: readonly Action[];
  readonly #calls: readonly RecordedCall[];
  readonly #bounds: SearchBounds;
  readonly #timeline: Timeline;
  /** Calls without an outcome, by time of call, and whether they are taken. */
  readonly #open: readonly number[];
  readonly #openTaken: Uint8Array;
  readonly #openShownUntil: Float64Array;
  readonly #openPlace = new Map<number, number>();
  readonly #memory: Memory;
  readonly #trail = new Trail();
  #state: number;
  #pending: number;
  #steps = 0;
  #deadline = Number.NEGATIVE_INFINITY;

  constructor(model: KvModel, calls: readonly RecordedCall[], bounds: SearchBounds) {
    this.#model = model;
    this.#calls = calls;
    this.#bounds = bounds;
    this.#actions = calls.map((call) => model.action(call));
    const ended: number[] = [];
    const open: number[] = [];
    calls.forEach(({ outcome }, index) => {
      if (outcome.type === 'ok') ended.push(index);
      if (outcome.type === 'unknown' && this.#actions[index]?.isPure === false) open.push(index);
    });
    open.sort((a, b) => this.#calledAt(a) - this.#calledAt(b));
    this.#timeline = new Timeline(calls, ended);
    this.#open = open;
    open.forEach((call, place) => {
      this.#openPlace.set(call, place);
    });
    this.#openTaken = new Uint8Array(open.length);
    this.#openShownUntil = shownUntil(calls, open);
    this.#memory = new Memory(bounds.configurationsMax);
    this.#state = model.initial;
    this.#pending = ended.length;
  }

  run(): SearchResult {
    let after = NONE;
    let openFrom = 0;
    while (this.#pending > 0) {
      if (this.#steps >= this.#bounds.stepsMax || this.#model.size >= STATES_MAX) {
        return { type: 'undecided', steps: this.#steps };
      }
      if ((after === NONE && openFrom === 0 && this.#takePure()) || this.#take(after, openFrom)) {
        after = NONE;
        openFrom = 0;
        continue;
      }
      this.#noteDeadEnd();
      const back = this.#goBack();
      if (back === null) {
        const { longest: explained } = this.#trail;
        const deadline = this.#deadline;
        return { type: 'violation', explained, deadline, steps: this.#steps };
      }
      const place = this.#openPlace.get(back);
      after = place === undefined ? back : NONE;
      openFrom = place === undefined ? 0 : place + 1;
    }
    return { type: 'linearizable', order: this.#trail.calls, steps: this.#steps };
  }

  #calledAt(call: number): number {
    return (this.#calls[call] as RecordedCall).called;
  }

  /** Takes a call that changes nothing, if there is one whose reply fits now. */
  #takePure(): boolean {
    const timeline = this.#timeline;
    let point = timeline.first;
    for (; !timeline.isReturn(point); point = timeline.next(point)) {
      const call = timeline.callAt(point);
      const action = this.#actions[call] as Action;
      if (!action.isPure) continue;
      this.#steps++;
      if (this.#model.step(this.#state, action) === REFUSED) continue;
      this.#advance(call, this.#state, true);
      return true;
    }
    return false;
  }

  /** Takes the next call that leads to a new configuration, looking behind what was tried. */
  #take(after: number, openFrom: number): boolean {
    const timeline = this.#timeline;
    let point = after === NONE ? timeline.first : timeline.nextOf(after);
    if (openFrom > 0) point = timeline.firstReturn;
    for (; !timeline.isReturn(point); point = timeline.next(point)) {
      const call = timeline.callAt(point);
      if (!(this.#actions[call] as Action).isPure && this.#try(call)) return true;
    }
    const deadline = timeline.timeAt(point);
    for (let place = openFrom; place < this.#open.length; place++) {
      const call = this.#open[place] as number;
      if (this.#calledAt(call) > deadline) return false;
      if (this.#openTaken[place] === 1) continue;
      if ((this.#openShownUntil[place] as number) < deadline) continue;
      if (this.#try(call)) return true;
    }
    return false;
  }

  #try(call: number): boolean {
    this.#steps++;
    const state = this.#model.step(this.#state, this.#actions[call] as Action);
    // A call that may not have happened and would change nothing need not happen.
    if (state === REFUSED || (state === this.#state && this.#openPlace.has(call))) return false;
    this.#memory.toggle(call);
    const isNew = this.#memory.remember(state);
    this.#memory.toggle(call);
    if (isNew) this.#advance(call, state, false);
    return isNew;
  }

  #advance(call: number, state: number, isForced: boolean): void {
    this.#trail.push(call, this.#state, isForced);
    this.#memory.toggle(call);
    this.#state = state;
    const place = this.#openPlace.get(call);
    if (place !== undefined) {
      this.#openTaken[place] = 1;
      return;
    }
    this.#timeline.lift(call);
    this.#pending--;
  }

  /** Undoes steps up to and with the last one that was a choice; gives its call. */
  #goBack(): number | null {
    for (;;) {
      const last = this.#trail.pop();
      if (last === null) return null;
      this.#memory.toggle(last.call);
      this.#state = last.before;
      const place = this.#openPlace.get(last.call);
      if (place !== undefined) {
        this.#openTaken[place] = 0;
      } else {
        this.#timeline.unlift(last.call);
        this.#pending++;
      }
      if (!last.isForced) return last.call;
    }
  }

  #noteDeadEnd(): void {
    this.#trail.noteDeadEnd();
    this.#deadline = Math.max(this.#deadline, this.#timeline.timeAt(this.#timeline.firstReturn));
  }
}

/**
 * Calls and returns in order of time, doubly linked, so that a call can be lifted out and put
 * back. At the same instant calls come first, for intervals are closed. Point 2c is the call of
 * c, 2c + 1 its return, the last one the head.
 */
class Timeline {
  readonly #calls: readonly RecordedCall[];
  readonly #next: Int32Array;
  readonly #previous: Int32Array;
  readonly #head: number;

  constructor(calls: readonly RecordedCall[], ended: readonly number[]) {
    this.#calls = calls;
    this.#head = 2 * calls.length;
    this.#next = new Int32Array(2 * calls.length + 1).fill(NONE);
    this.#previous = new Int32Array(2 * calls.length + 1).fill(NONE);
    const points = new Float64Array(2 * ended.length);
    ended.forEach((call, i) => {
      points[2 * i] = 2 * call;
      points[2 * i + 1] = 2 * call + 1;
    });
    points.sort((a, b) => this.timeAt(a) - this.timeAt(b) || (a & 1) - (b & 1));
    let last = this.#head;
    for (const point of points) {
      this.#next[last] = point;
      this.#previous[point] = last;
      last = point;
    }
  }

  /** The first point that was not lifted; there is one while a call has not been taken. */
  get first(): number {
    return this.next(this.#head);
  }

  get firstReturn(): number {
    let point = this.first;
    while (!this.isReturn(point)) point = this.next(point);
    return point;
  }

  next(point: number): number {
    const next = this.#next[point] ?? NONE;
    assert(next !== NONE, 'a call that returned was not found on the timeline', { point });
    return next;
  }

  nextOf(call: number): number {
    return this.next(2 * call);
  }

  isReturn(point: number): boolean {
    return (point & 1) === 1;
  }

  callAt(point: number): number {
    return point >>> 1;
  }

  timeAt(point: number): number {
    const { called, returned } = this.#calls[point >>> 1] as RecordedCall;
    return this.isReturn(point) ? (returned ?? Number.POSITIVE_INFINITY) : called;
  }

  lift(call: number): void {
    for (const point of [2 * call, 2 * call + 1]) {
      const previous = this.#previous[point] as number;
      const next = this.#next[point] as number;
      this.#next[previous] = next;
      if (next !== NONE) this.#previous[next] = previous;
    }
  }

  unlift(call: number): void {
    for (const point of [2 * call + 1, 2 * call]) {
      const next = this.#next[point] as number;
      this.#next[this.#previous[point] as number] = point;
      if (next !== NONE) this.#previous[next] = point;
    }
  }
}

/**
 * The configurations that were visited, the newest at least: when half of what may be remembered
 * is full, the half before it is forgotten. To forget costs time, never the truth.
 */
class Memory {
  readonly #halfMax: number;
  #recent = new Table();
  #older = new Table();
  #high = 0;
  #low = 0;

  constructor(max: number) {
    this.#halfMax = Math.ceil(max / 2);
  }

  /** Puts a call into the present set, or takes it out. */
  toggle(call: number): void {
    this.#high ^= mix(2 * call + 1);
    this.#low ^= mix(~(2 * call));
  }

  /** True when the present set with this state is new. */
  remember(state: number): boolean {
    if (this.#older.has(this.#high, this.#low, state + 1)) return false;
    if (this.#recent.count >= this.#halfMax) {
      this.#older = this.#recent;
      this.#recent = new Table();
    }
    return this.#recent.add(this.#high, this.#low, state + 1);
  }
}

/** A set of rows of three words, the last of them not 0: open addressing, half full at most. */
class Table {
  #rows = new Int32Array(3 * 1024);
  #mask = 1023;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  has(high: number, low: number, state: number): boolean {
    return this.#rows[this.#find(high, low, state) + 2] !== 0;
  }

  /** False when it was there. */
  add(high: number, low: number, state: number): boolean {
    if (2 * this.#count > this.#mask) this.#grow();
    const at = this.#find(high, low, state);
    if (this.#rows[at + 2] !== 0) return false;
    this.#rows[at] = high;
    this.#rows[at + 1] = low;
    this.#rows[at + 2] = state;
    this.#count++;
    return true;
  }

  /** Where the row is, or may be put. */
  #find(high: number, low: number, state: number): number {
    const rows = this.#rows;
    let slot = (high ^ mix(state)) & this.#mask;
    for (;;) {
      const at = 3 * slot;
      const there = rows[at + 2];
      if (there === 0) return at;
      if (there === state && rows[at] === high && rows[at + 1] === low) return at;
      slot = (slot + 1) & this.#mask;
    }
  }

  #grow(): void {
    const old = this.#rows;
    this.#mask = 2 * this.#mask + 1;
    this.#rows = new Int32Array(3 * (this.#mask + 1));
    this.#count = 0;
    for (let at = 0; at < old.length; at += 3) {
      const state = old[at + 2] as number;
      if (state !== 0) this.add(old[at] as number, old[at + 1] as number, state);
    }
  }
}

/** 32 bits that look random (the finalizer of MurmurHash3, twice). */
function mix(value: number): number {
  let x = value | 0;
  for (let round = 0; round < 2; round++) {
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b) + 0x6a09e667;
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x ^= x >>> 16;
  }
  return x | 0;
}
