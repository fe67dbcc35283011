import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EXIT } from './exit.ts';
import { run } from './program.ts';
import { TestHost } from './testing/host.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'quorate-check-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true });
});

const HEADER = '{"quorateHistory":1,"unit":"ns"}';
const PUT =
  '{"clerk":"a","op":{"type":"put","key":"k","value":"v"},"called":1,"returned":2,"outcome":"ok"}';
const get = (value: string): string =>
  '{"clerk":"b","op":{"type":"get","key":"k"},"called":3,"returned":4,' +
  `"outcome":"ok","result":{"value":${value}}}`;

async function check(lines: readonly string[], ...flags: string[]) {
  const path = join(directory, 'history.jsonl');
  await writeFile(path, lines.join('\n'));
  const host = new TestHost();
  const code = await run(['check', path, ...flags], host);
  return { code, output: host.output, errors: host.errors, path };
}

test('a good history ends with 0 and one line', async () => {
  const { code, output } = await check([HEADER, PUT, get('"v"'), '']);
  expect(code).toBe(EXIT.ok);
  expect(output).toMatch(/^OK: linearizable\. 2 calls on 1 key, .*, in \d+\.\d s\n$/);
});

test('a bad one ends with 1, tells the contradiction, and is drawn', async () => {
  const page = join(directory, 'out.html');
  const { code, output } = await check([HEADER, PUT, get('null')], '--html', page);
  expect(code).toBe(EXIT.failed);
  expect(output).toContain('VIOLATION: not linearizable');
  expect(output).toContain('\n  b: get k -> absent (0.000 ms to 0.000 ms)\n');
  expect(await readFile(page, 'utf8')).toContain('<!doctype html>');
});

test('undecided ends with 1', async () => {
  const { code, output } = await check([HEADER, PUT, get('null')], '--steps', '1');
  expect(code).toBe(EXIT.failed);
  expect(output).toMatch(/^UNDECIDED/);
});

test('wrong input ends with 2 and one line that names the file and the line', async () => {
  const { code, errors, path } = await check([HEADER, PUT, '{"clerk":1}']);
  expect(code).toBe(EXIT.usage);
  expect(errors).toEqual([`error: ${path}: line 3: "clerk" is wrong: expected a string`]);
  const missing = new TestHost();
  expect(await run(['check', join(directory, 'none')], missing)).toBe(EXIT.usage);
  expect(missing.errors.join()).toContain('ENOENT');
  const forced = await check([HEADER, PUT], '--checker', 'revisions');
  expect(forced.errors.join()).toContain('not every answered call');
  const flag = await check([HEADER, PUT], '--checker', 'x');
  expect([flag.code, flag.errors.length]).toEqual([EXIT.usage, 1]);
});
