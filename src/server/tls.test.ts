import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { get as getPlain, type IncomingMessage } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { get } from 'node:https';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import {
  type Clock,
  type Log,
  silentLog,
  systemClock,
  type Timer,
  TLS_LIMITS,
} from '../io/index.ts';
import { Authority } from '../io/testing/authority.ts';
import { resolveConfig } from './config.ts';
import {
  type ClientTlsOptions,
  ConfigError,
  type PeerTlsOptions,
  type ServerOptions,
} from './options.ts';
import { type Server, startServer } from './server.ts';
import { resolveTls } from './tls.ts';

const authority = new Authority();
afterAll(() => authority.remove());

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const CLIENT: ClientTlsOptions = { certFile: 'c.crt', keyFile: 'c.key' };
const PEER: PeerTlsOptions = { certFile: 'p.crt', keyFile: 'p.key', trustedCaFile: 'ca.crt' };
const CLIENT_URL = { listenClientUrls: ['https://127.0.0.1:2379'] };
const PEER_URL = { listenPeerUrls: ['https://127.0.0.1:2380'] };

describe('certificates and URLs that do not go together are one line that names the flag:', () => {
  const resolve = (options: ServerOptions) => resolveTls(options, resolveConfig(options));
  const cluster = (url: string) => ({
    initialCluster: [
      { name: 'default', peerUrls: ['https://127.0.0.1:2380'] },
      { name: 'b', peerUrls: [url] },
    ],
  });

  test.each<[string, ServerOptions, RegExp]>([
    ['https without a certificate', CLIENT_URL, /^--listen-client-urls: https needs --cert-file/],
    [
      'a certificate without https',
      { clientTls: CLIENT },
      /^--cert-file: no URL of --listen-client-urls is https/,
    ],
    ['--auto-tls without https', { clientTls: { auto: true } }, /^--auto-tls: no URL of/],
    [
      'a certificate without its key',
      { ...CLIENT_URL, clientTls: { certFile: 'c' } },
      /^--cert-file: needs --key-file too/,
    ],
    [
      'a key without its certificate',
      { ...CLIENT_URL, clientTls: { keyFile: 'c' } },
      /^--key-file: needs --cert-file too/,
    ],
    [
      'two certificates',
      { ...CLIENT_URL, clientTls: { ...CLIENT, auto: true } },
      /^--auto-tls: --cert-file is given too/,
    ],
    [
      '--auto-tls in memory',
      { ...CLIENT_URL, dataDir: { memory: true }, clientTls: { auto: true } },
      /^--auto-tls: needs a data directory/,
    ],
    [
      'a validity of no days',
      { ...CLIENT_URL, clientTls: { auto: true, autoValidityDays: 0 } },
      /^--self-signed-cert-validity: 0 days/,
    ],
    [
      'clients asked without an authority',
      { ...CLIENT_URL, clientTls: { ...CLIENT, clientCertAuth: true } },
      /^--client-cert-auth: needs --trusted-ca-file/,
    ],
    [
      'revoked clients that are not asked',
      { ...CLIENT_URL, clientTls: { ...CLIENT, crlFile: 'x' } },
      /^--client-crl-file: clients are asked for no certificate/,
    ],
    [
      'allowed clients that are not asked',
      { ...CLIENT_URL, clientTls: { ...CLIENT, allowedHostnames: ['x'] } },
      /^--client-cert-allowed-hostname: clients are asked for no certificate/,
    ],
    [
      'an advertised URL that is not served',
      { ...CLIENT_URL, clientTls: CLIENT, advertiseClientUrls: ['http://127.0.0.1:2379'] },
      /^--advertise-client-urls: 'http:.*listens with TLS only: write https/,
    ],
    ['https peers without certificates', PEER_URL, /^--listen-peer-urls: https needs --peer-cert/],
    [
      'peer certificates without https',
      { peerTls: PEER },
      /^--peer-cert-file: no URL of --listen-peer/,
    ],
    [
      'a certificate for calling without its key',
      { ...PEER_URL, peerTls: { ...PEER, clientCertFile: 'x' } },
      /^--peer-client-cert-file: needs --peer-client-key-file too/,
    ],
    [
      'members of which one is plain',
      { ...PEER_URL, peerTls: PEER, ...cluster('http://127.0.0.1:3') },
      /^--initial-cluster: 'http:.*' is http but 'default' listens with https: members speak TLS/,
    ],
    [
      'a plain listener among TLS members',
      { ...cluster('https://127.0.0.1:3'), listenPeerUrls: ['http://127.0.0.1:2380'] },
      /^--initial-cluster: 'https:.*' is https but 'default' listens with http/,
    ],
    [
      'a weak cipher suite',
      { tlsProtocol: { cipherSuites: ['TLS_RSA_WITH_RC4_128_SHA'] } },
      /^--cipher-suites: cipher suite 'TLS_RSA_WITH_RC4_128_SHA': choose from/,
    ],
    ['an old TLS', { tlsProtocol: { minVersion: 'TLS1.0' } }, /^--tls-min-version: TLS version/],
  ])('%s', (_title, options, line) => {
    expect(() => resolve(options)).toThrow(ConfigError);
    expect(() => resolve(options)).toThrow(line);
    expect(() => resolve(options)).not.toThrow(/\n/);
  });

  test('plain ports need nothing', () => {
    expect(resolve({})).toEqual({ client: null, peer: null });
  });

  test('an authority alone means that clients must show a certificate', () => {
    const clientTls = { ...CLIENT, trustedCaFile: 'ca.crt' };
    expect(resolve({ ...CLIENT_URL, clientTls }).client?.askCertificate).toBe(true);
    expect(resolve({ ...CLIENT_URL, clientTls: CLIENT }).client?.askCertificate).toBe(false);
  });

  test('one file may hold certificate and key', () => {
    const clientTls = { certFile: 'both.pem', keyFile: 'both.pem' };
    expect(resolve({ ...CLIENT_URL, clientTls }).client?.files.keyFile).toBe('both.pem');
  });
});

