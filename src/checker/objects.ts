import type { RecordedCall } from './history.ts';
import { forEachKey, forEachRange, keysBetween } from './model.ts';

/** Keys that calls tie together, and the calls on them: one object of the history. */
export interface KvObject {
  /** In order, at least one. */
  readonly keys: readonly string[];
  /** Indexes of the calls in the history. */
  readonly calls: readonly number[];
}

/**
 * Splits a history into objects that can be judged alone: a history is linearizable if and only if
 * its objects are (locality; Herlihy & Wing). Keys that one call touches together belong to one
 * object. Calls that say nothing (not applied, touching no key) are left out.
 */
export function splitObjects(calls: readonly RecordedCall[]): KvObject[] {
  const keys = allKeys(calls);
  const parents = new Map<string, string>();
  const rootOf = (key: string): string => {
    let root = key;
    for (let up = parents.get(root); up !== undefined; up = parents.get(root)) {
      const above = parents.get(up);
      if (above !== undefined) parents.set(root, above);
      root = up;
    }
    return root;
  };
  const touch = (call: RecordedCall): string | null => {
    let first: string | null = null;
    const join = (key: string): void => {
      if (first === null) first = key;
      else {
        const [one, other] = [rootOf(first), rootOf(key)];
        if (one !== other) parents.set(other, one);
      }
    };
    forEachKey(call.operation, join);
    forEachRange(call.operation, ({ from, to }) => {
      for (const key of keysBetween(keys, from, to)) join(key);
    });
    return first;
  };
  const firstKeys = calls.map((call) => (call.outcome.type === 'notApplied' ? null : touch(call)));
  const objects = new Map<string, { keys: string[]; calls: number[] }>();
  for (const key of keys) {
    const root = rootOf(key);
    const object = objects.get(root);
    if (object === undefined) objects.set(root, { keys: [key], calls: [] });
    else object.keys.push(key);
  }
  firstKeys.forEach((key, index) => {
    if (key !== null) objects.get(rootOf(key))?.calls.push(index);
  });
  return [...objects.values()].filter((object) => object.calls.length > 0);
}

/** Every key that a call names or a range found, in order. */
export function allKeys(calls: readonly RecordedCall[]): string[] {
  const keys = new Set<string>();
  for (const { operation, outcome } of calls) {
    forEachKey(operation, (key) => keys.add(key));
    if (outcome.type !== 'ok') continue;
    const { result } = outcome;
    for (const each of result.type === 'txn' ? result.results : [result]) {
      if (each.type === 'range') for (const [key] of each.entries) keys.add(key);
    }
  }
  return [...keys].sort();
}
