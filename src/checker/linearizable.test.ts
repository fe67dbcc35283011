import { describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import { type Call, checkLinearizable, type KvOperation } from './index.ts';

let clerkNumber = 0;
function call(called: number, returned: number | null, operation: KvOperation, key = 'k'): Call {
  return { clerk: `c${clerkNumber++}`, key, operation, called, returned };
}
const put = (value: string): KvOperation => ({ type: 'put', value });
const append = (value: string): KvOperation => ({ type: 'append', value });
const get = (output: string | null): KvOperation => ({ type: 'get', output });

describe('histories with a known verdict', () => {
  const good: [string, Call[]][] = [
    ['the empty history', []],
    ['a missing key reads null', [call(0, 1, get(null))]],
    [
      'a read during a write sees either value',
      [call(0, 9, put('a')), call(1, 2, get(null)), call(3, 4, get('a'))],
    ],
    ['an append to a missing key acts as a put', [call(0, 1, append('x')), call(2, 3, get('x'))]],
    [
      'concurrent appends take some order',
      [call(0, 5, append('x')), call(0, 5, append('y')), call(6, 7, get('yx'))],
    ],
    [
      'a write without an answer may have happened',
      [call(0, null, put('a')), call(5, 6, get('a'))],
    ],
    [
      'a write without an answer may never happen',
      [call(0, null, put('a')), call(5, 6, get(null))],
    ],
    [
      'a write without an answer may happen late',
      [call(0, null, put('a')), call(5, 6, get(null)), call(7, 8, get('a'))],
    ],
    ['calls and returns at one instant overlap', [call(0, 1, put('a')), call(1, 2, get(null))]],
    ['keys are independent', [call(0, 1, put('a'), 'p'), call(2, 3, get(null), 'q')]],
  ];
  test.each(good)('accepts: %s', (_title, history) => {
    expect(checkLinearizable(history)).toEqual({ type: 'linearizable' });
  });

  const bad: [string, Call[]][] = [
    ['a stale read', [call(0, 1, put('a')), call(2, 3, put('b')), call(4, 5, get('a'))]],
    ['a lost write', [call(0, 1, put('a')), call(2, 3, get(null))]],
    ['an append executed twice', [call(0, 1, append('x')), call(2, 3, get('xx'))]],
    [
      'two reads that disagree about the order',
      [call(0, 9, put('a')), call(0, 9, put('b')), call(10, 11, get('a')), call(12, 13, get('b'))],
    ],
    ['a value that nobody wrote', [call(0, 1, put('a')), call(2, 3, get('z'))]],
    ['new, then old', [call(0, 9, put('a')), call(1, 2, get('a')), call(3, 4, get(null))]],
    [
      'a write without an answer, seen and unseen',
      [call(0, null, put('a')), call(1, 2, get('a')), call(3, 4, get(null))],
    ],
  ];
  test.each(bad)('rejects: %s', (_title, history) => {
    expect(checkLinearizable(history).type).toBe('violation');
  });
});

test('a violation names the fewest calls that contradict', () => {
  const stale = call(4, 5, get('a'));
  const [first, second] = [call(0, 1, put('a')), call(2, 3, put('b'))];
  const noise = [call(0, 1, put('x'), 'other'), call(2, 9, get('b')), call(6, 7, put('c'))];
  expect(checkLinearizable([first, second, ...noise, stale])).toMatchObject({
    type: 'violation',
    key: 'k',
    contradiction: [first, second, stale],
  });
});

test('a budget that runs out is "undecided", not "good"', () => {
  const history = Array.from({ length: 12 }, (_, i) => call(0, 9, append(String(i))));
  history.push(call(10, 11, get('no such value')));
  expect(checkLinearizable(history, 1_000)).toEqual({ type: 'undecided', key: 'k' });
});

/** Runs random clerks against a real sequential store, so the history is good by construction. */
function goodHistory(prng: Prng): Call[] {
  let state: string | null = null;
  const clerks = 4;
  const freeAt = new Array<number>(clerks).fill(0);
  const history: Call[] = [];
  for (let n = 0; n < 30; n++) {
    const at = n * 10;
    const clerk = prng.below(clerks);
    const called = Math.max(at - prng.below(25), freeAt[clerk] as number);
    const returned = Math.max(at, called) + prng.below(25);
    if (called > at) continue;
    freeAt[clerk] = returned + 1;
    const kind = prng.below(3);
    if (kind === 0) state = `p${n};`;
    if (kind === 1) state = `${state ?? ''}a${n};`;
    const operation = kind === 0 ? put(`p${n};`) : kind === 1 ? append(`a${n};`) : get(state);
    history.push(call(called, returned, operation));
  }
  return history;
}

test('1,000 good random histories are accepted, each with a wrong read is rejected', () => {
  let mutated = 0;
  for (let seed = 1; seed <= 1_000; seed++) {
    const history = goodHistory(new Prng(seed));
    expect(checkLinearizable(history), `seed ${seed}`).toEqual({ type: 'linearizable' });
    const at = history.findIndex((each) => each.operation.type === 'get' && each.operation.output);
    if (at < 0) continue;
    const victim = history[at] as Call;
    const changed = [...history];
    changed[at] = {
      ...victim,
      operation: get(`${(victim.operation as { output: string }).output}?`),
    };
    expect(checkLinearizable(changed).type, `seed ${seed} mutated`).toBe('violation');
    mutated++;
  }
  expect(mutated).toBeGreaterThan(900);
});
