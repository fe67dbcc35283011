import { assert } from '../lib/index.ts';
import { type Disk, DiskError, type DiskFile, type DiskLock } from './disk.ts';

const SECTOR_BYTES = 512;

/** A call that is about to run. */
export interface DiskCall {
  /** 1 for the first call on this disk, then counting up. */
  readonly number: number;
  readonly kind:
    | 'makeDirectory'
    | 'list'
    | 'open'
    | 'rename'
    | 'remove'
    | 'syncDirectory'
    | 'lock'
    | 'size'
    | 'read'
    | 'write'
    | 'sync'
    | 'truncate'
    | 'close'
    | 'release';
  readonly path: string;
}

/**
 * What becomes of a call: it runs, fails, or never returns (a dead process). A call that fails has
 * no effect, save a sync: it leaves the bytes readable but clean, so that no later sync saves them
 * (Rebello et al., "Can Applications Recover from fsync Failures?", ATC 2020).
 */
export type DiskVerdict = 'run' | 'stall' | DiskError;

/** A change that a power cut may keep or lose, each on its own. */
export type UnsyncedChange =
  /** One sector of a write: at most 512 bytes that do not cross a multiple of 512. */
  | { readonly kind: 'sector'; readonly path: string; readonly offset: number }
  /** A new length of a file. */
  | { readonly kind: 'size'; readonly path: string; readonly length: number }
  /** A file created, renamed to this name or removed. */
  | { readonly kind: 'name'; readonly path: string };

/** A disk in memory that remembers what was synced and what was not. */
export interface MemoryDisk extends Disk {
  /**
   * Judges every call before it runs; by default all run. A durable write asks as write, then as
   * sync.
   */
  intercept: (call: DiskCall) => DiskVerdict;
  /**
   * The disk that a new process finds after this one was killed: nothing is lost, nothing synced.
   */
  afterKill(): MemoryDisk;
  /** The disk after a power cut: of the unsynced changes those that `keep` says, in their order. */
  afterPowerCut(keep: (change: UnsyncedChange) => boolean): MemoryDisk;
  /** What the unsynced changes are, in the order in which `keep` would see them. */
  unsynced(): UnsyncedChange[];
  /** All files' paths, sorted. */
  paths(): string[];
  /** A copy of the file's present bytes. */
  peek(path: string): Uint8Array;
  /**
   * Puts durable bytes in the place of a file's, or makes the file; null removes it: damage by
   * hand.
   */
  poke(path: string, bytes: Uint8Array | null): void;
}

/** Makes an empty disk in memory. */
export function memoryDisk(): MemoryDisk {
  return new World(new Map());
}

type FileChange =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'size'; readonly length: number };

/** A file without its name. */
class Inode {
  /** What reads see. */
  cache: Bytes;
  /** What a power cut leaves if it keeps none of `pending`. */
  readonly durable: Bytes;
  pending: FileChange[];

  constructor(cache = new Bytes(), durable = new Bytes(), pending: FileChange[] = []) {
    this.cache = cache;
    this.durable = durable;
    this.pending = pending;
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length;
    if (end > this.cache.length) this.pending.push({ kind: 'size', length: end });
    const change: FileChange = { kind: 'write', offset, bytes: bytes.slice() };
    this.pending.push(change);
    applyChange(this.cache, change);
  }

  resize(length: number): void {
    const change: FileChange = { kind: 'size', length };
    this.pending.push(change);
    applyChange(this.cache, change);
  }

  sync(): void {
    for (const change of this.pending) applyChange(this.durable, change);
    this.pending = [];
  }

  /** Makes durable what touches the range, and lengths; other writes stay unsynced. */
  syncRange(start: number, end: number): void {
    const touches = (change: FileChange): boolean =>
      change.kind === 'size' ||
      (change.offset < end && change.offset + change.bytes.length > start);
    for (const change of this.pending.filter(touches)) applyChange(this.durable, change);
    this.pending = this.pending.filter((change) => !touches(change));
  }

  /** What a failed sync does. */
  forgetUnsynced(): void {
    this.pending = [];
  }

