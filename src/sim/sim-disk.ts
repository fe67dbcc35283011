import { type Disk, DiskError, type DiskFile, type DiskLock, memoryDisk } from '../io/index.ts';
import type { Process } from './process.ts';
import type { Stream } from './streams.ts';
import type { World } from './world.ts';

type MemoryDisk = ReturnType<typeof memoryDisk>;
type MemoryFile = Awaited<ReturnType<MemoryDisk['open']>>;

/** What happens to the next matching step of a disk. */
export type DiskFault = 'EIO' | 'ENOSPC' | 'crash';

/** How fast a disk is, milliseconds. */
export interface DiskSpeed {
  readonly baseMs: number;
  /** Mean of what comes on top. */
  readonly jitterMs: number;
}

/** Who looks on while a member writes. */
export interface DiskWatcher {
  /** These bytes of a file are durable now. */
  onDurable(path: string, bytes: Uint8Array): void;
  /** A file with these bytes is about to get this name. */
  onRename(path: string, bytes: () => Uint8Array): void;
  /** A file is about to go. */
  onRemove(path: string): void;
  onCrashAtStep(): void;
  /** Something was opened; the function returned is called when it is closed. */
  onOpen(what: string): () => void;
}

/** A member's disk: outlives its processes. */
export class Device {
  readonly #world: World;
  readonly #stream: Stream;
  #image: MemoryDisk = memoryDisk();
  #speed: DiskSpeed;
  #stalledUntilUs = 0;
  /** What goes on when the disk answers again. */
  #waiting: { readonly process: Process; readonly run: () => void }[] = [];
  /** Counts down with each write or sync; at 0 the fault happens. */
  #fault: { readonly kind: DiskFault; steps: number } | null = null;
  /** Nothing can be written any more. */
  #full = false;

  constructor(world: World, name: string, speed: DiskSpeed) {
    this.#world = world;
    this.#stream = world.stream(`disk ${name}`);
    this.#speed = speed;
  }

  get image(): MemoryDisk {
    return this.#image;
  }

  get stalled(): boolean {
    return this.#stalledUntilUs > this.#world.nowUs;
  }

  /** Nothing more can be written. */
  get full(): boolean {
    return this.#full;
  }

  set speed(speed: DiskSpeed) {
    this.#speed = speed;
  }

  get meanLatencyMs(): number {
    return this.#speed.baseMs + this.#speed.jitterMs;
  }

