import { describe, expect, test } from 'vitest';
import { Prng } from '../lib/index.ts';
import type { History, Operation } from './history.ts';
import {
  callLine,
  digestOf,
  HistoryFormatError,
  HistoryReader,
  HistoryRecorder,
  headerLine,
  historyLines,
} from './index.ts';
import { goodHistory } from './testing/histories.ts';

const HEADER = headerLine({ title: 't', unit: 'ns', revision: 1 });
const PUT = { type: 'put', key: 'k', value: 'v' };

function read(lines: Iterable<string>): History {
  const reader = new HistoryReader();
  for (const line of lines) reader.push(line);
  return reader.end();
}

test('what is written is read back the same', () => {
  const kinds: Operation['type'][] = ['get', 'put', 'append', 'delete', 'range', 'txn'];
  const calls = goodHistory(new Prng(1), {
    calls: 300,
    clerks: 4,
    keys: 3,
    kinds,
    unknown: 0.1,
    withRevisions: true,
  });
  const history: History = {
    header: { title: 'a "title"\n', unit: 'us', revision: 1 },
    calls,
    faults: [
      { fault: 'kill', from: 3, to: 9, label: 'm1' },
      { fault: 'partition', from: 4, to: null, label: 'm2 | m1 m3' },
    ],
  };
  expect(read(historyLines(history))).toEqual(history);
});

test('a read of a long value may be recorded by length and hash', () => {
  const seen = digestOf('x'.repeat(1_000));
  const lines = [
    HEADER,
    '{"clerk":"a","op":{"type":"get","key":"k"},"called":1,"returned":2,' +
      `"outcome":"ok","result":${JSON.stringify(seen)}}`,
  ];
  const [call] = read(lines).calls;
  expect(call?.outcome).toMatchObject({ result: { type: 'get', value: seen } });
  expect(call === undefined ? '' : callLine(call)).toBe(lines[1]);
  expect(digestOf('ab')).toEqual({ length: 2, hash: '4d2505ca10de96ba' });
});

describe('a wrong line is named, with what is wrong', () => {
  const call = (change: object): string =>
    JSON.stringify({
      clerk: 'a',
      op: PUT,
      called: 5,
      returned: 9,
      outcome: 'ok',
      ...change,
    });
  test.each<[string[], string]>([
    [[], 'line 1: the history is empty'],
    [['{'], 'line 1: is not JSON'],
    [[call({})], 'line 1: is no header of a history: "quorateHistory" is missing'],
    [
      ['{"quorateHistory":2,"unit":"ns"}'],
      'line 1: version 2 of the format is not known; this is 1',
    ],
    [['{"quorateHistory":1}'], 'line 1: "unit" is missing: expected one of ns, us'],
    [[HEADER, '[]'], 'line 2: it is not an object'],
    [[HEADER, call({}), call({ clerk: 7 })], 'line 3: "clerk" is wrong: expected a string'],
    [[HEADER, '', call({ op: 1 })], 'line 3: "op" is not an object'],
    [[HEADER, call({ op: { type: 'get' } })], 'line 2: "op.key" is missing: expected a string'],
    [
      [HEADER, call({ op: { type: 'gte' } })],
      'line 2: "op.type" is wrong: expected one of get, range, put, append, delete',
    ],
    [
      [HEADER, call({ called: -1 })],
      'line 2: "called" is wrong: expected a whole number from 0 to 2^53 - 1',
    ],
    [[HEADER, call({ returned: 4 })], 'line 2: "returned" is wrong: expected "called" or later'],
    [
      [HEADER, call({ returned: null })],
      'line 2: "returned" is wrong: expected the time of the answer',
    ],
    [
      [HEADER, call({ outcome: 'maybe' })],
      'line 2: "outcome" is wrong: expected one of ok, notApplied, unknown',
    ],
    [
      [HEADER, call({ op: { type: 'get', key: 'k' }, result: {} })],
      'line 2: "result.value" is missing: expected a string',
    ],
    [
      [HEADER, call({ op: { type: 'get', key: 'k' }, result: { length: 1, hash: 'x' } })],
      'line 2: "result.hash" is wrong: expected 16 hexadecimal digits',
    ],
    [
      [HEADER, call({ op: { type: 'delete', key: 'k' }, result: {} })],
      'line 2: "result.deleted" is missing: expected true or false',
    ],
    [
      [
        HEADER,
        call({
          op: { type: 'txn', compares: [], success: [PUT], failure: [] },
          result: { succeeded: true, results: [] },
        }),
      ],
      'line 2: "result.results" is wrong: expected 1 results',
    ],
    [
      [HEADER, call({ op: { type: 'range', from: 'a' }, result: { entries: [['a']] } })],
      'line 2: "result.entries" is wrong: expected [key, value] pairs',
    ],
    [
      [HEADER, '{"fault":"kill","from":5,"to":4}'],
      'line 2: "to" is wrong: expected "from" or later',
    ],
  ])('%#', (lines, message) => {
    expect(() => read(lines)).toThrow(new HistoryFormatError(Number(message[5]), message.slice(8)));
  });
});

test('the recorder keeps each call once; what is open at the end has an unknown outcome', () => {
  const recorder = new HistoryRecorder({ title: 'lab' });
  const put: Operation = { type: 'put', key: 'k', value: 'v' };
  const get: Operation = { type: 'get', key: 'k' };
  recorder.begin({ clerk: 'a', operation: put, called: 10 });
  const done = recorder.begin({ clerk: 'b', operation: get, called: 5 });
  done.ok({ type: 'get', value: null }, 9, 1);
  done.unknown(99);
  recorder
    .begin({ clerk: 'c', operation: put, called: 11, session: { name: 's', seq: 2 } })
    .notApplied(12);
  recorder.begin({ clerk: 'd', operation: put, called: 13 }).unknown(14);
  recorder.fault({ fault: 'kill', from: 1, to: 2, label: 'm1' });
  const { header, calls, faults } = read(recorder.lines());
  expect(header).toEqual({ title: 'lab', unit: 'ns', revision: 1 });
  expect(faults).toHaveLength(1);
  expect(calls.map(({ clerk, outcome, returned }) => [clerk, outcome.type, returned])).toEqual([
    ['b', 'ok', 9],
    ['a', 'unknown', null],
    ['c', 'notApplied', 12],
    ['d', 'unknown', 14],
  ]);
});
