import type { HeaderField } from '../hpack/index.ts';
import { Http2Error } from './protocol.ts';

/** The headers of a request that keeps the rules of RFC 9113, section 8. Immutable. */
export interface RequestHead {
  readonly method: string;
  /** Never empty. */
  readonly path: string;
  readonly authority: string | null;
  /** All fields but the pseudo-headers, in order. */
  readonly fields: readonly HeaderField[];
  /** Bytes of DATA to come; null when not told. */
  readonly contentLength: number | null;
}

/** Of one connection only, so meaningless inside a stream (section 8.2.2). */
const CONNECTION_FIELDS: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'transfer-encoding',
  'upgrade',
]);
const PSEUDO_FIELDS: ReadonlySet<string> = new Set([':method', ':scheme', ':path', ':authority']);
const CONTENT_LENGTH_DIGITS_MAX = 15;

/**
 * Checks and sorts the fields of a request.
 * @throws Http2Error PROTOCOL_ERROR of the stream when it is malformed (section 8.1.1).
 */
export function parseRequestHead(streamId: number, fields: readonly HeaderField[]): RequestHead {
  const pseudo = new Map<string, string>();
  let regularAt = 0;
  for (const field of fields) {
    if (!isPseudo(field)) break;
    if (!PSEUDO_FIELDS.has(field.name) || pseudo.has(field.name)) {
      throw malformed(streamId, 'unknown or repeated pseudo-header');
    }
    if (!field.isLegal) throw malformed(streamId, 'illegal character in a header');
    pseudo.set(field.name, field.value);
    regularAt++;
  }
  const regular = fields.slice(regularAt);
  const contentLength = checkRegular(streamId, regular);
  const method = pseudo.get(':method');
  const path = pseudo.get(':path');
  // An absent one is as wrong as an empty one; CONNECT has none, and is of no use here.
  if (!method || !path || !pseudo.get(':scheme')) {
    throw malformed(streamId, 'a pseudo-header is missing');
  }
  const authority = pseudo.get(':authority') ?? null;
  return { method, path, authority, fields: regular, contentLength };
}

/**
 * Checks the fields behind the body; gRPC requests have no use for them.
 * @throws Http2Error PROTOCOL_ERROR of the stream when they are malformed.
 */
export function checkTrailers(streamId: number, fields: readonly HeaderField[]): void {
  checkRegular(streamId, fields);
}

/** @returns the content-length, null when there is none. */
function checkRegular(streamId: number, fields: readonly HeaderField[]): number | null {
  let contentLength: number | null = null;
  for (const field of fields) {
    if (isPseudo(field)) throw malformed(streamId, 'pseudo-header behind other headers');
    if (!field.isLegal) throw malformed(streamId, 'illegal character in a header');
    if (CONNECTION_FIELDS.has(field.name) || (field.name === 'te' && field.value !== 'trailers')) {
      throw malformed(streamId, `header ${field.name} has no place in HTTP/2`);
    }
    if (field.name !== 'content-length') continue;
    const told = parseLength(field.value);
    if (told === null || (contentLength !== null && contentLength !== told)) {
      throw malformed(streamId, 'malformed content-length');
    }
    contentLength = told;
  }
  return contentLength;
}

function isPseudo(field: HeaderField): boolean {
  return field.name.startsWith(':');
}

function parseLength(text: string): number | null {
  if (text.length === 0 || text.length > CONTENT_LENGTH_DIGITS_MAX) return null;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return null;
    value = value * 10 + digit;
  }
  return value;
}

function malformed(streamId: number, message: string): Http2Error {
  return new Http2Error('PROTOCOL_ERROR', message, streamId);
}
