import { assert, compareBytes, EMPTY_BYTES, utf8String } from '../lib/index.ts';
import { decodeTable, openEngine, type Table } from './engine.ts';
import { corruptState, StoreError, storeError } from './error.ts';
import { ROW_OVERHEAD_BYTES } from './limits.ts';
import { groupOf, rowInBlock, unpacked } from './packing.ts';
import type { RawChange, RawSpan, RawStore, RawView } from './raw-store.ts';
import { CHECKSUM_BYTES, checkedValue, rawKey } from './row.ts';
import type { Engine, EngineOptions, Engines, EngineUsage, Row, StoreEntry } from './types.ts';

export interface MemoryEnginesOptions {
  /**
   * Decides when a commit happens, and whether (a process that died never runs it); it must not run
   * it at once. Default: in a microtask.
   */
  readonly defer?: (run: () => void) => void;
}

/** A commit that is about to happen. */
export interface MemoryCommit {
  readonly path: string;
  /** Rows put or removed, the engine's own included. */
  readonly rows: number;
}

/**
 * Engines in the memory of this object, which stands for the disk: their contents outlive whoever
 * opened them, as a dead process's files do. A commit happens wholly, or, when its `defer` never
 * runs, not at all.
 */
export interface MemoryEngines extends Engines {
  /** Judges every commit at the moment it would happen: null lets it, an error fails it. */
  intercept: (commit: MemoryCommit) => StoreError | null;
  /** Flips a bit of a stored row: reading it throws `CORRUPT` from now on. */
  damage(path: string, table: string, key: Uint8Array): void;
  /** What a new process would find: all rows, in order; damaged ones throw. */
  peek(path: string): Row[];
  /** The same disk for another process: with its own moment for commits. */
  with(options: MemoryEnginesOptions): MemoryEngines;
  /** Another disk that holds what this one holds now. */
  copy(): MemoryEngines;
}

/** Sorted by key, never changed: a commit makes a new one, so an old one is a view. */
type Rows = readonly StoreEntry[];

/** What stands on the "disk". */
type Contents = Map<string, { rows: Rows }>;

const EVERYTHING = { from: EMPTY_BYTES, to: null } as const;

/** For the simulator and for tests. */
export function memoryEngines(options: MemoryEnginesOptions = {}): MemoryEngines {
  return new MemoryDiskEngines(new Map(), options);
}

class MemoryDiskEngines implements MemoryEngines {
  readonly #contents: Contents;
  readonly #defer: (run: () => void) => void;
  intercept: (commit: MemoryCommit) => StoreError | null = () => null;

  constructor(contents: Contents, options: MemoryEnginesOptions) {
    this.#contents = contents;
    this.#defer = options.defer ?? queueMicrotask;
  }

