import { type Disk, type DiskFile, memoryDisk } from '../../src/io/index.ts';
import type { Prng } from '../../src/lib/index.ts';
import type { LabProcess } from './process.ts';

const SYNC_MS_MIN = 0.5;
const SYNC_MS_SPREAD = 2;
/** A new segment is filled with zeros in pieces between these. */
const PIECE_BYTES_MIN = 4_096;
const ZEROS = Buffer.alloc(1024 * 1024);

/**
 * A machine's disk: outlives its processes. It takes its time, and what was not synced may be lost.
 * A process that dies meanwhile never hears of it, and so never takes its next step.
 * The zeros that a new segment is filled with are only a length: a lab has many logs.
 */
export class LabDisk {
  readonly #prng: Prng;
  #image = memoryDisk();
  /** Files that end in zeros which are not in the image, and their true length; by path. */
  readonly #lengths = new Map<string, number>();

  constructor(prng: Prng) {
    this.#prng = prng;
  }

  /** Power loss: each unsynced sector, length and name survives or not, as a coin falls. */
  cutPower(): void {
    this.#image = this.#image.afterPowerCut(() => this.#prng.chance(0.5));
  }

  /** The disk as one process sees it; its durable writes end with the process. */
  openedBy(process: LabProcess): Disk {
    const image = this.#image;
    const takesTime = (): Promise<void> =>
      new Promise((resolve) => process.clock.setTimer(this.#syncMs(), resolve));
    return {
      makeDirectory: (path) => image.makeDirectory(path),
      list: (path) => image.list(path),
      open: async (path, options) => {
        if (options.create) this.#lengths.delete(path);
        return this.#file(path, await image.open(path, options), { process, takesTime });
      },
      rename: async (from, to) => {
        await image.rename(from, to);
        const length = this.#lengths.get(from);
        this.#lengths.delete(from);
        if (length === undefined) this.#lengths.delete(to);
        else this.#lengths.set(to, length);
      },
      remove: (path) => {
        this.#lengths.delete(path);
        return image.remove(path);
      },
      syncDirectory: async (path) => {
        await takesTime();
        await image.syncDirectory(path);
      },
      lock: (directory) => image.lock(directory),
    };
  }

  /** `named`: how it is called when it is opened; a segment is not renamed while it grows. */
  #file(
    named: string,
    file: DiskFile,
    { process, takesTime }: { process: LabProcess; takesTime: () => Promise<void> },
  ): DiskFile {
    const size = async (): Promise<number> =>
      Math.max(await file.size(), this.#lengths.get(named) ?? 0);
    return {
      size,
      read: async (range) => {
        const bytes = await file.read(range);
        const padded = new Uint8Array(Math.min(range.length, (await size()) - range.offset));
        padded.set(bytes);
        return padded;
      },
      write: async (offset, parts) => {
        const [part] = parts;
        const isFilling = parts.length === 1 && part !== undefined && areZeros(part);
        if (isFilling && (await size()) === offset) this.#lengths.set(named, offset + part.length);
        else await file.write(offset, parts);
      },
      sync: async () => {
        await takesTime();
        await file.sync();
      },
      truncate: async (length) => {
        this.#lengths.delete(named);
        await file.truncate(length);
      },
      close: () => file.close(),
      writeDurably: (offset, bytes, done) => {
        // In the cache at once, so that a power cut can tear it; durable only later.
        file.write(offset, [bytes]).catch(unexpected);
        process.clock.setTimer(this.#syncMs(), () => file.writeDurably(offset, bytes, done));
      },
    };
  }

  #syncMs(): number {
    return SYNC_MS_MIN + (SYNC_MS_SPREAD * this.#prng.below(1_000)) / 1_000;
  }
}

function areZeros(part: Uint8Array): boolean {
  return part.length >= PIECE_BYTES_MIN && ZEROS.subarray(0, part.length).equals(part);
}

function unexpected(error: unknown): never {
  throw error;
}
