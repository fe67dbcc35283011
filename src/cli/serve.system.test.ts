import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { findFreePorts } from './cluster/index.ts';
import { EXIT } from './exit.ts';
import { eventually, type Finished, quorate, quorateCommand } from './testing/process.ts';

/** Urls with picked ports: no test of this file can meet another process. */
const LOOPBACK = [
  ...['--listen-client-urls', 'http://127.0.0.1:0'],
  ...['--listen-peer-urls', 'http://127.0.0.1:0'],
];

let directory: string;
let children: ChildProcess[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-serve-'));
  children = [];
});

afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** A running member and what it has logged. */
interface Member {
  readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[];
  readonly ended: Promise<number | NodeJS.Signals | null>;
  readonly endpoint: string;
}

/** Starts a member; resolves when it serves. */
async function serve(
  args: readonly string[] = [],
  environment: Record<string, string> = {},
): Promise<Member> {
  const [program = '', ...first] = quorateCommand();
  const child = spawn(program, [...first, 'serve', ...LOOPBACK, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { PATH: process.env['PATH'], ...environment },
    cwd: directory,
  });
  children.push(child);
  const lines: Record<string, unknown>[] = [];
  const others: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (line.startsWith('{')) lines.push(JSON.parse(line));
    else others.push(line);
  });
  let exit: number | NodeJS.Signals | null = null;
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) => {
    child.on('close', (code, signal) => {
      exit = code ?? signal;
      resolve(exit);
    });
  });
  const logged = (message: string): Promise<Record<string, unknown>> =>
    eventually(message, 15_000, () => {
      if (exit !== null) throw new Error(`ended with ${exit}: ${others.join('\n')}`);
      return find(lines, message);
    });
  const serving = await logged('serving');
  await logged('ready: a leader is known');
  const [endpoint = ''] = serving['clientUrls'] as string[];
  return { child, lines, ended, endpoint };
}

/** Writes until a pipe takes nothing more. */
function fill(fd: number): void {
  for (const size of [4_096, 1]) {
    for (;;) {
      try {
        writeSync(fd, Buffer.alloc(size, 'x'));
      } catch (error) {
        expect((error as NodeJS.ErrnoException).code).toBe('EAGAIN');
        break;
      }
    }
  }
}

function find(
  lines: readonly Record<string, unknown>[],
  message: string,
): Record<string, unknown> | null {
  return lines.find((line) => line['msg'] === message) ?? null;
}

/** Runs a member that must not start. */
function refused(
  args: readonly string[],
  environment: Record<string, string> = {},
): Promise<Finished> {
  return quorate(['serve', '--data-dir', join(directory, 'data'), ...LOOPBACK, ...args], {
    environment,
  });
}

/** Its one error line; whatever was logged before stands in JSON lines of its own. */
function errorLine({ stderr }: Finished): string {
  const lines = stderr.trimEnd().split('\n');
  const errors = lines.filter((line) => !line.startsWith('{'));
  expect(errors, stderr).toHaveLength(1);
  return errors[0] ?? '';
}

describe('a member as a process', () => {
  test('stops in good order at SIGTERM: exit code 0, and its data is there again', async () => {
    const first = await serve(['--data-dir', 'data']);
    expect((await quorate(['put', 'k', 'kept', '--endpoints', first.endpoint])).code).toBe(EXIT.ok);
    first.child.kill('SIGTERM');
    expect(await first.ended).toBe(0);
    expect(first.lines.map((line) => line['msg'])).toContain('stopping: SIGTERM');
    expect(first.lines.at(-1)).toMatchObject({ level: 'info', msg: 'closed' });

    const second = await serve(['--data-dir', 'data']);
    const { stdout } = await quorate(['get', 'k', '--endpoints', second.endpoint]);
    expect(stdout.toString()).toBe('kept\n');
    second.child.kill('SIGINT');
    expect(await second.ended).toBe(0);
  });

  test('takes its settings from variables, and logs its ids in hexadecimal', async () => {
    const { lines } = await serve([], {
      QUORATE_NAME: 'ours',
      ETCD_NAME: 'theirs',
      ETCD_DATA_DIR: 'd',
    });
    expect(find(lines, 'serving')).toMatchObject({
      member: 'ours',
      memberId: expect.stringMatching(/^[0-9a-f]{1,16}$/),
      clusterId: expect.stringMatching(/^[0-9a-f]{1,16}$/),
    });
  });

  test('warns about a variable that looks mistyped, and about tuning of etcd', async () => {
    const { lines } = await serve(['--max-snapshots', '5'], { QUORATE_DATADIR: 'x' });
    const warnings = lines.filter((line) => line['level'] === 'warn').map((line) => line['msg']);
    expect(warnings).toContain('--max-snapshots has no meaning here and is ignored; remove it');
    expect(warnings).toContain(
      'QUORATE_DATADIR is not known and ignored (did you mean QUORATE_DATA_DIR?)',
    );
  });
});

test('a member whose log pipe is full and never read starts, serves and stops (P8)', async () => {
  const path = join(directory, 'log');
  execFileSync('mkfifo', [path]);
  const keeper = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  fill(keeper);
  const [client, peer] = await findFreePorts(2);
  const endpoint = `http://127.0.0.1:${client}`;
  const urls = ['--listen-client-urls', endpoint, '--listen-peer-urls', `http://127.0.0.1:${peer}`];
  const [program = '', ...first] = quorateCommand();
  const logFd = openSync(path, constants.O_WRONLY);
  const child = spawn(program, [...first, 'serve', '--log-level', 'debug', ...urls], {
    stdio: ['ignore', 'ignore', logFd],
    cwd: directory,
  });
  children.push(child);
  closeSync(logFd);
  const ended = new Promise((resolve) => child.on('exit', resolve));
  const put = ['put', 'k', 'v', '--timeout', '15s', '--endpoints', endpoint];
  expect((await quorate(put)).code).toBe(EXIT.ok);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
  closeSync(keeper);
});

