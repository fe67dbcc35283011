import type { Disk, Log } from '../io/index.ts';
import { type KvPosition, KvStateMachine, PACKED_TABLES, positionOf } from '../kv/index.ts';
import { assert, ByteReader, ByteWriter } from '../lib/index.ts';
import { type ConfState, decodeConfState, encodeConfState } from '../raft/index.ts';
import type {
  CommandBatch,
  SnapshotReader,
  SnapshotReadOptions,
  SnapshotWriter,
  StateMachine,
  StatePosition,
} from '../replica/index.ts';
import {
  type DurableStore,
  type Engines,
  type EngineView,
  type FreshState,
  isImage,
  openStateHome,
  restoreImage,
  restoreSnapshot,
  type SnapshotRestore,
  type StateHome,
  type StoreError,
  writeImage,
  writeSnapshot,
} from '../store/index.ts';
import { decodeSnapshotMeta, encodeSnapshotMeta, isStateOf } from './snapshot-meta.ts';

/**
 * Bytes of one piece of a snapshot on its way to another member; bounds what one turn costs. With
 * the head of its frame it stays below 256 KiB: a receiver keeps the buffer that it joins it in.
 */
const CHUNK_BYTES_MAX = 240 * 1024;

/** The durable state, row by row: the disk is never awaited. */
export interface RowsReader extends SnapshotReader {
  next(): Uint8Array | null;
}

/** What `writeImage` and `writeSnapshot` have in common. */
interface PieceStream<Piece> {
  next(): Piece;
  recycle?(piece: Uint8Array): void;
  close(): void;
}

/** Told when something begins; what it returns is called when that has come to its end. */
export interface StateTimers {
  /** Changes go into the store, in one synced transaction; it has no end when that fails. */
  flush(): () => void;
  /** A state is fixed, for a member or an operator, until nobody reads from it any more. */
  snapshot(): () => void;
}

/** Where a member's state is, and what it is kept with. */
export interface MemberStateOptions {
  readonly disk: Disk;
  readonly engines: Engines;
  readonly log: Log;
  /** The member's data directory; the state takes the folder `state` in it. */
  readonly directory: string;
  readonly clusterId: bigint;
}

/**
 * The key/value machine on a durable store, as a replica drives it. What is applied is in memory at
 * once and durable after the next flush; the log holds whatever is between. A snapshot of another
 * member is built beside the own state and takes its place in one step.
 */
export class MemberState implements StateMachine {
  readonly #options: MemberStateOptions;
  readonly #home: StateHome;
  #store: DurableStore;
  #machine: KvStateMachine;
  #durable: StatePosition;
  #appliedIndex: number;
  /** A flush or an installation is under way; the next ones wait. */
  #isBusy = false;
  readonly #waiting: (() => void)[] = [];
  #closing: Promise<void> | null = null;
  /** For who wants to know how long that takes. */
  timers: StateTimers | null = null;
  /** Told after every batch, and after the state of another member took this one's place. */
  onApplied: ((index: number) => void) | null = null;
  /** Told whenever more has become durable. */
  onFlushed: (() => void) | null = null;
  /** Told after the state of another member took this one's place. */
  onReplaced: (() => void) | null = null;

  private constructor(options: MemberStateOptions, home: StateHome) {
    this.#options = options;
    this.#home = home;
    this.#store = home.current;
    this.#machine = new KvStateMachine({ store: this.#store });
    this.#durable = statePosition(this.#machine.position);
    this.#appliedIndex = this.#durable.index;
  }

  /** @throws StoreError */
  static async open(options: MemberStateOptions): Promise<MemberState> {
    const { disk, engines, log } = options;
    const directory = `${options.directory}/state`;
    const home = await openStateHome({ disk, engines, log, directory, packed: PACKED_TABLES });
    try {
      return new MemberState(options, home);
    } catch (error) {
      await home.close();
      throw error;
    }
  }

  /** The machine in force: another one after a snapshot was installed. */
  get machine(): KvStateMachine {
    return this.#machine;
  }

  /** Index of the last entry in the machine. */
  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  get store(): DurableStore {
    return this.#store;
  }

  get durable(): StatePosition {
    return this.#durable;
  }

  get logTimeMs(): number {
    return this.#machine.logTimeMs;
  }

  get unflushedBytes(): number {
    return this.#store.unflushedBytes;
  }

  apply({ index, term, timeMs, commands, confState }: CommandBatch): Uint8Array[] {
    const conf = confState === null ? null : encoded(confState);
    const answers = this.#machine.apply({ index, term, timeMs, commands, conf });
    this.#appliedIndex = index;
    this.onApplied?.(index);
    return answers;
  }

