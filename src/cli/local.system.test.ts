import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MemberPorts } from './cluster/index.ts';
import { EXIT } from './exit.ts';
import { eventually, quorate, quorateCommand } from './testing/process.ts';

let directory: string;
let runs: Run[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-local-'));
  runs = [];
});

afterEach(async () => {
  for (const { child, ended } of runs) {
    child.kill('SIGTERM');
    await ended;
  }
  rmSync(directory, { recursive: true });
});

/** `quorate local` while it runs. */
interface Run {
  readonly child: ChildProcess;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  output(): string;
  errors(): string;
}

function local(args: readonly string[]): Run {
  const [program = '', ...first] = quorateCommand();
  const child = spawn(program, [...first, 'local', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] },
    cwd: directory,
  });
  let [output, errors] = ['', ''];
  child.stdout.on('data', (part) => {
    output += String(part);
  });
  child.stderr.on('data', (part) => {
    errors += String(part);
  });
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on('close', (code, signal) => resolve(code ?? signal));
  });
  const run: Run = { child, ended, output: () => output, errors: () => errors };
  runs.push(run);
  return run;
}

/** Resolves when the output has a line like this. */
function says(run: Run, line: RegExp): Promise<RegExpExecArray> {
  return eventually(String(line), 15_000, () => line.exec(run.output()));
}

function portsOf(dataDir: string): MemberPorts[] {
  return JSON.parse(readFileSync(join(directory, dataDir, 'local.json'), 'utf8')).ports;
}

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false; // ESRCH: it is gone
  }
}

function pidsIn(output: string): number[] {
  return [...output.matchAll(/ pid (\d+) /g)].map(([, pid]) => Number(pid));
}

describe('a local cluster', () => {
  test('serves, gives a dead member back, stops at Ctrl-C and goes on with its data', async () => {
    const first = local(['--base-port', '0', '--data-dir', 'd']);
    await says(first, /3 members serve/);
    await says(first, /leader is m[123]/);
    const endpoints = portsOf('d')
      .map(({ client }) => `127.0.0.1:${client}`)
      .join(',');
    expect((await quorate(['put', 'k', 'kept', '--endpoints', endpoints])).code).toBe(EXIT.ok);

    const [pid = 0] = pidsIn(first.output());
    process.kill(pid, 'SIGKILL');
    await says(first, /m1 was killed \(SIGKILL\); starting it again in \d+ ms/);
    await says(first, /m1 serves again/);

    first.child.kill('SIGINT');
    expect(await first.ended).toBe(EXIT.ok);
    expect(first.output()).toContain('stopped; the data stays in d');
    expect(first.errors()).toBe('');

    const second = local(['--data-dir', 'd']);
    await says(second, /3 members serve/);
    const { stdout } = await quorate(['get', 'k', '--endpoints', endpoints]);
    expect(stdout.toString()).toBe('kept\n');
  });

  test('leaves no member behind when it is killed itself', async () => {
    const run = local(['--base-port', '0', '--data-dir', 'd', '--members', '1']);
    await says(run, /1 member serves/);
    const pids = pidsIn(run.output());
    expect(pids).toHaveLength(1);
    run.child.kill('SIGKILL');
    await run.ended;
    await eventually('the members are gone', 10_000, () => (pids.some(alive) ? null : true));
  });

  test('says which port is in use', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const run = local(['--base-port', String(port), '--data-dir', 'd', '--members', '1']);
    expect(await run.ended).toBe(EXIT.failed);
    await new Promise((resolve) => server.close(resolve));
    expect(run.errors()).toBe(
      `error: port ${port} is in use: stop the process that listens there, ` +
        'or choose --base-port\n',
    );
    expect(existsSync(join(directory, 'd'))).toBe(false);
  });

  test('refuses flags that describe another cluster than the one in its directory', async () => {
    const run = local(['--base-port', '0', '--data-dir', 'd', '--members', '1']);
    await says(run, /1 member serves/);
    run.child.kill('SIGTERM');
    await run.ended;
    const other = local(['--data-dir', 'd', '--members', '3']);
    expect(await other.ended).toBe(EXIT.usage);
    expect(other.errors()).toBe(
      'error: --members: d holds a cluster of 1: leave the flag out, or name another --data-dir\n',
    );
  });

  test('says so when its directory cannot be used', async () => {
    writeFileSync(join(directory, 'd'), '');
    const run = local(['--base-port', '0', '--data-dir', 'd']);
    expect(await run.ended).toBe(EXIT.failed);
    expect(run.errors()).toMatch(/^error: --data-dir: [^\n]+\n$/);
  });
});
