import { isatty } from 'node:tty';
import { type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Log, LogFields } from '../io/index.ts';
import { LogSink } from './log-sink.ts';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
export type LogFormat = 'json' | 'pretty';

/** Bounds of one line: whoever logs must not be able to fill the log with one request. */
const LIMITS = { textCharsMax: 2_000, itemsMax: 64, depthMax: 4 } as const;

/** A log with its own end. */
export interface ProcessLog extends Log {
  /** Waits, `timeoutMs` at most, until the lines have left the process. */
  flush(timeoutMs: number): Promise<void>;
}

/**
 * The log of a process: pino's lines, through a sink that never blocks.
 * `fd`: where they go, 2 for standard error.
 */
export function processLog(options: {
  fd: number;
  level: LogLevel;
  format: LogFormat;
}): ProcessLog {
  const format = options.format === 'pretty' ? prettyLines(options.fd) : (line: string) => line;
  const lossLine = (lines: number): string => {
    const time = new Date().toISOString();
    const msg = 'log lines lost: their reader did not keep up';
    return format(`${JSON.stringify({ level: 'warn', time, lines, msg })}\n`);
  };
  const sink = new LogSink(options.fd, lossLine);
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line: string) => sink.write(format(line)) },
  );
  return {
    ...logOf(logger),
    flush: (timeoutMs) => sink.flush(timeoutMs),
  };
}

function logOf(logger: Logger): Log {
  return {
    debug: (message, fields) => logger.debug(toPlain(fields), message),
    info: (message, fields) => logger.info(toPlain(fields), message),
    warn: (message, fields) => logger.warn(toPlain(fields), message),
    error: (message, fields) => logger.error(toPlain(fields), message),
  };
}

function prettyLines(fd: number): (line: string) => string {
  const pretty = prettyFactory({
    colorize: isatty(fd) && process.env['NO_COLOR'] === undefined,
    translateTime: 'SYS:HH:MM:ss.l',
    singleLine: true,
  });
  return (line) => pretty(line);
}

function toPlain(fields: LogFields | undefined): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields ?? {})) plain[name] = plainValue(value, 0);
  return plain;
}

/** `value` as JSON can say it: 64-bit ids and bytes in hexadecimal, errors with their causes. */
export function plainValue(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case 'bigint':
      return value.toString(16);
    case 'string':
      return cut(value);
    case 'function':
    case 'symbol':
      return cut(String(value));
    case 'object':
      return value === null ? null : plainObject(value, depth);
    default:
      return value;
  }
}

function plainObject(value: object, depth: number): unknown {
  if (depth >= LIMITS.depthMax) return '…';
  if (value instanceof Uint8Array) {
    return cut(Buffer.from(value.subarray(0, LIMITS.textCharsMax)).toString('hex'));
  }
  if (value instanceof Error) {
    const code = 'code' in value ? { code: plainValue(value.code, depth + 1) } : {};
    const cause = value.cause === undefined ? {} : { cause: plainValue(value.cause, depth + 1) };
    return { message: cut(value.message), ...code, ...cause, stack: cut(value.stack ?? '') };
  }
  if (Array.isArray(value) || value instanceof Set) {
    return [...value].slice(0, LIMITS.itemsMax).map((item) => plainValue(item, depth + 1));
  }
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(
    entries
      .slice(0, LIMITS.itemsMax)
      .map(([name, item]) => [String(plainValue(name, depth + 1)), plainValue(item, depth + 1)]),
  );
}

function cut(text: string): string {
  return text.length <= LIMITS.textCharsMax ? text : `${text.slice(0, LIMITS.textCharsMax)}…`;
}
