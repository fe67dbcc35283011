import { describe, expect, test } from 'vitest';
import { TLS_PROTOCOL, tlsProtocol } from './tls-protocol.ts';

const NONE = { cipherSuites: [], minVersion: null, maxVersion: null };

test('the default: TLS 1.2 and 1.3, authenticated encryption and forward secrecy only', () => {
  expect(TLS_PROTOCOL).toMatchObject({ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3' });
  for (const suite of TLS_PROTOCOL.ciphers.split(':')) {
    expect(suite).toMatch(/^(TLS_|ECDHE-)/);
    expect(suite).toMatch(/GCM|CHACHA20/);
  }
});

test('suites are chosen by the names that etcd takes, old ones of Go included', () => {
  const cipherSuites = [
    'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256',
    'TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305',
  ];
  const { ciphers } = tlsProtocol({ ...NONE, cipherSuites });
  const old = ciphers.split(':').filter((suite) => !suite.startsWith('TLS_'));
  expect(old).toEqual(['ECDHE-RSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-CHACHA20-POLY1305']);
});

test('versions are chosen', () => {
  expect(tlsProtocol({ ...NONE, minVersion: 'TLS1.3' }).minVersion).toBe('TLSv1.3');
  expect(tlsProtocol({ ...NONE, maxVersion: 'TLS1.2' }).maxVersion).toBe('TLSv1.2');
});

describe('refused:', () => {
  test.each([
    ['an unknown suite', { cipherSuites: ['TLS_X'] }, 'TLS_X'],
    ['a weak suite', { cipherSuites: ['TLS_RSA_WITH_AES_128_CBC_SHA'] }, 'choose from'],
    ['a version below 1.2', { minVersion: 'TLS1.1' }, 'choose TLS1.2 or TLS1.3'],
    ['versions that cross', { minVersion: 'TLS1.3', maxVersion: 'TLS1.2' }, 'above the highest'],
    [
      'suites of 1.2 when only 1.3 is spoken',
      { minVersion: 'TLS1.3', cipherSuites: ['TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'] },
      'for TLS 1.2 only',
    ],
  ])('%s', (_name, changes, message) => {
    expect(() => tlsProtocol({ ...NONE, ...changes })).toThrow(message);
    expect(() => tlsProtocol({ ...NONE, ...changes })).toThrow(RangeError);
  });
});
