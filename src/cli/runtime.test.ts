import { expect, test } from 'vitest';
import { endOfLifeWarning } from './runtime.ts';

const at = (date: string): number => Date.parse(date);

test('a Node without security fixes is named, with the day they ended', () => {
  expect(endOfLifeWarning('v20.19.0', at('2026-05-01'))).toBe(
    'Node v20.19.0 gets no security fixes since 2026-04-30; run version 24 or later',
  );
});

test('a supported Node, and one too new to be known, pass in silence', () => {
  expect(endOfLifeWarning('v20.19.0', at('2026-04-29'))).toBe(null);
  expect(endOfLifeWarning('v24.1.0', at('2026-11-23'))).toBe(null);
  expect(endOfLifeWarning('v30.0.0', at('2030-01-01'))).toBe(null);
});
