/** What the process tells its caller; documented in docs/CLI.md. */
export const EXIT = {
  ok: 0,
  /** It failed and certainly did not happen; `get` also says so of a missing key. */
  failed: 1,
  /** The command line, a variable or the input is wrong: nothing was sent. */
  usage: 2,
  /** It happened earlier, but its answer is no longer kept. */
  applied: 3,
  /** It may or may not have happened, or may happen yet. */
  unknown: 4,
  /** The user stopped it before it came to an end, as shells number SIGINT. */
  interrupted: 130,
} as const;

/** One of `EXIT`; after `lock NAME COMMAND` what the command ended with. */
export type ExitCode = number;

/** Ends the command with one line on standard error: what, where it came from, what to do. */
export class CliError extends Error {
  readonly exitCode: ExitCode;

  constructor(exitCode: ExitCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

/** A wrong flag, variable or input. */
export function usageError(message: string): CliError {
  return new CliError(EXIT.usage, message);
}

/** `text` as one line that cannot harm a terminal: control characters become spaces. */
export function oneLine(text: string): string {
  return text.replace(/[\p{Cc}\u2028\u2029]+/gu, ' ').trim();
}

/** The message of whatever was thrown, and of its causes as far as they say something new. */
export function reasonOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return oneLine(String(thrown));
  const message = oneLine(thrown.message === '' ? thrown.name : thrown.message);
  if (thrown.cause === undefined) return message;
  const cause = reasonOf(thrown.cause);
  return cause === '' || message.includes(cause) ? message : `${message}: ${cause}`;
}
