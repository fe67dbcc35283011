import { describe, expect, test } from 'vitest';
import { resolveConfig } from './config.ts';
import { ConfigError, type ServerOptions } from './options.ts';

const CLUSTER = [
  { name: 'a', peerUrls: ['http://127.0.0.1:1'] },
  { name: 'b', peerUrls: ['http://127.0.0.1:2'] },
  { name: 'c', peerUrls: ['http://127.0.0.1:3'] },
];

describe('resolveConfig', () => {
  test('without options it is a single member on etcd’s ports', () => {
    const config = resolveConfig({});
    expect(config).toMatchObject({
      name: 'default',
      dataDir: 'default.quorate',
      listenClients: [{ host: '127.0.0.1', port: 2379, tls: false }],
      listenPeers: [{ host: '127.0.0.1', port: 2380, tls: false }],
      peers: [],
    });
    expect(config.confState.voters).toEqual([config.memberId]);
  });

  test('members derive the same ids from one cluster, in whatever order it is written', () => {
    const [a, b] = ['a', 'b'].map((name) => resolveConfig({ name, initialCluster: CLUSTER }));
    const reversed = resolveConfig({ name: 'a', initialCluster: [...CLUSTER].reverse() });
    expect(a?.clusterId).toBe(b?.clusterId);
    expect(a?.confState).toEqual(b?.confState);
    expect(reversed).toMatchObject({ clusterId: a?.clusterId, memberId: a?.memberId });
    expect(a?.peers.map((peer) => peer.memberId)).toContain(b?.memberId);
  });

  test('another token makes another cluster of the same members', () => {
    const one = resolveConfig({ name: 'a', initialCluster: CLUSTER });
    const other = resolveConfig({ name: 'a', initialCluster: CLUSTER, initialClusterToken: 'x' });
    expect(other.clusterId).not.toBe(one.clusterId);
    expect(other.memberId).not.toBe(one.memberId);
  });

  test('peerDial changes where a member is dialled and nothing else', () => {
    const plain = resolveConfig({ name: 'a', initialCluster: CLUSTER });
    const dialled = resolveConfig({
      name: 'a',
      initialCluster: CLUSTER,
      peerDial: { b: 'http://127.0.0.1:99' },
    });
    expect(dialled.clusterId).toBe(plain.clusterId);
    expect(dialled.peers.map((peer) => peer.address.port).sort()).toEqual([3, 99]);
  });

  test('a member with several peer URLs is dialled at each, and listens on each of its own', () => {
    const b = { name: 'b', peerUrls: ['http://127.0.0.1:2', 'http://[::1]:2'] };
    const { peers, listenPeers } = resolveConfig({
      name: 'a',
      initialCluster: [{ name: 'a', peerUrls: ['http://127.0.0.1:1'] }, b],
      listenPeerUrls: ['http://127.0.0.1:1', 'http://[::1]:1'],
    });
    expect(peers).toMatchObject([
      { address: { host: '127.0.0.1', port: 2 }, alsoAt: [{ host: '::1', port: 2 }] },
    ]);
    expect(listenPeers.map(({ host }) => host)).toEqual(['127.0.0.1', '::1']);
  });

  test('a cluster that turns TLS on stays the same cluster', () => {
    const secure = CLUSTER.map(({ name, peerUrls }) => {
      return { name, peerUrls: peerUrls.map((url) => url.replace('http:', 'https:')) };
    });
    const [plain, tls] = [CLUSTER, secure].map((initialCluster) =>
      resolveConfig({ name: 'a', initialCluster }),
    );
    expect(tls?.clusterId).toBe(plain?.clusterId);
    expect(tls?.memberId).toBe(plain?.memberId);
  });

  const bad: [string, ServerOptions, RegExp][] = [
    [
      'a URL without scheme',
      { listenClientUrls: ['localhost:2379'] },
      /--listen-client-urls: 'localhost:2379'/,
    ],
    [
      'a host without port',
      { listenClientUrls: ['http://localhost'] },
      /must be http:\/\/HOST:PORT/,
    ],
    [
      'another scheme',
      { listenPeerUrls: ['unix://localhost:2380'] },
      /scheme 'unix' is not served/,
    ],
    ['a port too high', { listenClientUrls: ['http://h:70000'] }, /port 70000 is above 65535/],
    ['a path', { listenClientUrls: ['http://h:1/x'] }, /without a path/],
    ['no URL', { listenClientUrls: [] }, /needs at least one URL/],
    ['a name not in the cluster', { name: 'z', initialCluster: CLUSTER }, /name 'z' is not in it/],
    ['a name with a space', { name: 'a b' }, /'a b' is no member name/],
    [
      'two members of one name',
      { name: 'a', initialCluster: [...CLUSTER, { name: 'a', peerUrls: ['http://h:9'] }] },
      /name 'a' stands twice/,
    ],
    [
      'two members of one URL',
      { name: 'a', initialCluster: [...CLUSTER, { name: 'd', peerUrls: ['http://127.0.0.1:1'] }] },
      /URL 'http:\/\/127.0.0.1:1' stands twice/,
    ],
    [
      'another advertised URL than in the cluster',
      { name: 'a', initialCluster: CLUSTER, initialAdvertisePeerUrls: ['http://127.0.0.1:7'] },
      /make them equal/,
    ],
    ['a negative interval', { heartbeatIntervalMs: -1 }, /--heartbeat-interval: -1/],
    ['a fractional timeout', { electionTimeoutMs: 10.5 }, /--election-timeout: 10.5/],
    ['NaN', { requestTimeoutMs: Number.NaN }, /--request-timeout: NaN/],
    ['an election timeout near the heartbeat', { heartbeatIntervalMs: 200 }, /at least 5 times/],
    [
      'an undiallable advertised host',
      { advertiseClientUrls: ['http://0.0.0.0:1'] },
      /nobody can dial/,
    ],
    ['an empty data directory', { dataDir: '' }, /--data-dir: is empty/],
  ];
  test.each(bad)('refuses %s with one line that names the option', (_title, options, line) => {
    expect(() => resolveConfig(options)).toThrow(ConfigError);
    expect(() => resolveConfig(options)).toThrow(line);
    expect(() => resolveConfig(options)).not.toThrow(/\n/);
  });
});
