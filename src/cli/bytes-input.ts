import { addAbortSignal } from 'node:stream';
import { API_LIMITS } from '../api/index.ts';
import { CliError, EXIT, usageError } from './exit.ts';
import type { Host } from './host.ts';

const REPLACEMENT = '\uFFFD';

/**
 * Bytes of an argument. Node hands arguments over as text and puts U+FFFD where they were not
 * UTF-8: such an argument is refused rather than changed.
 */
export function argumentBytes(what: string, text: string): Uint8Array {
  if (text.includes(REPLACEMENT)) {
    throw usageError(
      `the ${what} is not valid UTF-8; pass such a value through standard input: put KEY -`,
    );
  }
  return new TextEncoder().encode(text);
}

/** Bytes of a key. */
export function keyBytes(text: string): Uint8Array {
  if (text === '') throw usageError('the key is empty; give it at least one byte (not applied)');
  return argumentBytes('key', text);
}

/** Bytes of a value: the argument's, or all of standard input for `-`. */
export async function valueBytes(text: string, host: Host): Promise<Uint8Array> {
  if (text !== '-') return checkSize(argumentBytes('value', text));
  return readAll(host, 'value');
}

/** All of standard input, up to the size of one request. */
export async function readAll(host: Host, what: string): Promise<Uint8Array> {
  const parts: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const part of addAbortSignal(host.signal, host.stdin)) {
      const chunk = Buffer.from(part as Uint8Array);
      parts.push(chunk);
      bytes += chunk.length;
      if (bytes > API_LIMITS.requestBytesMax) throw tooLarge(what);
    }
  } catch (error) {
    if (!host.signal.aborted) throw error;
    throw new CliError(EXIT.failed, 'interrupted (not applied)', { cause: error });
  }
  return Buffer.concat(parts);
}

function checkSize(bytes: Uint8Array): Uint8Array {
  if (bytes.length > API_LIMITS.requestBytesMax) throw tooLarge('value');
  return bytes;
}

function tooLarge(what: string): CliError {
  const mib = API_LIMITS.requestBytesMax / 1024 / 1024;
  return new CliError(
    EXIT.failed,
    `the ${what} is larger than ${mib} MiB, the limit of one request: split it (not applied)`,
  );
}