/** A lone member with these client URLs. */
async function start(options: ServerOptions, log: Log = silentLog): Promise<Server> {
  const server = await startServer({
    dataDir: { memory: true },
    listenClientUrls: ['https://127.0.0.1:0'],
    listenPeerUrls: ['http://127.0.0.1:0'],
    log,
    ...options,
  });
  cleanups.push(() => server.close());
  return server;
}

/** The machine's clock, but for timers that are due long after the test: it runs them on demand. */
class LeapingClock implements Clock {
  readonly #late = new Map<number, Set<() => void>>();
  readonly nowMs = systemClock.nowMs;
  readonly wallMs = systemClock.wallMs;
  readonly defer = systemClock.defer;

  setTimer(delayMs: number, run: () => void): Timer {
    if (delayMs < TLS_LIMITS.reloadIntervalMs) return systemClock.setTimer(delayMs, run);
    const waiting = this.#late.get(delayMs) ?? new Set();
    this.#late.set(delayMs, waiting.add(run));
    return { cancel: () => void waiting.delete(run) };
  }

  /** Runs the timers that were set with this delay. */
  leap(delayMs: number): void {
    const due = this.#late.get(delayMs) ?? new Set();
    this.#late.delete(delayMs);
    for (const run of due) run();
  }
}

/** Files of a fresh certificate, as options. */
function issued(): Required<Pick<ClientTlsOptions, 'certFile' | 'keyFile'>> {
  return authority.issue();
}

const ca = readFileSync(authority.caFile);

async function page(url: string, path = '/livez'): Promise<string> {
  const fetch = url.startsWith('https:') ? get : getPlain;
  const [response] = (await once(fetch(`${url}${path}`, { ca, agent: false }), 'response')) as [
    IncomingMessage,
  ];
  let text = '';
  for await (const part of response.setEncoding('utf8')) text += part;
  return text;
}

function portOf(server: Server): number {
  return Number(new URL(server.clientUrls[0] ?? '').port);
}

