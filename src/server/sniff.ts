import { METHODS } from 'node:http';

/** Who a client is, by its first bytes; null while they do not say yet. */
export type Protocol = 'http1' | 'http2' | 'tls' | 'unknown';

const SPACE = 0x20;
const TLS_HANDSHAKE = 0x16;
/** What HTTP/2's preface begins with (RFC 9113, section 3.4): no HTTP/1 request has that method. */
const HTTP2_METHOD = 'PRI';
const HTTP1_METHODS: ReadonlySet<string> = new Set(METHODS);
const METHOD_BYTES_MAX = Math.max(...METHODS.map((method) => method.length));

export function protocolOf(bytes: Uint8Array): Protocol | null {
  if (bytes[0] === TLS_HANDSHAKE) return 'tls';
  let method = '';
  for (const byte of bytes.subarray(0, METHOD_BYTES_MAX + 1)) {
    if (byte === SPACE) {
      if (method === HTTP2_METHOD) return 'http2';
      return HTTP1_METHODS.has(method) ? 'http1' : 'unknown';
    }
    if (!isMethodByte(byte)) return 'unknown';
    method += String.fromCharCode(byte);
  }
  return bytes.length > METHOD_BYTES_MAX ? 'unknown' : null;
}

/** Capital letters, and the hyphen of M-SEARCH. */
function isMethodByte(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || byte === 0x2d;
}
