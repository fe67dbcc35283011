import { describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import { checkTimedAppends, type TimedAppend, type TimedRead } from './appends.ts';
import type { Operation, RecordedCall } from './history.ts';
import { type Linearization, linearize } from './linearizable.ts';
import { checkRevisions } from './revisions.ts';
import { goodHistory, MUTATIONS, type Recipe } from './testing/histories.ts';
import { isLinearizableByBruteForce } from './testing/oracle.ts';

const SEEDS = process.env['QUORATE_TEST_SCALE'] === 'full' ? 10_000 : 500;
const MIXED: readonly Operation['type'][] = ['get', 'get', 'put', 'append', 'delete'];

describe('against a checker that tries every order', () => {
  const recipes: [string, Recipe][] = [
    ['one key', { calls: 7, clerks: 4, keys: 1, kinds: MIXED, unknown: 0.1 }],
    ['transactions', { calls: 6, clerks: 3, keys: 2, kinds: [...MIXED, 'txn'], unknown: 0.1 }],
    ['ranges', { calls: 6, clerks: 3, keys: 2, kinds: [...MIXED, 'range', 'txn'] }],
  ];
  test.each(recipes)(
    '%s: the verdict is the same for good and for spoilt histories',
    (_t, recipe) => {
      let bad = 0;
      for (let seed = 1; seed <= SEEDS; seed++) {
        const prng = new Prng(seed);
        const good = goodHistory(prng, recipe);
        expect(linearize(good).type, `seed ${seed}`).toBe('linearizable');
        for (const [name, mutate] of Object.entries(MUTATIONS)) {
          const spoilt = mutate(good, prng);
          if (spoilt === null) continue;
          const isGood = isLinearizableByBruteForce(spoilt);
          const expected = isGood ? 'linearizable' : 'violation';
          expect(linearize(spoilt).type, `seed ${seed}, ${name}`).toBe(expected);
          if (!isGood) bad++;
        }
      }
      expect(bad).toBeGreaterThan(SEEDS);
    },
  );

  test('every kind of mutation spoils histories', () => {
    const recipe: Recipe = { calls: 7, clerks: 3, keys: 1, kinds: ['get', 'put', 'append'] };
    for (const [name, mutate] of Object.entries(MUTATIONS)) {
      let bad = 0;
      for (let seed = 1; seed <= 200; seed++) {
        const prng = new Prng(seed);
        const spoilt = mutate(goodHistory(prng, recipe), prng);
        if (spoilt !== null && !isLinearizableByBruteForce(spoilt)) bad++;
      }
      expect(bad, name).toBeGreaterThan(20);
    }
  });
});

test('10,000 good random histories are accepted', () => {
  const kinds: Operation['type'][] = ['get', 'put', 'append', 'delete', 'txn'];
  for (let seed = 1; seed <= 10_000; seed++) {
    const history = goodHistory(new Prng(seed), {
      calls: 30,
      clerks: 4,
      keys: 2,
      kinds: seed % 2 === 0 ? kinds : kinds.slice(0, 4),
      unknown: 0.03,
    });
    if (linearize(history).type !== 'linearizable')
      throw new Error(`seed ${seed} was not accepted`);
  }
});

describe('the shortest contradiction', () => {
  const recipe: Recipe = { calls: 24, clerks: 4, keys: 1, kinds: ['get', 'put', 'append'] };
  const spoilt = (
    seed: number,
  ): { calls: readonly RecordedCall[]; verdict: Linearization } | null => {
    const prng = new Prng(seed);
    const calls = MUTATIONS['stale read'](goodHistory(prng, recipe), prng);
    if (calls === null) return null;
    const verdict = linearize(calls);
    return verdict.type === 'violation' ? { calls, verdict } : null;
  };

  test('is short, in order of time, and contradicts itself whatever the others were told', () => {
    let found = 0;
    for (let seed = 1; seed <= 300; seed++) {
      const bad = spoilt(seed);
      if (bad?.verdict.type !== 'violation') continue;
      const { contradiction } = bad.verdict;
      expect(contradiction.length, `seed ${seed}`).toBeGreaterThan(0);
      expect(contradiction.length, `seed ${seed}`).toBeLessThanOrEqual(10);
      const times = contradiction.map((index) => bad.calls[index]?.called ?? 0);
      expect(times).toEqual([...times].sort((a, b) => a - b));
      const rest = bad.calls.flatMap((call, i) => (contradiction.includes(i) ? call : told(call)));
      expect(linearize(rest).type, `seed ${seed}`).toBe('violation');
      found++;
    }
    expect(found).toBeGreaterThan(100);
  });
});

/** A write without what its caller was told about the state; no read. */
function told(call: RecordedCall): RecordedCall[] {
  return call.operation.type === 'get' ? [] : withoutLengths([call]);
}

describe('linear checkers agree with the search', () => {
  const recipe: Recipe = { calls: 8, clerks: 3, keys: 1, kinds: ['get', 'append'], unknown: 0.05 };

  test('on append-only histories, good and spoilt', () => {
    const verdicts = { good: 0, bad: 0 };
    for (let seed = 1; seed <= SEEDS / 3; seed++) {
      const prng = new Prng(seed);
      const good = withFinalRead(withoutLengths(goodHistory(prng, recipe)));
      for (const mutate of [null, ...Object.values(MUTATIONS)]) {
        const calls = mutate === null ? good : mutate(good, prng);
        const parts = calls === null ? null : appendsAndReads(calls);
        // To this checker an absent value and an empty one are the same.
        if (calls === null || parts === null || parts.reads.some(({ seen }) => seen === ''))
          continue;
        const expected = linearize(calls).type === 'linearizable';
        const faults = checkTimedAppends(parts.final, parts.appends, parts.reads);
        expect(faults.length === 0, `seed ${seed}: ${faults[0]}`).toBe(expected);
        verdicts[expected ? 'good' : 'bad']++;
      }
    }
    expect(Math.min(verdicts.good, verdicts.bad)).toBeGreaterThan(200);
  });

  test('revisions: accept every good history, and reject at least what the search rejects', () => {
    const kinds: Operation['type'][] = [...MIXED, 'range', 'txn'];
    const own: Recipe = {
      calls: 12,
      clerks: 3,
      keys: 2,
      kinds,
      unknown: 0.05,
      withRevisions: true,
    };
    let bad = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const prng = new Prng(seed);
      const good = goodHistory(prng, own);
      expect(checkRevisions(good, 1).type, `seed ${seed}`).toBe('linearizable');
      for (const [name, mutate] of Object.entries(MUTATIONS)) {
        const calls = mutate(good, prng);
        if (calls === null || linearize(calls).type === 'linearizable') continue;
        expect(checkRevisions(calls, 1).type, `seed ${seed}, ${name}`).toBe('violation');
        bad++;
      }
    }
    expect(bad).toBeGreaterThan(SEEDS);
  });
});

