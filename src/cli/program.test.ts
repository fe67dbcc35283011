import { describe, expect, test } from 'vitest';
import { API_LIMITS } from '../api/index.ts';
import { EXIT } from './exit.ts';
import { run } from './program.ts';
import { TestHost } from './testing/host.ts';

/** Nothing listens there: a test that got as far as connecting would end with another line. */
const NOWHERE = ['--endpoints', '127.0.0.1:1', '--timeout', '50ms'];

describe('a wrong command line ends with one line and exit code 2', () => {
  test.each<[string[], string]>([
    [['--foo'], "error: unknown flag '--foo'"],
    [['serve', '--foo'], "error: unknown flag '--foo'"],
    [['serve', '--nmae', 'x'], "error: unknown flag '--nmae' (did you mean '--name'?)"],
    [
      ['get', 'k', '--endpoint', 'x'],
      "error: unknown flag '--endpoint' (did you mean '--endpoints'?)",
    ],
    [['gte', 'k'], "error: unknown command 'gte' (did you mean 'get'?)"],
    [['get'], "error: missing required argument 'key'"],
    [['get', 'a', 'b'], "error: too many arguments for 'get'. Expected 1 argument but got 2."],
    [['put', 'a'], "error: missing required argument 'value'"],
    [['serve', '--name'], "error: flag '--name <NAME>' argument missing"],
    [['get', '', ...NOWHERE], 'error: the key is empty; give it at least one byte (not applied)'],
    [
      ['put', '', 'v', ...NOWHERE],
      'error: the key is empty; give it at least one byte (not applied)',
    ],
    [['del', '', ...NOWHERE], 'error: the key is empty; give it at least one byte (not applied)'],
    [['watch', '', ...NOWHERE], 'error: the key is empty; give it at least one byte (not applied)'],
    [
      ['watch', 'a', 'b', '--prefix', ...NOWHERE],
      'error: RANGE_END, --prefix and --from-key exclude each other',
    ],
    [['watch', 'a', '--rev', '0', ...NOWHERE], "error: --rev: '0' is not a whole number from 1 on"],
    [
      ['lease'],
      'error: lease needs a command: grant, revoke, keep-alive, timetolive or list; ' +
        'see quorate lease --help',
    ],
    [
      ['lease', 'grant', '-1', ...NOWHERE],
      "error: time to live: '-1' is neither seconds nor a duration such as 1m",
    ],
    [
      ['lease', 'grant', 'long', ...NOWHERE],
      "error: time to live: 'long' is neither seconds nor a duration such as 1m",
    ],
    [
      ['lease', 'revoke', 'xyz', ...NOWHERE],
      "error: lease id: 'xyz' is not 1 to 16 hexadecimal digits, not all 0",
    ],
    [
      ['put', 'k', 'v', '--lease', '0', ...NOWHERE],
      "error: lease id: '0' is not 1 to 16 hexadecimal digits, not all 0",
    ],
    [['lock', '', ...NOWHERE], 'error: the name is empty; give it at least one byte'],
    [
      ['lock', 'l', '--ttl', '0', ...NOWHERE],
      "error: --ttl: '0' is neither seconds nor a duration such as 1m",
    ],
    [['elect', 'e', ...NOWHERE], 'error: give a VALUE, or --listen'],
    [['elect', 'e', 'v', '--listen', ...NOWHERE], 'error: --listen: takes no VALUE'],
    [
      ['range', 'k', '--sort-by', 'AGE', ...NOWHERE],
      "error: flag '--sort-by <TARGET>' argument 'AGE' is invalid. " +
        'Allowed choices are CREATE, KEY, MODIFY, VALUE, VERSION.',
    ],
    [
      ['range', 'k', '--keys-only', '--print-value-only', ...NOWHERE],
      'error: --keys-only and --print-value-only exclude each other',
    ],
    [
      ['get', 'k', '--timeout', '5'],
      "error: --timeout: '5' is not a duration such as 500ms, 5s or 1m",
    ],
    [
      ['get', 'k', '-w', 'xml'],
      "error: flag '-w, --write-out <FORMAT>' argument 'xml' is invalid. " +
        'Allowed choices are simple, json.',
    ],
    [
      ['get', 'k', '--endpoints', 'a:1,,b:2'],
      "error: --endpoints: 'a:1,,b:2' has an empty item; write host:port,host:port",
    ],
    [
      ['get', 'k', '--endpoints', 'ftp://a:1'],
      'error: endpoint "ftp://a:1": expected host:port, [v6]:port, http://… or ' +
        'https://host:port (the command was not sent)',
    ],
    [
      ['get', 'k', '--endpoints', 'a'],
      'error: endpoint "a": expected host:port, [v6]:port, http://… or https://host:port ' +
        '(the command was not sent)',
    ],
    [
      ['put', 'k', 'v', '--seq', '1'],
      'error: --seq: needs --session NAME, whose command it numbers',
    ],
    [
      ['put', 'k', 'v', '--session', 's', '--seq', '0'],
      "error: --seq: '0' is not a whole number from 1 on",
    ],
    [
      ['put', 'k', 'v', '--session', ''],
      'error: session: a name cannot be empty; leave it out instead (the command was not sent)',
    ],
    [
      ['range', 'a', 'b', '--prefix'],
      'error: RANGE_END, --prefix and --from-key exclude each other',
    ],
    [['range', 'a', '--limit', '-1'], "error: --limit: '-1' is not a whole number from 1 on"],
    [['range', 'a', '--rev', 'x'], "error: --rev: 'x' is not a whole number from 1 on"],
    [['del', 'a', 'b', '--prefix'], 'error: --prefix: takes no RANGE_END'],
    [
      ['put', 'k', '\uFFFD'],
      'error: the value is not valid UTF-8; pass such a value through standard input: put KEY -',
    ],
    [['resolve', '--seq', '1'], 'error: --session: is needed: whose command is it?'],
    [['resolve', '--session', 's'], 'error: --seq: is needed: which command is it?'],
    [
      ['txn', '--file', '/nonexistent/script'],
      "error: --file: ENOENT: no such file or directory, open '/nonexistent/script'",
    ],
    [['local', '--members', '0'], "error: --members: '0' is not a whole number from 1 to 9"],
    [['local', '--members', '-1'], "error: --members: '-1' is not a whole number from 1 to 9"],
    [
      ['local', '--base-port', '70000'],
      "error: --base-port: '70000' is not a whole number from 0 to 65535",
    ],
    [
      ['serve', '--heartbeat-interval=NaN'],
      "error: --heartbeat-interval: 'NaN' is not a whole number of milliseconds from 1 to 10000",
    ],
    [
      ['serve', '-heartbeat-interval=NaN'],
      "error: --heartbeat-interval: 'NaN' is not a whole number of milliseconds from 1 to 10000",
    ],
    [
      ['serve', '--experimental-corrupt-check-time=often'],
      "error: --corrupt-check-time: 'often' is not a duration such as 500ms, 5s or 1m",
    ],
    [
      ['serve', '--cors', 'x'],
      "error: --cors is etcd's and not supported here: remove it, or provide for what it does",
    ],
  ])('%j', async (argv, line) => {
    const host = new TestHost();
    expect(await run(argv, host)).toBe(EXIT.usage);
    expect(host.errors).toEqual([line]);
    expect(host.output).toBe('');
  });
});

