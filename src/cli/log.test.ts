import { describe, expect, test } from 'vitest';
import { plainValue } from './log.ts';

describe('a field of a log line', () => {
  test.each<[string, unknown, unknown]>([
    ['a 64-bit id is written in hexadecimal', 0xdeadbeefcafef00dn, 'deadbeefcafef00d'],
    ['bytes are written in hexadecimal', new Uint8Array([0, 255]), '00ff'],
    ['a number stays a number', 42, 42],
    ['null stays null', null, null],
    ['ids inside lists and objects too', { members: [1n, 15n] }, { members: ['1', 'f'] }],
    ['a map becomes an object', new Map([[255n, { ok: true }]]), { ff: { ok: true } }],
  ])('%s', (_title, value, expected) => {
    expect(plainValue(value, 0)).toEqual(expected);
  });

  test('an error keeps its message, code and causes', () => {
    const cause = Object.assign(new Error('disk'), { code: 'EIO' });
    expect(plainValue(new Error('log failed', { cause }), 0)).toMatchObject({
      message: 'log failed',
      cause: { message: 'disk', code: 'EIO' },
    });
  });

  test('is bounded in length, width and depth, also when it contains itself', () => {
    expect(String(plainValue('x'.repeat(1e6), 0)).length).toBeLessThan(3_000);
    expect(String(plainValue(new Uint8Array(1e6), 0)).length).toBeLessThan(3_000);
    expect(plainValue(Array.from({ length: 1e5 }), 0)).toHaveLength(64);
    const self: Record<string, unknown> = {};
    self['self'] = self;
    expect(JSON.stringify(plainValue(self, 0)).length).toBeLessThan(200);
  });
});
