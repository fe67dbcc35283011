/*
 * How long the checkers take for the histories that matter: 10^6 mixed calls over many keys, with
 * and without a key that everybody uses, the same with revisions, and 10^7 appends.
 * Run: npm run build && node --max-old-space-size=12000 bench/checker.js [scale, 1 by default]
 */
import { checkRevisions, checkTimedAppends, digestOf, linearize } from '../dist/checker/index.js';
import { Prng } from '../dist/lib/index.js';

const SCALE = Number(process.argv[2] ?? 1);

/** Clerks that call a perfect store, several at a time; one call in 10,000 is never answered. */
function mixedHistory(count, { keys, clerks }) {
  const prng = new Prng(42);
  const store = new Map();
  const freeAt = new Float64Array(clerks);
  const calls = [];
  let revision = 1;
  for (let n = 0; calls.length < count; n++) {
    const at = n * 10;
    const clerk = prng.below(clerks);
    const called = Math.max(at - prng.below(100), freeAt[clerk]);
    if (called > at) continue;
    const key = `k${prng.below(keys)}`;
    const kind = prng.below(10);
    const value = store.get(key) ?? null;
    let operation = { type: 'get', key };
    let result = { type: 'get', value };
    if (kind >= 5 && kind < 8 && (value ?? '').length < 200) {
      operation = { type: 'append', key, value: `<${n}>` };
      store.set(key, `${value ?? ''}<${n}>`);
      result = { type: 'append', valueBytes: null };
    } else if (kind >= 5) {
      operation = { type: 'put', key, value: `<${n}>` };
      store.set(key, `<${n}>`);
      result = { type: 'put' };
    }
    if (operation.type !== 'get') revision++;
    const isLost = operation.type !== 'get' && prng.chance(0.0001);
    const outcome = isLost ? { type: 'unknown' } : { type: 'ok', result, revision };
    const returned = at + prng.below(100);
    freeAt[clerk] = returned + 1;
    calls.push({
      clerk: `c${clerk}`,
      session: null,
      operation,
      outcome,
      called,
      returned: isLost ? null : returned,
    });
  }
  return calls;
}

/** Appends of ten clerks to one key, and one read by digest at the end. */
function appendHistory(count) {
  const appends = [];
  const reads = [];
  const parts = [];
  for (let n = 0; n < count; n++) {
    const token = `<${n}>`;
    parts.push(token);
    appends.push({
      clerk: `c${n % 10}`,
      token,
      outcome: 'acknowledged',
      called: n * 10,
      returned: n * 10 + 60,
    });
  }
  const value = parts.join('');
  const final = { clerk: 'r', seen: digestOf(value), called: count * 20, returned: count * 20 };
  reads.push(final);
  return { value, appends, reads };
}

function measure(name, calls, run) {
  const start = performance.now();
  const verdict = run();
  const seconds = (performance.now() - start) / 1_000;
  const memory = (process.memoryUsage().rss / 2 ** 30).toFixed(1);
  const rate = Math.round(calls / seconds).toLocaleString('en');
  console.log(
    `${name.padEnd(52)} ${seconds.toFixed(1).padStart(6)} s ${rate.padStart(12)} calls/s ` +
      `${memory.padStart(5)} GiB  ${verdict}`,
  );
}

const million = 1_000_000 * SCALE;
for (const shape of [
  { keys: 1_000, clerks: 20 },
  { keys: 10, clerks: 20 },
  { keys: 1, clerks: 10 },
]) {
  const calls = mixedHistory(million, shape);
  const name = `${million} calls, ${shape.keys} keys, ${shape.clerks} clerks`;
  measure(`search: ${name}`, million, () => linearize(calls, { stepsMax: 200_000_000 }).type);
  measure(`revisions: ${name}`, million, () => checkRevisions(calls, 1).type);
}
const { value, appends, reads } = appendHistory(10 * million);
measure(`appends: ${appends.length} to one key`, appends.length, () =>
  checkTimedAppends(value, appends, reads).length === 0 ? 'linearizable' : 'violation',
);
