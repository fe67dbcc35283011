import { utf8Bytes } from '../lib/index.ts';
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

/** The trailers that end a call; null: with OK. Values that no header can hold are left out. */
export function statusTrailers(error: GrpcError | null): Record<string, string> {
  if (error === null) return { 'grpc-status': '0' };
  const trailers: Record<string, string> = { 'grpc-status': String(error.code) };
  const message = error.message.slice(0, MESSAGE_CHARACTERS_MAX);
  if (message !== '') trailers['grpc-message'] = percentEncoded(message);
  for (const [name, value] of Object.entries(error.trailers)) {
    if (isPrintable(value)) trailers[name] = value;
  }
  return trailers;
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
