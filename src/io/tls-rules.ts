import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { DetailedPeerCertificate } from 'node:tls';
import { TLS_LIMITS } from './tls-limits.ts';

/**
 * Which certificates are accepted, beyond being signed by the trusted authority. Both lists empty:
 * all of them; otherwise one that is in either list.
 */
export interface AllowedNames {
  /** Common names, compared exactly. etcd: `--peer-cert-allowed-cn`. */
  readonly commonNames: readonly string[];
  /** Names or IP addresses that a certificate is valid for. etcd: `…-cert-allowed-hostname`. */
  readonly hostnames: readonly string[];
}

export const ALL_NAMES: AllowedNames = { commonNames: [], hostnames: [] };

/** What the other side has shown: its own certificate, and its issuers' as far as it sent them. */
export interface ShownCertificate {
  readonly leaf: X509Certificate;
  /** null when there is none, or more than one. */
  readonly commonName: string | null;
  /** Of the whole chain. */
  readonly serials: readonly bigint[];
}

/**
 * Reads what `TLSSocket.getPeerCertificate(true)` returned; null when nothing was shown. To be
 * called once the authority's signature was found good: what strangers show is not looked into.
 */
export function readShown(peer: DetailedPeerCertificate): ShownCertificate | null {
  if (peer.raw === undefined) return null;
  const subject = peer.subject as { readonly CN?: unknown } | undefined;
  const serials: bigint[] = [];
  let link = peer;
  while (serials.length < TLS_LIMITS.chainLengthMax) {
    serials.push(serialOf(link.serialNumber));
    // The root is its own issuer; an issuer that was not sent is missing.
    const issuer: DetailedPeerCertificate | undefined = link.issuerCertificate;
    if (issuer === undefined || issuer === link || issuer.raw.equals(link.raw)) break;
    link = issuer;
  }
  return {
    leaf: new X509Certificate(peer.raw),
    commonName: typeof subject?.CN === 'string' ? subject.CN : null,
    serials,
  };
}

/** Hexadecimal, negative in certificates made carelessly. */
function serialOf(hex: string): bigint {
  return hex.startsWith('-') ? -BigInt(`0x${hex.slice(1)}`) : BigInt(`0x${hex}`);
}

/** Why a certificate that the authority has signed is not accepted; null when it is. */
export function refusalOf(
  shown: ShownCertificate,
  allowed: AllowedNames,
  revoked: ReadonlySet<bigint>,
): string | null {
  if (isRevoked(shown, revoked)) return 'certificate is revoked';
  const { commonNames, hostnames } = allowed;
  if (commonNames.length === 0 && hostnames.length === 0) return null;
  if (shown.commonName !== null && commonNames.includes(shown.commonName)) return null;
  if (hostnames.some((host) => coversHost(shown.leaf, host))) return null;
  return `certificate of '${shown.commonName ?? ''}' is not among those allowed`;
}

export function isRevoked(shown: ShownCertificate, revoked: ReadonlySet<bigint>): boolean {
  return shown.serials.some((serial) => revoked.has(serial));
}

/** The certificate is valid for this name or IP address, by its alternative names alone. */
export function coversHost(certificate: X509Certificate, host: string): boolean {
  if (isIP(host) !== 0) return certificate.checkIP(host) !== undefined;
  const options = { subject: 'never', partialWildcards: false } as const;
  return certificate.checkHost(host, options) !== undefined;
}
