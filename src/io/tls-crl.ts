/*
 * A certificate revocation list (RFC 5280 §5.1), as far as it is needed here. Like etcd we read
 * which serial numbers are revoked and nothing else: the file is the operator's own, so its
 * signature is not checked, and a list that is out of date still counts.
 */

const PEM_BLOCK = /-----BEGIN X509 CRL-----([A-Za-z0-9+/=\s]*)-----END X509 CRL-----/g;

/**
 * Serial numbers that the lists in a file revoke; the file is PEM with any number of lists, or one
 * list in DER.
 * @throws RangeError for bytes that are no list.
 */
export async function revokedSerials(file: Uint8Array): Promise<ReadonlySet<bigint>> {
  // Loaded here, so that only those who have such a file wait for it.
  const { AsnConvert } = await import('@peculiar/asn1-schema');
  const { CertificateList } = await import('@peculiar/asn1-x509');
  const blocks = [...Buffer.from(file).toString('latin1').matchAll(PEM_BLOCK)];
  const lists = blocks.map(([, base64 = '']) => Buffer.from(base64, 'base64'));
  const revoked = new Set<bigint>();
  for (const der of lists.length > 0 ? lists : [file]) {
    try {
      const { tbsCertList } = AsnConvert.parse(der, CertificateList);
      for (const { userCertificate } of tbsCertList.revokedCertificates ?? []) {
        revoked.add(serialOf(new Uint8Array(userCertificate)));
      }
    } catch (cause) {
      throw new RangeError('no certificate revocation list', { cause });
    }
  }
  return revoked;
}

/** Two's complement: carelessly made certificates have negative numbers. */
function serialOf(bytes: Uint8Array): bigint {
  return BigInt.asIntN(8 * bytes.length, BigInt(`0x0${Buffer.from(bytes).toString('hex')}`));
}
