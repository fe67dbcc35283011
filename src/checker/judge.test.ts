import { describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import {
  checkExactlyOnce,
  checkRevisions,
  type History,
  HistoryRecorder,
  historyPage,
  judge,
  judgementLines,
  type Operation,
  type Result,
  type SessionAppend,
  type TxnStep,
} from './index.ts';
import { goodHistory } from './testing/histories.ts';

type Row = readonly [string, number, number, Operation, Result | null, number?];

/** Calls are [clerk, called, returned, operation, result or null for unknown, revision]. */
function history(...calls: readonly Row[]): History {
  const recorder = new HistoryRecorder({ title: 'test <b>', unit: 'us' });
  for (const [clerk, called, returned, operation, result, revision] of calls) {
    const call = recorder.begin({ clerk, operation, called });
    if (result === null) call.unknown(returned);
    else call.ok(result, returned, revision);
  }
  recorder.fault({ fault: 'kill', from: 0, to: 3, label: 'leader </script>' });
  return recorder.history;
}

const put = (key: string, value: string): TxnStep => ({ type: 'put', key, value });
const get = (key: string): Operation => ({ type: 'get', key });
const saw = (value: string | null): Result => ({ type: 'get', value });
const OK: Result = { type: 'put' };
const both = (a: string, b: string): Operation => ({
  type: 'txn',
  compares: [],
  success: [put('a', a), put('b', b)],
  failure: [],
});
const BOTH: Result = { type: 'txn', succeeded: true, results: [OK, OK] };

const STALE = history(
  ['ann', 0, 1_000, put('k', 'old'), OK],
  ['ann', 2_000, 3_000, put('k', 'new'), OK],
  ['bob', 4_000, 5_000, get('k'), saw('old')],
  ['bob', 100, 200, put('other', 'x'), OK],
);

describe('the verdict in words', () => {
  test('of a good history', () => {
    const good = history(['a', 1, 2, put('k', 'v'), OK], ['b', 3, 4, get('k'), saw('v')]);
    expect(judgementLines(judge(good), good)).toEqual([
      'OK: linearizable. 2 calls on 1 key, judged by search for an order',
    ]);
  });

  test('of a bad one names the calls that contradict', () => {
    expect(judgementLines(judge(STALE), STALE)).toEqual([
      'VIOLATION: not linearizable. 4 calls on 2 keys, judged by search for an order',
      'key k: no order of these calls explains what was answered:',
      '  ann: put k = "old" -> ok (0.000 ms to 1.000 ms)',
      '  ann: put k = "new" -> ok (2.000 ms to 3.000 ms)',
      '  bob: get k -> "old" (4.000 ms to 5.000 ms)',
    ]);
  });

  test('undecided is a verdict of its own, and not OK', () => {
    const judgement = judge(STALE, { bounds: { stepsMax: 1, configurationsMax: 10 } });
    expect(judgement.type).toBe('undecided');
    expect(judgementLines(judgement, STALE)[0]).toMatch(/^UNDECIDED/);
  });

  test('little memory costs time, never the truth', () => {
    const forgetful = { stepsMax: 1_000, configurationsMax: 1 };
    expect(judge(STALE, { bounds: forgetful }).type).toBe('violation');
  });
});

describe('transactions on several keys', () => {
  test('are judged as one object: half of a transaction is never seen', () => {
    const seen = (b: string | null): History =>
      history(
        ['t', 0, 9, both('1', '1'), BOTH],
        ['r', 1, 2, get('a'), saw('1')],
        ['r', 3, 4, get('b'), saw(b)],
      );
    expect(judge(seen('1')).type).toBe('ok');
    expect(judge(seen(null))).toMatchObject({ type: 'violation', key: 'a, b' });
  });

  test('a range ties the keys that it covers', () => {
    const range: Operation = { type: 'range', from: 'a', to: 'c' };
    const seen = (entries: [string, string][]): History =>
      history(['t', 0, 1, both('1', '2'), BOTH], ['r', 2, 3, range, { type: 'range', entries }]);
    expect(
      judge(
        seen([
          ['a', '1'],
          ['b', '2'],
        ]),
      ).type,
    ).toBe('ok');
    expect(judge(seen([['a', '1']])).type).toBe('violation');
    expect(
      judge(
        seen([
          ['a', '1'],
          ['b', '2'],
          ['bb', 'nobody wrote it'],
        ]),
      ).type,
    ).toBe('violation');
  });
});

describe('histories that carry revisions', () => {
  const told = (...calls: readonly Row[]): string => {
    const { calls: recorded } = history(...calls);
    const verdict = checkRevisions(recorded, 1);
    return verdict.type === 'violation' ? verdict.reason : verdict.type;
  };

  test.each<[string, Row[]]>([
    [
      'linearizable',
      [
        ['a', 0, 1, put('k', 'v'), OK, 2],
        ['b', 2, 3, get('k'), saw('v'), 2],
      ],
    ],
    [
      'two changes made revision 2',
      [
        ['a', 0, 1, put('k', 'v'), OK, 2],
        ['b', 2, 3, put('j', 'w'), OK, 2],
      ],
    ],
    ['revision 2 was made by no recorded call', [['a', 0, 1, put('k', 'v'), OK, 3]]],
    [
      'linearizable',
      [
        ['x', 0, 1, put('j', 'w'), null],
        ['a', 0, 1, put('k', 'v'), OK, 3],
      ],
    ],
    [
      'revision 2 was made by no recorded call',
      [
        ['a', 0, 1, put('k', 'v'), OK, 3],
        ['x', 2, 3, put('j', 'w'), null],
      ],
    ],
    [
      'revision 2 was answered after revision 3 had been seen',
      [
        ['a', 0, 1, put('k', 'v'), OK, 3],
        ['b', 2, 3, put('k', 'w'), OK, 2],
      ],
    ],
    [
      'revision 2 was read before the call that made it began',
      [
        ['a', 0, 1, get('k'), saw('v'), 2],
        ['b', 2, 3, put('k', 'v'), OK, 2],
      ],
    ],
    [
      'the reply contradicts the changes up to revision 2',
      [
        ['a', 0, 1, put('k', 'v'), OK, 2],
        ['b', 2, 3, get('k'), saw(null), 2],
      ],
    ],
    [
      'revision 1 is from before the history, which begins after 1',
      [['a', 0, 1, put('k', 'v'), OK, 1]],
    ],
  ])('%s', (expected, calls) => {
    expect(told(...calls)).toBe(expected);
  });

  test('a guess that turns out wrong is taken back', () => {
    expect(
      told(
        ['x', 0, 1, put('k', 'x'), null],
        ['y', 0, 1, put('k', 'y'), null],
        ['z', 0, 1, put('k', 'z'), null],
        ['a', 0, 9, get('k'), saw('z'), 2],
        ['b', 0, 9, get('k'), saw('x'), 3],
        ['c', 0, 9, put('j', 'c'), OK, 5],
        ['d', 0, 9, get('k'), saw('y'), 5],
      ),
    ).toBe('linearizable');
  });

  test('are judged by them', () => {
    const good = history(['a', 0, 1, put('k', 'v'), OK, 2]);
    expect([...judge(good).checkers.keys()]).toEqual(['revisions']);
    expect([...judge(good, { checker: 'search' }).checkers.keys()]).toEqual(['search']);
  });
});

test('very many appends of one key go to the linear checker, with the same verdict', () => {
  const recorder = new HistoryRecorder();
  let value = '';
  const spoilt = new HistoryRecorder();
  for (let n = 0; n < 2_000; n++) {
    const token = `${n};`;
    value += token;
    for (const each of [recorder, spoilt]) {
      const operation: Operation = { type: 'append', key: 'k', value: token };
      const call = each.begin({ clerk: `c${n % 3}`, operation, called: 10 * n });
      call.ok({ type: 'append', valueBytes: null }, 10 * n + 25);
    }
  }
  const operation = get('k');
  recorder.begin({ clerk: 'r', operation, called: 90_000 }).ok(saw(value), 90_001);
  spoilt.begin({ clerk: 'r', operation, called: 90_000 }).ok(saw(value.replace('77;', '')), 90_001);
  const good = judge(recorder.history);
  expect([good.type, [...good.checkers]]).toEqual(['ok', [['appends', 1]]]);
  expect(judge(recorder.history, { checker: 'search' }).type).toBe('ok');
  expect(judge(spoilt.history)).toMatchObject({ type: 'violation', key: 'k' });
  expect(judge(spoilt.history).reason).toContain('lost: 77;');
});

describe('checkExactlyOnce', () => {
  const append = (seq: number, outcome: SessionAppend['outcome']): SessionAppend => {
    return { clerk: 'a', session: 's', seq, token: `<${seq}>`, outcome };
  };
  const appends = [append(1, 'acknowledged'), append(2, 'unknown'), append(3, 'notApplied')];
  const executed = (...seqs: number[]) => ({
    member: 'm1',
    commands: seqs.map((seq) => ({ session: 's', seq })),
  });

  test.each<[string[], string[]]>([
    [['<1>'], []],
    [['<1>', '<2>'], []],
    [['<1>', '<1>'], ['twice: <1>, seq 1 of s']],
    [[''], ['lost: <1>, seq 1 of s']],
    [['<1><3>'], ['ghost: <3>, seq 3 of s']],
    [['<1>?'], ['phantom: 1 characters belong to no append']],
  ])('final values %j: %j', (finals, faults) => {
    expect(checkExactlyOnce(finals, appends)).toEqual(faults);
  });

  test('members have executed what the values show, each command once', () => {
    expect(checkExactlyOnce(['<1>'], appends, [executed(1)])).toEqual([]);
    expect(checkExactlyOnce(['<1>'], appends, [executed(1, 1)])).toEqual([
      'differs: m1 executed seq 1 of s 2 times, its token counts 1',
    ]);
    expect(checkExactlyOnce(['<1>'], appends, [executed(1, 9)]).join()).toContain('phantom: m1');
    expect(
      checkExactlyOnce(['<1>'], [...appends, { ...append(1, 'unknown'), token: 'x' }]),
    ).toEqual(['reused: seq 1 of s is two commands']);
  });
});

describe('the page', () => {
  const data = (page: string): Record<string, unknown> =>
    JSON.parse(/<script id="data"[^>]*>(.*?)<\/script>/s.exec(page)?.[1] ?? '') as Record<
      string,
      unknown
    >;

  test('shows verdict, contradiction and faults, and loads nothing', () => {
    const page = historyPage(STALE, judge(STALE));
    expect(page).toContain('<b>VIOLATION</b>: not linearizable');
    expect(page).toContain('bob: get k → &#34;old&#34;');
    expect(page).toContain('test &#60;b&#62;');
    expect(page).not.toMatch(/(src|href)=|url\(|@import|fetch\(/);
    expect(page.match(/<\/script>/g)).toHaveLength(2);
    expect(data(page)).toMatchObject({
      clerks: ['ann', 'bob'],
      keys: ['k', 'other'],
      key: 'k',
      end: 5_000,
      faults: [{ fault: 'kill', from: 0, to: 3, label: 'leader </script>' }],
    });
    expect(data(page)['contradiction']).toHaveLength(3);
  });

  test('of a good history shows for each call a moment between its call and its return', () => {
    const kinds: Operation['type'][] = ['get', 'put', 'append', 'delete', 'txn'];
    const calls = goodHistory(new Prng(3), {
      calls: 200,
      clerks: 4,
      keys: 3,
      kinds,
      unknown: 0.05,
    });
    const good: History = { ...STALE, calls, faults: [] };
    const drawn = data(historyPage(good, judge(good)))['calls'] as {
      from: number;
      to: number | null;
      point: number | null;
      open: boolean;
    }[];
    expect(drawn).toHaveLength(200);
    for (const { from, to, point, open } of drawn) {
      if (point === null) {
        expect(open).toBe(true);
        continue;
      }
      expect(point).toBeGreaterThanOrEqual(from);
      expect(point).toBeLessThanOrEqual(to ?? Number.POSITIVE_INFINITY);
    }
  });
});
