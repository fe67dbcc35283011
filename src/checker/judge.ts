import { unreachable } from '../lib/index.ts';
import { checkTimedAppends, type TimedAppend, type TimedRead } from './appends.ts';
import type { History, RecordedCall } from './history.ts';
import { linearizeObject } from './linearizable.ts';
import { type KvObject, splitObjects } from './objects.ts';
import { carriesRevisions, checkRevisions } from './revisions.ts';
import type { SearchBounds } from './search.ts';

/** Which checker judged an object. */
export type Checker = 'search' | 'appends' | 'revisions';

/** What a recorded history is worth. `undecided` counts as a failure. */
export interface Judgement {
  readonly type: 'ok' | 'violation' | 'undecided';
  readonly calls: number;
  readonly keys: number;
  /** Objects judged by each checker. */
  readonly checkers: ReadonlyMap<Checker, number>;
  /** A violation's reason, or which bound was reached; empty if all is well. */
  readonly reason: string;
  /** The key or keys that it is about; null for the whole history. */
  readonly key: string | null;
  /** Indexes of calls, in order of time. */
  readonly contradiction: readonly number[];
  /** Indexes of calls in an order that explains all replies, object after object. */
  readonly order: readonly number[];
}

/** Of the search, unless others are given: some minutes and 2 GB. */
export const JUDGE_BOUNDS: SearchBounds = { stepsMax: 200_000_000, configurationsMax: 8_000_000 };

/** Fewer calls are left to the search, which finds the shortest contradiction. */
const APPENDS_MIN = 1_000;

/**
 * Judges a recorded history. If all answers carry revisions, the order they claim is judged;
 * otherwise each object: one of very many appends and reads by the linear checker, any other by the
 * search.
 * @param checker forces one of them; `revisions` needs revisions
 */
export function judge(
  history: History,
  options: { readonly checker?: 'search' | 'revisions'; readonly bounds?: SearchBounds } = {},
): Judgement {
  const { calls, header } = history;
  const { bounds = JUDGE_BOUNDS, checker } = options;
  const objects = splitObjects(calls);
  const keys = objects.reduce((sum, object) => sum + object.keys.length, 0);
  const checkers = new Map<Checker, number>();
  const report = { calls: calls.length, keys, checkers };
  if (checker === 'revisions' || (checker === undefined && carriesRevisions(calls))) {
    checkers.set('revisions', objects.length);
    const verdict = checkRevisions(calls, header.revision, bounds.stepsMax);
    return { ...report, ...finding(verdict, null) };
  }
  const order: number[] = [];
  for (const object of objects) {
    const linear = checker === undefined ? judgeAppends(calls, object) : null;
    const used = linear === null ? 'search' : 'appends';
    checkers.set(used, (checkers.get(used) ?? 0) + 1);
    const found = linear ?? finding(linearizeObject(calls, object, bounds), object);
    if (found.type !== 'ok') return { ...report, ...found };
    for (const index of found.order) order.push(index);
  }
  return { ...report, ...OK, order };
}

type Finding = Pick<Judgement, 'type' | 'reason' | 'key' | 'contradiction' | 'order'>;

const OK: Finding = { type: 'ok', reason: '', key: null, contradiction: [], order: [] };

/** One form for the verdicts of the checkers. */
function finding(
  verdict:
    | { readonly type: 'linearizable'; readonly order: readonly number[] }
    | {
        readonly type: 'violation';
        readonly reason?: string;
        readonly contradiction: readonly number[];
      }
    | { readonly type: 'undecided' },
  object: KvObject | null,
): Finding {
  const key = object === null ? null : object.keys.join(', ');
  switch (verdict.type) {
    case 'linearizable':
      return { ...OK, order: verdict.order };
    case 'undecided':
      return { ...OK, type: 'undecided', key, reason: 'the bound on steps or states was reached' };
    case 'violation': {
      const { contradiction } = verdict;
      const reason = verdict.reason ?? 'no order of these calls explains what was answered';
      return { ...OK, type: 'violation', key, reason, contradiction };
    }
    default:
      unreachable(verdict);
  }
}

/**
 * Judges an object of very many appends by the linear checker; null if it is not one: another
 * operation, a token that is not unique, no read at the end, or a contradiction short enough for
 * the search.
 */
function judgeAppends(history: readonly RecordedCall[], object: KvObject): Finding | null {
  if (object.calls.length < APPENDS_MIN || object.keys.length > 1) return null;
  const appends: TimedAppend[] = [];
  const reads: TimedRead[] = [];
  let final: { at: number; value: string } | null = null;
  let lastReturn = Number.NEGATIVE_INFINITY;
  for (const index of object.calls) {
    const { clerk, operation, outcome, called, returned } = history[index] as RecordedCall;
    if (operation.type === 'append') {
      const isOk = outcome.type === 'ok';
      if (isOk && outcome.result.type === 'append' && outcome.result.valueBytes !== null)
        return null;
      const token = operation.value;
      const word = isOk ? 'acknowledged' : 'unknown';
      appends.push({ clerk, token, outcome: word, called, returned: returned ?? called });
      if (isOk) lastReturn = Math.max(lastReturn, returned ?? called);
    } else if (operation.type === 'get') {
      if (outcome.type !== 'ok' || outcome.result.type !== 'get' || returned === null) continue;
      const { value } = outcome.result;
      reads.push({ clerk, seen: value, called, returned });
      if (typeof value === 'string' && (final === null || called > final.at)) {
        final = { at: called, value };
      }
    } else {
      return null;
    }
  }
  if (final === null || final.at <= lastReturn || !areTokens(appends)) return null;
  if (reads.some(({ seen }) => isEmpty(seen))) return null;
  const [fault, ...more] = checkTimedAppends(final.value, appends, reads);
  if (fault === undefined) return OK;
  const reason = more.length === 0 ? fault : `${fault} (and ${more.length} more)`;
  return { ...OK, type: 'violation', key: object.keys.join(), reason };
}

/** Absent and empty look alike to the linear checker. */
function isEmpty(seen: TimedRead['seen']): boolean {
  return seen !== null && (typeof seen === 'string' ? seen === '' : seen.length === 0);
}

/** Whether no token is empty, there twice, or the beginning of another. */
function areTokens(appends: readonly TimedAppend[]): boolean {
  const tokens = appends.map((append) => append.token).sort();
  return tokens.every((token, i) => {
    const next = tokens[i + 1];
    return token !== '' && (next === undefined || !next.startsWith(token));
  });
}
