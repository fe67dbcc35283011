import * as fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { type Disk, DiskError, type DiskFile, type DiskLock } from './disk.ts';

const { O_CREAT, O_DIRECTORY, O_DSYNC, O_EXCL, O_NOFOLLOW, O_RDONLY, O_RDWR } = fs.constants;
const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
const OTHERS_MASK = 0o077;

/**
 * Linux makes an O_DSYNC write durable as `fdatasync` would. Elsewhere it may stop at the drive's
 * cache (macOS) or be unknown (Windows), and two calls are made instead of one.
 */
const ONE_CALL_IS_DURABLE = process.platform === 'linux';

/** The machine's file system. */
export const systemDisk: Disk = {
  async makeDirectory(path) {
    const made = await call<string | undefined>(path, (done) =>
      fs.mkdir(path, { recursive: true, mode: DIRECTORY_MODE }, done),
    );
    if (made === undefined) return checkPrivate(path);
    // The name of each new directory stands in its parent.
    for (let each = resolve(path); each.length >= resolve(made).length; each = dirname(each)) {
      await syncDirectory(dirname(each));
    }
  },

  async list(path) {
    const names = await call<string[]>(path, (done) => fs.readdir(path, done));
    return names.sort();
  },

  async open(path, { create, writeThrough = false }) {
    const oneCall = writeThrough && ONE_CALL_IS_DURABLE;
    const flags =
      O_RDWR | (O_NOFOLLOW ?? 0) | (create ? O_CREAT | O_EXCL : 0) | (oneCall ? O_DSYNC : 0);
    const fd = await call<number>(path, (done) => fs.open(path, flags, FILE_MODE, done));
    return new SystemFile(fd, path, oneCall);
  },

  rename: (from, to) => call<void>(from, (done) => fs.rename(from, to, done)),
  remove: (path) => call<void>(path, (done) => fs.unlink(path, done)),
  syncDirectory,
  lock,
};

class SystemFile implements DiskFile {
  readonly #fd: number;
  readonly #path: string;
  readonly #oneCall: boolean;

  constructor(fd: number, path: string, oneCall: boolean) {
    this.#fd = fd;
    this.#path = path;
    this.#oneCall = oneCall;
  }