test('a command without a word shows the help and exits with 2', async () => {
  const host = new TestHost();
  expect(await run([], host)).toBe(EXIT.usage);
  expect(host.errors.join('\n')).toContain('Usage: quorate');
});

test('a value over 1.5 MiB on standard input is refused before anything is sent', async () => {
  const host = new TestHost({ stdin: Buffer.alloc(API_LIMITS.requestBytesMax + 1) });
  expect(await run(['put', 'k', '-', ...NOWHERE], host)).toBe(EXIT.failed);
  expect(host.errors).toEqual([
    'error: the value is larger than 1.5 MiB, the limit of one request: split it (not applied)',
  ]);
});

test.each([
  ['get', 'k'],
  ['range', 'k'],
])('a %s that reaches nobody speaks of itself', async (command, key) => {
  const host = new TestHost();
  expect(await run([command, key, ...NOWHERE], host)).toBe(EXIT.failed);
  expect(host.errors).toHaveLength(1);
  expect(host.errors[0]).toMatch(new RegExp(`^error: ${command}: no answer within 50 ms`));
});

test('a write that reaches nobody is certainly not applied: exit code 1', async () => {
  const host = new TestHost();
  expect(await run(['put', 'k', 'v', ...NOWHERE], host)).toBe(EXIT.failed);
  expect(host.errors).toHaveLength(1);
  expect(host.errors[0]).toMatch(
    /^error: put: no answer within 50 ms, not applied.*\(not applied\)$/,
  );
});

test('endpoints come from the flag, then QUORATE_ENDPOINTS, then ETCDCTL_ENDPOINTS', async () => {
  const environment = { QUORATE_ENDPOINTS: 'ours', ETCDCTL_ENDPOINTS: 'theirs' };
  const complaint = async (argv: string[], variables: Record<string, string>): Promise<string> => {
    const host = new TestHost({ environment: variables });
    expect(await run(['get', 'k', ...argv], host)).toBe(EXIT.usage);
    return host.errors[0] ?? '';
  };
  expect(await complaint(['--endpoints', 'flag'], environment)).toContain('"flag"');
  expect(await complaint([], environment)).toContain('"ours"');
  expect(await complaint([], { ETCDCTL_ENDPOINTS: 'theirs' })).toContain('"theirs"');
});

test('status lists an endpoint that does not answer with the reason: exit code 1', async () => {
  const host = new TestHost();
  expect(await run(['status', ...NOWHERE], host)).toBe(EXIT.failed);
  expect(host.output).toMatch(/^127\.0\.0\.1:1 {2}unreachable: .+\n$/);
  const json = new TestHost();
  expect(await run(['status', ...NOWHERE, '-w', 'json'], json)).toBe(EXIT.failed);
  expect(JSON.parse(json.output)).toEqual([{ endpoint: '127.0.0.1:1', error: expect.any(String) }]);
});

test('Ctrl-C while standard input is read ends the command, and nothing was applied', async () => {
  const interrupted = new AbortController();
  const host = new TestHost({ signal: interrupted.signal });
  const running = run(['put', 'k', '-', ...NOWHERE], host);
  interrupted.abort('SIGINT');
  expect(await running).toBe(EXIT.failed);
  expect(host.errors).toEqual(['error: interrupted (not applied)']);
});
