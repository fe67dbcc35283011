import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { runScenario } from '../testing/index.ts';

const FOLDER = new URL('.', import.meta.url);
const REWRITE = process.env['QUORATE_REWRITE'] === '1';

for (const name of readdirSync(FOLDER).filter((file) => file.endsWith('.txt'))) {
  const file = new URL(name, FOLDER);
  const text = readFileSync(file, 'utf8');
  const title = /^# (.*)/.exec(text)?.[1] ?? '(no title)';
  test(`${name}: ${title}`, () => {
    const actual = runScenario(text);
    if (REWRITE) writeFileSync(file, actual);
    else expect(actual).toBe(text);
  });
}
