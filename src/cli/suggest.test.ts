import { expect, test } from 'vitest';
import { suggest } from './suggest.ts';

const KNOWN = ['QUORATE_NAME', 'QUORATE_DATA_DIR', 'QUORATE_ENDPOINTS'];

test.each([
  ['QUORATE_DATADIR', 'QUORATE_DATA_DIR'],
  ['QUORATE_ENDPOINT', 'QUORATE_ENDPOINTS'],
  ['QUORATE_NAEM', 'QUORATE_NAME'],
])('%s is taken for %s', (word, meant) => {
  expect(suggest(word, KNOWN)).toBe(meant);
});

test.each(['QUORATE_SERVICE_HOST', 'QUORATE_PORT_2379_TCP', 'X', ''])(
  '%j resembles nothing',
  (word) => {
    expect(suggest(word, KNOWN)).toBe(null);
  },
);
