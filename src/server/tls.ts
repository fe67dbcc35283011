import { join } from 'node:path';
import {
  ALL_NAMES,
  type AllowedNames,
  type Clock,
  keepSelfSigned,
  type Log,
  openTlsMaterial,
  TLS_PROTOCOL,
  TlsError,
  type TlsFiles,
  type TlsMaterial,
  type TlsProtocol,
  tlsProtocol,
} from '../io/index.ts';
import type { ServerConfig } from './config.ts';
import {
  type ClientTlsOptions,
  ConfigError,
  type PeerTlsOptions,
  type ServerOptions,
} from './options.ts';
import { parseUrl } from './url.ts';

/** What one port needs for TLS, checked. */
export interface PortTls {
  /** What was given, file by flag. */
  readonly flags: ReadonlyMap<string, string>;
  readonly files: TlsFiles;
  /** A certificate is made and kept at `files` for these hosts; null: it is the operator's. */
  readonly selfSigned: { readonly hosts: readonly string[]; readonly validityMs: number } | null;
  readonly protocol: TlsProtocol;
  /** Callers must show a certificate. */
  readonly askCertificate: boolean;
  readonly allowed: AllowedNames;
  /** Members prove by it which host they are. */
  readonly proveHosts: boolean;
}

/** TLS of both ports; null for a port that is plain. */
export interface ServerTls {
  readonly client: PortTls | null;
  readonly peer: PortTls | null;
}

const DAY_MS = 24 * 3_600_000;
const VALIDITY_DEFAULT_DAYS = 365;

/**
 * Brings `https` URLs and certificates together.
 * @throws ConfigError with one line: which option, what is wrong, what to do.
 */
export function resolveTls(options: ServerOptions, config: ServerConfig): ServerTls {
  const protocol = protocolOf(options);
  return {
    client: resolveClient(options, config, protocol),
    peer: resolvePeer(options, config, protocol),
  };
}

/**
 * Reads the files of a port, and goes on looking at them until the material is closed.
 * @throws ConfigError for files that cannot be used.
 */
