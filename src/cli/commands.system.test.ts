import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LinkProxy, ProcessCluster } from './cluster/index.ts';
import { EXIT } from './exit.ts';
import { eventually, type Finished, quorate, quorateCommand } from './testing/process.ts';

let directory: string;
let cluster: ProcessCluster;
let endpoint: string;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'quorate-commands-'));
  const command = [...quorateCommand(), 'serve'];
  cluster = await ProcessCluster.start({ command, directory, members: 1 });
  endpoint = cluster.endpoints[0] ?? '';
});

afterAll(async () => {
  await cluster?.close();
  rmSync(directory, { recursive: true });
});

/** Runs a client command against the member of this file. */
function at(args: readonly string[], stdin: Uint8Array | string = ''): Promise<Finished> {
  return quorate([...args, '--endpoints', endpoint], { stdin });
}

/** Runs a command that must succeed, and gives its output as text. */
async function says(args: readonly string[], stdin: Uint8Array | string = ''): Promise<string> {
  const { code, stdout, stderr } = await at(args, stdin);
  expect(stderr, args.join(' ')).toBe('');
  expect(code, args.join(' ')).toBe(EXIT.ok);
  return stdout.toString();
}

describe('a real process', () => {
  test('puts, gets, appends, ranges and deletes', async () => {
    expect(await says(['put', 'basic/a', 'one'])).toBe('OK\n');
    expect(await says(['get', 'basic/a'])).toBe('one\n');
    expect(await says(['append', 'basic/a', ' two'])).toBe('7\n');
    expect(await says(['append', 'basic/b', 'new'])).toBe('3\n');
    expect(await says(['range', 'basic/', '--prefix'])).toBe('basic/a\none two\nbasic/b\nnew\n');
    expect(await says(['range', 'basic/a', 'basic/b'])).toBe('basic/a\none two\n');
    expect(await says(['range', 'basic/', '--prefix', '--keys-only'])).toBe('basic/a\nbasic/b\n');
    expect(await says(['range', 'basic/', '--prefix', '--limit', '1', '--keys-only'])).toBe(
      'basic/a\n',
    );
    expect(await says(['range', 'basic/', '--prefix', '--count-only'])).toBe('2\n');
    expect(await says(['del', 'basic/', '--prefix'])).toBe('2\n');
    expect(await says(['del', 'basic/a'])).toBe('0\n');
  });

  test('reads the state as of an earlier revision', async () => {
    const first = JSON.parse(await says(['put', 'past', 'old', '-w', 'json']));
    await says(['put', 'past', 'new']);
    const revision = String(first.header.revision);
    expect(await says(['range', 'past', '--rev', revision])).toBe('past\nold\n');
  });

  test('says of a missing key that there is none: exit code 1, empty output', async () => {
    const { code, stdout, stderr } = await at(['get', 'missing']);
    expect({ code, stdout: stdout.toString(), stderr }).toEqual({
      code: EXIT.failed,
      stdout: '',
      stderr: "error: there is no key 'missing'\n",
    });
  });

  test('keeps every byte of a value from standard input, and an empty one', async () => {
    const value = randomBytes(100_000);
    expect(await says(['put', 'binary', '-'], value)).toBe('OK\n');
    const { stdout } = await at(['get', 'binary']);
    expect(stdout.equals(Buffer.concat([value, Buffer.from('\n')]))).toBe(true);
    expect(await says(['append', 'binary', '-'], value)).toBe('200000\n');
    expect(await says(['put', 'empty', '-'], '')).toBe('OK\n');
    expect(await says(['get', 'empty'])).toBe('\n');
  });

  test('takes a value that begins with a dash behind --', async () => {
    const { code } = await quorate(['put', '--endpoints', endpoint, '--', 'dash', '-5']);
    expect(code).toBe(EXIT.ok);
    expect(await says(['get', 'dash'])).toBe('-5\n');
  });

  test('writes JSON with keys and values in base64', async () => {
    await says(['put', 'json', 'x']);
    const found = JSON.parse(await says(['get', 'json', '-w', 'json']));
    expect(found).toMatchObject({
      count: 1,
      more: false,
      kvs: [{ key: Buffer.from('json').toString('base64'), value: 'eA==', version: 1 }],
    });
    const nothing = await at(['get', 'no such', '-w', 'json']);
    expect(nothing.code).toBe(EXIT.failed);
    expect(JSON.parse(nothing.stdout.toString())).toMatchObject({ kvs: [], count: 0 });
  });

  test('runs a transaction from standard input or a file, one paragraph or the other', async () => {
    const script = 'version("txn") = "0"\n\nput txn mine\nget txn\n\nget txn\n';
    expect(await says(['txn'], script)).toBe('SUCCESS\nOK\ntxn\nmine\n');
    const path = join(directory, 'script');
    writeFileSync(path, script);
    expect(await says(['txn', '--file', path])).toBe('FAILURE\ntxn\nmine\n');
  });

  test('shows what the member says of itself', async () => {
    const line = await says(['status']);
    expect(line).toMatch(/^http:\S+ {2}member=[0-9a-f]{16} {2}name=m1 {2}role=leader /);
    expect(line).toMatch(/ leader=[0-9a-f]{16} {2}term=\d+ {2}applied=\d+ {2}revision=\d+ /);
    expect(line).toMatch(/ hash=[0-9a-f]+ {2}version=\S+\n$/);
    const [report] = JSON.parse(await says(['status', '-w', 'json']));
    expect(report).toMatchObject({ endpoint, status: { name: 'm1', role: 'leader' } });
  });

  test('lists endpoints that do not answer beside those that do, and exits with 1', async () => {
    const { code, stdout } = await quorate(['status', '--endpoints', `127.0.0.1:1,${endpoint}`]);
    const lines = stdout.toString().split('\n');
    expect(code).toBe(EXIT.failed);
    expect(lines[0]).toMatch(/^127\.0\.0\.1:1 {2}unreachable: /);
    expect(lines[1]).toContain('role=leader');
  });

  test('refuses a value over 1.5 MiB in one line, and nothing is lost', async () => {
    await says(['put', 'big', 'before']);
    const value = Buffer.alloc(1.5 * 1024 * 1024 - 2);
    const tooLarge = await at(['put', 'big', '-'], value);
    expect(tooLarge.code).toBe(EXIT.failed);
    expect(tooLarge.stderr).toMatch(/^error: [^\n]*1572864[^\n]*\(not applied\)\n$/);
    expect(await says(['get', 'big'])).toBe('before\n');
    expect(await says(['put', 'big', '-'], value.subarray(1))).toBe('OK\n');
  });

  test('goes on in silence when the reader of its output leaves early', async () => {
    await says(['put', 'large', '-'], Buffer.alloc(1_000_000, 'x'));
    const [program = '', ...first] = quorateCommand();
    const child = spawn(program, [...first, 'get', 'large', '--endpoints', endpoint]);
    let stderr = '';
    child.stderr.on('data', (part) => {
      stderr += String(part);
    });
    child.stdout.once('data', () => child.stdout.destroy());
    const code = await new Promise((resolve) => child.on('close', resolve));
    expect({ code, stderr }).toEqual({ code: EXIT.ok, stderr: '' });
  });
});

