import type { Prng } from '../../lib/index.ts';
import type { Operation, Outcome, RecordedCall, Result } from '../history.ts';
import { execute } from './oracle.ts';

/** What a random history is made of. */
export interface Recipe {
  readonly calls: number;
  readonly clerks: number;
  readonly keys: number;
  readonly kinds: readonly Operation['type'][];
  /** Probability that a caller never learns the outcome. */
  readonly unknown?: number;
  readonly withRevisions?: boolean;
}

/**
 * Clerks that call a perfect store: every call takes effect at one moment between call and return,
 * so that the history is good by construction.
 */
export function goodHistory(prng: Prng, recipe: Recipe): RecordedCall[] {
  const { calls, clerks, unknown = 0, withRevisions = false } = recipe;
  const freeAt = new Array<number>(clerks).fill(0);
  const history: RecordedCall[] = [];
  let store: ReadonlyMap<string, string> = new Map();
  let revision = 1;
  for (let n = 0; history.length < calls; n++) {
    const at = n * 10;
    const clerk = prng.below(clerks);
    const called = Math.max(at - prng.below(25), freeAt[clerk] as number);
    if (called > at) continue;
    const returned = at + prng.below(25);
    const operation = randomOperation(prng, recipe, n, store);
    const isUnknown = prng.chance(unknown);
    // What is in doubt may not have happened at all.
    const happened = !isUnknown || prng.chance(0.5);
    const { result, after } = execute(operation, store);
    if (happened) {
      store = after;
      if (changes(result)) revision++;
    }
    const outcome: Outcome = isUnknown
      ? { type: 'unknown' }
      : { type: 'ok', result, revision: withRevisions ? revision : null };
    freeAt[clerk] = isUnknown ? Number.POSITIVE_INFINITY : returned + 1;
    if (isUnknown && freeAt.every((time) => time === Number.POSITIVE_INFINITY))
      freeAt.fill(at + 26);
    const name = `c${clerk}`;
    history.push({
      clerk: name,
      session: { name, seq: n + 1 },
      operation,
      outcome,
      called,
      returned: isUnknown ? null : returned,
    });
  }
  return history.sort((a, b) => a.called - b.called);
}

function changes(result: Result): boolean {
  if (result.type === 'txn') return result.results.some(changes);
  return (
    result.type === 'put' ||
    result.type === 'append' ||
    (result.type === 'delete' && result.deleted)
  );
}

function randomOperation(
  prng: Prng,
  { keys, kinds }: Recipe,
  n: number,
  store: ReadonlyMap<string, string>,
): Operation {
  const randomKey = (): string => `k${prng.below(keys)}`;
  const key = randomKey();
  const type = kinds[prng.below(kinds.length)] as Operation['type'];
  switch (type) {
    case 'get':
    case 'delete':
      return { type, key };
    case 'range':
      return { type, from: 'k', to: `k${prng.below(keys) + 1}` };
    case 'put':
    case 'append':
      return { type, key, value: `${n};` };
    case 'txn': {
      const value = prng.chance(0.5) ? (store.get(key) ?? null) : null;
      return {
        type,
        compares: [{ key, is: prng.chance(0.8) ? 'equal' : 'notEqual', value }],
        success: [
          { type: 'put', key: randomKey(), value: `${n};` },
          { type: 'get', key: randomKey() },
        ],
        failure: prng.chance(0.5) ? [{ type: 'get', key }] : [{ type: 'delete', key }],
      };
    }
    default:
      return type satisfies never;
  }
}

/** Ways to spoil a history; not every spoilt one is bad, ask the oracle. */
export const MUTATIONS = {
  'swap two answers': (calls, prng) => {
    const [a, b] = [answered(calls, prng), answered(calls, prng)];
    if (a === null || b === null) return null;
    return calls.map((each, i) =>
      i === a.at ? withTimes(a.call, b.call) : i === b.at ? withTimes(b.call, a.call) : each,
    );
  },
  'drop a call': (calls, prng) => {
    const victim = prng.below(calls.length);
    return calls.filter((_, i) => i !== victim);
  },
  'execute an append twice': (calls, prng) =>
    withRead(calls, prng, (value, writes) => {
      const token = writes[prng.below(writes.length)] ?? '';
      return value.includes(token) ? value.replace(token, token + token) : null;
    }),
  'stale read': (calls, prng) => {
    const reads = calls.filter(
      ({ operation, outcome }) => operation.type === 'get' && outcome.type === 'ok',
    );
    const from = reads[prng.below(Math.max(1, reads.length))];
    const to = reads[prng.below(Math.max(1, reads.length))];
    if (from === undefined || to === undefined || from === to) return null;
    return calls.map((each) => (each === to ? { ...to, outcome: from.outcome } : each));
  },
  'lose what was acknowledged': (calls, prng) =>
    withRead(calls, prng, (value, writes) => {
      const token = writes[prng.below(writes.length)] ?? '';
      return value.includes(token) ? value.replace(token, '') : null;
    }),
  'reorder tokens': (calls, prng) =>
    withRead(calls, prng, (value) => {
      const tokens = value.split(';').slice(0, -1);
      return tokens.length < 2 ? null : `${tokens.reverse().join(';')};`;
    }),
  'wrong value': (calls, prng) => withRead(calls, prng, (value) => `${value}?`),
} satisfies Record<
  string,
  (calls: readonly RecordedCall[], prng: Prng) => readonly RecordedCall[] | null
>;

function answered(
  calls: readonly RecordedCall[],
  prng: Prng,
): { at: number; call: RecordedCall } | null {
  const at = prng.below(calls.length);
  const call = calls[at];
  return call?.outcome.type === 'ok' ? { at, call } : null;
}

function withTimes(call: RecordedCall, { called, returned }: RecordedCall): RecordedCall {
  return { ...call, called, returned };
}

/** Changes what one get saw. */
function withRead(
  calls: readonly RecordedCall[],
  prng: Prng,
  change: (value: string, writes: readonly string[]) => string | null,
): readonly RecordedCall[] | null {
  const writes = calls.flatMap(({ operation }) =>
    operation.type === 'put' || operation.type === 'append' ? [operation.value] : [],
  );
  const reads = calls.flatMap((call, at) => (call.operation.type === 'get' ? [at] : []));
  const at = reads[prng.below(Math.max(1, reads.length))];
  const victim = at === undefined ? undefined : calls[at];
  if (victim?.outcome.type !== 'ok' || victim.outcome.result.type !== 'get') return null;
  const { value } = victim.outcome.result;
  const changed = typeof value === 'string' ? change(value, writes) : null;
  if (changed === null || changed === value) return null;
  const outcome: Outcome = { ...victim.outcome, result: { type: 'get', value: changed } };
  return calls.map((each) => (each === victim ? { ...victim, outcome } : each));
}
