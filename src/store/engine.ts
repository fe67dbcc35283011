import { assert, type Deferred, deferred, utf8Bytes, utf8String } from '../lib/index.ts';
import { corruptState, StoreError, storeError, versionError } from './error.ts';
import { TABLE_NAME_BYTES_MAX, TABLES_MAX } from './limits.ts';
import {
  groupOf,
  groupStart,
  Packer,
  type Packing,
  rowInBlock,
  type Stored,
  unpacked,
} from './packing.ts';
import type { RawChange, RawImage, RawStore, RawView } from './raw-store.ts';
import { checkedValue, RowPacker, rawKey, rawSpan } from './row.ts';
import type {
  Change,
  Done,
  Engine,
  EngineImage,
  EngineOptions,
  EngineUsage,
  EngineView,
  KeySpan,
  RangeSpan,
  Row,
  StoreEntry,
} from './types.ts';

/**
 * Table 0 is the engine's own: the format under the empty key, else table name → its number, and
 * for a packed one the two numbers of its `Packing`.
 */
const CATALOG = 0;
const FORMAT = 2;
/** The same without packed tables. */
const UNPACKED_FORMAT = 1;
const FORMAT_KEY = new Uint8Array(0);
const CATALOG_SPAN = rawSpan(CATALOG, { from: FORMAT_KEY, to: null });

/** Reads or, with `create`, writes what every engine begins with: its format. */
export async function openEngine(
  raw: RawStore,
  { create = false, packed = new Map(), onDamage = () => {} }: EngineOptions,
): Promise<Engine> {
  const engine = new StoredEngine(raw, { packed, onDamage });
  try {
    if (create) await engine.writeFormat();
    else engine.readCatalog();
    return engine;
  } catch (cause) {
    await engine.close();
    throw storeError(cause, raw.path);
  }
}

/** How a table is stored. */
export interface Table {
  readonly number: number;
  /** Null: row by row. */
  readonly packing: Packing | null;
}

/** Tables, checksums and the life of a commit, on a raw store. */
class StoredEngine implements Engine {
  readonly #raw: RawStore;
  /** Tables that have a number; only grows, and only by finished commits. */
  readonly #tables = new Map<string, Table>();
  /** How new tables are packed. */
  #packed: ReadonlyMap<string, Packing>;
  readonly #views = new Set<StoredView>();
  /** Shared with views and iterations, which may not touch a closed file. */
  readonly #life: { isOver: boolean; readonly onDamage: (error: StoreError) => void };
  /** The state that is read: it changes when a commit's `done` is called, not before. */
  #current: StoredView;
  /** A commit under way, settled when its `done` has been called. */
  #busy: Deferred<void> | null = null;
  /** The first error of the disk: no commit after it. */
  #failure: StoreError | null = null;
  #closing: Promise<void> | null = null;

  constructor(raw: RawStore, { packed, onDamage }: Required<Omit<EngineOptions, 'create'>>) {
    this.#raw = raw;
    this.#packed = packed;
    this.#life = { isOver: false, onDamage };
    this.#current = this.#openView();
  }

  get(table: string, key: Uint8Array): Uint8Array | null {
    return this.#current.get(table, key);
  }

  range(table: string, span: RangeSpan): Iterable<StoreEntry> {
    return this.#current.range(table, span);
  }

  count(table: string, span: KeySpan): number {
    return this.#current.count(table, span);
  }

