import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { createSecureContext, type SecureContext, type SecureContextOptions } from 'node:tls';
import { revokedSerials } from './tls-crl.ts';
import { TLS_LIMITS } from './tls-limits.ts';
import { contextBase, type TlsProtocol } from './tls-protocol.ts';

/** Where keys, certificates and lists are; all PEM. */
export interface TlsFiles {
  /** Own certificate, followed by those of intermediate authorities. */
  readonly certFile: string;
  readonly keyFile: string;
  /** What is shown when dialling; null: the same. etcd: `--peer-client-cert-file`. */
  readonly clientCertFile: string | null;
  readonly clientKeyFile: string | null;
  /** Authorities whose certificates are believed; null: those that Node brings. */
  readonly trustedCaFile: string | null;
  /** Certificates that are believed no longer. etcd: `--peer-crl-file`, `--client-crl-file`. */
  readonly crlFile: string | null;
}

/** Keys or certificates that can't be used: one line that names the file and what is wrong. */
export class TlsError extends Error {
  readonly file: string;

  constructor(file: string, problem: string, options: { cause?: unknown } = {}) {
    super(`${file}: ${problem}`, options);
    this.name = 'TlsError';
    this.file = file;
  }
}

/** What was read from the files at one moment, found usable and fitting together. */
export interface TlsCredentials {
  /** For those who listen. */
  readonly server: SecureContextOptions;
  /** For those who dial. */
  readonly client: SecureContext;
  /** Serial numbers of the certificates that are believed no longer. */
  readonly revoked: ReadonlySet<bigint>;
  /** The own certificate that ends first. */
  readonly firstEnd: CertificateEnd;
  /** Same bytes in all files, same fingerprint. */
  readonly fingerprint: string;
}

/** Until when a certificate is valid. */
export interface CertificateEnd {
  readonly file: string;
  readonly subject: string;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

interface Content {
  readonly file: string;
  readonly bytes: Buffer;
}

/** @throws TlsError for files that are missing, broken or do not fit together. */
export async function readCredentials(
  files: TlsFiles,
  protocol: TlsProtocol,
): Promise<TlsCredentials> {
  const cert = await readOne(files.certFile);
  const key = await readOne(files.keyFile);
  const clientCert = await readOptional(files.clientCertFile);
  const clientKey = await readOptional(files.clientKeyFile);
  const ca = await readOptional(files.trustedCaFile);
  const crl = await readOptional(files.crlFile);

  const server = contextOptions(cert, key, ca, protocol);
  const client = contextOptions(clientCert ?? cert, clientKey ?? key, ca, protocol);
  const ends = [cert, clientCert].flatMap((content) => (content === null ? [] : endsOf(content)));
  attempt(cert.file, () => createSecureContext(server));
  return {
    server,
    client: attempt((clientCert ?? cert).file, () => createSecureContext(client)),
    revoked: crl === null ? new Set() : await revokedIn(crl),
    firstEnd: ends.reduce((a, b) => (a.expiresMs <= b.expiresMs ? a : b)),
    fingerprint: [cert, key, clientCert, clientKey, ca, crl].map(digestOf).join(' '),
  };
}

function contextOptions(
  cert: Content,
  key: Content,
  ca: Content | null,
  protocol: TlsProtocol,
): SecureContextOptions {
  const leaf = attempt(cert.file, () => new X509Certificate(cert.bytes));
  const privateKey = attempt(key.file, () => createPrivateKey(key.bytes));
  if (!leaf.checkPrivateKey(privateKey)) {
    throw new TlsError(key.file, `is not the key of the certificate in ${cert.file}`);
  }
  const own = { ...contextBase(protocol), cert: cert.bytes, key: key.bytes };
  if (ca === null) return own;
  attempt(ca.file, () => certificatesIn(ca));
  return { ...own, ca: ca.bytes };
}

async function revokedIn({ file, bytes }: Content): Promise<ReadonlySet<bigint>> {
  try {
    return await revokedSerials(bytes);
  } catch (error) {
    throw asTlsError(file, error);
  }
}

function endsOf(content: Content): CertificateEnd[] {
  return certificatesIn(content).map(({ subject, validTo }) => {
    return { file: content.file, subject, expiresMs: Date.parse(validTo) };
  });
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]*-----END CERTIFICATE-----/g;

/** @throws TlsError when there is none, or a broken one. */
function certificatesIn({ file, bytes }: Content): X509Certificate[] {
  const blocks = bytes.toString('latin1').match(CERTIFICATE);
  if (blocks === null) throw new TlsError(file, 'holds no certificate in PEM');
  return blocks.map((block) => attempt(file, () => new X509Certificate(block)));
}

function digestOf(content: Content | null): string {
  if (content === null) return '-';
  return createHash('sha256').update(content.bytes).digest('hex');
}

async function readOptional(file: string | null): Promise<Content | null> {
  return file === null ? null : readOne(file);
}

async function readOne(file: string): Promise<Content> {
  try {
    const { size } = await stat(file);
    if (size > TLS_LIMITS.fileBytesMax) {
      throw new TlsError(file, `larger than ${TLS_LIMITS.fileBytesMax} bytes`);
    }
    return { file, bytes: await readFile(file) };
  } catch (error) {
    throw asTlsError(file, error);
  }
}

function attempt<Value>(file: string, run: () => Value): Value {
  try {
    return run();
  } catch (error) {
    throw asTlsError(file, error);
  }
}

function asTlsError(file: string, error: unknown): TlsError {
  if (error instanceof TlsError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new TlsError(file, `cannot be used: ${message}`, { cause: error });
}
