import { constants } from 'node:crypto';
import type { SecureContextOptions, SecureVersion } from 'node:tls';

/** Which versions and cipher suites of TLS are spoken. */
export interface TlsProtocol {
  readonly minVersion: SecureVersion;
  readonly maxVersion: SecureVersion;
  /** Suites of TLS 1.2 as OpenSSL names them, colon-separated; those of 1.3 are always on. */
  readonly ciphers: string;
}

/** Suites of TLS 1.2 with authenticated encryption and forward secrecy, by their IANA names. */
const SUITES = new Map([
  ['TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256', 'ECDHE-RSA-AES128-GCM-SHA256'],
  ['TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384', 'ECDHE-RSA-AES256-GCM-SHA384'],
  ['TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ['TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256', 'ECDHE-RSA-CHACHA20-POLY1305'],
]);
/** Older Go names of the same. */
const OLD_NAME_END = /_CHACHA20_POLY1305$/;

const SUITES_OF_1_3 = [
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'TLS_AES_128_GCM_SHA256',
];

const VERSIONS = new Map<string, SecureVersion>([
  ['TLS1.2', 'TLSv1.2'],
  ['TLS1.3', 'TLSv1.3'],
]);

/** TLS 1.2 and 1.3 with AEAD suites only. */
export const TLS_PROTOCOL: TlsProtocol = tlsProtocol({
  cipherSuites: [],
  minVersion: null,
  maxVersion: null,
});

/**
 * The protocol for etcd's `--cipher-suites`, `--tls-min-version` and `--tls-max-version`; empty and
 * null mean the default.
 * @throws RangeError for a suite that is unknown or weak, and for versions below 1.2 or that cross.
 */
export function tlsProtocol(wanted: {
  readonly cipherSuites: readonly string[];
  readonly minVersion: string | null;
  readonly maxVersion: string | null;
}): TlsProtocol {
  const minVersion = versionOf(wanted.minVersion ?? 'TLS1.2');
  const maxVersion = versionOf(wanted.maxVersion ?? 'TLS1.3');
  if (minVersion > maxVersion) throw new RangeError('the lowest TLS version is above the highest');
  const suites = wanted.cipherSuites.length === 0 ? [...SUITES.keys()] : wanted.cipherSuites;
  if (wanted.cipherSuites.length > 0 && minVersion === 'TLSv1.3') {
    throw new RangeError('cipher suites can be chosen for TLS 1.2 only, which is switched off');
  }
  const ciphers = [...SUITES_OF_1_3, ...suites.map(suiteOf)].join(':');
  return { minVersion, maxVersion, ciphers };
}

/** What every context of ours has, besides keys and certificates. */
export function contextBase(protocol: TlsProtocol): SecureContextOptions {
  // No session is ever resumed: each connection shows its certificate to the rules of that moment.
  const secureOptions = constants.SSL_OP_NO_TICKET | constants.SSL_OP_NO_RENEGOTIATION;
  return { ...protocol, secureOptions, honorCipherOrder: true };
}

function versionOf(text: string): SecureVersion {
  const version = VERSIONS.get(text);
  if (version === undefined) {
    throw new RangeError(`TLS version '${text}': choose ${[...VERSIONS.keys()].join(' or ')}`);
  }
  return version;
}

function suiteOf(name: string): string {
  const suite = SUITES.get(OLD_NAME_END.test(name) ? `${name}_SHA256` : name);
  if (suite !== undefined) return suite;
  throw new RangeError(`cipher suite '${name}': choose from ${[...SUITES.keys()].join(', ')}`);
}
