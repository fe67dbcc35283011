import type { Digest, Seen } from './history.ts';
import { digestOf, RunningDigest } from './values.ts';

/**
 * One append as its clerk saw it. Tokens are unique in the whole history and contain no other
 * token.
 */
export interface TokenAppend {
  readonly clerk: string;
  readonly token: string;
  /**
   * `notApplied`: the clerk was told that it never happened. `unknown`: it was told nothing
   * certain.
   */
  readonly outcome: 'acknowledged' | 'notApplied' | 'unknown';
}

/** An append with its times; `returned` counts only if it was acknowledged. */
export interface TimedAppend extends TokenAppend {
  readonly called: number;
  readonly returned: number;
}

/** A read with its times. */
export interface TimedRead {
  readonly clerk: string;
  readonly seen: Seen;
  readonly called: number;
  readonly returned: number;
}

/** Sentences that are kept; more of the same kind help nobody. */
const FAULTS_MAX = 1_000;

/**
 * Judges the final value of a key that many clerks appended to: every acknowledged token stands in
 * it exactly once, a refused one never, one in doubt at most once, each clerk's tokens in the order
 * of its calls, and nothing else. Linear in the size of the input.
 * @param appends in each clerk's order of calling
 * @returns one sentence per contradiction, the first thousand; empty when all is well
 */
export function checkAppends(value: string, appends: readonly TokenAppend[]): string[] {
  const reading = readTokens(value, appends);
  return [...judgeTokens(reading, appends), ...judgeOrder(reading, appends)].slice(0, FAULTS_MAX);
}

/**
 * Judges appends, reads and the final value of one key, with their times: all of `checkAppends`,
 * every read is a beginning of the final value, and the order agrees with real time. Accepts
 * exactly the linearizable histories. Linear but for sorting by time; reads are compared by length
 * and hash; an absent value counts as an empty one.
 * @param value what a read saw that was called after every other call had returned
 */
export function checkTimedAppends(
  value: string,
  appends: readonly TimedAppend[],
  reads: readonly TimedRead[],
): string[] {
  const reading = readTokens(value, appends);
  const faults = judgeTokens(reading, appends);
  if (faults.length > 0) return faults;
  return sweep(reading, appends, reads);
}

/** The final value, taken apart. */
interface Reading {
  /** For each append: 1 + the place of its token in the value, in tokens; 0: it is not there. */
  readonly places: Int32Array;
  /** For each append: how often its token stands there. */
  readonly counts: Int32Array;
  /** Of the beginnings of the value, from none to all tokens. */
  readonly lengths: Float64Array;
  readonly highs: Int32Array;
  readonly lows: Int32Array;
  /** Characters that belong to no token. */
  readonly foreign: number;
}

/**
 * Counts the tokens of `appends` in all values together. Linear in the size of the input.
 * @returns for each append how often its token stands there; for each value the characters that
 * belong to no token
 */
export function countTokens(
  values: Iterable<string>,
  appends: readonly TokenAppend[],
): { readonly counts: Int32Array; readonly foreign: readonly number[] } {
  const index = new TokenIndex(appends);
  const counts = new Int32Array(appends.length);
  const foreign: number[] = [];
  for (const value of values) {
    let strange = 0;
    for (let at = 0; at < value.length; ) {
      const append = index.find(value, at);
      if (append === null) {
        strange++;
        at++;
      } else {
        counts[append] = (counts[append] ?? 0) + 1;
        at += (appends[append] as TokenAppend).token.length;
      }
    }
    foreign.push(strange);
  }
  return { counts, foreign };
}

/** Takes a value apart into the tokens of `appends`. */
function readTokens(value: string, appends: readonly TokenAppend[]): Reading {
  const index = new TokenIndex(appends);
  const places = new Int32Array(appends.length);
  const counts = new Int32Array(appends.length);
  const digest = new RunningDigest();
  const prefixes = { lengths: [0], highs: [digest.high], lows: [digest.low] };
  let foreign = 0;
  let tokens = 0;
  for (let at = 0; at < value.length; ) {
    const append = index.find(value, at);
    if (append === null) {
      foreign++;
      digest.append(value.charAt(at));
      at++;
      continue;
    }
    tokens++;
    const { token } = appends[append] as TokenAppend;
    if (counts[append] === 0) places[append] = tokens;
    counts[append] = (counts[append] ?? 0) + 1;
    digest.append(token);
    at += token.length;
    prefixes.lengths.push(at);
    prefixes.highs.push(digest.high);
    prefixes.lows.push(digest.low);
  }
  return {
    places,
    counts,
    foreign,
    lengths: Float64Array.from(prefixes.lengths),
    highs: Int32Array.from(prefixes.highs),
    lows: Int32Array.from(prefixes.lows),
  };
}

function judgeTokens(reading: Reading, appends: readonly TokenAppend[]): string[] {
  const faults: string[] = [];
  for (let i = 0; i < appends.length && faults.length < FAULTS_MAX; i++) {
    const { clerk, token, outcome } = appends[i] as TokenAppend;
    const count = reading.counts[i] as number;
    if (count === 0 && outcome === 'acknowledged') {
      faults.push(`lost: ${token} of ${clerk} was acknowledged`);
    }
    if (count > 0 && outcome === 'notApplied')
      faults.push(`ghost: ${token} of ${clerk} was refused`);
    if (count > 1) faults.push(`twice: ${token} of ${clerk}`);
  }
  if (faults.length === 0 && reading.foreign > 0) {
    faults.push(`phantom: ${reading.foreign} characters belong to no append`);
  }
  return faults;
}

