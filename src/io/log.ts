/** Named values that belong to a log line. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Structured log lines. Never blocks the caller; a slow sink loses lines rather than time. */
export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** Says nothing. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
};
