import { crc32 } from 'node:zlib';
import { memoryDisk } from '../../src/io/index.ts';
import type { MemoryDisk } from '../../src/io/memory-disk.ts';
import type { Prng } from '../../src/lib/index.ts';
import { type Engines, memoryEngines, type Row } from '../../src/store/index.ts';
import type { CutLimits } from '../../src/wal/testing/crash-states.ts';
import { powerCuts } from '../../src/wal/testing/crash-states.ts';

/** An engine as a dead process left it. */
interface EngineLeft {
  readonly path: string;
  /** Null: not even the engine's own first commit happened. */
  readonly rows: readonly Row[] | null;
}

/** What a crash left of a machine, and how to name it when a test fails. */
export interface Left {
  readonly disk: MemoryDisk;
  readonly engines: readonly EngineLeft[];
  readonly name: string;
}

/** Of a machine that has done nothing yet. */
export const NOTHING: Left = { disk: memoryDisk(), engines: [], name: 'new' };

/**
 * Disk and engines of one process. Every call to the disk and every commit is a step; from the step
 * `dieAt` on none happens, and none is answered: the process is dead, whatever it still thinks.
 */
export class Machine {
  readonly disk: MemoryDisk;
  readonly engines: Engines;
  readonly #memory = memoryEngines();
  readonly #dieAt: number;
  #steps = 0;
  /** Engines that are there, and whether their first commit has happened. */
  readonly #paths = new Map<string, boolean>();

  private constructor(disk: MemoryDisk, dieAt: number) {
    this.disk = disk;
    this.#dieAt = dieAt;
    const engines = this.#memory.with({
      defer: (run) =>
        queueMicrotask(() => {
          if (this.#step()) run();
        }),
    });
    engines.intercept = ({ path }) => {
      this.#paths.set(path, true);
      return null;
    };
    this.engines = {
      open: (path, options) => {
        if (options?.create === true) this.#paths.set(path, false);
        return engines.open(path, options);
      },
      remove: async (path) => {
        if (!this.#step()) return await new Promise<void>(() => {});
        this.#paths.delete(path);
        await engines.remove(path);
      },
      list: (directory) => engines.list(directory),
      receive: (path, bytes, options) => engines.receive(path, bytes, options),
    };
  }

  /** What another process finds on a machine. */
  static async restart(left: Left, dieAt = Number.POSITIVE_INFINITY): Promise<Machine> {
    const machine = new Machine(left.disk.afterKill(), dieAt);
    for (const engine of left.engines) await machine.#restore(engine);
    // The disk counts its own calls: only those of this process matter.
    machine.disk.intercept = () => (machine.#step() ? 'run' : 'stall');
    return machine;
  }

  /** Steps so far. */
  get steps(): number {
    return this.#steps;
  }

  get isDead(): boolean {
    return this.#steps >= this.#dieAt;
  }

  /** What the process left, in every way in which the power may have gone. */
  *left(limits: CutLimits, random: Prng): Generator<Left> {
    const engines = this.#engines();
    const at = `step ${this.#dieAt}`;
    yield { disk: this.disk.afterKill(), engines, name: `${at}, killed` };
    for (const { disk, name } of powerCuts(this.disk, limits, random)) {
      yield { disk, engines, name: `${at}, ${name}` };
    }
  }

  /** As it is after everything has been closed. */
  leftWhole(): Left {
    return { disk: this.disk, engines: this.#engines(), name: 'whole' };
  }

  #engines(): EngineLeft[] {
    return [...this.#paths].map(([path, isMade]) => ({
      path,
      rows: isMade ? this.#memory.peek(path) : null,
    }));
  }

  #step(): boolean {
    this.#steps++;
    return this.#steps < this.#dieAt;
  }

  async #restore({ path, rows }: EngineLeft): Promise<void> {
    this.#paths.set(path, rows !== null);
    if (rows === null) {
      // Made, and its first commit never happens.
      void this.#memory.with({ defer() {} }).open(path, { create: true });
      return;
    }
    const engine = await this.#memory.open(path, { create: true });
    await new Promise<void>((resolve, reject) => {
      engine.commit(rows, (error) => (error === null ? resolve() : reject(error)));
    });
    await engine.close();
  }
}

/** Equal for what the next process cannot tell apart (as good as certainly). */
export function digest({ disk, engines }: Left): string {
  const files = disk.paths().map((path) => {
    const bytes = disk.peek(path);
    return `${path}:${bytes.length}:${crc32(bytes)}`;
  });
  const states = engines.map(({ path, rows }) => {
    let sum = 0;
    for (const { table, key, value } of rows ?? []) {
      sum = crc32(value, crc32(key, crc32(table, sum)));
    }
    return `${path}:${rows?.length}:${sum}`;
  });
  return [...files, ...states].join(' ');
}
