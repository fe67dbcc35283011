import type { Disk, DiskLock, Log } from '../io/index.ts';
import { assert } from '../lib/index.ts';
import { readCurrent, removeCurrent, writeCurrent } from './current-file.ts';
import { refuseDamaged, removeDamage, writeDamage } from './damage-file.ts';
import { durableStore } from './durable-store.ts';
import { corruptState, StoreError, storeError } from './error.ts';
import type { Packing } from './packing.ts';
import type { DurableStore, Engine, Engines, ImageTarget } from './types.ts';

export interface StateHomeOptions {
  readonly disk: Disk;
  readonly engines: Engines;
  /** `<data-dir>/state`; made when it does not exist. */
  readonly directory: string;
  readonly log: Log;
  /** As `EngineOptions.packed`, for all generations. */
  readonly packed?: ReadonlyMap<string, Packing>;
}

/**
 * A member's state: the generation in force, and at times the next one beside it. A snapshot is
 * restored into the next generation while the old one serves, and then takes its place in one step.
 */
export interface StateHome {
  /** The state in force. Another one after `FreshState.adopt`. */
  readonly current: DurableStore;
  /** An empty state beside the one in force; an earlier one that was not adopted is removed. */
  create(): Promise<FreshState>;
  /**
   * Damage was found in the state in force: the next start refuses it. What is met while rows are
   * read reports itself.
   */
  reportDamage(finding: StoreError): void;
  /** Waits for a flush under way and lets go of the directory. Safe to call twice. */
  close(): Promise<void>;
}

/** A state in the making. */
export interface FreshState {
  /** All that it shall hold is committed to it before `adopt`, unless it comes as an image. */
  readonly engine: Engine;
  /** For error messages. */
  readonly path: string;
  /**
   * Makes a file for an image in the place of the empty one; `engine` is what the target's `finish`
   * opened.
   * @throws StoreError (rejects): `VERSION` when the engines take none; `FULL`, `IO`.
   */
  receive(bytes: number): Promise<ImageTarget>;
  /**
   * Puts it in force, durably: a crash at any moment leaves the old state or this one. `switched`
   * is called in that moment; then the old one's store and views end, and its file is removed.
   * After an error which of the two is in force is open until the next start: stop.
   */
  adopt(switched?: (store: DurableStore) => void): Promise<DurableStore>;
  /** Removes it. Safe to call twice, and after `adopt`, when it does nothing. */
  discard(): Promise<void>;
}

/**
 * Opens the state in force, or makes the first, empty one; removes what a crash left behind.
 * @throws StoreError (rejects): `CORRUPT` when the state in force is missing or damaged, `LOCKED`,
 * `VERSION`, `FULL`, `IO`.
 */
export async function openStateHome(options: StateHomeOptions): Promise<StateHome> {
  const { disk, directory } = options;
  try {
    await disk.makeDirectory(directory);
    const lock = await disk.lock(directory);
    try {
      const findings = new Findings(options);
      const generation = await openGeneration(options, (number, finding) =>
        findings.add(number, finding),
      );
      return new GenerationHome(options, { lock, generation, findings });
    } catch (cause) {
      await lock.release();
      throw cause;
    }
  } catch (cause) {
    throw storeError(cause, directory);
  }
}

/**
 * Removes the state, damaged or not: the next `openStateHome` makes an empty one. The name of the
 * one in force goes first, so that a crash on the way leaves a state that is refused, or none.
 * @throws StoreError (rejects): `LOCKED`, `IO`.
 */
export async function resetState(options: Omit<StateHomeOptions, 'log' | 'packed'>): Promise<void> {
  const { disk, engines, directory } = options;
  try {
    await disk.makeDirectory(directory);
    const lock = await disk.lock(directory);
    try {
      await removeCurrent(options);
      for (const path of await engines.list(directory)) await engines.remove(path);
      await removeDamage(options);
      await disk.syncDirectory(directory);
    } finally {
      await lock.release();
    }
  } catch (cause) {
    throw storeError(cause, directory);
  }
}

