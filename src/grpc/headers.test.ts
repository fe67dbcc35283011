import { describe, expect, test } from 'vitest';
import {
  isGrpcContentType,
  metadataBytes,
  parseTimeoutMs,
  percentEncoded,
  statusFields,
} from './headers.ts';
import { GrpcError } from './index.ts';

describe('grpc-timeout', () => {
  test('is read in every unit', () => {
    const cases = {
      '2H': 7_200_000,
      '3M': 180_000,
      '4S': 4000,
      '5m': 5,
      '6000u': 6,
      '7000000n': 7,
    };
    for (const [text, ms] of Object.entries(cases)) expect(parseTimeoutMs(text)).toBeCloseTo(ms);
    expect(parseTimeoutMs(null)).toBeNull();
  });

  test('longer than a timer can wait counts as none', () => {
    expect(parseTimeoutMs('99999999H')).toBeNull();
    expect(parseTimeoutMs('2147484S')).toBeNull();
    expect(parseTimeoutMs('2147483S')).toBe(2_147_483_000);
  });

  test('anything else is refused', () => {
    for (const text of ['', 'S', '5', '5x', '-5S', '1.5S', '123456789S', ' 5S', '1e3S', '0x1S']) {
      expect(() => parseTimeoutMs(text), text).toThrow('malformed grpc-timeout');
    }
  });
});

describe('content-type', () => {
  test('is application/grpc with or without a subtype, and not grpc-web', () => {
    for (const good of ['application/grpc', 'application/grpc+proto', 'application/grpc;x=y']) {
      expect(isGrpcContentType(good)).toBe(true);
    }
    for (const bad of [null, '', 'application/json', 'application/grpc-web', 'application/grpcx']) {
      expect(isGrpcContentType(bad)).toBe(false);
    }
  });
});

describe('trailers', () => {
  test('the message is percent-encoded UTF-8', () => {
    expect(percentEncoded('100% ä\n~')).toBe('100%25 %C3%A4%0A~');
    expect(decodeURIComponent(percentEncoded('😀\u0000\u007f'))).toBe('😀\u0000\u007f');
  });

  test('carry status, message and what the error adds, except what no header can hold', () => {
    const error = new GrpcError('UNAVAILABLE', 'no', {
      trailers: { a: 'x y', b: 'ä', c: 'x\r\ny' },
    });
    expect(statusFields(error)).toEqual({ 'grpc-status': '14', 'grpc-message': 'no', a: 'x y' });
  });

  test('a long message is cut', () => {
    const trailers = statusFields(new GrpcError(2, 'x'.repeat(5000)));
    expect(trailers['grpc-message']).toHaveLength(1024);
  });

  test('carry bytes as base64 without padding', () => {
    const details = Uint8Array.of(8, 5, 18, 250);
    const error = new GrpcError(5, '', { trailers: { 'grpc-status-details-bin': details } });
    expect(statusFields(error)).toEqual({
      'grpc-status': '5',
      'grpc-status-details-bin': 'CAUS+g',
    });
  });
});

describe('binary metadata', () => {
  test('is read with and without padding, and several values joined by commas', () => {
    const bytes = Uint8Array.of(8, 5, 18, 250);
    for (const text of ['CAUS+g', 'CAUS+g==']) expect(metadataBytes(text)).toEqual([bytes]);
    expect(metadataBytes('AQ==, AgM')).toEqual([Uint8Array.of(1), Uint8Array.of(2, 3)]);
    expect(metadataBytes('')).toEqual([new Uint8Array(0)]);
  });

  test('that is not base64 is INVALID_ARGUMENT', () => {
    for (const text of ['?', 'AQ=A', 'A', 'A Q', 'AB']) {
      expect(() => metadataBytes(text), text).toThrow('malformed binary metadata');
    }
  });
});