  /** One after the other, whoever asks: a replica, or an operator who wants a snapshot. */
  flush(done: (error: Error | null) => void): void {
    this.#exclusively((finished) => {
      if (this.#closing !== null) {
        finished();
        queueMicrotask(() => done(new Error('the state is closed')));
        return;
      }
      const position = statePosition(this.#machine.position);
      const ended = this.timers?.flush();
      this.#store.flush((error) => {
        if (error === null) {
          ended?.();
          this.#durable = position;
          this.onFlushed?.();
        }
        finished();
        done(error);
      });
    });
  }

  /** As an image if there is one: rows cost the event loop several times as much. */
  readSnapshot({ plain, wake }: SnapshotReadOptions): SnapshotReader | null {
    if (plain) return this.readRows();
    if (this.#isBusy) return null;
    const image = this.#store.image();
    if (image === null) return this.readRows();
    const { position, meta } = this.#headOf(image.view);
    return this.#reader(
      position,
      writeImage(image, { meta, chunkBytesMax: CHUNK_BYTES_MAX, wake }),
    );
  }

  /** The same row by row: the format of backups, which every member takes. */
  readRows(): RowsReader {
    const view = this.#store.view();
    const { position, meta } = this.#headOf(view);
    const stream = writeSnapshot(view, { meta, chunkBytesMax: CHUNK_BYTES_MAX });
    return this.#reader(position, stream);
  }

  #headOf(view: EngineView): { position: KvPosition; meta: Uint8Array } {
    const position = positionOf((table, key) => view.get(table, key));
    const { clusterId } = this.#options;
    return { position, meta: encodeSnapshotMeta({ clusterId, position }) };
  }

  #reader<Piece>(position: KvPosition, stream: PieceStream<Piece>) {
    let ended = this.timers?.snapshot();
    return {
      position: statePosition(position),
      next: (): Piece => stream.next(),
      recycle: (piece: Uint8Array) => stream.recycle?.(piece),
      close: () => {
        stream.close();
        ended?.();
        ended = undefined;
      },
    };
  }

  receiveSnapshot(done: (error: Error | null, writer: SnapshotWriter | null) => void): void {
    this.#home.create().then(
      (fresh) => done(null, this.#writer(fresh)),
      (error: Error) => done(error, null),
    );
  }

  /** What is stored is damaged: the next start will refuse it. */
  reportDamage(finding: StoreError): void {
    this.#home.reportDamage(finding);
  }

  /** Waits for a flush under way, and ends snapshots. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#home.close();
    return this.#closing;
  }

  /** Runs what may not meet another of its kind when the one before has finished. */
  #exclusively(run: (finished: () => void) => void): void {
    if (this.#isBusy) {
      this.#waiting.push(() => this.#exclusively(run));
      return;
    }
    this.#isBusy = true;
    run(() => {
      this.#isBusy = false;
      this.#waiting.shift()?.();
    });
  }

  #writer(fresh: FreshState): SnapshotWriter {
    let restore: SnapshotRestore | null = null;
    return {
      write: (chunk, done) => {
        restore ??= isImage(chunk) ? restoreImage(fresh) : restoreSnapshot(fresh.engine);
        restore.write(chunk, done);
      },
      finish: (done) => {
        restore ??= restoreSnapshot(fresh.engine);
        const { meta } = restore;
        restore.finish((error) => done(error ?? this.#problemOf(fresh, meta)));
      },
      install: (done) => {
        this.#exclusively((finished) => {
          const end = (error: Error | null): void => {
            finished();
            done(error);
          };
          fresh.adopt((store) => this.#replace(store)).then(() => end(null), end);
        });
      },
      discard: (done) => {
        fresh.discard().then(() => done(null), done);
      },
    };
  }

  /** A snapshot whose rows are not what its head says, or of another cluster; null: all is well. */
  #problemOf(fresh: FreshState, meta: Uint8Array | null): Error | null {
    if (meta === null) return new Error('the snapshot has no head');
    const claimed = decodeSnapshotMeta(meta);
    if (claimed.clusterId !== this.#options.clusterId) {
      return new Error('the snapshot is of another cluster');
    }
    const found = positionOf((table, key) => fresh.engine.get(table, key));
    if (isStateOf(claimed, found)) return null;
    return new Error('the snapshot holds another state than its head says');
  }

  #replace(store: DurableStore): void {
    this.#store = store;
    const machine = new KvStateMachine({ store });
    const durable = statePosition(machine.position);
    assert(durable.index > this.#appliedIndex, 'an older state was installed', {
      installed: durable.index,
      applied: this.#appliedIndex,
    });
    this.#machine = machine;
    this.#durable = durable;
    this.#appliedIndex = durable.index;
    this.onReplaced?.();
    this.onApplied?.(durable.index);
    this.onFlushed?.();
  }
}

function statePosition({ index, term, conf }: KvPosition): StatePosition {
  const confState = conf === null ? null : decodeConfState(new ByteReader(conf));
  return { index, term, confState };
}

function encoded(confState: ConfState): Uint8Array {
  const writer = new ByteWriter();
  encodeConfState(writer, confState);
  return writer.finish();
}