const NOTHING_PACKED: ReadonlyMap<string, Packing> = new Map();

/** A state with its number: 1, 2, 3 …, and the file that bears it. */
interface Generation {
  readonly number: number;
  readonly path: string;
  readonly engine: Engine;
}

/** One in the making. */
interface FreshGeneration extends Generation {
  engine: Engine;
  /** Where an image is written to, if it comes as one. */
  target: ImageTarget | null;
}

/** Told of damage in a generation. */
type Report = (generation: number, finding: StoreError) => void;

async function openGeneration(options: StateHomeOptions, report: Report): Promise<Generation> {
  const { disk, engines, directory, log, packed = NOTHING_PACKED } = options;
  const number = await readCurrent(options);
  if (number === null) return makeFirst(options, report);
  // A process that was killed may have renamed CURRENT and not synced it. A power cut would bring
  // the old one back, and what that names is about to be removed.
  await disk.syncDirectory(directory);
  const path = pathOf(directory, number);
  await refuseDamaged(options, number, path);
  for (const found of await engines.list(directory)) {
    if (found === path) continue;
    log.info('removing a state that was not adopted or not removed', { path: found });
    await engines.remove(found);
  }
  const onDamage = (finding: StoreError): void => report(number, finding);
  return { number, path, engine: await engines.open(path, { packed, onDamage }) };
}

async function makeFirst(
  { disk, engines, directory, packed = NOTHING_PACKED }: StateHomeOptions,
  report: Report,
): Promise<Generation> {
  const path = pathOf(directory, 1);
  for (const found of await engines.list(directory)) {
    if (found !== path || (await holdsRows(engines, path))) {
      throw corruptState('CURRENT is missing, but there is a state', found);
    }
  }
  await engines.remove(path);
  const onDamage = (finding: StoreError): void => report(1, finding);
  const engine = await engines.open(path, { create: true, packed, onDamage });
  try {
    await removeDamage({ disk, directory });
    await disk.syncDirectory(directory);
    await writeCurrent({ disk, directory }, 1);
    return { number: 1, path, engine };
  } catch (cause) {
    await engine.close();
    throw cause;
  }
}

/** Whether this is more than what a crash leaves while the very first state is made. */
async function holdsRows(engines: Engines, path: string): Promise<boolean> {
  try {
    const engine = await engines.open(path);
    const view = engine.view();
    const first = view.rows()[Symbol.iterator]().next();
    view.close();
    await engine.close();
    return first.done !== true;
  } catch (cause) {
    // Half made: the power failed before its first commit.
    if (cause instanceof StoreError && cause.code === 'CORRUPT') return false;
    throw cause;
  }
}

function pathOf(directory: string, number: number): string {
  return `${directory}/${String(number).padStart(16, '0')}.lmdb`;
}

/** Notes damage down as soon as it is met, for the next start. */
class Findings {
  readonly #place: Pick<StateHomeOptions, 'disk' | 'directory' | 'log'>;
  /** The first of each generation is noted. */
  readonly #generations = new Set<number>();
  /** Settled when all were noted. */
  noted: Promise<void> = Promise.resolve();

  constructor(place: Pick<StateHomeOptions, 'disk' | 'directory' | 'log'>) {
    this.#place = place;
  }

