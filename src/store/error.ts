/**
 * Why the state can't be used.
 * - `CORRUPT`: what is stored, or a snapshot, is damaged; nothing is guessed.
 * - `FULL`: no space; nothing was changed, and what was there is intact.
 * - `IO`: the operating system refused; `cause` says how.
 * - `LOCKED`: another process has the directory.
 * - `VERSION`: written in a format that this program does not know.
 * - `CLOSED`: a view was read after it, or its engine, was closed.
 */
export type StoreErrorCode = 'CORRUPT' | 'FULL' | 'IO' | 'LOCKED' | 'VERSION' | 'CLOSED';

/** The state can't be read or written. The message says what, where, and what to do. */
export class StoreError extends Error {
  readonly code: StoreErrorCode;
  /** The file or directory concerned; null for a snapshot, whose file only the caller knows. */
  readonly file: string | null;

  constructor(
    code: StoreErrorCode,
    message: string,
    { file = null, cause }: { file?: string | null; cause?: unknown } = {},
  ) {
    super(message, { cause });
    this.name = 'StoreError';
    this.code = code;
    this.file = file;
  }
}

/** Damage to the stored state: what is wrong with which file. */
export function corruptState(what: string, file: string, cause?: unknown): StoreError {
  return new StoreError(
    'CORRUPT',
    `${file}: ${what}. Nothing was changed and nothing is guessed: acknowledged data may be ` +
      'affected',
    { file, cause },
  );
}

/** Damage to a snapshot on its way or in a file: it must be fetched again. */
export function corruptSnapshot(what: string, offset: number): StoreError {
  return new StoreError(
    'CORRUPT',
    `snapshot: ${what} at byte ${offset}. Nothing of it is in use; fetch it again, or take ` +
      'another backup',
  );
}

const FULL_CODES: readonly unknown[] = ['ENOSPC', 'EDQUOT', 'EFBIG', 28, 122, 27, -30792];

/** From `lmdb.h`: CORRUPTED, PAGE_NOTFOUND, INVALID (no LMDB file), BAD_TXN. */
const CORRUPT_CODES: readonly unknown[] = [-30796, -30797, -30793, -30782];

/** MDB_VERSION_MISMATCH */
const VERSION_CODES: readonly unknown[] = [-30794];

/** Passes a `StoreError` on and tells what any other failure means for the file. */
export function storeError(cause: unknown, file: string): StoreError {
  if (cause instanceof StoreError) return cause;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : null;
  const what = cause instanceof Error ? cause.message : String(cause);
  if (FULL_CODES.includes(code)) {
    return new StoreError(
      'FULL',
      `${file}: no space left (${what}). Nothing was changed; make room on the disk or raise the ` +
        'quota, then write again',
      { file, cause },
    );
  }
  if (CORRUPT_CODES.includes(code)) return corruptState(what, file, cause);
  if (VERSION_CODES.includes(code)) return versionError(what, file, cause);
  if (code === 'ELOCKED') {
    return new StoreError('LOCKED', `${file}: in use by another process. Stop that one first`, {
      file,
      cause,
    });
  }
  return new StoreError(
    'IO',
    `the state in ${file} can't be used: ${what}. Nothing is written any more; check the disk ` +
      '(space, permissions, kernel log), then start again',
    { file, cause },
  );
}

/** A format of the future, or of something else. */
export function versionError(what: string, file: string, cause?: unknown): StoreError {
  return new StoreError(
    'VERSION',
    `${file}: ${what}. Start the version of the program that wrote it, or a later one`,
    { file, cause },
  );
}
