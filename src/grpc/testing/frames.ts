/** Frames as bytes and as objects, for tests: RFC 9113, section 4.1, on a few plain lines. */
import { ERROR, type ErrorName, FRAME, PREFACE } from '../http2/protocol.ts';

export interface PlainFrame {
  readonly type: keyof typeof FRAME | number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

const TYPE_NAMES = Object.keys(FRAME) as (keyof typeof FRAME)[];
const ERROR_NAMES = Object.keys(ERROR) as ErrorName[];

/** @param type a name, or any number for frames that do not exist. */
export function frame(
  type: keyof typeof FRAME | number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = typeof type === 'number' ? type : FRAME[type];
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** All complete frames of a stream of bytes. */
export function framesIn(bytes: Uint8Array): PlainFrame[] {
  const buffer = Buffer.from(bytes);
  const frames: PlainFrame[] = [];
  for (let at = 0; at + 9 <= buffer.length; ) {
    const end = at + 9 + buffer.readUIntBE(at, 3);
    if (end > buffer.length) break;
    const code = buffer[at + 3] ?? 0;
    frames.push({
      type: TYPE_NAMES[code] ?? code,
      flags: buffer[at + 4] ?? 0,
      stream: buffer.readUInt32BE(at + 5),
      payload: buffer.subarray(at + 9, end),
    });
    at = end;
  }
  return frames;
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, 4 * i);
  return bytes;
}

/** SETTINGS with these entries. */
export function settings(...entries: [id: number, value: number][]): Buffer {
  const payload = Buffer.concat(
    entries.map(([id, value]) => Buffer.concat([Buffer.of(id >> 8, id & 0xff), u32(value)])),
  );
  return frame('SETTINGS', 0, 0, payload);
}

/** A header block of literals without indexing (RFC 7541, section 6.2.2). */
export function headerBlock(headers: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = [];
  for (const pair of headers) {
    parts.push(Buffer.of(0));
    for (const text of pair) {
      const bytes = Buffer.from(text, 'latin1');
      const long = bytes.length - 127;
      const length = long < 0 ? [bytes.length] : [0x7f, 0x80 | (long & 0x7f), (long >> 7) & 0x7f];
      parts.push(Buffer.of(...length), bytes);
    }
  }
  return Buffer.concat(parts);
}

/** The headers of a gRPC call; `more` overrides or adds. */
export function request(path: string, more: readonly (readonly [string, string])[] = []): Buffer {
  return headerBlock([
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'x'],
    ['content-type', 'application/grpc'],
    ...more,
  ]);
}

/** One gRPC message with its prefix. */
export function message(bytes: Uint8Array, isCompressed = false): Buffer {
  return Buffer.concat([Buffer.of(isCompressed ? 1 : 0), u32(bytes.length), bytes]);
}

/** What a client says first. */
export const GREETING: Buffer = Buffer.concat([PREFACE, settings()]);

/** The name of an error code in RST_STREAM (at 0) or GOAWAY (at 4). */
export function errorAt(payload: Uint8Array, at: number): ErrorName | number {
  const code = Buffer.from(payload).readUInt32BE(at);
  return ERROR_NAMES[code] ?? code;
}