/** The linear checker does not look at the lengths that appends were told. */
function withoutLengths(calls: readonly RecordedCall[]): RecordedCall[] {
  return calls.map((call): RecordedCall => {
    if (call.operation.type !== 'append' || call.outcome.type !== 'ok') return call;
    return { ...call, outcome: { ...call.outcome, result: { type: 'append', valueBytes: null } } };
  });
}

/** With a read after everything else: what the linear checker goes by. */
function withFinalRead(calls: readonly RecordedCall[]): RecordedCall[] {
  const longest = Math.max(...calls.map((call) => call.returned ?? call.called)) + 1;
  const clerk = 'reader';
  const operation: Operation = { type: 'get', key: 'k0' };
  const places = linearize(calls);
  const order = places.type === 'linearizable' ? places.order : [];
  const value = order
    .map((index) => calls[index]?.operation)
    .map((done) => (done?.type === 'append' ? done.value : ''))
    .join('');
  const read: RecordedCall = {
    clerk,
    session: null,
    operation,
    outcome: {
      type: 'ok',
      result: { type: 'get', value: value === '' ? null : value },
      revision: null,
    },
    called: longest,
    returned: longest + 1,
  };
  return [...calls, read];
}

function appendsAndReads(
  calls: readonly RecordedCall[],
): { appends: TimedAppend[]; reads: TimedRead[]; final: string } | null {
  const appends: TimedAppend[] = [];
  const reads: TimedRead[] = [];
  const last = calls.at(-1);
  for (const { clerk, operation, outcome, called, returned } of calls) {
    if (operation.type === 'append') {
      const word = outcome.type === 'ok' ? 'acknowledged' : 'unknown';
      const token = operation.value;
      appends.push({ clerk, token, outcome: word, called, returned: returned ?? called });
    } else if (outcome.type === 'ok' && outcome.result.type === 'get') {
      reads.push({ clerk, seen: outcome.result.value, called, returned: returned ?? called });
    }
  }
  if (last?.operation.type !== 'get' || last.outcome.type !== 'ok') return null;
  if (calls.some((call) => call !== last && (call.returned ?? 0) >= last.called)) return null;
  const { result } = last.outcome;
  const value = result.type === 'get' ? result.value : null;
  return { appends, reads, final: typeof value === 'string' ? value : '' };
}