  copy(): Inode {
    return new Inode(this.cache.copy(), this.durable.copy(), [...this.pending]);
  }
}

/**
 * A byte array that grows; beyond what was written it holds zeros. Copies share until one changes.
 */
class Bytes {
  #bytes = new Uint8Array(0);
  #isShared = false;
  length = 0;

  resize(length: number): void {
    this.#own(length);
    if (length < this.length) this.#bytes.fill(0, length, this.length);
    this.length = length;
  }

  set(offset: number, bytes: Uint8Array): void {
    const end = Math.max(this.length, offset + bytes.length);
    this.#own(end);
    this.length = end;
    this.#bytes.set(bytes, offset);
  }

  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  copy(): Bytes {
    const copy = new Bytes();
    copy.#bytes = this.#bytes;
    copy.length = this.length;
    copy.#isShared = true;
    this.#isShared = true;
    return copy;
  }

  /** Makes sure of an array of its own with room for `length` bytes. */
  #own(length: number): void {
    const hasRoom = length <= this.#bytes.length;
    if (hasRoom && !this.#isShared) return;
    const own = new Uint8Array(hasRoom ? this.#bytes.length : Math.max(length, 2 * this.length));
    own.set(this.view());
    this.#bytes = own;
    this.#isShared = false;
  }
}

function applyChange(bytes: Bytes, change: FileChange): void {
  if (change.kind === 'size') bytes.resize(change.length);
  else bytes.set(change.offset, change.bytes);
}

/** A change of a directory; `inode` is null for a removal. */
interface NameChange {
  readonly name: string;
  readonly inode: Inode | null;
  /** The name that a rename takes away. */
  readonly formerName: string | null;
}

interface Directory {
  readonly cache: Map<string, Inode>;
  readonly durable: Map<string, Inode>;
  pending: NameChange[];
}

function applyNameChange(names: Map<string, Inode>, change: NameChange): void {
  if (change.formerName !== null) names.delete(change.formerName);
  if (change.inode === null) names.delete(change.name);
  else names.set(change.name, change.inode);
}

class World implements MemoryDisk {
  readonly #directories: Map<string, Directory>;
  readonly #locked = new Set<string>();
  #calls = 0;
  intercept: (call: DiskCall) => DiskVerdict = () => 'run';

  constructor(directories: Map<string, Directory>) {
    this.#directories = directories;
  }

