import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { EXIT } from '../exit.ts';
import { eventually, quorate, quorateCommand } from '../testing/process.ts';

/** Temporary directories of the demo are made in here. */
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-demo-test-'));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

test('Ctrl-C stops members and clerks, leaves nothing behind and exits with 130', async () => {
  const [program = '', ...first] = quorateCommand();
  const child: ChildProcess = spawn(program, [...first, 'demo', '--seed', '1'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], TMPDIR: directory },
  });
  let [output, errors] = ['', ''];
  child.stdout?.on('data', (part) => {
    output += String(part);
  });
  child.stderr?.on('data', (part) => {
    errors += String(part);
  });
  const ended = new Promise((resolve) =>
    child.on('close', (code, signal) => resolve(code ?? signal)),
  );
  await eventually('the first kill', 20_000, () => (output.includes('kill -9') ? true : null));
  const pids = [...output.matchAll(/m\d is pid (\d+)/g)].map(([, pid]) => Number(pid));
  child.kill('SIGINT');
  expect(await ended).toBe(EXIT.interrupted);
  expect(errors).toBe('interrupted: no verdict\n');
  expect(output).not.toContain('PASS');
  expect(readdirSync(directory)).toEqual([]);
  expect(pids).toHaveLength(3);
  expect(pids.filter(alive)).toEqual([]);
});

test('a directory with something in it is refused and left alone', async () => {
  writeFileSync(join(directory, 'mine'), 'x');
  const run = await quorate(['demo', '--data-dir', directory]);
  expect(run.code).toBe(EXIT.usage);
  expect(run.stderr).toBe(`error: --data-dir: ${directory} is not empty: name a new directory\n`);
  expect(readFileSync(join(directory, 'mine'), 'utf8')).toBe('x');
});

test('flags out of range are refused', async () => {
  const run = await quorate(['demo', '--members', '2']);
  expect(run.code).toBe(EXIT.usage);
  expect(run.stderr).toBe("error: --members: '2' is not a whole number from 3 to 9\n");
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: it is gone
  }
}
