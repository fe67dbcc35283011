/**
 * Performs an operation of a recorded history (docs/CHECKER.md) on a clerk. Plain JavaScript, since
 * it runs in processes of its own (clerk-process.mjs) and in the benchmark.
 *
 * @param clerk a `Clerk`
 * @param operation one of the checker's: get, put, append, or txn of these
 * @param options what the clerk's methods take, such as `seq`
 * @returns `{ result, revision, seq }` as the checker wants them; `seq` is null for a read
 * @throws KvError
 */
export async function perform(clerk, operation, options) {
  switch (operation.type) {
    case 'get': {
      const { revision, entries } = await clerk.range(operation.key, {});
      return { result: { type: 'get', value: entries[0]?.value ?? null }, revision, seq: null };
    }
    case 'put': {
      const { revision, seq } = await clerk.put(operation.key, operation.value, options);
      return { result: { type: 'put' }, revision, seq };
    }
    case 'append': {
      const { key, value } = operation;
      const { revision, seq, valueBytes } = await clerk.append(key, value, options);
      return { result: { type: 'append', valueBytes }, revision, seq };
    }
    case 'txn': {
      const outcome = await clerk.txn(txnRequest(operation), options);
      const { revision, seq } = outcome;
      return { result: resultOf({ type: 'txn', ...outcome }), revision, seq };
    }
    default:
      throw new Error(`no clerk performs ${operation.type}`);
  }
}

/** What became of a command: `{ state }`, and with `executed` also `result` and `revision`. */
export async function resolve(clerk, seq) {
  const resolution = await clerk.resolve(seq);
  const { state } = resolution;
  if (state !== 'executed') return { state, result: null, revision: null };
  return { state, result: resultOf(resolution.result), revision: resolution.result.revision };
}

function txnRequest({ compares, success, failure }) {
  return {
    compares: compares.map(({ key, is, value }) => {
      if (value === null) return { key, is, version: 0 };
      // A missing key differs from every value for the checker, but fulfils no condition here.
      if (is !== 'equal') throw new Error('a value can be compared with equal only');
      return { key, value };
    }),
    success: success.map(stepOf),
    failure: failure.map(stepOf),
  };
}

function stepOf({ type, key, value }) {
  if (type === 'get') return { range: key };
  return type === 'put' ? { put: key, value } : { append: key, value };
}

/** A step's outcome as the checker has it. */
function resultOf(outcome) {
  switch (outcome.type) {
    case 'put':
      return { type: 'put' };
    case 'append':
      return { type: 'append', valueBytes: outcome.valueBytes };
    case 'range': {
      const value = outcome.entries[0]?.value ?? null;
      return { type: 'get', value: value === null ? null : textOf(value) };
    }
    default: {
      const { succeeded, results } = outcome;
      return { type: 'txn', succeeded, results: results.map(resultOf) };
    }
  }
}

function textOf(value) {
  return typeof value === 'string' ? value : new TextDecoder().decode(value);
}
