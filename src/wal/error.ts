/**
 * Why a log can't be used.
 * - `CORRUPT`: what is stored is damaged; nothing was changed.
 * - `WRONG_IDENTITY`: it is the log of another cluster or another member.
 * - `LOCKED`: another process has the directory.
 * - `VERSION`: written in a format that this program does not know.
 * - `IO`: the operating system refused; `cause` is its `DiskError`.
 */
export type WalErrorCode = 'CORRUPT' | 'WRONG_IDENTITY' | 'LOCKED' | 'VERSION' | 'IO';

/** The log can't be opened, or has failed. The message says what, where, and what to do. */
export class WalError extends Error {
  readonly code: WalErrorCode;
  /** The file or directory concerned. */
  readonly file: string;
  /** Where in the file, in bytes; null when it is not about one place. */
  readonly offset: number | null;

  constructor(
    code: WalErrorCode,
    message: string,
    place: { file: string; offset?: number; cause?: unknown },
  ) {
    super(message, { cause: place.cause });
    this.name = 'WalError';
    this.code = code;
    this.file = place.file;
    this.offset = place.offset ?? null;
  }
}

/** Damage to stored bytes: what is wrong, at which byte of which file. */
export function corrupt(
  what: string,
  place: { file: string; offset: number; cause?: unknown },
): WalError {
  return new WalError(
    'CORRUPT',
    `${place.file}: ${what} at byte ${place.offset}. Nothing was changed and nothing is guessed: ` +
      'acknowledged data may be affected',
    place,
  );
}

/** Passes a `WalError` on and wraps everything else as a failure of the disk. */
export function ioError(cause: unknown, file: string): WalError {
  if (cause instanceof WalError) return cause;
  const what = cause instanceof Error ? cause.message : String(cause);
  return new WalError(
    'IO',
    `the log in ${file} can't be used: ${what}. Nothing is written any more; check the disk ` +
      '(space, permissions, kernel log), then start again',
    { file, cause },
  );
}
