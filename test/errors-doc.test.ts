import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ERRORS } from '../src/api/index.ts';

test('docs/ERRORS.md says the same as src/api/errors.ts', () => {
  const text = readFileSync(new URL('../docs/ERRORS.md', import.meta.url), 'utf8');
  const rows = text
    .split('\n')
    .filter((line) => /^\| [A-Z_]+ \|/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, 6)
        .map((cell) => cell.trim()),
    );
  const expected = Object.entries(ERRORS).map(([code, row]) => [
    code,
    String(row.number),
    row.outcome,
    row.retry,
    String(row.grpcStatus),
  ]);
  expect(rows).toEqual(expected);
});
