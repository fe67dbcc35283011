import { describe, expect, test } from 'vitest';
import { DURATION_MAX_MS, parseDurationMs } from './duration.ts';

describe('a duration', () => {
  test.each([
    ['5s', 5_000],
    ['500ms', 500],
    ['1m', 60_000],
    ['1.5s', 1_500],
    ['1h30m', 5_400_000],
    ['1m0.5s', 60_500],
    ['24h', DURATION_MAX_MS],
  ])('%s is %i milliseconds', (text, expectedMs) => {
    expect(parseDurationMs(text)).toBe(expectedMs);
  });

  test.each([
    '',
    '5',
    's',
    '-5s',
    '+5s',
    '0s',
    '0.1ms',
    '5 s',
    '5S',
    '5sec',
    '1e3s',
    'NaNs',
    'Infinitys',
    '1..5s',
    '.s',
    '24h1ms',
    '9999999999s',
    '٥s',
    '5s\n',
  ])('%j is refused', (text) => {
    expect(parseDurationMs(text)).toBe(null);
  });
});
