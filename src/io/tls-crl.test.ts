import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { Authority } from './testing/authority.ts';
import { revokedSerials } from './tls-crl.ts';

const authority = new Authority();
afterAll(() => authority.remove());

function derOf(pem: Buffer): Buffer {
  return Buffer.from(pem.toString('latin1').replace(/-----[^-]+-----/g, ''), 'base64');
}

const certificates = [1, 2, 3].map(() => authority.issue());
const serials = certificates.map(({ certFile }) => {
  return BigInt(`0x${new X509Certificate(readFileSync(certFile)).serialNumber}`);
});
authority.revoke();
const empty = readFileSync(authority.crlFile);
authority.revoke(...certificates.slice(0, 2));
const two = readFileSync(authority.crlFile);

test('the serial numbers that a list revokes are found, in PEM and in DER', async () => {
  expect(await revokedSerials(two)).toEqual(new Set(serials.slice(0, 2)));
  expect(await revokedSerials(derOf(two))).toEqual(new Set(serials.slice(0, 2)));
});

test('a list that revokes nothing is empty', async () => {
  expect(await revokedSerials(empty)).toEqual(new Set());
  expect(await revokedSerials(derOf(empty))).toEqual(new Set());
});

test('all lists of a file count', async () => {
  const other = new Authority('other');
  // Authorities count alike: the fourth certificate's number is none of the first two.
  const [, , , fourth] = Array.from({ length: 4 }, () => other.issue());
  if (fourth !== undefined) other.revoke(fourth);
  const both = Buffer.concat([readFileSync(other.crlFile), two]);
  other.remove();
  expect((await revokedSerials(both)).size).toBe(3);
});

describe('what is no list is refused:', () => {
  test.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('hello')],
    ['a certificate', readFileSync(authority.caFile)],
    ['a length beyond four bytes', Uint8Array.of(0x30, 0x85, 1, 1, 1, 1, 1)],
    ['an indefinite length', Uint8Array.of(0x30, 0x80, 0, 0)],
  ])('%s', async (_name, bytes) => {
    await expect(revokedSerials(bytes)).rejects.toThrow(RangeError);
  });

  test('a list cut short anywhere', async () => {
    const der = derOf(two);
    for (let length = 0; length < der.length; length++) {
      await expect(revokedSerials(der.subarray(0, length))).rejects.toThrow(RangeError);
    }
  });
});

test('damaged bytes yield serial numbers or a RangeError', async () => {
  const der = new Uint8Array(derOf(two));
  const places = fc.array(fc.tuple(fc.nat(der.length - 1), fc.nat(255)), { maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(places, async (damage) => {
      const bytes = der.slice();
      for (const [at, value] of damage) bytes[at] = value;
      try {
        await revokedSerials(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(RangeError);
      }
    }),
    { numRuns: 500 },
  );
});
