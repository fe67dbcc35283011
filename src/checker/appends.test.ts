import { describe, expect, test } from 'vitest';
import { checkAppends, type TokenAppend } from './index.ts';

const ack = (clerk: string, token: string): TokenAppend => ({
  clerk,
  token,
  outcome: 'acknowledged',
});

describe('checkAppends', () => {
  const calls = [ack('a', '<a1>'), ack('b', '<b1>'), ack('a', '<a2>')];

  test('accepts any interleaving that keeps each clerk in order', () => {
    for (const value of ['<a1><a2><b1>', '<a1><b1><a2>', '<b1><a1><a2>']) {
      expect(checkAppends(value, calls)).toEqual([]);
    }
  });

  test.each([
    ['lost', '<a1><b1>'],
    ['twice', '<a1><b1><a2><b1>'],
    ['order', '<a2><b1><a1>'],
    ['phantom', '<a1><b1><a2><zz>'],
  ])('finds a token that is %s', (fault, value) => {
    expect(checkAppends(value, calls).join()).toContain(fault);
  });

  test('a refused token must not appear, one in doubt may appear once', () => {
    const refused: TokenAppend = { clerk: 'a', token: '<a1>', outcome: 'notApplied' };
    expect(checkAppends('<a1>', [refused]).join()).toContain('ghost');
    const doubt: TokenAppend = { clerk: 'a', token: '<a1>', outcome: 'unknown' };
    expect(checkAppends('', [doubt])).toEqual([]);
    expect(checkAppends('<a1>', [doubt])).toEqual([]);
    expect(checkAppends('<a1><a1>', [doubt]).join()).toContain('twice');
  });
});
