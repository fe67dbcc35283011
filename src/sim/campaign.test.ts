import { expect, test } from 'vitest';
import { MUST_HAPPEN, neverHappened } from './campaign.ts';
import { Counters, FAULT_KINDS } from './index.ts';

test('what never happened is named, and every class of faults must happen', () => {
  const counters = new Counters();
  expect(neverHappened(counters)).toEqual(MUST_HAPPEN);
  for (const name of MUST_HAPPEN.slice(1)) counters.add(name);
  expect(neverHappened(counters)).toEqual([`fault: ${FAULT_KINDS[0]}`]);
  counters.add(`fault: ${FAULT_KINDS[0]}`);
  expect(neverHappened(counters)).toEqual([]);
});