  add(generation: number, finding: StoreError): void {
    if (this.#generations.has(generation)) return;
    this.#generations.add(generation);
    const { log } = this.#place;
    log.error('alarm: the stored state is damaged; the next start will refuse it', {
      file: finding.file,
      finding: finding.message,
    });
    this.noted = this.noted
      .then(() => writeDamage(this.#place, generation, finding))
      .catch((error: unknown) => log.error('the damage could not be noted down', { error }));
  }
}

class GenerationHome implements StateHome {
  readonly #options: StateHomeOptions;
  readonly #lock: DiskLock;
  readonly #findings: Findings;
  #generation: Generation;
  #current: DurableStore;
  /** The state in the making. */
  #fresh: FreshGeneration | null = null;
  /** Never used twice while this process runs. */
  #lastNumber: number;
  #closing: Promise<void> | null = null;

  constructor(
    options: StateHomeOptions,
    parts: { lock: DiskLock; generation: Generation; findings: Findings },
  ) {
    const { lock, generation, findings } = parts;
    this.#options = options;
    this.#lock = lock;
    this.#findings = findings;
    this.#generation = generation;
    this.#lastNumber = generation.number;
    this.#current = durableStore(generation.engine);
  }

  get current(): DurableStore {
    return this.#current;
  }

  async create(): Promise<FreshState> {
    assert(this.#closing === null, 'state home is closed');
    if (this.#fresh !== null) await this.#discard(this.#fresh);
    const number = ++this.#lastNumber;
    const path = pathOf(this.#options.directory, number);
    const { engines, packed = NOTHING_PACKED } = this.#options;
    await engines.remove(path);
    const onDamage = (finding: StoreError): void => this.#findings.add(number, finding);
    const engine = await engines.open(path, { create: true, packed, onDamage });
    const fresh: FreshGeneration = { number, path, engine, target: null };
    this.#fresh = fresh;
    return {
      path,
      get engine() {
        return fresh.engine;
      },
      receive: (bytes) => this.#receive(fresh, bytes),
      adopt: (switched = () => {}) => this.#adopt(fresh, switched),
      discard: () => this.#discard(fresh),
    };
  }

  reportDamage(finding: StoreError): void {
    this.#findings.add(this.#generation.number, finding);
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #receive(fresh: FreshGeneration, bytes: number): Promise<ImageTarget> {
    assert(this.#fresh === fresh, 'this state was adopted or discarded');
    const { engines, packed = NOTHING_PACKED } = this.#options;
    await fresh.engine.close();
    await engines.remove(fresh.path);
    const onDamage = (finding: StoreError): void => this.#findings.add(fresh.number, finding);
    const target = await engines.receive(fresh.path, bytes, { packed, onDamage });
    fresh.target = target;
    return {
      write: (chunk) => target.write(chunk),
      abandon: () => target.abandon(),
      finish: async () => {
        fresh.engine = await target.finish();
        return fresh.engine;
      },
    };
  }

  async #adopt(
    fresh: FreshGeneration,
    switched: (store: DurableStore) => void,
  ): Promise<DurableStore> {
    assert(this.#fresh === fresh, 'this state was adopted or discarded');
    const { disk, directory, engines, log } = this.#options;
    const old = this.#generation;
    try {
      await disk.syncDirectory(directory);
      await writeCurrent({ disk, directory }, fresh.number);
    } catch (cause) {
      throw storeError(cause, directory);
    }
    this.#fresh = null;
    this.#generation = fresh;
    const before = this.#current;
    this.#current = durableStore(fresh.engine);
    switched(this.#current);
    before.close();
    try {
      await old.engine.close();
      await engines.remove(old.path);
    } catch (error) {
      log.warn('the former state could not be removed; the next start tries again', {
        path: old.path,
        error,
      });
    }
    return this.#current;
  }

  async #discard(fresh: FreshGeneration): Promise<void> {
    if (this.#fresh !== fresh) return;
    this.#fresh = null;
    await letGo(fresh);
    await this.#options.engines.remove(fresh.path);
  }

  async #close(): Promise<void> {
    this.#current.close();
    if (this.#fresh !== null) await letGo(this.#fresh);
    await this.#generation.engine.close();
    await this.#findings.noted;
    await this.#lock.release();
  }
}

async function letGo({ target, engine }: FreshGeneration): Promise<void> {
  await target?.abandon();
  await engine.close();
}