  view(): EngineView {
    assert(this.#closing === null, 'engine is closed');
    return this.#openView();
  }

  image(): EngineImage | null {
    assert(this.#closing === null, 'engine is closed');
    // Between commits the file's newest root is that of the view.
    if (this.#busy !== null || this.#failure !== null) return null;
    try {
      const raw = this.#raw.image();
      if (raw === null) return null;
      const view = this.#openView(raw.view, () => raw.release());
      return new StoredImage(raw, view, this.#raw.path);
    } catch (cause) {
      throw storeError(cause, this.#raw.path);
    }
  }

  usage(): EngineUsage {
    assert(this.#closing === null, 'engine is closed');
    return this.#raw.usage();
  }

  commit(changes: Iterable<Change>, done: Done): void {
    assert(this.#closing === null, 'engine is closed');
    assert(this.#busy === null, 'a commit is under way');
    const added = new Map<string, Table>();
    let rows: RawChange[] = [];
    try {
      rows = this.#rowsOf(changes, added);
    } catch (damage) {
      if (!(damage instanceof StoreError)) throw damage;
      // Of a block that is to be changed.
      this.#failure = damage;
    }
    this.#commit(rows, (error) => {
      if (error === null) for (const [name, table] of added) this.#tables.set(name, table);
      done(error);
    });
  }

  /** The changes as they are stored, those of the catalog included. */
  #rowsOf(changes: Iterable<Change>, added: Map<string, Table>): RawChange[] {
    const rowPacker = new RowPacker();
    const packers = new Map<number, Packer>();
    const rows: RawChange[] = [];
    for (const { table, key, value } of changes) {
      const { number, packing } = this.#tableOf(table, added);
      if (packing === null) rows.push(rowPacker.pack(number, key, value));
      else {
        let packer = packers.get(number);
        if (packer === undefined) {
          packer = new Packer(packing, this.#current.stored(number), (rowKey, row) => {
            rows.push(rowPacker.pack(number, rowKey, row));
          });
          packers.set(number, packer);
        }
        packer.change(key, value);
      }
    }
    for (const packer of packers.values()) packer.finish();
    for (const [name, table] of added) {
      rows.push(rowPacker.pack(CATALOG, utf8Bytes(name), encodeTable(table)));
    }
    return rows;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Of a new engine: nothing else may come first. */
  async writeFormat(): Promise<void> {
    const written = deferred<void>();
    const row = new RowPacker().pack(CATALOG, FORMAT_KEY, Uint8Array.of(FORMAT));
    this.#commit([row], (error) => (error === null ? written.resolve() : written.reject(error)));
    await written.promise;
  }

  /** @throws StoreError when this is no engine of a known format. */
  readCatalog(): void {
    const format = this.#current.rawGet(CATALOG, FORMAT_KEY);
    if (format === null) throw corruptState('it holds no state', this.#raw.path);
    if (format.length !== 1 || (format[0] !== FORMAT && format[0] !== UNPACKED_FORMAT)) {
      throw versionError(`format ${format[0]} is unknown`, this.#raw.path);
    }
    if (format[0] === UNPACKED_FORMAT) this.#packed = new Map();
    for (const { key, value } of this.#current.rawRange(CATALOG_SPAN)) {
      if (key.length === 0) continue;
      const name = utf8String(key);
      const table = decodeTable(value);
      if (name === null || table === null) throw corruptState('bad catalog', this.#raw.path);
      this.#tables.set(name, table);
    }
  }

  #commit(rows: readonly RawChange[], done: Done): void {
    const busy = deferred<void>();
    this.#busy = busy;
    const finish = (error: StoreError | null): void => {
      if (error !== null && error.code !== 'FULL') this.#failure = error;
      this.#busy = null;
      if (error === null) {
        this.#current.close();
        this.#current = this.#openView();
      }
      try {
        done(error);
      } finally {
        busy.resolve();
      }
    };
    const failure = this.#failure;
    if (failure !== null) queueMicrotask(() => finish(failure));
    else {
      this.#raw.commit(rows, (error) =>
        finish(error === null ? null : storeError(error, this.#raw.path)),
      );
    }
  }

  #openView(raw: RawView = this.#raw.view(), closed = () => {}): StoredView {
    const onClose = (): void => {
      this.#views.delete(view);
      closed();
    };
    const { path } = this.#raw;
    const context = { path, tables: this.#tables, life: this.#life, onClose };
    const view = new StoredView(raw, context);
    this.#views.add(view);
    return view;
  }

  #tableOf(name: string, added: Map<string, Table>): Table {
    const known = this.#tables.get(name) ?? added.get(name);
    if (known !== undefined) return known;
    const number = this.#tables.size + added.size + 1;
    const nameBytes = utf8Bytes(name).length;
    assert(number <= TABLES_MAX, 'too many tables', { name });
    assert(nameBytes > 0 && nameBytes <= TABLE_NAME_BYTES_MAX, 'bad name of a table', { name });
    const table = { number, packing: this.#packed.get(name) ?? null };
    added.set(name, table);
    return table;
  }

  async #close(): Promise<void> {
    await this.#busy?.promise;
    this.#life.isOver = true;
    for (const view of [...this.#views]) view.close();
    await this.#raw.close();
  }
}

/** A view with its file, which is let go of when the view is closed. */
class StoredImage implements EngineImage {
  readonly path: string;
  readonly view: StoredView;
  readonly bytes: number;
  readonly #raw: RawImage;

  constructor(raw: RawImage, view: StoredView, path: string) {
    this.path = path;
    this.view = view;
    this.bytes = raw.bytes;
    this.#raw = raw;
  }

  /** What was read is that state's if its transaction was still open when it had been read. */
  async read(offset: number, into: Uint8Array): Promise<void> {
    this.view.expectOpen();
    await this.#raw.read(offset, into);
    this.view.expectOpen();
  }

  close(): void {
    this.view.close();
  }
}

/** What a view has from its engine. */
interface ViewContext {
  readonly path: string;
  readonly tables: ReadonlyMap<string, Table>;
  readonly life: { readonly isOver: boolean; readonly onDamage: (error: StoreError) => void };
  readonly onClose: () => void;
}

class StoredView implements EngineView {
  readonly #raw: RawView;
  readonly #path: string;
  readonly #tables: ReadonlyMap<string, Table>;
  readonly #life: ViewContext['life'];
  readonly #onClose: () => void;
  #isClosed = false;

  constructor(raw: RawView, { path, tables, life, onClose }: ViewContext) {
    this.#raw = raw;
    this.#path = path;
    this.#tables = tables;
    this.#life = life;
    this.#onClose = onClose;
  }

  get(table: string, key: Uint8Array): Uint8Array | null {
    this.expectOpen();
    const known = this.#tables.get(table);
    if (known === undefined) return null;
    const { number, packing } = known;
    if (packing === null) return this.rawGet(number, key);
    if (key.length <= packing.prefixBytes) return null;
    const block = this.rawGet(number, groupOf(packing, key));
    const row = block === null ? null : rowInBlock(packing, block, key);
    return row ?? this.rawGet(number, key);
  }

  range(table: string, span: RangeSpan): Iterable<StoreEntry> {
    this.expectOpen();
    const known = this.#tables.get(table);
    if (known === undefined) return [];
    const { number, packing } = known;
    if (packing === null) return this.rawRange(rawSpan(number, span));
    const from = groupStart(packing, span.from);
    return unpacked(packing, this.rawRange(rawSpan(number, { ...span, from })), span);
  }

  /** Of a packed table row by row. */
  count(table: string, span: KeySpan): number {
    this.expectOpen();
    const known = this.#tables.get(table);
    if (known === undefined) return 0;
    if (known.packing !== null) return [...this.range(table, span)].length;
    return this.#guard(() => this.#raw.count(rawSpan(known.number, span)));
  }

  /** What is stored in a packed table. */
  stored(table: number): Stored {
    return {
      get: (key) => this.rawGet(table, key),
      last: () => {
        const everything = { from: FORMAT_KEY, to: null, reverse: true };
        for (const { key } of this.rawRange(rawSpan(table, everything))) return key;
        return null;
      },
    };
  }

  *rows(behind?: Pick<Row, 'table' | 'key'>): Generator<Row, void, undefined> {
    this.expectOpen();
    for (const table of [...this.#tables.keys()].sort()) {
      if (behind !== undefined && table < behind.table) continue;
      const from = table === behind?.table ? successorOf(behind.key) : FORMAT_KEY;
      for (const { key, value } of this.range(table, { from, to: null })) {
        yield { table, key, value };
      }
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#raw.release();
    this.#onClose();
  }

  rawGet(table: number, key: Uint8Array): Uint8Array | null {
    this.expectOpen();
    const raw = rawKey(table, key);
    const stored = this.#guard(() => this.#raw.get(raw));
    return stored === null ? null : this.#checked(raw, stored);
  }

  *rawRange(span: Parameters<RawView['range']>[0]): Generator<StoreEntry, void, undefined> {
    this.expectOpen();
    const entries = this.#raw.range(span)[Symbol.iterator]();
    try {
      while (true) {
        const next = this.#guard(() => entries.next());
        if (next.done === true) return;
        const { key, value } = next.value;
        yield { key: key.subarray(1), value: this.#checked(key, value) };
        if (this.#life.isOver) throw this.#closedError();
      }
    } finally {
      entries.return?.();
    }
  }

  #checked(key: Uint8Array, stored: Uint8Array): Uint8Array {
    const value = checkedValue(key, stored);
    if (value !== null) return value;
    const name = [...this.#tables].find(([, { number }]) => number === key[0])?.[0] ?? 'catalog';
    const row = Buffer.from(key.subarray(1, 33)).toString('hex');
    throw this.#reported(corruptState(`checksum of the row ${row} in table ${name}`, this.#path));
  }

  #reported(error: StoreError): StoreError {
    if (error.code === 'CORRUPT') this.#life.onDamage(error);
    return error;
  }

  /** @throws StoreError `CLOSED`. */
  expectOpen(): void {
    if (this.#isClosed) throw this.#closedError();
  }

  #closedError(): StoreError {
    const message = `${this.#path}: this view was closed. Open another`;
    return new StoreError('CLOSED', message, { file: this.#path });
  }

  /** Gives an error of the raw store its meaning. */
  #guard<T>(read: () => T): T {
    try {
      return read();
    } catch (cause) {
      throw this.#reported(storeError(cause, this.#path));
    }
  }
}

function encodeTable({ number, packing }: Table): Uint8Array {
  if (packing === null) return Uint8Array.of(number);
  return Uint8Array.of(number, packing.prefixBytes, packing.freeBits);
}

/** A row of the catalog; null when it is none. */
export function decodeTable(value: Uint8Array): Table | null {
  const [number, prefixBytes, freeBits] = value;
  if (number !== undefined && value.length === 1) return { number, packing: null };
  if (number === undefined || prefixBytes === undefined || freeBits === undefined) return null;
  if (value.length !== 3 || prefixBytes === 0 || freeBits > 8) return null;
  return { number, packing: { prefixBytes, freeBits } };
}

/** The key right behind this one. */
function successorOf(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1);
  next.set(key);
  return next;
}