  async size(): Promise<number> {
    const stats = await call<fs.Stats>(this.#path, (done) => fs.fstat(this.#fd, done));
    return stats.size;
  }

  async read(range: { offset: number; length: number }): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafeSlow(range.length);
    let filled = 0;
    while (filled < range.length) {
      const got = await call<number>(this.#path, (done) =>
        fs.read(this.#fd, bytes, filled, range.length - filled, range.offset + filled, done),
      );
      if (got === 0) break;
      filled += got;
    }
    return new Uint8Array(bytes.buffer, bytes.byteOffset, filled);
  }

  async write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    let rest = parts.filter((part) => part.length > 0);
    let at = offset;
    while (rest.length > 0) {
      const written = await call<number>(this.#path, (done) => fs.writev(this.#fd, rest, at, done));
      if (written === 0) throw new DiskError('EIO', this.#path, { message: 'nothing was written' });
      at += written;
      rest = withoutFirst(rest, written);
    }
  }

  writeDurably(offset: number, bytes: Uint8Array, done: (error: DiskError | null) => void): void {
    fs.write(this.#fd, bytes, 0, bytes.length, offset, (error, written) => {
      if (error) done(diskError(error, this.#path));
      else if (written === 0) done(new DiskError('EIO', this.#path));
      else if (written < bytes.length) {
        this.writeDurably(offset + written, bytes.subarray(written), done);
      } else if (this.#oneCall) done(null);
      else {
        fs.fdatasync(this.#fd, (syncError) =>
          done(syncError ? diskError(syncError, this.#path) : null),
        );
      }
    });
  }

  sync(): Promise<void> {
    return call<void>(this.#path, (done) => fs.fdatasync(this.#fd, done));
  }

  truncate(length: number): Promise<void> {
    return call<void>(this.#path, (done) => fs.ftruncate(this.#fd, length, done));
  }

  close(): Promise<void> {
    return call<void>(this.#path, (done) => fs.close(this.#fd, done));
  }
}

/** What is left of `parts` once their first `length` bytes are written. */
function withoutFirst(parts: readonly Uint8Array[], length: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let skip = length;
  for (const part of parts) {
    if (skip < part.length) rest.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return rest;
}

/** A directory that was there before us: private, or empty and made so. CVE-2020-15113. */
async function checkPrivate(path: string): Promise<void> {
  const stats = await call<fs.Stats>(path, (done) => fs.stat(path, done));
  if (!stats.isDirectory()) {
    throw new DiskError('ENOTDIR', path, { message: `${path} is not a directory` });
  }
  // Windows has no such bits: what `stat` says there means nothing.
  if ((stats.mode & OTHERS_MASK) === 0 || process.platform === 'win32') return;
  const names = await call<string[]>(path, (done) => fs.readdir(path, done));
  if (names.length > 0) {
    const mode = (stats.mode & 0o777).toString(8);
    throw new DiskError('EACCES', path, {
      message: `${path} holds data and others may enter it (mode ${mode}): chmod 700 ${path}`,
    });
  }
  await call<void>(path, (done) => fs.chmod(path, DIRECTORY_MODE, done));
}

async function syncDirectory(path: string): Promise<void> {
  // Windows can't open a directory; NTFS journals its names by itself.
  if (process.platform === 'win32') return;
  const flags = O_RDONLY | O_DIRECTORY;
  const fd = await call<number>(path, (done) => fs.open(path, flags, done));
  try {
    await call<void>(path, (done) => fs.fsync(fd, done));
  } finally {
    await call<void>(path, (done) => fs.close(fd, done));
  }
}

/** The one function that we use of `fs-native-extensions`, which brings no types. */
interface NativeLocks {
  /** Takes an exclusive OFD lock (`LockFileEx` on Windows); false when another holder has it. */
  tryLock(fd: number): boolean;
}

async function lock(directory: string): Promise<DiskLock> {
  const path = join(directory, 'LOCK');
  const flags = O_RDWR | O_CREAT | (O_NOFOLLOW ?? 0);
  const locks = await nativeLocks(path);
  const fd = await call<number>(path, (done) => fs.open(path, flags, FILE_MODE, done));
  const close = (): Promise<void> => call<void>(path, (done) => fs.close(fd, done));
  let taken: boolean;
  try {
    taken = locks.tryLock(fd);
  } catch (cause) {
    await close();
    throw diskError(cause, path);
  }
  if (!taken) {
    await close();
    throw new DiskError('ELOCKED', directory, {
      message: `${directory} is used by another process`,
    });
  }
  let released: Promise<void> | null = null;
  return {
    release() {
      released ??= close();
      return released;
    },
  };
}

async function nativeLocks(path: string): Promise<NativeLocks> {
  // Loaded on first use: whoever runs in memory needs no native code. A name of type `string`
  // keeps the compiler from looking for types that do not exist.
  const name: string = 'fs-native-extensions';
  try {
    const module: { default: NativeLocks } = await import(name);
    return module.default;
  } catch (cause) {
    throw new DiskError('ENOSYS', path, {
      message: `${name} can't be loaded: files can't be locked on this platform`,
      cause,
    });
  }
}

/** Turns a callback of `node:fs` into a promise that rejects with `DiskError`. */
function call<T>(
  path: string,
  start: (done: (error: Error | null, value?: T) => void) => void,
): Promise<T> {
  return new Promise<T>((resolvePromise, reject) => {
    start((error, value) => {
      if (error) reject(diskError(error, path));
      else resolvePromise(value as T);
    });
  });
}

function diskError(cause: unknown, path: string): DiskError {
  if (!(cause instanceof Error)) return new DiskError('EUNKNOWN', path, { cause });
  const code = 'code' in cause && typeof cause.code === 'string' ? cause.code : 'EUNKNOWN';
  return new DiskError(code, path, { cause, message: cause.message });
}
