import { readFileSync } from 'node:fs';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { findFreePorts } from '../src/cli/cluster/index.ts';
import { EXIT } from '../src/cli/exit.ts';
import { run } from '../src/cli/program.ts';
import { serverOptions } from '../src/cli/serve.ts';
import { resolveSettings } from '../src/cli/serve-settings.ts';
import { TestHost } from '../src/cli/testing/host.ts';
import { Clerk, type ClerkTls, KvError } from '../src/client/index.ts';
import { type Log, silentLog } from '../src/io/index.ts';
import { Authority, type Issued, type Wanted } from '../src/io/testing/authority.ts';
import { type Server, type ServerOptions, startServer } from '../src/server/index.ts';

/* Clerk, client port, members and their files, as in production: everything speaks TLS. */

const peers = new Authority('members');
const clients = new Authority('clients');
const stranger = new Authority('stranger');
afterAll(() => {
  for (const authority of [peers, clients, stranger]) authority.remove();
});

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Started {
  readonly server: Server;
  /** Warnings and errors, as one text each. */
  readonly troubles: string[];
}

async function start(options: ServerOptions): Promise<Started> {
  const troubles: string[] = [];
  const note = (message: string, fields: object = {}): void => {
    troubles.push(`${message} ${JSON.stringify(fields)}`);
  };
  const log: Log = { ...silentLog, warn: note, error: note };
  const server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['https://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
    log,
    ...options,
  });
  cleanups.push(() => server.close());
  return { server, troubles };
}

/** A member whose client port shows this certificate and asks for one. */
function mutual(own: Issued = clients.issue()): ServerOptions {
  return { clientTls: { ...own, trustedCaFile: clients.caFile } };
}

/** A client that this authority has signed. */
function credentials(wanted: Wanted = {}, authority = clients): ClerkTls {
  const { certFile, keyFile } = authority.issue({ commonName: 'client', ...wanted });
  return {
    ca: readFileSync(clients.caFile),
    cert: readFileSync(certFile),
    key: readFileSync(keyFile),
  };
}

async function connect(servers: readonly Server[], tls: ClerkTls): Promise<Clerk> {
  const endpoints = servers.flatMap(({ clientUrls }) => clientUrls);
  const clerk = await Clerk.connect({ endpoints, tls });
  cleanups.push(() => clerk.close());
  return clerk;
}

/** Options of three members whose certificates are for the host of their peer URL. */
async function three(): Promise<[ServerOptions, ServerOptions, ServerOptions]> {
  const ports = await findFreePorts(3);
  const initialCluster = ['a', 'b', 'c'].map((name, at) => {
    return { name, peerUrls: [`https://127.0.0.1:${ports[at]}`] };
  });
  const [a, b, c] = initialCluster.map(({ name, peerUrls }) => {
    const peerTls = { ...peers.issue({ commonName: name }), trustedCaFile: peers.caFile };
    return { name, initialCluster, listenPeerUrls: peerUrls, peerTls, ...mutual() };
  });
  return [a, b, c] as [ServerOptions, ServerOptions, ServerOptions];
}

/** A leader is there by then, on however busy a machine. */
const ELECTED_MS = 20_000;

describe('three members with TLS on both ports', () => {
  test('elect a leader, and a clerk with a certificate writes and reads on each', async () => {
    const members = await Promise.all((await three()).map(start));
    const servers = members.map(({ server }) => server);
    const clerk = await connect(servers, credentials());
    await clerk.put('k', 'v', { timeoutMs: ELECTED_MS });
    await Promise.all(Array.from({ length: 200 }, () => clerk.append('k', '.')));
    for (const server of servers) {
      const one = await connect([server], credentials());
      expect(await one.get('k')).toBe(`v${'.'.repeat(200)}`);
    }
    expect(servers.every(({ peerUrls }) => peerUrls[0]?.startsWith('https:'))).toBe(true);
  });

  test('leave out a member whose common name is not allowed, and say why', async () => {
    const [a, b, c] = await three();
    const only = ({ peerTls }: ServerOptions) => {
      return { peerTls: { ...peerTls, allowedCommonNames: ['a', 'b'] } };
    };
    const giveUp = new AbortController();
    // It starts when it has heard others, so it never does.
    const outsider = start({ ...c, signal: giveUp.signal }).then(
      () => 'started',
      () => 'given up',
    );
    const members = await Promise.all([start({ ...a, ...only(a) }), start({ ...b, ...only(b) })]);
    const clerk = await connect(
      members.map(({ server }) => server),
      credentials(),
    );
    await clerk.put('k', 'v', { timeoutMs: ELECTED_MS });
    const said = "certificate of 'c' is not among those allowed";
    await expect.poll(() => members[0].troubles.join('\n'), { timeout: 10_000 }).toContain(said);
    giveUp.abort();
    expect(await outsider).toBe('given up');
  });
});