describe('a command of a session', () => {
  test('runs once however often it is repeated, and prints its first answer', async () => {
    const command = ['append', 'once', 'x', '--session', 'once', '--seq', '1'];
    const outputs = [await says(command), await says(command), await says(command)];
    expect(outputs).toEqual(['1\n', '1\n', '1\n']);
    expect(await says(['get', 'once'])).toBe('x\n');
  });

  test('takes the next number when none is given', async () => {
    const command = ['append', 'next', 'x', '--session', 'next'];
    expect(await says(command)).toBe('1\n');
    expect(await says(command)).toBe('2\n');
    expect(await says([...command, '--seq', '2'])).toBe('2\n');
    expect(await says([...command, '--seq', '3'])).toBe('3\n');
  });

  test('is refused when its number leaves a gap: exit code 1', async () => {
    const { code, stderr } = await at(['put', 'gap', 'x', '--session', 'gap', '--seq', '5']);
    expect(code).toBe(EXIT.failed);
    expect(stderr).toMatch(/^error: [^\n]*\(not applied\)\n$/);
    expect((await at(['get', 'gap'])).code).toBe(EXIT.failed);
  });

  test('can be asked for: executed with its answer, or not executed', async () => {
    await says(['append', 'asked', 'abc', '--session', 'asked', '--seq', '1']);
    const which = ['resolve', '--session', 'asked', '--seq'];
    expect(await says([...which, '1'])).toBe('executed\n3\n');
    expect(await says([...which, '2'])).toBe('not executed\n');
  });

  test('whose reply is lost ends in doubt, exit code 4; repeated, it runs once', async () => {
    const { port } = new URL(endpoint);
    await using link = await LinkProxy.open({ host: '127.0.0.1', port: Number(port) });
    const value = Buffer.alloc(100_000, 'x');
    const append = (timeout: string, seq: string[]): Promise<Finished> =>
      quorate(
        [
          ...['append', 'doubt', '-', '--session', 'doubt', ...seq],
          ...['--timeout', timeout, '--endpoints', link.url],
        ],
        { stdin: value },
      );
    expect((await append('5s', [])).stdout.toString()).toBe('100000\n');

    // Replies are late, so that there is time to lose the one of the second append.
    link.delay(100);
    const { requestBytes } = link.counts;
    const running = append('1500ms', []);
    await eventually('the append is sent', 5_000, () =>
      link.counts.requestBytes - requestBytes > value.length / 2 ? true : null,
    );
    link.cut('dropReplies');
    const inDoubt = await running;
    expect(inDoubt.stderr).toMatch(
      /^error: [^\n]*\(outcome unknown: repeat it with --session doubt --seq 2: [^\n]*\)\n$/,
    );
    expect({ code: inDoubt.code, stdout: inDoubt.stdout.toString() }).toEqual({
      code: EXIT.unknown,
      stdout: '',
    });

    link.delay(0);
    link.heal();
    const again = await append('5s', ['--seq', '2']);
    expect({ stderr: again.stderr, stdout: again.stdout.toString() }).toEqual({
      stderr: '',
      stdout: '200000\n',
    });
    expect((await says(['get', 'doubt'])).length).toBe(200_001);
  });
});