/** Each clerk's tokens stand in the order of its calls. */
function judgeOrder(reading: Reading, appends: readonly TokenAppend[]): string[] {
  const faults: string[] = [];
  const lastPlaces = new Map<string, number>();
  for (let i = 0; i < appends.length && faults.length < FAULTS_MAX; i++) {
    const { clerk, token } = appends[i] as TokenAppend;
    const place = reading.places[i] as number;
    if (place === 0) continue;
    if (place < (lastPlaces.get(clerk) ?? 0)) {
      faults.push(`order: ${token} of ${clerk} stands too early`);
    }
    lastPlaces.set(clerk, place);
  }
  return faults;
}

/**
 * Goes through time with M, the highest version that a completed call has shown. A read must see at
 * least the M of the moment it was called, an append must come behind it.
 */
function sweep(
  reading: Reading,
  appends: readonly TimedAppend[],
  reads: readonly TimedRead[],
): string[] {
  const faults: string[] = [];
  const versions = new Float64Array(appends.length + reads.length);
  versions.set(reading.places);
  const versionOf = versionsByLength(reading);
  reads.forEach((read, i) => {
    const version = versionOf(read.seen);
    if (version === null && faults.length < FAULTS_MAX) {
      faults.push(`read: ${read.clerk} saw what is no beginning of the final value`);
    }
    versions[appends.length + i] = version ?? 0;
  });
  if (faults.length > 0) return faults;
  const callOf = (i: number): TimedAppend | TimedRead =>
    (i < appends.length ? appends[i] : reads[i - appends.length]) as TimedAppend | TimedRead;
  const begins = sortedBy(versions.length, (i) => callOf(i).called);
  const ends = sortedBy(versions.length, (i) => callOf(i).returned);
  let highest = 0;
  let ended = 0;
  for (const i of begins) {
    const call = callOf(i);
    for (; ended < ends.length; ended++) {
      const other = ends[ended] as number;
      const before = callOf(other);
      if (before.returned >= call.called) break;
      if ('token' in before && before.outcome !== 'acknowledged') continue;
      highest = Math.max(highest, versions[other] as number);
    }
    const version = versions[i] as number;
    if (faults.length >= FAULTS_MAX) break;
    if (!('token' in call)) {
      if (version < highest) {
        faults.push(`stale: ${call.clerk} read ${version} tokens after ${highest} had been seen`);
      }
    } else if (version > 0 && version <= highest) {
      faults.push(`early: ${call.token} of ${call.clerk} stands before what was done when called`);
    }
  }
  return faults;
}

/** Finds how many tokens a read saw; null if it saw no beginning of the final value. */
function versionsByLength(reading: Reading): (seen: Seen) => number | null {
  const { lengths, highs, lows } = reading;
  return (seen) => {
    if (seen === null) return 0;
    const { length, hash }: Digest = typeof seen === 'string' ? digestOf(seen) : seen;
    let from = 0;
    for (let to = lengths.length; from < to; ) {
      const middle = (from + to) >>> 1;
      if ((lengths[middle] as number) < length) from = middle + 1;
      else to = middle;
    }
    if (lengths[from] !== length) return null;
    const isSame =
      Number.parseInt(hash.slice(0, 8), 16) === (highs[from] as number) >>> 0 &&
      Number.parseInt(hash.slice(8), 16) === (lows[from] as number) >>> 0;
    return isSame ? from : null;
  };
}

/** 0 … count − 1 in the order of their times; no work if they are in order already. */
function sortedBy(count: number, timeOf: (i: number) => number): Uint32Array {
  const times = new Float64Array(count);
  const order = new Uint32Array(count);
  let isSorted = true;
  for (let i = 0; i < count; i++) {
    times[i] = timeOf(i);
    order[i] = i;
    if (i > 0 && (times[i] as number) < (times[i - 1] as number)) isSorted = false;
  }
  if (isSorted) return order;
  return order.sort((a, b) => (times[a] as number) - (times[b] as number));
}

/** Finds the token that stands at a place of a text, by hash; no copies of the tokens. */
class TokenIndex {
  readonly #appends: readonly TokenAppend[];
  /** 1 + index of the append; 0: free. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  /** Token lengths that occur, longest first. */
  readonly #lengths: readonly number[];

  constructor(appends: readonly TokenAppend[]) {
    this.#appends = appends;
    let size = 16;
    while (size < 2 * appends.length) size *= 2;
    this.#slots = new Int32Array(size);
    this.#mask = size - 1;
    const lengths = new Set<number>();
    for (let i = 0; i < appends.length; i++) {
      const { token } = appends[i] as TokenAppend;
      if (token.length === 0) throw new RangeError(`append ${i}: its token is empty`);
      lengths.add(token.length);
      let slot = hashAt(token, 0, token.length) & this.#mask;
      for (let there = this.#slots[slot]; there !== 0; there = this.#slots[slot]) {
        const other = this.#appends[(there ?? 0) - 1]?.token;
        if (other === token) throw new RangeError(`two appends have the token ${token}`);
        slot = (slot + 1) & this.#mask;
      }
      this.#slots[slot] = i + 1;
    }
    this.#lengths = [...lengths].sort((a, b) => b - a);
  }

  find(text: string, at: number): number | null {
    for (const length of this.#lengths) {
      if (at + length > text.length) continue;
      let slot = hashAt(text, at, length) & this.#mask;
      for (let there = this.#slots[slot] ?? 0; there !== 0; there = this.#slots[slot] ?? 0) {
        const { token } = this.#appends[there - 1] as TokenAppend;
        if (token.length === length && text.startsWith(token, at)) return there - 1;
        slot = (slot + 1) & this.#mask;
      }
    }
    return null;
  }
}

function hashAt(text: string, at: number, length: number): number {
  let hash = 0x811c9dc5 | 0;
  for (let i = at; i < at + length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 15), 0x85ebca6b);
  return hash ^ (hash >>> 13);
}