export async function openPortTls(
  tls: PortTls,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<TlsMaterial> {
  const { files, protocol, selfSigned } = tls;
  try {
    if (selfSigned !== null) await keepSelfSigned({ ...files, ...selfSigned, clock, log });
    return await openTlsMaterial({ files, protocol, clock, log });
  } catch (error) {
    if (!(error instanceof TlsError)) throw error;
    const [flag = '--auto-tls'] = [...tls.flags].find(([, file]) => file === error.file) ?? [];
    throw new ConfigError(`${flag}: ${error.message}`, { cause: error });
  }
}

function resolveClient(
  options: ServerOptions,
  config: ServerConfig,
  protocol: TlsProtocol,
): PortTls | null {
  const given = options.clientTls ?? {};
  const listensTls = config.listenClients.some(({ tls }) => tls);
  const files = clientFiles(given, config);
  if (!listensTls) {
    const further = given.auto
      ? ['--auto-tls']
      : given.clientCertAuth
        ? ['--client-cert-auth']
        : [];
    refuseUnused('--listen-client-urls', [...files.flags.keys(), ...further]);
    return null;
  }
  checkAdvertised(options, config);
  checkPair(files.flags, '--cert-file', '--key-file');
  if (given.auto && given.certFile !== undefined) {
    throw new ConfigError('--auto-tls: --cert-file is given too: leave one of them out');
  }
  if (!given.auto && given.certFile === undefined) {
    throw new ConfigError(
      '--listen-client-urls: https needs --cert-file and --key-file, or --auto-tls',
    );
  }
  if (given.auto && config.dataDir === null) {
    throw new ConfigError('--auto-tls: needs a data directory to keep its certificate in');
  }
  const askCertificate = given.clientCertAuth === true || given.trustedCaFile !== undefined;
  if (askCertificate && given.trustedCaFile === undefined) {
    throw new ConfigError(
      '--client-cert-auth: needs --trusted-ca-file: without it, everybody with a certificate of ' +
        'a public authority would be let in',
    );
  }
  if (!askCertificate) refuseUnasked(given);
  return {
    ...files,
    selfSigned: given.auto ? selfSignedOf(given, config) : null,
    protocol,
    askCertificate,
    allowed: { ...ALL_NAMES, hostnames: given.allowedHostnames ?? [] },
    proveHosts: false,
  };
}

function clientFiles(
  given: ClientTlsOptions,
  config: ServerConfig,
): Pick<PortTls, 'files' | 'flags'> {
  const own = (name: string): string => join(config.dataDir ?? '', 'tls', name);
  const trustedCaFile = given.trustedCaFile ?? null;
  const crlFile = given.crlFile ?? null;
  const files: TlsFiles = {
    certFile: given.certFile ?? own('client.crt'),
    keyFile: given.keyFile ?? own('client.key'),
    clientCertFile: null,
    clientKeyFile: null,
    trustedCaFile,
    crlFile,
  };
  const flags = flagsOf({
    '--cert-file': given.certFile,
    '--key-file': given.keyFile,
    '--trusted-ca-file': given.trustedCaFile,
    '--client-crl-file': given.crlFile,
  });
  return { files, flags };
}

function selfSignedOf(given: ClientTlsOptions, config: ServerConfig): PortTls['selfSigned'] {
  const days = given.autoValidityDays ?? VALIDITY_DEFAULT_DAYS;
  if (!Number.isSafeInteger(days) || days < 1) {
    throw new ConfigError(`--self-signed-cert-validity: ${days} days: give an integer from 1`);
  }
  const urls = config.advertiseClientUrls ?? [];
  const advertised = urls.map((url) => parseUrl('--advertise-client-urls', url).host);
  const listened = config.listenClients.map(({ host }) => host);
  const hosts = new Set(['localhost', '127.0.0.1', '::1', ...listened, ...advertised]);
  return { hosts: [...hosts].sort(), validityMs: days * DAY_MS };
}

/** Rules about certificates of clients make no sense where none is asked for. */
function refuseUnasked(given: ClientTlsOptions): void {
  const flag =
    given.crlFile !== undefined
      ? '--client-crl-file'
      : given.allowedHostnames !== undefined
        ? '--client-cert-allowed-hostname'
        : null;
  if (flag === null) return;
  throw new ConfigError(`${flag}: clients are asked for no certificate: add --trusted-ca-file`);
}

function checkAdvertised(options: ServerOptions, config: ServerConfig): void {
  if (config.listenClients.some(({ tls }) => !tls)) return;
  for (const url of options.advertiseClientUrls ?? []) {
    if (parseUrl('--advertise-client-urls', url).tls) continue;
    throw new ConfigError(
      `--advertise-client-urls: '${url}': this member listens with TLS only: write https://`,
    );
  }
}

function resolvePeer(
  options: ServerOptions,
  config: ServerConfig,
  protocol: TlsProtocol,
): PortTls | null {
  const given = options.peerTls ?? {};
  const isTls = config.listenPeers[0]?.tls === true;
  checkPeerSchemes(options, config, isTls);
  const flags = flagsOf({
    '--peer-cert-file': given.certFile,
    '--peer-key-file': given.keyFile,
    '--peer-client-cert-file': given.clientCertFile,
    '--peer-client-key-file': given.clientKeyFile,
    '--peer-trusted-ca-file': given.trustedCaFile,
    '--peer-crl-file': given.crlFile,
  });
  if (!isTls) {
    refuseUnused('--listen-peer-urls', [...flags.keys()]);
    return null;
  }
  checkPair(flags, '--peer-cert-file', '--peer-key-file');
  checkPair(flags, '--peer-client-cert-file', '--peer-client-key-file');
  const { certFile, keyFile, trustedCaFile } = given;
  if (certFile === undefined || keyFile === undefined || trustedCaFile === undefined) {
    throw new ConfigError(
      '--listen-peer-urls: https needs --peer-cert-file, --peer-key-file and ' +
        '--peer-trusted-ca-file: members check each other',
    );
  }
  return {
    flags,
    files: peerFiles({ ...given, certFile, keyFile, trustedCaFile }),
    selfSigned: null,
    protocol,
    askCertificate: true,
    allowed: {
      commonNames: given.allowedCommonNames ?? [],
      hostnames: given.allowedHostnames ?? [],
    },
    proveHosts: given.skipHostProof !== true,
  };
}

function peerFiles(
  given: PeerTlsOptions & Pick<TlsFiles, 'certFile' | 'keyFile' | 'trustedCaFile'>,
): TlsFiles {
  const { certFile, keyFile, trustedCaFile } = given;
  return {
    certFile,
    keyFile,
    clientCertFile: given.clientCertFile ?? null,
    clientKeyFile: given.clientKeyFile ?? null,
    trustedCaFile,
    crlFile: given.crlFile ?? null,
  };
}

/** Members speak TLS with each other, or none of them does. */
function checkPeerSchemes(options: ServerOptions, config: ServerConfig, isTls: boolean): void {
  const urls: [option: string, url: string][] = [
    ...(options.listenPeerUrls ?? []).map(named('--listen-peer-urls')),
    ...(options.initialAdvertisePeerUrls ?? []).map(named('--initial-advertise-peer-urls')),
    ...(options.initialCluster ?? []).flatMap(({ peerUrls }) =>
      peerUrls.map(named('--initial-cluster')),
    ),
    ...Object.values(options.peerDial ?? {}).map(named('--peer-dial')),
  ];
  for (const [option, url] of urls) {
    if (parseUrl(option, url).tls === isTls) continue;
    const [scheme, others] = isTls ? ['http', 'https'] : ['https', 'http'];
    throw new ConfigError(
      `${option}: '${url}' is ${scheme} but '${config.name}' listens with ${others}: ` +
        'members speak TLS with each other all, or none of them: write the same scheme everywhere',
    );
  }
}

function named(option: string): (url: string) => [option: string, url: string] {
  return (url) => [option, url];
}

function flagsOf(given: Readonly<Record<string, string | undefined>>): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(given).flatMap(([flag, file]) => (file === undefined ? [] : [[flag, file]])),
  );
}

/** A certificate without its key is nothing, and the other way round. */
function checkPair(flags: ReadonlyMap<string, string>, cert: string, key: string): void {
  if (flags.has(cert) === flags.has(key)) return;
  const [missing, present] = flags.has(cert) ? [key, cert] : [cert, key];
  throw new ConfigError(`${present}: needs ${missing} too`);
}

/** Who configured certificates believes that the port is encrypted: it must not be plain. */
function refuseUnused(listen: string, [flag]: readonly string[]): void {
  if (flag === undefined) return;
  throw new ConfigError(`${flag}: no URL of ${listen} is https: write https:// there`);
}

function protocolOf({ tlsProtocol: wanted }: ServerOptions): TlsProtocol {
  if (wanted === undefined) return TLS_PROTOCOL;
  const { cipherSuites = [], minVersion = null, maxVersion = null } = wanted;
  const versions = { minVersion, maxVersion };
  // The versions alone first, so that the line can name the right flag.
  attempt('--tls-min-version', () => tlsProtocol({ cipherSuites: [], ...versions }));
  return attempt('--cipher-suites', () => tlsProtocol({ cipherSuites, ...versions }));
}

function attempt<Value>(flag: string, run: () => Value): Value {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new ConfigError(`${flag}: ${error.message}`, { cause: error });
  }
}
