import { type Engines, type MemoryEngines, memoryEngines, StoreError } from '../store/index.ts';
import type { Process } from './process.ts';
import type { Device } from './sim-disk.ts';
import type { Stream } from './streams.ts';
import type { World } from './world.ts';

/** What becomes of one of the next commits: it fails, or is the last before the power goes. */
export type CommitFault = 'EIO' | 'ENOSPC' | 'crashBefore' | 'crashAfter';

/** What can be done to the state of a member that is down. */
export type StateDamage = 'row' | 'current';

const CURRENT = '/CURRENT';

/** Where a member's state is: engines on its disk, which outlive its processes. */
export class StateDevice {
  readonly #world: World;
  readonly #device: Device;
  readonly #stream: Stream;
  /** A commit is many writes: it takes so many times as long as one. */
  readonly #slowness: number;
  #engines: MemoryEngines = memoryEngines();
  readonly #paths = new Set<string>();
  /** Counts down with each commit; at 0 the fault happens. */
  #fault: { readonly kind: CommitFault; commits: number } | null = null;
  /** What was damaged, and may show at any time from now on. */
  #damaged: string | null = null;

  constructor(world: World, name: string, device: Device) {
    this.#world = world;
    this.#device = device;
    this.#stream = world.stream(`state ${name}`);
    this.#slowness = this.#stream.pick([1, 10, 100, 300]);
  }

  /** How long a commit takes on average, milliseconds. */
  get commitMs(): number {
    return this.#device.meanLatencyMs * this.#slowness;
  }

  /** Something was damaged, and is still there. */
  get isDamaged(): boolean {
    return this.#damaged !== null;
  }

  /** A copy of all states. */
  copy(): MemoryEngines {
    return this.#engines.copy();
  }

  /** Puts other states in the place of these; none: an empty disk. */
  replace(engines: MemoryEngines = memoryEngines()): void {
    this.#engines = engines;
    this.#damaged = null;
  }

  /** A process has opened the state, and so has read CURRENT. */
  opened(): void {
    if (this.#damaged?.endsWith(CURRENT)) this.#damaged = null;
  }

  failAfter(kind: CommitFault, commits: number): void {
    this.#fault = { kind, commits };
  }

  heal(): void {
    this.#fault = null;
  }

  /** The engines as one process sees them: commits take time, and die with the process. */
  open(process: Process, onCrash: (kind: 'crashBefore' | 'crashAfter') => void): Engines {
    let failure: 'EIO' | 'ENOSPC' | null = null;
    const commit = (run: () => void): void => {
      if (this.#device.stalled) return this.#device.whenNotStalled(process, () => commit(run));
      this.#world.movePromises();
      const fault = this.#nextFault();
      if (fault === 'crashBefore') return onCrash(fault);
      // What a dead process does after its last commit reaches nobody.
      if (fault === 'crashAfter') onCrash(fault);
      else failure = fault;
      run();
    };
    const engines = this.#engines.with({
      defer: (run) => {
        const delayUs = this.#device.latencyUs() * this.#slowness;
        const when = { kind: 'io', delayUs, label: '' } as const;
        this.#world.schedule(process, when, () => commit(run));
      },
    });
    engines.intercept = ({ path }) => (failure === null ? null : failed(failure, path));
    return {
      open: (path, options) => {
        this.#paths.add(path);
        return engines.open(path, options);
      },
      remove: (path) => {
        this.#paths.delete(path);
        if (path === this.#damaged) this.#damaged = null;
        return engines.remove(path);
      },
      list: (directory) => engines.list(directory),
      receive: (path, size) => engines.receive(path, size),
    };
  }

  /** Flips a bit of a row, or one of CURRENT's, or takes CURRENT away; null: nothing to damage. */
  damage(kind: StateDamage): string | null {
    if (this.#damaged !== null) return null;
    return kind === 'row' ? this.#damageRow() : this.#damageCurrent();
  }

  #nextFault(): CommitFault | null {
    if (this.#device.full) return 'ENOSPC';
    const fault = this.#fault;
    if (fault === null || fault.commits-- > 0) return null;
    this.#fault = null;
    return fault.kind;
  }

  /** Tables count alike: what is rare matters as much as what is many. */
  #damageRow(): string | null {
    const paths = [...this.#paths].sort().filter((path) => this.#engines.peek(path).length > 0);
    if (paths.length === 0) return null;
    const path = this.#stream.pick(paths);
    const rows = this.#engines.peek(path);
    const table = this.#stream.pick([...new Set(rows.map((row) => row.table))]);
    const { key } = this.#stream.pick(rows.filter((row) => row.table === table));
    this.#engines.damage(path, table, key);
    this.#damaged = path;
    return `a row of ${table} in ${path} is damaged`;
  }

  #damageCurrent(): string | null {
    const { image } = this.#device;
    const path = image.paths().find((one) => one.endsWith(CURRENT));
    if (path === undefined) return null;
    this.#damaged = path;
    if (this.#stream.chance(0.3)) {
      image.poke(path, null);
      return `${path} is gone`;
    }
    const bytes = image.peek(path);
    const at = this.#stream.below(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << this.#stream.below(8));
    image.poke(path, bytes);
    return `byte ${at} of ${path} is damaged`;
  }
}

function failed(code: 'EIO' | 'ENOSPC', file: string): StoreError {
  const meaning = code === 'ENOSPC' ? 'FULL' : 'IO';
  return new StoreError(meaning, `${file}: ${code}`, { file });
}