test('a member is found at whichever of its peer URLs answers', async () => {
  const [dead, first, second, other] = (await findFreePorts(4)).map(
    (port) => `https://127.0.0.1:${port}`,
  ) as [string, string, string, string];
  const initialCluster = [
    { name: 'a', peerUrls: [dead, second] },
    { name: 'b', peerUrls: [other] },
  ];
  const own = (name: string) => ({
    name,
    initialCluster,
    peerTls: { ...peers.issue({ commonName: name }), trustedCaFile: peers.caFile },
    ...mutual(),
  });
  const [a, b] = await Promise.all([
    start({ ...own('a'), listenPeerUrls: [first, second] }),
    start({ ...own('b'), listenPeerUrls: [other] }),
  ]);
  expect(a.server.peerUrls).toEqual([first, second]);
  const clerk = await connect([a.server, b.server], credentials());
  await clerk.put('k', 'v', { timeoutMs: ELECTED_MS });
  expect(b.server.status().leader).not.toBeNull();
});

describe('a clerk that cannot come in is told why in one line:', () => {
  /** The line that it gets for its question to a member. */
  async function lineOf(server: Server, tls: ClerkTls | null, scheme = 'https'): Promise<string> {
    const endpoints = server.clientUrls.map((url) => url.replace(/^https?/, scheme));
    const clerk = await Clerk.connect({ endpoints, ...(tls === null ? {} : { tls }) });
    cleanups.push(() => clerk.close());
    const error = await clerk.status().catch((reason: unknown) => reason);
    if (!(error instanceof KvError)) throw new Error(`came in: ${error}`);
    expect(error.code).toBe('UNREACHABLE');
    expect(error.message).not.toContain('\n');
    return error.message;
  }

  const expired = { validFrom: new Date('2020-01-01'), validTo: new Date('2020-01-02') };

  test.each<[string, () => ServerOptions, () => ClerkTls | null, RegExp]>([
    [
      'the member is signed by nobody it knows',
      () => mutual(),
      () => ({ ...credentials(), ca: readFileSync(stranger.caFile) }),
      /TLS: self-signed certificate in certificate chain/,
    ],
    [
      'no authority is given',
      () => mutual(),
      () => null,
      /TLS: self-signed certificate in certificate chain/,
    ],
    [
      "the member's certificate has expired",
      () => mutual(clients.issue(expired)),
      () => credentials(),
      /TLS: certificate has expired/,
    ],
    [
      "the member's certificate is for another host",
      () => mutual(clients.issue({ names: ['elsewhere'] })),
      () => credentials(),
      /TLS: Hostname\/IP does not match certificate's altnames: IP: 127.0.0.1 is not in/,
    ],
  ])('%s', async (_title, options, tls, line) => {
    const { server } = await start(options());
    expect(await lineOf(server, tls())).toMatch(line);
  });

  test.each<[string, () => ClerkTls, RegExp]>([
    ['it shows no certificate', () => ({ ca: readFileSync(clients.caFile) }), /no certificate was/],
    [
      'its certificate is of a stranger',
      () => credentials({}, stranger),
      /certificate is not valid/,
    ],
    ['its certificate has expired', () => credentials(expired), /CERT_HAS_EXPIRED/],
    [
      'its certificate has none of the allowed names',
      () => credentials({ names: ['other'] }),
      /certificate of 'client' is not among those allowed/,
    ],
  ])('%s', async (_title, tls, reason) => {
    const { clientTls } = mutual();
    const { server, troubles } = await start({
      clientTls: { ...clientTls, allowedHostnames: ['localhost'] },
    });
    expect(await lineOf(server, tls())).toMatch(
      /https:.*: hung up after the TLS handshake: it may/,
    );
    expect(troubles.join('\n')).toMatch(reason);
  });

  test('it speaks plain to a TLS port', async () => {
    const { server, troubles } = await start(mutual());
    expect(await lineOf(server, null, 'http')).toMatch(/is it an https:\/\/ endpoint\?/);
    expect(troubles.join('\n')).toContain('a client speaks plain to this port, which is TLS');
  });

  test('it speaks TLS to a plain port', async () => {
    const { server } = await start({ listenClientUrls: ['http://127.0.0.1:0'] });
    expect(await lineOf(server, credentials())).toMatch(/is it an http:\/\/ endpoint\?/);
  });

  test('its key or certificate cannot be used', async () => {
    const connecting = (tls: ClerkTls) => Clerk.connect({ endpoints: 'https://127.0.0.1:1', tls });
    await expect(connecting({ ca: 'x', cert: 'x' })).rejects.toThrow(/^tls: certificate and key/);
    await expect(connecting({ cert: 'x', key: 'x' })).rejects.toThrow(/^tls: cannot be used/);
  });
});

