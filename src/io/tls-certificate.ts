import { type KeyObject, sign } from 'node:crypto';
import { isIP } from 'node:net';
import { AsnConvert, OctetString } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_kp_clientAuth,
  id_kp_serverAuth,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

/*
 * Certificates of our own making (RFC 5280): the one of --auto-tls, and those of tests. Whoever
 * imports this file pays a tenth of a second for it: load it when it is needed.
 */

/** Who signs: with an EC key, by SHA-256. */
export interface Signer {
  readonly commonNames: readonly string[];
  readonly key: KeyObject;
}

/** What a certificate shall say. */
export interface CertificateText {
  /** Of the subject; empty: no subject at all. */
  readonly commonNames: readonly string[];
  /** Names and IP addresses that it is valid for. */
  readonly hosts: readonly string[];
  /** Unique with its signer; carelessly made certificates have a negative one. */
  readonly serial: bigint;
  readonly notBefore: Date;
  readonly notAfter: Date;
  readonly usage: readonly ('serverAuth' | 'clientAuth' | 'authority')[];
}

/** ecdsa-with-SHA256, RFC 5758 §3.2. */
export const SIGNATURE = new AlgorithmIdentifier({ algorithm: '1.2.840.10045.4.3.2' });
const COMMON_NAME = '2.5.4.3';

/** A signed certificate, in PEM. */
export function makeCertificate(
  text: CertificateText,
  publicKey: KeyObject,
  signer: Signer,
): string {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: integerBytes(text.serial),
    signature: SIGNATURE,
    issuer: nameOf(signer.commonNames),
    validity: new Validity({ notBefore: text.notBefore, notAfter: text.notAfter }),
    subject: nameOf(text.commonNames),
    subjectPublicKeyInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
    extensions: new Extensions(extensionsOf(text)),
  });
  const signatureValue = signatureOf(AsnConvert.serialize(tbsCertificate), signer);
  const certificate = { tbsCertificate, signatureAlgorithm: SIGNATURE, signatureValue };
  return pemOf('CERTIFICATE', AsnConvert.serialize(new Certificate(certificate)));
}

/** A structure that somebody signs. */
export function signatureOf(der: ArrayBuffer, { key }: Signer): ArrayBuffer {
  return bufferOf(sign('sha256', new Uint8Array(der), key));
}

/** A subject or issuer of nothing but common names. */
export function nameOf(commonNames: readonly string[]): Name {
  return new Name(
    commonNames.map((text) => {
      const value = new AttributeValue({ utf8String: text });
      return new RelativeDistinguishedName([
        new AttributeTypeAndValue({ type: COMMON_NAME, value }),
      ]);
    }),
  );
}

/** A whole number as the content of an ASN.1 INTEGER: two's complement, no byte too many. */
export function integerBytes(value: bigint): ArrayBuffer {
  let bytes = 1;
  while (BigInt.asIntN(8 * bytes, value) !== value) bytes++;
  const hex = BigInt.asUintN(8 * bytes, value).toString(16);
  return bufferOf(Buffer.from(hex.padStart(2 * bytes, '0'), 'hex'));
}

export function pemOf(label: string, der: ArrayBuffer): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return [`-----BEGIN ${label}-----`, ...lines, `-----END ${label}-----`, ''].join('\n');
}

function extensionsOf({ hosts, usage }: CertificateText): Extension[] {
  const authority = usage.includes('authority');
  const purposes = [
    ...(usage.includes('serverAuth') ? [id_kp_serverAuth] : []),
    ...(usage.includes('clientAuth') ? [id_kp_clientAuth] : []),
  ];
  const may = authority
    ? KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign
    : KeyUsageFlags.digitalSignature;
  const names = hosts.map((host) => {
    return new GeneralName(isIP(host) === 0 ? { dNSName: host } : { iPAddress: host });
  });
  return [
    extension(id_ce_basicConstraints, true, new BasicConstraints({ cA: authority })),
    extension(id_ce_keyUsage, true, new KeyUsage(may)),
    ...(purposes.length === 0
      ? []
      : [extension(id_ce_extKeyUsage, false, new ExtendedKeyUsage(purposes))]),
    ...(names.length === 0
      ? []
      : [extension(id_ce_subjectAltName, false, new SubjectAlternativeName(names))]),
  ];
}

function extension(extnID: string, critical: boolean, value: object): Extension {
  const extnValue = new OctetString(AsnConvert.serialize(value));
  return new Extension({ extnID, critical, extnValue });
}

function bufferOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}