describe('what cannot work ends with one line: what, where, what to do', () => {
  test('an unknown flag: exit code 2', async () => {
    const result = await refused(['--nmae', 'x']);
    expect(result.code).toBe(EXIT.usage);
    expect(errorLine(result)).toBe("error: unknown flag '--nmae' (did you mean '--name'?)");
  });

  test.each([
    ['--listen-client-urls', 'localhost:2379'],
    ['--advertise-client-urls', 'http://127.0.0.1:1/path'],
    ['--initial-cluster', 'default=ftp://127.0.0.1:1'],
  ])('a malformed URL, %s %s: exit code 2', async (flag, url) => {
    const result = await refused([flag, url]);
    expect(result.code).toBe(EXIT.usage);
    expect(errorLine(result)).toMatch(new RegExp(`^error: ${flag}: .+`));
  });

  test.each(['http://127.0.0.1:99999', 'ftp://127.0.0.1:1'])(
    'a malformed URL, --listen-peer-urls %s: exit code 2',
    async (url) => {
      const result = await refused(['--listen-peer-urls', url]);
      expect(result.code).toBe(EXIT.usage);
      // A single member's initial cluster is made of this URL: either name leads to it.
      expect(errorLine(result)).toMatch(/^error: --listen-peer-urls: .+/);
      expect(errorLine(result)).toContain(url);
    },
  );

  test('a bad value in a variable names the variable: exit code 2', async () => {
    const result = await refused([], { ETCD_ADVERTISE_CLIENT_URLS: 'nonsense' });
    expect(result.code).toBe(EXIT.usage);
    expect(errorLine(result)).toMatch(
      /^error: --advertise-client-urls: .*\(from ETCD_ADVERTISE_CLIENT_URLS\)$/,
    );
  });

  test.each(['--listen-client-urls', '--listen-peer-urls'])(
    'a port in use, %s: exit code 1',
    async (flag) => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const result = await refused([flag, `http://127.0.0.1:${port}`]);
      await new Promise((resolve) => server.close(resolve));
      expect(result.code).toBe(EXIT.failed);
      expect(errorLine(result)).toBe(
        `error: ${flag}: 127.0.0.1:${port} is in use: stop the process that listens there, ` +
          'or choose another port',
      );
    },
  );

  test('a name that is not in the initial cluster: exit code 2', async () => {
    const result = await refused(['--initial-cluster', 'm1=http://127.0.0.1:1']);
    expect(result.code).toBe(EXIT.usage);
    expect(errorLine(result)).toMatch(/^error: --initial-cluster: .*'default'/);
  });

  test('the data of another cluster, or of another member: exit code 1, nothing lost', async () => {
    const args = ['--data-dir', 'data', '--initial-cluster-token', 'one'];
    const first = await serve(args);
    await quorate(['put', 'k', 'kept', '--endpoints', first.endpoint]);
    first.child.kill('SIGTERM');
    await first.ended;
    for (const other of [
      ['--initial-cluster-token', 'two'],
      ['--initial-cluster-token', 'one', '--initial-advertise-peer-urls', 'http://127.0.0.1:9'],
    ]) {
      const result = await refused(other);
      expect(result.code).toBe(EXIT.failed);
      expect(errorLine(result)).toMatch(/^error: .*data.* belongs to .*/);
    }
    const again = await serve(args);
    const { stdout } = await quorate(['get', 'k', '--endpoints', again.endpoint]);
    expect(stdout.toString()).toBe('kept\n');
  });

  test('a data directory in use: exit code 1, and the process that uses it goes on', async () => {
    const { endpoint } = await serve(['--data-dir', 'data']);
    const result = await refused([]);
    expect(result.code).toBe(EXIT.failed);
    expect(errorLine(result)).toMatch(/^error: --data-dir: .*data.* another process.*: .+/);
    expect((await quorate(['put', 'k', 'v', '--endpoints', endpoint])).code).toBe(EXIT.ok);
  });

  test('a data directory that is a file: exit code 1', async () => {
    writeFileSync(join(directory, 'data'), '');
    const result = await refused([]);
    expect(result.code).toBe(EXIT.failed);
    expect(errorLine(result)).toMatch(/^error: --data-dir: .*data.*directory/);
  });

  test('a data directory that others may enter: exit code 1', async () => {
    mkdirSync(join(directory, 'data'));
    writeFileSync(join(directory, 'data', 'something'), '');
    chmodSync(join(directory, 'data'), 0o755);
    const result = await refused([]);
    expect(result.code).toBe(EXIT.failed);
    expect(errorLine(result)).toMatch(/^error: --data-dir: .*chmod 700 .*data/);
  });

  test('a directory with data of etcd: exit code 2, and it is left as it was', async () => {
    mkdirSync(join(directory, 'data', 'member', 'snap'), { recursive: true, mode: 0o700 });
    const result = await refused([]);
    expect(result.code).toBe(EXIT.usage);
    expect(errorLine(result)).toMatch(/^error: --data-dir: .*data' holds data of etcd.*restore/);
    expect(readdirSync(join(directory, 'data'))).toEqual(['member']);
  });

  test('an empty directory where a log is expected: exit code 2', async () => {
    const result = await refused(['--initial-cluster-state', 'existing']);
    expect(result.code).toBe(EXIT.usage);
    expect(errorLine(result)).toMatch(/^error: --initial-cluster-state: is 'existing'/);
  });
});
