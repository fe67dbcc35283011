/**
 * Files as the log needs them. Every method rejects with a `DiskError` when the operating system
 * refuses; after a failed `sync` nothing about the file's unsynced bytes may be assumed
 * (fsyncgate: the kernel may have dropped them and a retry may lie).
 */
export interface Disk {
  /**
   * Makes sure of a private directory: creates it and its parents with mode 0700, durably. An
   * existing one is narrowed to 0700 while it is empty; rejects with EACCES when it holds files and
   * others may enter it, with ENOTDIR when it is something else.
   */
  makeDirectory(path: string): Promise<void>;
  /** Names in the directory, sorted; rejects with code ENOENT when it does not exist. */
  list(path: string): Promise<string[]>;
  /**
   * Opens for reading and writing. `create`: makes a new file (mode 0600) and refuses an existing
   * one. `writeThrough`: for files whose writes are mostly `writeDurably`.
   */
  open(path: string, options: { create: boolean; writeThrough?: boolean }): Promise<DiskFile>;
  /**
   * Gives a file a new name in the same directory, replacing what bore it. Durable after
   * `syncDirectory`.
   */
  rename(from: string, to: string): Promise<void>;
  /** Removes a file. Durable after `syncDirectory`. */
  remove(path: string): Promise<void>;
  /** Makes creations, renames and removals in the directory durable. */
  syncDirectory(path: string): Promise<void>;
  /** Takes the directory for this process alone until `release`, or rejects with code ELOCKED. */
  lock(directory: string): Promise<DiskLock>;
}

/** An open file. Offsets and lengths are bytes. */
export interface DiskFile {
  /** Current length of the file. */
  size(): Promise<number>;
  /** Reads exactly `length` bytes, or fewer only where the file ends. */
  read(range: { offset: number; length: number }): Promise<Uint8Array>;
  /** Writes all parts one behind the other, looping over short writes. */
  write(offset: number, parts: readonly Uint8Array[]): Promise<void>;
  /**
   * Writes and makes durable in one step; `done` is called once, later, with null on success. The
   * bytes must not change until then. A callback, because one system call (O_DSYNC) and no promise
   * save a single writer a tenth of its latency. Makes no promise about earlier plain writes.
   */
  writeDurably(offset: number, bytes: Uint8Array, done: (error: DiskError | null) => void): void;
  /** Makes all data written before this call durable (fdatasync). Never retried after a failure. */
  sync(): Promise<void>;
  /** Sets the length; a longer file reads as zeros. */
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

/**
 * An exclusive hold on a data directory; the operating system releases it when the process dies.
 */
export interface DiskLock {
  release(): Promise<void>;
}

/** What the operating system said: `code` is its errno name (ENOSPC, EIO, …). */
export class DiskError extends Error {
  readonly code: string;
  readonly path: string;

  constructor(code: string, path: string, options: { cause?: unknown; message?: string } = {}) {
    super(options.message ?? `${code}: ${path}`, { cause: options.cause });
    this.name = 'DiskError';
    this.code = code;
    this.path = path;
  }
}