  makeDirectory(path: string): Promise<void> {
    return this.run('makeDirectory', path, () => this.#makeDirectory(path));
  }

  list(path: string): Promise<string[]> {
    return this.run('list', path, () => [...this.#directory(path).cache.keys()].sort());
  }

  open(path: string, options: { create: boolean }): Promise<DiskFile> {
    return this.run('open', path, () => {
      const { directory, name } = this.#locate(path);
      const found = directory.cache.get(name);
      if (options.create && found !== undefined) throw new DiskError('EEXIST', path);
      if (options.create) this.#rename(directory, { name, inode: new Inode(), formerName: null });
      const inode = directory.cache.get(name);
      if (inode === undefined) throw new DiskError('ENOENT', path);
      return new MemoryFile(this, inode, path);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.run('rename', to, () => {
      const { directory, name } = this.#locate(to);
      const former = this.#locate(from);
      assert(former.directory === directory, 'rename between directories', { from, to });
      const inode = directory.cache.get(former.name);
      if (inode === undefined) throw new DiskError('ENOENT', from);
      this.#rename(directory, { name, inode, formerName: former.name });
    });
  }

  remove(path: string): Promise<void> {
    return this.run('remove', path, () => {
      const { directory, name } = this.#locate(path);
      if (!directory.cache.has(name)) throw new DiskError('ENOENT', path);
      this.#rename(directory, { name, inode: null, formerName: null });
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.run('syncDirectory', path, () => {
      const directory = this.#directory(path);
      for (const change of directory.pending) applyNameChange(directory.durable, change);
      directory.pending = [];
    });
  }

  lock(path: string): Promise<DiskLock> {
    return this.run('lock', path, () => {
      if (this.#locked.has(path)) throw new DiskError('ELOCKED', path);
      this.#locked.add(path);
      return {
        release: () => this.run('release', path, () => void this.#locked.delete(path)),
      };
    });
  }

  afterKill(): MemoryDisk {
    return this.#copy();
  }

  afterPowerCut(keep: (change: UnsyncedChange) => boolean): MemoryDisk {
    const copy = this.#copy();
    for (const { directory, inodes } of copy.#contents()) {
      for (const [path, inode] of inodes) {
        const kept = sectorChanges(path, inode).filter(({ seen }) => keep(seen));
        for (const { change } of kept) applyChange(inode.durable, change);
        inode.pending = [];
        inode.cache = inode.durable.copy();
      }
      for (const { seen, change } of nameChanges(directory.path, directory.entry)) {
        if (keep(seen)) applyNameChange(directory.entry.durable, change);
      }
      directory.entry.pending = [];
      directory.entry.cache.clear();
      for (const [name, inode] of directory.entry.durable) directory.entry.cache.set(name, inode);
    }
    return copy;
  }

  unsynced(): UnsyncedChange[] {
    return this.#contents().flatMap(({ directory, inodes }) => [
      ...inodes.flatMap(([path, inode]) => sectorChanges(path, inode).map(({ seen }) => seen)),
      ...nameChanges(directory.path, directory.entry).map(({ seen }) => seen),
    ]);
  }

  paths(): string[] {
    return [...this.#directories]
      .flatMap(([path, directory]) => [...directory.cache.keys()].map((name) => `${path}/${name}`))
      .sort();
  }

  peek(path: string): Uint8Array {
    const { directory, name } = this.#locate(path);
    const inode = directory.cache.get(name);
    if (inode === undefined) throw new DiskError('ENOENT', path);
    return inode.cache.view().slice();
  }

  poke(path: string, bytes: Uint8Array | null): void {
    this.#makeDirectory(split(path).parent);
    const { directory, name } = this.#locate(path);
    const inode = bytes === null ? null : new Inode();
    if (inode !== null && bytes !== null) {
      inode.write(0, bytes);
      inode.sync();
    }
    for (const names of [directory.cache, directory.durable]) {
      applyNameChange(names, { name, inode, formerName: null });
    }
  }

  /** Asks `intercept`, then does the work at once; the caller hears of it in a microtask. */
  run<T>(kind: DiskCall['kind'], path: string, work: () => T): Promise<T> {
    const verdict = this.verdict(kind, path);
    if (verdict === 'stall') return new Promise<T>(() => {});
    if (verdict !== 'run') return Promise.reject(verdict);
    return new Promise<T>((resolve) => resolve(work()));
  }

  verdict(kind: DiskCall['kind'], path: string): DiskVerdict {
    this.#calls += 1;
    return this.intercept({ number: this.#calls, kind, path });
  }

  #makeDirectory(path: string): void {
    if (path === '' || this.#directories.has(path)) return;
    this.#makeDirectory(split(path).parent);
    this.#directories.set(path, { cache: new Map(), durable: new Map(), pending: [] });
  }

  #directory(path: string): Directory {
    const directory = this.#directories.get(path);
    if (directory === undefined) throw new DiskError('ENOENT', path);
    return directory;
  }

  #locate(path: string): { directory: Directory; name: string } {
    const { parent, name } = split(path);
    return { directory: this.#directory(parent), name };
  }

  #rename(directory: Directory, change: NameChange): void {
    directory.pending.push(change);
    applyNameChange(directory.cache, change);
  }

  /** Every directory with each inode that it names or named, once, under one of its paths. */
  #contents(): {
    directory: { path: string; entry: Directory };
    inodes: [path: string, inode: Inode][];
  }[] {
    return [...this.#directories].map(([path, entry]) => {
      const named = new Map<Inode, string>();
      for (const [name, inode] of [...entry.durable, ...entry.cache]) named.set(inode, name);
      for (const { name, inode } of entry.pending) {
        if (inode !== null && !named.has(inode)) named.set(inode, name);
      }
      const inodes = [...named].map(([inode, name]): [string, Inode] => [`${path}/${name}`, inode]);
      return { directory: { path, entry }, inodes };
    });
  }

  #copy(): World {
    const copies = new Map<Inode, Inode>();
    const copied = (inode: Inode): Inode => {
      const copy = copies.get(inode) ?? inode.copy();
      copies.set(inode, copy);
      return copy;
    };
    const names = (map: Map<string, Inode>): Map<string, Inode> =>
      new Map([...map].map(([name, inode]) => [name, copied(inode)]));
    const directories = [...this.#directories].map(([path, entry]): [string, Directory] => [
      path,
      {
        cache: names(entry.cache),
        durable: names(entry.durable),
        pending: entry.pending.map((change) => ({
          ...change,
          inode: change.inode === null ? null : copied(change.inode),
        })),
      },
    ]);
    return new World(new Map(directories));
  }
}

class MemoryFile implements DiskFile {
  readonly #world: World;
  readonly #inode: Inode;
  readonly #path: string;

  constructor(world: World, inode: Inode, path: string) {
    this.#world = world;
    this.#inode = inode;
    this.#path = path;
  }

  size(): Promise<number> {
    return this.#world.run('size', this.#path, () => this.#inode.cache.length);
  }

  read(range: { offset: number; length: number }): Promise<Uint8Array> {
    return this.#world.run('read', this.#path, () =>
      this.#inode.cache.view().slice(range.offset, range.offset + range.length),
    );
  }

  write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    return this.#world.run('write', this.#path, () => {
      let at = offset;
      for (const part of parts) {
        this.#inode.write(at, part);
        at += part.length;
      }
    });
  }

