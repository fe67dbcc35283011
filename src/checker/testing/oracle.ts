import type { Operation, RecordedCall, Result, TxnStep } from '../history.ts';

/**
 * Decides linearizability by trying every order: exponential, for a handful of calls, and written
 * to be obviously right. It shares no code with the checkers. Values are compared as text.
 */
export function isLinearizableByBruteForce(calls: readonly RecordedCall[]): boolean {
  return explain(
    calls.filter((call) => call.outcome.type !== 'notApplied'),
    new Map(),
  );
}

type Store = ReadonlyMap<string, string>;

function explain(rest: readonly RecordedCall[], store: Store): boolean {
  if (rest.every((call) => call.outcome.type === 'unknown')) return true;
  return rest.some((call) => {
    const isPreceded = rest.some(
      (other) => other.outcome.type === 'ok' && (other.returned ?? 0) < call.called,
    );
    if (isPreceded) return false;
    const { result, after } = execute(call.operation, store);
    const told = call.outcome.type === 'ok' ? call.outcome.result : null;
    if (told !== null && !agree(told, result)) return false;
    return explain(
      rest.filter((other) => other !== call),
      after,
    );
  });
}

function agree(told: Result, truth: Result): boolean {
  if (told.type === 'append' && told.valueBytes === null) return true;
  if (told.type === 'txn' && truth.type === 'txn') {
    return (
      told.succeeded === truth.succeeded &&
      told.results.every((each, i) => agree(each, truth.results[i] as Result))
    );
  }
  return JSON.stringify(told) === JSON.stringify(truth);
}

/** What a perfect store answers, and what it holds afterwards. */
export function execute(operation: Operation, store: Store): { result: Result; after: Store } {
  const after = new Map(store);
  if (operation.type !== 'txn') return { result: step(operation, after), after };
  const succeeded = operation.compares.every(
    ({ key, is, value }) => ((after.get(key) ?? null) === value) === (is === 'equal'),
  );
  const steps = succeeded ? operation.success : operation.failure;
  const results = steps.map((each) => step(each, after));
  return { result: { type: 'txn', succeeded, results }, after };
}

function step(operation: TxnStep, store: Map<string, string>): Result {
  switch (operation.type) {
    case 'get':
      return { type: 'get', value: store.get(operation.key) ?? null };
    case 'range': {
      const { from, to } = operation;
      const keys = [...store.keys()].filter((key) => key >= from && (to === null || key < to));
      return { type: 'range', entries: keys.sort().map((key) => [key, store.get(key) ?? '']) };
    }
    case 'put':
      store.set(operation.key, operation.value);
      return { type: 'put' };
    case 'append': {
      const value = (store.get(operation.key) ?? '') + operation.value;
      store.set(operation.key, value);
      return { type: 'append', valueBytes: new TextEncoder().encode(value).length };
    }
    case 'delete':
      return { type: 'delete', deleted: store.delete(operation.key) };
    default:
      return operation satisfies never;
  }
}
