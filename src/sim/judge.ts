import { checkAppends, checkLinearizable } from '../checker/index.ts';
import type { History } from './history.ts';
import { Violation } from './violation.ts';

/** Search steps per key; the histories of one key are kept short enough for it. */
const STEPS_MAX = 2_000_000;

/**
 * Compares what clerks were told with what is there at the end.
 * @param values every key with its value, read after everybody had stopped
 * @throws Violation
 */
export function judge(history: History, values: ReadonlyMap<string, string>): void {
  for (const [key, { appends, reads }] of history.appendKeys) {
    const value = values.get(key) ?? '';
    const [fault] = checkAppends(value, appends);
    if (fault !== undefined) throw new Violation('appends exactly once', `${key}: ${fault}`);
    for (const read of reads) {
      if (value.startsWith(read)) continue;
      throw new Violation('reads show what was', `${key} held ${read}, at the end ${value}`);
    }
  }
  for (const [first, second] of history.pairs) {
    if (values.get(first) === values.get(second)) continue;
    const what = `${first} holds ${values.get(first)}, ${second} holds ${values.get(second)}`;
    throw new Violation('transactions are atomic', what);
  }
  judgeRegisters(history, values);
}

function judgeRegisters(history: History, values: ReadonlyMap<string, string>): void {
  const { calls } = history;
  let endOfTime = 0;
  for (const { called, returned } of calls) endOfTime = Math.max(endOfTime, called, returned ?? 0);
  const finals = [...new Set(calls.map(({ key }) => key))].map((key) => ({
    clerk: 'end',
    key,
    operation: { type: 'get', output: values.get(key) ?? null } as const,
    called: endOfTime + 1,
    returned: endOfTime + 2,
  }));
  const verdict = checkLinearizable([...calls, ...finals], STEPS_MAX);
  if (verdict.type === 'linearizable') return;
  if (verdict.type === 'undecided') throw new Violation('linearizable', `${verdict.key} undecided`);
  const contradiction = verdict.contradiction.map((call) => JSON.stringify(call)).join(' ');
  throw new Violation('linearizable', `${verdict.key}: ${contradiction.slice(0, 1_000)}`);
}