  writeDurably(offset: number, bytes: Uint8Array, done: (error: DiskError | null) => void): void {
    const steps: ['write' | 'sync', () => void][] = [
      ['write', () => this.#inode.write(offset, bytes)],
      ['sync', () => this.#inode.syncRange(offset, offset + bytes.length)],
    ];
    for (const [kind, work] of steps) {
      const verdict = this.#world.verdict(kind, this.#path);
      if (verdict === 'stall') return;
      if (verdict !== 'run') {
        if (kind === 'sync') this.#inode.forgetUnsynced();
        queueMicrotask(() => done(verdict));
        return;
      }
      work();
    }
    queueMicrotask(() => done(null));
  }

  sync(): Promise<void> {
    const synced = this.#world.run('sync', this.#path, () => this.#inode.sync());
    synced.catch(() => this.#inode.forgetUnsynced());
    return synced;
  }

  truncate(length: number): Promise<void> {
    return this.#world.run('truncate', this.#path, () => this.#inode.resize(length));
  }

  close(): Promise<void> {
    return this.#world.run('close', this.#path, () => {});
  }
}

/** The unsynced changes of a file, writes cut at sector borders. */
function sectorChanges(path: string, inode: Inode): { seen: UnsyncedChange; change: FileChange }[] {
  return inode.pending.flatMap((change) => {
    if (change.kind === 'size') {
      return [{ seen: { kind: 'size' as const, path, length: change.length }, change }];
    }
    const sectors: { seen: UnsyncedChange; change: FileChange }[] = [];
    const end = change.offset + change.bytes.length;
    for (let at = change.offset; at < end; ) {
      const next = Math.min(end, (Math.floor(at / SECTOR_BYTES) + 1) * SECTOR_BYTES);
      const bytes = change.bytes.subarray(at - change.offset, next - change.offset);
      sectors.push({
        seen: { kind: 'sector', path, offset: at },
        change: { kind: 'write', offset: at, bytes },
      });
      at = next;
    }
    return sectors;
  });
}

function nameChanges(
  path: string,
  directory: Directory,
): { seen: UnsyncedChange; change: NameChange }[] {
  return directory.pending.map((change) => ({
    seen: { kind: 'name', path: `${path}/${change.name}` },
    change,
  }));
}

function split(path: string): { parent: string; name: string } {
  const at = path.lastIndexOf('/');
  return { parent: path.slice(0, Math.max(at, 0)), name: path.slice(at + 1) };
}
