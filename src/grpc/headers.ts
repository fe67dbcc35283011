import { utf8Bytes } from '../lib/index.ts';
import { type HeaderList, headerList, reusedHeaderList } from './hpack/index.ts';
import { GrpcError } from './status.ts';

/* What stands in gRPC's headers and trailers (gRPC over HTTP/2, PROTOCOL-HTTP2.md). */

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1_000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Longest wait that a timer can measure; a longer one is none. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/**
 * The `grpc-timeout` header: at most eight digits and a unit, as milliseconds; null when absent or
 * longer than 24 days.
 * @throws GrpcError INVALID_ARGUMENT on anything else.
 */
export function parseTimeoutMs(header: string | null): number | null {
  if (header === null) return null;
  const digits = header.slice(0, -1);
  const unitMs = UNIT_MS[header.slice(-1)];
  if (unitMs === undefined || digits.length === 0 || digits.length > 8 || !isDecimal(digits)) {
    throw new GrpcError('INVALID_ARGUMENT', 'malformed grpc-timeout');
  }
  const ms = Number(digits) * unitMs;
  return ms > TIMER_MS_MAX ? null : ms;
}

/** `application/grpc`, also with `+proto` or parameters; but not grpc-web. */
export function isGrpcContentType(contentType: string | null): boolean {
  if (contentType === null || !contentType.startsWith('application/grpc')) return false;
  const next = contentType.charAt('application/grpc'.length);
  return next === '' || next === '+' || next === ';';
}

/** Text for `grpc-message`: UTF-8, everything but printable ASCII and every `%` as %XX. */
export function percentEncoded(text: string): string {
  let out = '';
  for (const byte of utf8Bytes(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    out += plain
      ? String.fromCharCode(byte)
      : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return out;
}

/** Longest grpc-message we send, characters before encoding: all trailers must fit 8 KiB. */
const MESSAGE_CHARACTERS_MAX = 1024;

/** The fields that end a call with an error. Values that no header can hold are left out. */
export function statusFields(error: GrpcError): Record<string, string> {
  const fields: Record<string, string> = { 'grpc-status': String(error.code) };
  const message = error.message.slice(0, MESSAGE_CHARACTERS_MAX);
  if (message !== '') fields['grpc-message'] = percentEncoded(message);
  for (const [name, value] of Object.entries(error.trailers)) {
    if (typeof value !== 'string') fields[name] = base64(value);
    else if (isPrintable(value)) fields[name] = value;
  }
  return fields;
}

const RESPONSE_FIELDS = {
  ':status': '200',
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity,gzip',
} as const;

const RESPONSE_HEADERS = reusedHeaderList(RESPONSE_FIELDS);
const OK_TRAILERS = reusedHeaderList({ 'grpc-status': '0' });
const OK_ONLY = reusedHeaderList({ ...RESPONSE_FIELDS, 'grpc-status': '0' });

/** The answers to requests that are no gRPC. */
export const REFUSALS = {
  methodNotAllowed: reusedHeaderList({ ':status': '405', allow: 'POST' }),
  unsupportedMediaType: reusedHeaderList({ ':status': '415' }),
} as const;

/** What a method adds to the headers; null: nothing. */
type Added = Readonly<Record<string, string>> | null;

/** What an answer with messages begins with. */
export function responseHeaders(added: Added): HeaderList {
  return added === null ? RESPONSE_HEADERS : headerList({ ...RESPONSE_FIELDS, ...added });
}

/** What an answer with messages ends with; null: OK. */
export function trailers(error: GrpcError | null): HeaderList {
  return error === null ? OK_TRAILERS : headerList(statusFields(error));
}

/** An answer without messages: headers and trailers in one. */
export function trailersOnly(error: GrpcError | null, added: Added = null): HeaderList {
  if (error === null) return OK_ONLY;
  return headerList({ ...RESPONSE_FIELDS, ...added, ...statusFields(error) });
}

/**
 * The values in a binary header: base64 with or without padding, several joined by commas.
 * @throws GrpcError INVALID_ARGUMENT on anything else.
 */
export function metadataBytes(header: string): Uint8Array[] {
  return header.split(',').map((part) => {
    const text = part.trim();
    const bytes = Buffer.from(text, 'base64');
    if (base64(bytes) !== text.replaceAll('=', '')) {
      throw new GrpcError('INVALID_ARGUMENT', 'malformed binary metadata');
    }
    return new Uint8Array(bytes);
  });
}

/** Without padding, as gRPC sends it. */
function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replaceAll('=', '');
}

function isDecimal(text: string): boolean {
  for (const character of text) if (character < '0' || character > '9') return false;
  return true;
}

function isPrintable(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}
