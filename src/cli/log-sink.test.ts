import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  constants,
  createReadStream,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, inject, test } from 'vitest';

/**
 * Logs `LINES` lines as fast as it can, some each turn, and measures its longest turn; then says so
 * over its control channel, and logs one line more each time it is told to.
 */
const CHATTERBOX = `
const { processLog } = await import(process.env.LOG_MODULE);
const log = processLog({ fd: 2, level: 'info', format: 'json' });
const LINES = Number(process.env.LINES);
let lines = 0, longestMs = 0, lastMs = performance.now();
function turn() {
  const nowMs = performance.now();
  longestMs = Math.max(longestMs, nowMs - lastMs);
  lastMs = nowMs;
  for (let i = 0; i < 200 && lines < LINES; i++) {
    log.info('line', { n: lines++, pad: 'x'.repeat(200) });
  }
  if (lines < LINES) setImmediate(turn);
  else process.send({ longestMs });
}
turn();
process.on('message', async (message) => {
  if (message === 'end') { await log.flush(5000); process.exit(0); }
  log.info('one more');
  process.send('said');
});
`;

const LINES = 40_000;

let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-log-'));
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

function chatter(stderr: 'pipe' | number, lines = LINES): ChildProcess {
  const module = pathToFileURL(join(dirname(inject('quorateMain')), 'log.js')).href;
  const child = spawn(process.execPath, ['--input-type=module', '-e', CHATTERBOX], {
    stdio: ['ignore', 'ignore', stderr, 'ipc'],
    env: { ...process.env, LOG_MODULE: module, LINES: String(lines) },
  });
  children.push(child);
  return child;
}

async function linesOf(stream: Readable): Promise<Record<string, unknown>[]> {
  let text = '';
  for await (const part of stream) text += String(part);
  return parseLines(text);
}

function parseLines(text: string): Record<string, unknown>[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Lines that arrived and lines reported lost. */
function tally(lines: readonly Record<string, unknown>[]): { arrived: number; lost: number } {
  let arrived = 0;
  let lost = 0;
  for (const line of lines) {
    if (line['msg'] === 'line') arrived++;
    else if (String(line['msg']).startsWith('log lines lost')) lost += Number(line['lines']);
  }
  return { arrived, lost };
}

/** The child wrote everything while nobody read; now it is read to its end. */
async function checkStalledReader(
  child: ChildProcess,
  startReading: () => Readable,
): Promise<void> {
  const [{ longestMs }] = (await once(child, 'message')) as [{ longestMs: number }];
  expect(longestMs, 'longest turn of the loop, ms').toBeLessThan(1_000);
  child.send('more');
  await once(child, 'message');
  const reading = linesOf(startReading());
  child.send('end');
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
  const { arrived, lost } = tally(await reading);
  expect(lost).toBeGreaterThan(0);
  // The one line more may be among the lost.
  expect([LINES, LINES + 1]).toContain(arrived + lost);
}

describe('a log whose reader is stalled never stops the process, and counts what is lost', () => {
  test('on a socket, as Node gives to its children', async () => {
    const child = chatter('pipe');
    await checkStalledReader(child, () => child.stderr as Readable);
  });

  test('on a pipe, as a shell or a container runtime gives', async () => {
    const path = join(directory, 'fifo');
    execFileSync('mkfifo', [path]);
    const writeFd = openSync(path, constants.O_RDWR);
    const child = chatter(writeFd);
    await checkStalledReader(child, () => {
      const reader = createReadStream(path);
      reader.once('open', () => child.once('exit', () => closeSync(writeFd)));
      return reader;
    });
  });
});

test('a log that goes to a file keeps every line, in order', async () => {
  const path = join(directory, 'log');
  const child = chatter(openSync(path, 'a'), 5_000);
  await once(child, 'message');
  child.send('end');
  await once(child, 'exit');
  const numbers = parseLines(readFileSync(path, 'utf8')).map((line) => line['n']);
  expect(numbers).toEqual(Array.from({ length: 5_000 }, (_, n) => n));
});

test('a log whose reader has gone does not stop the process', async () => {
  const child = chatter('pipe');
  child.stderr?.destroy();
  await once(child, 'message');
  child.send('end');
  const [code] = (await once(child, 'exit')) as [number | null];
  expect(code).toBe(0);
});