  latencyUs(): number {
    const { baseMs, jitterMs } = this.#speed;
    return (baseMs + this.#stream.exponential(jitterMs)) * 1000;
  }

  /** Nothing is finished for so long. */
  stall(durationMs: number): void {
    this.#stalledUntilUs = this.#world.nowUs + Math.ceil(durationMs * 1000);
    this.#world.after(durationMs, '', () => this.#goOn());
  }

  /** Runs something when the disk answers again. */
  whenNotStalled(process: Process, run: () => void): void {
    this.#waiting.push({ process, run });
  }

  failAfter(kind: DiskFault, steps: number): void {
    this.#fault = { kind, steps };
  }

  /** Ends every fault that a repair can end. */
  heal(): void {
    this.#fault = null;
    this.#full = false;
    this.#stalledUntilUs = 0;
    this.#goOn();
  }

  #goOn(): void {
    if (this.stalled) return;
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { process, run } of waiting) {
      this.#world.schedule(process, { kind: 'io', delayUs: 0, label: '' }, run);
    }
  }

  /** One more write or sync: what becomes of it. */
  step(): DiskFault | null {
    if (this.#full) return 'ENOSPC';
    const fault = this.#fault;
    if (fault === null) return null;
    if (fault.steps-- > 0) return null;
    this.#fault = null;
    if (fault.kind === 'ENOSPC') this.#full = true;
    return fault.kind;
  }

  /** The process was killed: the page cache stays. */
  afterKill(): void {
    this.#image = this.#image.afterKill();
  }

  /** The machine lost power: of each unsynced sector, length and name, `keep` survives. */
  afterPowerCut(keep: number): number {
    const lost = this.#image.unsynced().length;
    this.#image = this.#image.afterPowerCut(() => this.#stream.chance(keep));
    return lost;
  }

  /** Puts another image in the place of this one; none: an empty disk. */
  replace(image: MemoryDisk = memoryDisk()): void {
    this.#image = image;
  }

  /** A copy of what is durable now. */
  copy(): MemoryDisk {
    return this.#image.afterPowerCut(() => false);
  }

  /** Flips one bit of what is stored, or writes one block over another; null: nothing there. */
  damage(kind: 'bitRot' | 'misdirected'): string | null {
    const segments = this.#image
      .paths()
      .filter((path) => path.endsWith('.wal'))
      .map((path) => ({ path, used: usedBytes(this.#image.peek(path)) }))
      .filter(({ used }) => used >= 3 * BLOCK_BYTES);
    if (segments.length === 0) return null;
    const { path, used } = this.#stream.pick(segments);
    const bytes = this.#image.peek(path);
    const at = this.#stream.below(used);
    if (kind === 'bitRot') {
      bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#stream.below(8));
    } else {
      const from = this.#stream.below(used / BLOCK_BYTES) * BLOCK_BYTES;
      const to = Math.floor(at / BLOCK_BYTES) * BLOCK_BYTES;
      bytes.copyWithin(to, from, from + BLOCK_BYTES);
    }
    this.#image.poke(path, bytes);
    return `${kind} at byte ${at} of ${path}`;
  }
}

const BLOCK_BYTES = 4096;

function usedBytes(bytes: Uint8Array): number {
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return Math.ceil(end / BLOCK_BYTES) * BLOCK_BYTES;
}

/** The disk as one process sees it: every call takes time, and its answer dies with the process. */
export function openDevice(
  world: World,
  device: Device,
  process: Process,
  watcher: DiskWatcher,
): Disk {
  const calls = new Calls(world, device, process, watcher);
  const { image } = device;
  return {
    makeDirectory: (path) => calls.run(path, true, () => image.makeDirectory(path)),
    list: (path) => calls.run(path, false, () => image.list(path)),
    open: (path, options) =>
      calls.run(path, options.create, async () => {
        const file = await image.open(path, options);
        return new SimFile({ calls, file, path, closed: watcher.onOpen(path) });
      }),
    rename: (from, to) =>
      calls.run(to, true, () => {
        watcher.onRename(to, () => image.peek(from));
        return image.rename(from, to);
      }),
    remove: (path) =>
      calls.run(path, true, () => {
        watcher.onRemove(path);
        return image.remove(path);
      }),
    syncDirectory: (path) => calls.run(path, true, () => image.syncDirectory(path)),
    lock: (path) =>
      calls.run(path, false, async (): Promise<DiskLock> => {
        const lock = await image.lock(path);
        const released = watcher.onOpen(`the lock ${path}`);
        return {
          release: () =>
            calls.run(path, false, () => {
              released();
              return lock.release();
            }),
        };
      }),
  };
}

/** Gives calls their latency and their faults. */
class Calls {
  readonly #world: World;
  readonly #device: Device;
  readonly #process: Process;
  readonly #watcher: DiskWatcher;

  constructor(world: World, device: Device, process: Process, watcher: DiskWatcher) {
    this.#world = world;
    this.#device = device;
    this.#process = process;
    this.#watcher = watcher;
  }

  get alive(): boolean {
    return this.#process.alive;
  }

  /** Runs a whole call at its end; `writes`: it may fail or be the last one. */
  run<T>(path: string, writes: boolean, work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.later(() => {
        const error = writes ? this.step(path) : null;
        if (!this.alive) return;
        if (error !== null) reject(error);
        else work().then(resolve, reject);
      });
    });
  }

  /** Calls back when the disk has done its work, unless the process is dead by then. */
  later(run: () => void): void {
    if (!this.alive) return;
    const delayUs = this.#device.latencyUs();
    const finish = (): void => {
      if (this.#device.stalled) return this.#device.whenNotStalled(this.#process, finish);
      this.#world.movePromises();
      run();
    };
    this.#world.schedule(this.#process, { kind: 'io', delayUs, label: '' }, finish);
  }

  /** One step that changes the disk: the error it meets, or the end of the process. */
  step(path: string): DiskError | null {
    const fault = this.#device.step();
    if (fault === null) return null;
    if (fault !== 'crash') return new DiskError(fault, path);
    this.#watcher.onCrashAtStep();
    return null;
  }

  durable(path: string, bytes: Uint8Array): void {
    this.#watcher.onDurable(path, bytes);
  }

  /** Lets `work` meet `error` in the image itself, so that a failed sync drops what it must. */
  failing<T>(error: DiskError, work: () => T): T {
    const { image } = this.#device;
    image.intercept = () => error;
    const result = work();
    image.intercept = () => 'run';
    return result;
  }
}

/** An open file. */
class SimFile implements DiskFile {
  readonly #calls: Calls;
  readonly #file: MemoryFile;
  readonly #path: string;
  readonly #closed: () => void;

  constructor(parts: {
    readonly calls: Calls;
    readonly file: MemoryFile;
    readonly path: string;
    readonly closed: () => void;
  }) {
    this.#calls = parts.calls;
    this.#file = parts.file;
    this.#path = parts.path;
    this.#closed = parts.closed;
  }

  size(): Promise<number> {
    return this.#calls.run(this.#path, false, () => this.#file.size());
  }

  read(range: { offset: number; length: number }): Promise<Uint8Array> {
    return this.#calls.run(this.#path, false, () => this.#file.read(range));
  }

  write(offset: number, parts: readonly Uint8Array[]): Promise<void> {
    return this.#calls.run(this.#path, true, () => this.#file.write(offset, parts));
  }

  truncate(length: number): Promise<void> {
    return this.#calls.run(this.#path, true, () => this.#file.truncate(length));
  }

  close(): Promise<void> {
    return this.#calls.run(this.#path, false, () => {
      this.#closed();
      return this.#file.close();
    });
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#calls.later(() => this.#sync().then(resolve, reject));
    });
  }

  /** The bytes are in the page cache at once, and durable when the call comes back. */
  writeDurably(offset: number, bytes: Uint8Array, done: (error: DiskError | null) => void): void {
    const calls = this.#calls;
    if (!calls.alive) return;
    const error = calls.step(this.#path);
    if (!calls.alive) return;
    if (error !== null) return calls.later(() => done(error));
    // Its promise is settled already: the image does its work at the call.
    void this.#file.write(offset, [bytes]);
    calls.later(() => {
      this.#sync().then(
        () => {
          if (!calls.alive) return;
          calls.durable(this.#path, bytes);
          done(null);
        },
        (cause: DiskError) => done(cause),
      );
    });
  }

  #sync(): Promise<void> {
    const error = this.#calls.step(this.#path);
    if (!this.#calls.alive) return new Promise(() => {});
    if (error === null) return this.#file.sync();
    return this.#calls.failing(error, () => this.#file.sync());
  }
}