  async open(path: string, options: EngineOptions = {}): Promise<Engine> {
    const { create = false } = options;
    if (create && this.#contents.has(path)) throw storeError({ code: 'EEXIST' }, path);
    if (create) this.#contents.set(path, { rows: [] });
    const file = this.#contents.get(path);
    if (file === undefined) throw corruptState('it is missing', path);
    const apply = (changes: readonly RawChange[]): StoreError | null => {
      const error = this.intercept({ path, rows: changes.length });
      if (error === null) file.rows = changed(file.rows, changes);
      return error;
    };
    return openEngine(new MemoryRawStore(path, file, this.#defer, apply), options);
  }

  async receive(path: string): Promise<never> {
    throw new StoreError('VERSION', `${path}: this state is kept in memory and takes no images`);
  }

  async remove(path: string): Promise<void> {
    this.#contents.delete(path);
  }

  async list(directory: string): Promise<string[]> {
    return [...this.#contents.keys()].filter((path) => path.startsWith(`${directory}/`)).sort();
  }

  with(options: MemoryEnginesOptions): MemoryEngines {
    return new MemoryDiskEngines(this.#contents, options);
  }

  copy(): MemoryEngines {
    const copies = [...this.#contents].map(([path, { rows }]): [string, { rows: Rows }] => [
      path,
      { rows: rows.map(({ key, value }) => ({ key, value: value.slice() })) },
    ]);
    return new MemoryDiskEngines(new Map(copies), {});
  }

  damage(path: string, table: string, key: Uint8Array): void {
    const file = this.#contents.get(path);
    assert(file !== undefined, 'no such engine', { path });
    const known = catalog(file.rows).get(table);
    assert(known !== undefined, 'no such table', { path, table });
    const { number, packing } = known;
    const block = packing === null ? null : find(file.rows, number, groupOf(packing, key));
    const isInBlock =
      packing !== null && block !== null && rowInBlock(packing, block.value, key) !== null;
    const row = isInBlock ? block : find(file.rows, number, key);
    assert(row !== null, 'no such row', { table });
    // Its last byte: in a block the first ones are lengths, and the checksum covers all alike.
    const last = row.value.length - 1;
    row.value[last] = (row.value[last] as number) ^ 1;
  }

  peek(path: string): Row[] {
    const rows = this.#contents.get(path)?.rows ?? [];
    return [...catalog(rows)]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .flatMap(([table, { number, packing }]) => {
        const stored = rows
          .filter(({ key }) => key[0] === number)
          .map(({ key, value }) => ({ key: key.subarray(1), value: checked(path, key, value) }));
        const entries = packing === null ? stored : unpacked(packing, stored, EVERYTHING);
        return [...entries].map((entry) => ({ table, ...entry }));
      });
  }
}

class MemoryRawStore implements RawStore {
  readonly path: string;
  readonly #file: { readonly rows: Rows };
  readonly #defer: (run: () => void) => void;
  readonly #apply: (changes: readonly RawChange[]) => StoreError | null;

  constructor(
    path: string,
    file: { readonly rows: Rows },
    defer: (run: () => void) => void,
    apply: (changes: readonly RawChange[]) => StoreError | null,
  ) {
    this.path = path;
    this.#file = file;
    this.#defer = defer;
    this.#apply = apply;
  }

  view(): RawView {
    return new MemoryView(this.#file);
  }

  image(): null {
    return null;
  }

  commit(changes: readonly RawChange[], done: (error: unknown) => void): void {
    this.#defer(() => done(this.#apply(changes)));
  }

  usage(): EngineUsage {
    let usedBytes = 0;
    for (const { key, value } of this.#file.rows) {
      usedBytes += key.length + value.length + ROW_OVERHEAD_BYTES;
    }
    return { usedBytes, fileBytes: usedBytes };
  }

  async close(): Promise<void> {}
}

/** Hands out copies, as LMDB does: nobody can change what is stored, and damage shows. */
class MemoryView implements RawView {
  readonly #rows: Rows;

  constructor({ rows }: { readonly rows: Rows }) {
    this.#rows = rows;
  }

  get(key: Uint8Array): Uint8Array | null {
    const row = this.#rows[lowerBound(this.#rows, key)];
    return row !== undefined && compareBytes(row.key, key) === 0 ? row.value.slice() : null;
  }

  *range({ from, to, reverse }: RawSpan): Generator<StoreEntry, void, undefined> {
    const low = lowerBound(this.#rows, from);
    const high = lowerBound(this.#rows, to);
    for (let i = low; i < high; i++) {
      const { key, value } = this.#rows[reverse === true ? high - 1 - (i - low) : i] as StoreEntry;
      yield { key: key.slice(), value: value.slice() };
    }
  }

  count({ from, to }: RawSpan): number {
    return Math.max(0, lowerBound(this.#rows, to) - lowerBound(this.#rows, from));
  }

  release(): void {}
}

/** Position of the first row at or above `key`. */
function lowerBound(rows: Rows, key: Uint8Array): number {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes((rows[middle] as StoreEntry).key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The rows with the changes in them; both are sorted on the way. */
function changed(rows: Rows, changes: readonly RawChange[]): Rows {
  const sorted = [...changes].sort((a, b) => compareBytes(a.key, b.key));
  const result: StoreEntry[] = [];
  let at = 0;
  for (const { key, value } of sorted) {
    while (at < rows.length && compareBytes((rows[at] as StoreEntry).key, key) < 0) {
      result.push(rows[at++] as StoreEntry);
    }
    const old = rows[at];
    if (old !== undefined && compareBytes(old.key, key) === 0) at++;
    if (value !== null) result.push({ key: key.slice(), value: value.slice() });
  }
  for (; at < rows.length; at++) result.push(rows[at] as StoreEntry);
  return result;
}

/** The tables, as `engine.ts` stores them. */
function catalog(rows: Rows): Map<string, Table> {
  const tables = new Map<string, Table>();
  for (const { key, value } of rows) {
    if (key[0] !== 0 || key.length === 1) continue;
    const table = decodeTable(value.subarray(0, value.length - CHECKSUM_BYTES));
    assert(table !== null, 'bad catalog');
    tables.set(utf8String(key.subarray(1)) ?? '', table);
  }
  return tables;
}

/** What is stored under a key of a table. */
function find(rows: Rows, table: number, key: Uint8Array): StoreEntry | null {
  const raw = rawKey(table, key);
  const row = rows[lowerBound(rows, raw)];
  return row !== undefined && compareBytes(row.key, raw) === 0 ? row : null;
}

function checked(path: string, key: Uint8Array, stored: Uint8Array): Uint8Array {
  const value = checkedValue(key, stored);
  if (value === null) throw corruptState('checksum of a row', path);
  return value;
}
