import { describe, expect, it } from 'vitest';
import { KvError } from '../api/index.ts';
import { endpointText, parseEndpoint, tryParseEndpoint } from './endpoint.ts';
import { checkOptions } from './options.ts';

describe('an endpoint', () => {
  it.each([
    ['db1:2379', 'db1', 2379, false, 'db1:2379'],
    ['127.0.0.1:1', '127.0.0.1', 1, false, '127.0.0.1:1'],
    ['[::1]:65535', '::1', 65_535, false, '[::1]:65535'],
    ['http://db1.example.org:2379', 'db1.example.org', 2379, false, 'db1.example.org:2379'],
    ['http://[fe80::1%eth0]:2379/', 'fe80::1%eth0', 2379, false, '[fe80::1%eth0]:2379'],
    ['https://db1:2379/', 'db1', 2379, true, 'https://db1:2379'],
    ['https://[::1]:1', '::1', 1, true, 'https://[::1]:1'],
  ])('%s is read, and written in one way', (text, host, port, tls, normal) => {
    const endpoint = parseEndpoint(text);
    expect(endpoint).toEqual({ host, port, tls });
    expect(endpointText(endpoint)).toBe(normal);
  });

  it.each([
    '',
    'db1',
    ':2379',
    'db1:0',
    'db1:65536',
    'db1:http',
    '::1:2379',
    'db1:2379/path',
    'http://user@db1:2379',
    'ftp://db1:2379',
    'https://db1',
    'https://https://db1:2379',
    'db 1:2379',
    'db1:2379\n',
    `${'x'.repeat(500)}`,
  ])('%j is refused in one clear line', (text) => {
    expect(tryParseEndpoint(text)).toBeNull();
    try {
      parseEndpoint(text);
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(KvError);
      const { code, message } = error as KvError;
      expect(code).toBe('INVALID_ARGUMENT');
      expect(message).toMatch(/^endpoint ".{0,101}": expected/);
      expect(message).not.toContain('\n');
    }
  });
});

it('without a scheme speaks TLS where that is the rule', () => {
  expect(parseEndpoint('db1:1', true).tls).toBe(true);
  expect(parseEndpoint('http://db1:1', true).tls).toBe(false);
});

describe('options', () => {
  it('have defaults, and endpoints may be a list in one text; double ones count once', () => {
    expect(checkOptions({ endpoints: 'a:1, b:2,http://a:1' })).toEqual({
      endpoints: [
        { host: 'a', port: 1, tls: false },
        { host: 'b', port: 2, tls: false },
      ],
      bareTls: false,
      session: { name: null, ttlMs: 300_000 },
      requestTimeoutMs: 5_000,
      discover: true,
    });
    expect(checkOptions({ endpoints: ['a:1'], session: 'x' }).session.ttlMs).toBe(86_400_000);
  });

  it.each([
    [{ endpoints: [] }, /^endpoints: at least one/],
    [{ endpoints: Array.from({ length: 65 }, (_, i) => `h${i}:1`) }, /^endpoints: at most 64/],
    [{ endpoints: 'a:1', session: '' }, /^session: a name cannot be empty/],
    [{ endpoints: 'a:1', session: 'ä'.repeat(129) }, /^session: .* at most 256 bytes, not 258/],
    [{ endpoints: 'a:1', session: '\ud800' }, /^session: .*surrogate/],
    [{ endpoints: 'a:1', requestTimeoutMs: 0 }, /^requestTimeoutMs: .* got 0/],
    [{ endpoints: 'a:1', requestTimeoutMs: 2 ** 31 }, /^requestTimeoutMs: at most/],
    [{ endpoints: 'a:1', sessionTtlMs: 1.5 }, /^sessionTtlMs: .* got 1.5/],
  ])('that make no sense are refused: %j', (options, message) => {
    expect(() => checkOptions(options)).toThrow(message);
  });
});
