import { expect, test } from 'vitest';
import { Numbers } from './numbers.ts';

test('numbers go on where the session was left', () => {
  const numbers = new Numbers({ token: '1/2', lastSeq: 17 });
  expect([numbers.take(), numbers.take()]).toEqual([18, 19]);
});

test('what is acknowledged ends below the first number whose answer is not here', () => {
  const numbers = new Numbers({ token: '1/1', lastSeq: 0 });
  for (let seq = 1; seq <= 5; seq++) numbers.take();
  numbers.end(2);
  numbers.end(3);
  expect(numbers.ackedBelow(5)).toBe(0);
  numbers.end(1);
  expect(numbers.ackedBelow(5)).toBe(3);
  expect(numbers.ackedBelow(2)).toBe(1);
  numbers.end(5);
  numbers.end(4);
  expect(numbers.ackedBelow(6)).toBe(5);
});