test('a clerk that believes anybody comes in', async () => {
  const { server } = await start({ clientTls: stranger.issue() });
  const clerk = await connect([server], { insecureSkipVerify: true });
  await clerk.put('k', 'v');
  expect(await clerk.get('k')).toBe('v');
  const [url = ''] = server.clientUrls;
  expect(await clerk.status(url.replace('https://', ''))).toMatchObject({ role: 'leader' });
});

describe('the command line', () => {
  async function says(args: readonly string[], environment: Record<string, string> = {}) {
    const host = new TestHost({ environment });
    const code = await run(args, host);
    return { code, output: host.output, errors: host.errors.join('\n') };
  }

  test('takes keys and certificates by flag or variable, as etcdctl does', async () => {
    const { server } = await start(mutual());
    const [url = ''] = server.clientUrls;
    const { certFile, keyFile } = clients.issue();
    const flags = ['--cacert', clients.caFile, '--cert', certFile, '--key', keyFile];
    const put = await says(['put', 'k', 'v', '--endpoints', url, ...flags]);
    expect(put).toEqual({ code: EXIT.ok, output: 'OK\n', errors: '' });
    const environment = {
      ETCDCTL_ENDPOINTS: url.replace('https://', ''),
      ETCDCTL_CACERT: '/nowhere',
      QUORATE_CACERT: clients.caFile,
      ETCDCTL_CERT: certFile,
      ETCDCTL_KEY: keyFile,
    };
    expect((await says(['get', 'k'], environment)).output).toBe('v\n');
    expect((await says(['status'], environment)).output).toContain('role=leader');
  });

  test('names the flag or variable whose file cannot be read', async () => {
    const byFlag = await says(['get', 'k', '--cacert', '/nowhere/ca.crt']);
    expect(byFlag.code).toBe(EXIT.usage);
    expect(byFlag.errors).toMatch(/^error: --cacert: ENOENT.*\/nowhere\/ca.crt/);
    const byVariable = await says(['get', 'k'], { ETCDCTL_KEY: '/nowhere/x.key' });
    expect(byVariable.errors).toMatch(/^error: ETCDCTL_KEY: ENOENT/);
  });

  test('believes anybody only when told to', async () => {
    const { server } = await start({ clientTls: stranger.issue() });
    const [url = ''] = server.clientUrls;
    const refused = await says(['status', '--endpoints', url]);
    expect(refused.code).toBe(EXIT.failed);
    expect(refused.output).toContain('unreachable: ');
    expect(refused.output).toContain('TLS: unable to verify the first certificate');
    const skip = ['put', 'k', 'v', '--endpoints', url, '--insecure-skip-tls-verify'];
    expect((await says(skip)).output).toBe('OK\n');
  });

  test('hands the flags of serve to the server', () => {
    const given = {
      'cert-file': 'c',
      'client-cert-auth': 'true',
      'self-signed-cert-validity': '2',
      'peer-cert-allowed-cn': 'a,b',
      'tls-min-version': 'TLS1.3',
    };
    const { settings } = resolveSettings(given, { ETCD_PEER_KEY_FILE: 'k', ETCD_AUTO_TLS: '0' });
    expect(serverOptions(settings)).toEqual({
      clientTls: { certFile: 'c', clientCertAuth: true, auto: false, autoValidityDays: 730 },
      peerTls: { keyFile: 'k', allowedCommonNames: ['a', 'b'] },
      tlsProtocol: { minVersion: 'TLS1.3' },
    });
    expect(() => resolveSettings({ 'peer-client-cert-auth': 'false' }, {})).toThrow(/always check/);
    expect(() => resolveSettings({ 'auto-tls': 'maybe' }, {})).toThrow(/is not true or false/);
  });
});
