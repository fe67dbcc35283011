import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Clock } from './clock.ts';
import type { Log } from './log.ts';
import { TlsError } from './tls-credentials.ts';
import { TLS_LIMITS } from './tls-limits.ts';
import { coversHost } from './tls-rules.ts';

export interface SelfSignedOptions {
  readonly certFile: string;
  readonly keyFile: string;
  /** Names and IP addresses that the certificate must cover. */
  readonly hosts: readonly string[];
  /** How long a new one is valid, milliseconds. */
  readonly validityMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Sees to it that there is a certificate that nobody but itself has signed: the one that is there,
 * or a new one when it is broken, ends soon or does not cover a host. The key is for the owner's
 * eyes (mode 0600).
 * @throws TlsError when the files cannot be written.
 */
export async function keepSelfSigned(options: SelfSignedOptions): Promise<void> {
  if (await isUsable(options)) return;
  const { certFile, keyFile, hosts, validityMs, clock, log } = options;
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const { makeCertificate } = await import('./tls-certificate.ts');
  const commonNames = ['quorate'];
  const nowMs = clock.wallMs();
  const text = {
    commonNames,
    hosts,
    serial: randomBytes(8).readBigUInt64BE() + 1n,
    notBefore: new Date(nowMs),
    notAfter: new Date(nowMs + validityMs),
    usage: ['serverAuth'],
  } as const;
  const certificate = makeCertificate(text, publicKey, { commonNames, key: privateKey });
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' });
  try {
    await mkdir(dirname(keyFile), { recursive: true, mode: 0o700 });
    // A crash between the two leaves a pair that does not fit: the next start makes another.
    await writeAnew(keyFile, String(key));
    await writeAnew(certFile, certificate);
  } catch (cause) {
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new TlsError(certFile, `cannot be made: ${said}`, { cause });
  }
  const { fingerprint256 } = new X509Certificate(certificate);
  log.info('made a self-signed certificate', {
    file: certFile,
    hosts,
    expires: text.notAfter.toISOString(),
    sha256: fingerprint256,
  });
}

async function isUsable(options: SelfSignedOptions): Promise<boolean> {
  const { certFile, keyFile, hosts, validityMs, clock } = options;
  try {
    const certificate = new X509Certificate(await readFile(certFile));
    const leftMs = Date.parse(certificate.validTo) - clock.wallMs();
    const fits = certificate.checkPrivateKey(createPrivateKey(await readFile(keyFile)));
    const lasts = leftMs > Math.min(TLS_LIMITS.expiryWarningMs, validityMs / 2);
    return fits && lasts && hosts.every((host) => coversHost(certificate, host));
  } catch (error) {
    // Missing or broken, whatever the reason: it is made anew, which says what is really wrong.
    if (error instanceof Error) return false;
    throw error;
  }
}

/** Not into the old file, whose mode may be another. */
async function writeAnew(file: string, text: string): Promise<void> {
  await rm(file, { force: true });
  await writeFile(file, text, { mode: 0o600, flag: 'wx', flush: true });
}
