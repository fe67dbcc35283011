import { generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  CertificateList,
  RevokedCertificate,
  TBSCertList,
  Time,
  Version,
} from '@peculiar/asn1-x509';
import {
  type CertificateText,
  integerBytes,
  makeCertificate,
  nameOf,
  pemOf,
  SIGNATURE,
  type Signer,
  signatureOf,
} from '../tls-certificate.ts';
import type { TlsFiles } from '../tls-credentials.ts';

/** A certificate for a test, and its key. */
export interface Issued {
  readonly certFile: string;
  readonly keyFile: string;
}

/** What a certificate says; the defaults suit a member on the loopback for the next two days. */
export interface Wanted {
  /** Empty: no subject at all. */
  readonly commonName?: string | readonly string[];
  /** Alternative names and IP addresses. */
  readonly names?: readonly string[];
  readonly validFrom?: Date;
  readonly validTo?: Date;
  /** Default both. */
  readonly usage?: 'serverAuth' | 'clientAuth';
}

const TWO_DAYS_MS = 2 * 24 * 3_600_000;
/** The clocks of a test may stand still. */
const SLACK_MS = 60_000;

/** An authority of its own in a new directory. */
export class Authority {
  readonly directory = mkdtempSync(join(tmpdir(), 'quorate-tls-'));
  readonly caFile = join(this.directory, 'ca.crt');
  readonly crlFile = join(this.directory, 'revoked.crl');
  readonly #signer: Signer;
  readonly #revoked: RevokedCertificate[] = [];
  /** High bit set: as a signed number it needs a byte more. */
  #serial = 0xa0n;

  constructor(name = 'test authority') {
    const { publicKey, privateKey } = newKeys();
    this.#signer = { commonNames: [name], key: privateKey };
    const text = {
      ...this.#text({}),
      commonNames: [name],
      hosts: [],
      usage: ['authority'],
    } as const;
    writeFileSync(this.caFile, makeCertificate(text, publicKey, this.#signer));
  }

  issue(wanted: Wanted = {}): Issued {
    const { publicKey, privateKey } = newKeys();
    const text = this.#text(wanted);
    const certificate = makeCertificate(text, publicKey, this.#signer);
    return this.#write(`cert${text.serial}`, certificate, privateKey);
  }

  /** A certificate that nobody but itself has signed, with a negative serial number. */
  selfSigned(): Issued {
    const { publicKey, privateKey } = newKeys();
    const commonNames = ['self'];
    const text = { ...this.#text({}), commonNames, serial: -5n };
    const signer = { commonNames, key: privateKey };
    return this.#write('self', makeCertificate(text, publicKey, signer), privateKey);
  }

  /** Writes `crlFile` anew, with these certificates and all revoked before. */
  revoke(...certificates: readonly Issued[]): void {
    for (const { certFile } of certificates) {
      const { serialNumber } = new X509Certificate(readFileSync(certFile));
      const userCertificate = integerBytes(BigInt(`0x${serialNumber}`));
      const revocationDate = new Time(new Date());
      this.#revoked.push(new RevokedCertificate({ userCertificate, revocationDate }));
    }
    const tbsCertList = new TBSCertList({
      version: Version.v2,
      signature: SIGNATURE,
      issuer: nameOf(this.#signer.commonNames),
      thisUpdate: new Time(new Date()),
      nextUpdate: new Time(new Date(Date.now() + TWO_DAYS_MS)),
      ...(this.#revoked.length === 0 ? {} : { revokedCertificates: this.#revoked }),
    });
    const signature = signatureOf(AsnConvert.serialize(tbsCertList), this.#signer);
    const list = new CertificateList({ tbsCertList, signatureAlgorithm: SIGNATURE, signature });
    writeFileSync(this.crlFile, pemOf('X509 CRL', AsnConvert.serialize(list)));
  }

  /** Puts a newer certificate where an older one was. */
  replace(older: Issued, newer: Issued): void {
    copyFileSync(newer.keyFile, older.keyFile);
    copyFileSync(newer.certFile, older.certFile);
  }

  /** Files for somebody who shows this certificate and believes this authority. */
  files(issued: Issued, changes: Partial<TlsFiles> = {}): TlsFiles {
    const own = { ...issued, clientCertFile: null, clientKeyFile: null };
    return { ...own, trustedCaFile: this.caFile, crlFile: null, ...changes };
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #text(wanted: Wanted): CertificateText {
    const { commonName = 'member', names = ['localhost', '127.0.0.1'] } = wanted;
    return {
      commonNames: [commonName].flat().filter((name) => name !== ''),
      hosts: names,
      serial: ++this.#serial,
      notBefore: wanted.validFrom ?? new Date(Date.now() - SLACK_MS),
      notAfter: wanted.validTo ?? new Date(Date.now() + TWO_DAYS_MS),
      usage: wanted.usage === undefined ? ['serverAuth', 'clientAuth'] : [wanted.usage],
    };
  }

  #write(name: string, certificate: string, key: KeyObject): Issued {
    const certFile = join(this.directory, `${name}.crt`);
    const keyFile = join(this.directory, `${name}.key`);
    writeFileSync(certFile, certificate);
    writeFileSync(keyFile, key.export({ type: 'pkcs8', format: 'pem' }));
    return { certFile, keyFile };
  }
}

function newKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
}
