import { describe, expect, test } from 'vitest';
import { CliError, EXIT } from './exit.ts';
import { serverOptions } from './serve.ts';
import type { ServeFlagName } from './serve-flags.ts';
import { resolveSettings } from './serve-settings.ts';

type Flags = Partial<Record<ServeFlagName, string>>;

function failure(run: () => unknown): CliError {
  try {
    run();
  } catch (error) {
    if (error instanceof CliError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('settings of a member', () => {
  test('of nothing are nothing: every default is the server’s', () => {
    const { settings, warnings } = resolveSettings({}, {});
    expect(settings).toEqual({});
    expect(warnings).toEqual([]);
    expect(serverOptions(settings)).toEqual({});
  });

  test('come from a flag before QUORATE_, and from that before ETCD_', () => {
    const environment = { QUORATE_NAME: 'ours', ETCD_NAME: 'theirs', ETCD_DATA_DIR: '/d' };
    expect(resolveSettings({ name: 'flag' }, environment).settings.name).toBe('flag');
    expect(resolveSettings({}, environment).settings.name).toBe('ours');
    expect(resolveSettings({}, environment).settings['data-dir']).toBe('/d');
    expect(resolveSettings({}, { ETCD_NAME: 'theirs' }).settings.name).toBe('theirs');
  });

  test('ignore an empty variable, as etcd does, and fall through to the next source', () => {
    expect(resolveSettings({}, { QUORATE_NAME: '', ETCD_NAME: 'x' }).settings.name).toBe('x');
  });

  test('reach the server under its option names, with numbers in milliseconds', () => {
    const flags: Flags = {
      name: 'm1',
      'data-dir': '/data',
      'listen-client-urls': 'http://a:1,http://b:2',
      'advertise-client-urls': 'http://a:1',
      'listen-peer-urls': 'http://a:3',
      'initial-advertise-peer-urls': 'http://a:3',
      'initial-cluster': 'm1=http://a:3, m2=http://b:3 ,m1=http://c:3',
      'initial-cluster-state': 'existing',
      'initial-cluster-token': 'token',
      'heartbeat-interval': '20',
      'election-timeout': '200',
      'request-timeout': '1.5s',
      'peer-dial': 'm2=http://x:9,m3=http://y:9',
    };
    expect(serverOptions(resolveSettings(flags, {}).settings)).toEqual({
      name: 'm1',
      dataDir: '/data',
      listenClientUrls: ['http://a:1', 'http://b:2'],
      advertiseClientUrls: ['http://a:1'],
      listenPeerUrls: ['http://a:3'],
      initialAdvertisePeerUrls: ['http://a:3'],
      initialCluster: [
        { name: 'm1', peerUrls: ['http://a:3', 'http://c:3'] },
        { name: 'm2', peerUrls: ['http://b:3'] },
      ],
      initialClusterState: 'existing',
      initialClusterToken: 'token',
      heartbeatIntervalMs: 20,
      electionTimeoutMs: 200,
      requestTimeoutMs: 1_500,
      peerDial: { m2: 'http://x:9', m3: 'http://y:9' },
    });
  });
});

describe('a value that cannot be used gives one line', () => {
  const wholeMs = 'is not a whole number of milliseconds from 1 to 10000';
  test.each<[Flags, Record<string, string>, string]>([
    [{ 'heartbeat-interval': '-1' }, {}, `--heartbeat-interval: '-1' ${wholeMs}`],
    [{ 'heartbeat-interval': '0' }, {}, `--heartbeat-interval: '0' ${wholeMs}`],
    [{ 'heartbeat-interval': 'NaN' }, {}, `--heartbeat-interval: 'NaN' ${wholeMs}`],
    [{ 'heartbeat-interval': '1e3' }, {}, `--heartbeat-interval: '1e3' ${wholeMs}`],
    [
      { 'heartbeat-interval': '99999999999999999999' },
      {},
      `--heartbeat-interval: '99999999999999999999' ${wholeMs}`,
    ],
    [
      {},
      { QUORATE_HEARTBEAT_INTERVAL: '0.5' },
      `--heartbeat-interval: '0.5' ${wholeMs} (from QUORATE_HEARTBEAT_INTERVAL)`,
    ],
    [
      {},
      { ETCD_ELECTION_TIMEOUT: '1s' },
      "--election-timeout: '1s' is not a whole number of milliseconds from 5 to 50000 " +
        '(from ETCD_ELECTION_TIMEOUT)',
    ],
    [
      { 'request-timeout': '5' },
      {},
      "--request-timeout: '5' is not a duration such as 500ms, 5s or 1m",
    ],
    [
      { 'initial-cluster-state': 'old' },
      {},
      "--initial-cluster-state: 'old' is not one of new, existing",
    ],
    [{ 'log-level': 'loud' }, {}, "--log-level: 'loud' is not one of debug, info, warn, error"],
    [{ 'log-format': 'xml' }, {}, "--log-format: 'xml' is not one of json, pretty"],
    [
      { 'initial-cluster': 'http://a:1' },
      {},
      "--initial-cluster: 'http://a:1' is not NAME=URL; write name=http://HOST:PORT,...",
    ],
    [
      { 'initial-cluster': 'a=http://a:1,' },
      {},
      "--initial-cluster: '' is not NAME=URL; write name=http://HOST:PORT,...",
    ],
    [{ name: '' }, {}, '--name: is empty; give it a value or leave it out'],
    [{ 'data-dir': 'a\0b' }, {}, '--data-dir: holds a zero byte; name a directory'],
    [
      { 'log-level': 'a\nb\x1b[2J' },
      {},
      "--log-level: 'a b [2J' is not one of debug, info, warn, error",
    ],
  ])('%j %j', (flags, environment, line) => {
    const error = failure(() => resolveSettings(flags, environment));
    expect(error.message).toBe(line);
    expect(error.exitCode).toBe(EXIT.usage);
  });
});

describe('a variable', () => {
  test('that looks like a mistyped flag is warned about', () => {
    expect(resolveSettings({}, { QUORATE_DATADIR: '/x' }).warnings).toEqual([
      'QUORATE_DATADIR is not known and ignored (did you mean QUORATE_DATA_DIR?)',
    ]);
  });

  test('that Kubernetes sets for a service named quorate or etcd is left in peace', () => {
    const environment = {
      QUORATE_SERVICE_HOST: '10.0.0.1',
      QUORATE_PORT: 'tcp://10.0.0.1:2379',
      QUORATE_PORT_2379_TCP_PROTO: 'tcp',
      ETCD_SERVICE_HOST: '10.0.0.1',
      ETCD_PORT_2379_TCP: 'tcp://10.0.0.1:2379',
      ETCD_UNSUPPORTED_ARCH: 'arm64',
      QUORATE_ENDPOINTS: '127.0.0.1:2379',
    };
    expect(resolveSettings({}, environment).warnings).toEqual([]);
  });

  test('of etcd that has another name here is taken', () => {
    const environment = { ETCD_EXPERIMENTAL_CORRUPT_CHECK_TIME: '6h' };
    const { settings, warnings, variables } = resolveSettings({}, environment);
    expect([serverOptions(settings), warnings]).toEqual([
      { corruptCheckTimeMs: 6 * 3_600_000 },
      [],
    ]);
    expect(variables.get('corrupt-check-time')).toBe('ETCD_EXPERIMENTAL_CORRUPT_CHECK_TIME');
    const both = { ...environment, QUORATE_CORRUPT_CHECK_TIME: '1h' };
    expect(resolveSettings({}, both).settings['corrupt-check-time']).toBe(3_600_000);
  });

  test('of etcd without a meaning here is warned about', () => {
    expect(resolveSettings({}, { ETCD_MAX_SNAPSHOTS: '10000' }).warnings).toEqual([
      'ETCD_MAX_SNAPSHOTS has no meaning here and is ignored; unset it',
    ]);
  });

  test('of etcd that would protect the data is an error, never silently ignored', () => {
    const error = failure(() => resolveSettings({}, { ETCD_PEER_AUTO_TLS: 'true' }));
    expect(error.message).toMatch(
      /^ETCD_PEER_AUTO_TLS is etcd's and not supported here: .* give --peer-cert-file/,
    );
    expect(error.exitCode).toBe(EXIT.usage);
  });
});