describe('the client port with TLS', () => {
  test('serves pages and HTTP/2, whatever the client prefers', async () => {
    const server = await start({ clientTls: issued() });
    const [url = ''] = server.clientUrls;
    expect(url).toMatch(/^https:/);
    expect(await page(url)).toBe('ok\n');
    const session = connectHttp2(url, { ca });
    await once(session, 'remoteSettings');
    session.close();
  });

  test('serves who negotiates nothing by the first bytes', async () => {
    const server = await start({ clientTls: issued() });
    const socket = connectTls({ host: '127.0.0.1', port: portOf(server), ca });
    socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n');
    const [answer] = await once(socket, 'data');
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 /);
    socket.destroy();
  });

  test('tells a plain client what to write, and says so in the log', async () => {
    const warnings: string[] = [];
    const log = { ...silentLog, warn: (message: string) => void warnings.push(message) };
    const server = await start({ clientTls: issued() }, log);
    const answer = await page(`http://127.0.0.1:${portOf(server)}`);
    expect(answer).toBe('this port speaks TLS: write https://\n');
    expect(warnings).toContain('a client speaks plain to this port, which is TLS: use https://');
  });

  test('stands beside a plain one', async () => {
    const listenClientUrls = ['https://127.0.0.1:0', 'http://127.0.0.1:0'];
    const server = await start({ clientTls: issued(), listenClientUrls });
    expect(await Promise.all(server.clientUrls.map((url) => page(url)))).toEqual(['ok\n', 'ok\n']);
  });

  test('tells in the metrics when its certificate ends', async () => {
    const clientTls = issued();
    const server = await start({ clientTls });
    const metrics = await page(server.clientUrls[0] ?? '', '/metrics');
    const { validTo } = new X509Certificate(readFileSync(clientTls.certFile));
    const seconds = Date.parse(validTo) / 1000;
    expect(metrics).toContain(
      `quorate_tls_certificate_expires_seconds{port="client"} ${seconds}\n`,
    );
  });

  test('closes at once, whoever is in a handshake or has said nothing behind it', async () => {
    const server = await start({ clientTls: issued() });
    const silent = connectTls({ host: '127.0.0.1', port: portOf(server), ca });
    await once(silent, 'secureConnect');
    const halfway = connectPlain({ host: '127.0.0.1', port: portOf(server) });
    halfway.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1));
    await once(halfway, 'connect');
    // Whoever comes later is served: the half hello has been read.
    await page(server.clientUrls[0] ?? '');
    const closed = [silent, halfway].map((socket) => once(socket.resume(), 'close'));
    await server.close();
    await Promise.all(closed);
  });

  test('takes new certificates into force without a restart', async () => {
    const clientTls = issued();
    const clock = new LeapingClock();
    const server = await start({ clientTls, io: { clock } });
    const shown = async (): Promise<string | undefined> => {
      const socket = connectTls({ host: '127.0.0.1', port: portOf(server), ca });
      await once(socket, 'secureConnect');
      const fingerprint = socket.getPeerX509Certificate()?.fingerprint256;
      socket.destroy();
      return fingerprint;
    };
    const before = await shown();
    authority.replace(clientTls, issued());
    const after = new X509Certificate(readFileSync(clientTls.certFile)).fingerprint256;
    expect(after).not.toBe(before);
    expect(await shown()).toBe(before);
    clock.leap(TLS_LIMITS.reloadIntervalMs);
    await expect.poll(shown, { timeout: 5_000 }).toBe(after);
  });

  test.each<[string, () => ClientTlsOptions, RegExp]>([
    [
      'a missing file',
      () => ({ ...issued(), keyFile: '/nowhere/x.key' }),
      /^--key-file: \/nowhere\/x.key: cannot be used: ENOENT/,
    ],
    [
      'a key of another certificate',
      () => ({ ...issued(), keyFile: issued().keyFile }),
      /^--key-file: .*is not the key of the certificate in/,
    ],
    [
      'an authority that is none',
      () => {
        const trustedCaFile = join(authority.directory, 'none');
        writeFileSync(trustedCaFile, 'none');
        return { ...issued(), trustedCaFile };
      },
      /^--trusted-ca-file: .*holds no certificate/,
    ],
  ])('does not open with %s: one line names flag and file', async (_title, clientTls, line) => {
    const starting = start({ clientTls: clientTls() });
    await expect(starting).rejects.toThrow(ConfigError);
    await expect(starting).rejects.toThrow(line);
  });
});

describe('--auto-tls', () => {
  function directory(): string {
    const path = mkdtempSync(join(tmpdir(), 'quorate-auto-'));
    cleanups.push(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  test('makes a certificate once, for the owner alone, and another if need be', async () => {
    const dataDir = directory();
    const certFile = join(dataDir, 'tls', 'client.crt');
    const options = { dataDir, clientTls: { auto: true } };
    const fingerprints: string[] = [];
    const run = async (more: ServerOptions = {}): Promise<X509Certificate> => {
      const server = await start({ ...options, ...more });
      const socket = connectTls({
        port: portOf(server),
        ca: readFileSync(certFile),
        host: '127.0.0.1',
      });
      await once(socket, 'secureConnect');
      const shown = new X509Certificate(readFileSync(certFile));
      expect(socket.getPeerX509Certificate()?.fingerprint256).toBe(shown.fingerprint256);
      socket.destroy();
      await server.close();
      fingerprints.push(shown.fingerprint256);
      return shown;
    };
    const first = await run();
    expect(first.checkHost('localhost')).toBe('localhost');
    expect(first.checkIP('::1')).toBe('::1');
    expect(statSync(join(dataDir, 'tls', 'client.key')).mode & 0o777).toBe(0o600);
    await run();
    expect(fingerprints[1]).toBe(fingerprints[0]);
    const advertised = await run({ advertiseClientUrls: ['https://db1.example:2379'] });
    expect(advertised.checkHost('db1.example')).toBe('db1.example');
    writeFileSync(certFile, 'broken');
    await run();
    expect(new Set(fingerprints).size).toBe(3);
  });
});
