import { crc32 } from 'node:zlib';
import type { Clock } from '../io/index.ts';
import { assert, ByteReader, ByteWriter, concatBytes, DecodeError } from '../lib/index.ts';
import { decodeConfState, encodeConfState } from '../raft/index.ts';
import type {
  CommandBatch,
  Done,
  SnapshotReader,
  SnapshotWriter,
  StateMachine,
  StatePosition,
} from './state-machine.ts';

/*
 * What is stored, and sent to other members in pieces:
 *
 *   saved := version:u8 (1)  index:varint  term:varint  logTimeMs:varint
 *            hasConf:bool  [confState]  state:bytes  crc32 of everything before:u32
 */
const VERSION = 1;
const CRC_BYTES = 4;
const CHUNK_BYTES_MAX = 256 * 1024;

/** A state machine small enough to be saved as a whole: its three functions. */
export interface SimpleMachine {
  /** Executes a command and answers it. Deterministic; must not throw on any bytes. */
  apply(command: Uint8Array, at: { readonly index: number; readonly timeMs: number }): Uint8Array;
  /** The whole state. What is returned must not change afterwards. */
  save(): Uint8Array;
  /** Replaces the whole state by one that `save` returned; not called for a fresh start. */
  restore(state: Uint8Array): void;
}

/** Keeps one byte string: a file, a row of a database. */
export interface StateStorage {
  /** What it held when it was opened; null: nothing was ever written. */
  readonly initial: Uint8Array | null;
  /** Replaces what it holds, atomically and durably. One at a time. */
  write(bytes: Uint8Array, done: Done): void;
}

/** How a machine is saved. */
export interface SavedMachineOptions {
  readonly storage: StateStorage;
  readonly clock: Pick<Clock, 'defer'>;
  /** Bytes of one piece on the way to another member. Default 256 KiB. */
  readonly chunkBytesMax?: number;
}

/**
 * Makes a `StateMachine` of three functions: the whole state is saved whenever the log has grown
 * enough, and sent as a whole to a member that is far behind.
 * @throws DecodeError when what is stored is damaged.
 */
export function savedMachine(machine: SimpleMachine, options: SavedMachineOptions): StateMachine {
  const adapter = new SavedMachine(machine, options);
  const { initial } = options.storage;
  if (initial !== null) adapter.restore(initial);
  return adapter;
}

class SavedMachine implements StateMachine {
  readonly #machine: SimpleMachine;
  readonly #storage: StateStorage;
  readonly #clock: Pick<Clock, 'defer'>;
  readonly #chunkBytesMax: number;
  /** What was applied last. */
  #position: StatePosition = { index: 0, term: 0, confState: null };
  #durable = this.#position;
  /** What `#durable` stands for; null before the first flush. */
  #saved: Uint8Array | null = null;
  #logTimeMs = 0;
  #unflushedBytes = 0;

  constructor(machine: SimpleMachine, options: SavedMachineOptions) {
    this.#machine = machine;
    this.#storage = options.storage;
    this.#clock = options.clock;
    this.#chunkBytesMax = options.chunkBytesMax ?? CHUNK_BYTES_MAX;
  }

  get durable(): StatePosition {
    return this.#durable;
  }

  get logTimeMs(): number {
    return this.#logTimeMs;
  }

  get unflushedBytes(): number {
    return this.#unflushedBytes;
  }

  apply({ index, term, timeMs, commands, confState }: CommandBatch): Uint8Array[] {
    assert(index === this.#position.index + 1, 'an entry was skipped or applied twice', { index });
    const answers = commands.map((command) => {
      this.#unflushedBytes += command.length;
      return this.#machine.apply(command, { index, timeMs });
    });
    this.#position = { index, term, confState: confState ?? this.#position.confState };
    this.#logTimeMs = timeMs;
    return answers;
  }

  flush(done: Done): void {
    const position = this.#position;
    const bytes = encodeSaved({
      position,
      logTimeMs: this.#logTimeMs,
      state: this.#machine.save(),
    });
    const flushing = this.#unflushedBytes;
    this.#storage.write(bytes, (error) => {
      if (error !== null) return done(error);
      this.#durable = position;
      this.#saved = bytes;
      this.#unflushedBytes -= flushing;
      done(null);
    });
  }

  readSnapshot(): SnapshotReader {
    const bytes = this.#saved;
    assert(bytes !== null, 'nothing was saved yet');
    let at = 0;
    return {
      position: this.#durable,
      next: () => {
        if (at >= bytes.length) return null;
        const chunk = bytes.slice(at, at + this.#chunkBytesMax);
        at += chunk.length;
        return chunk;
      },
      recycle: () => {},
      close: () => {},
    };
  }

  receiveSnapshot(done: (error: Error | null, writer: SnapshotWriter | null) => void): void {
    const chunks: Uint8Array[] = [];
    let bytes: Uint8Array = new Uint8Array(0);
    const writer: SnapshotWriter = {
      write: (chunk, written) => {
        chunks.push(chunk.slice());
        this.#clock.defer(() => written(null));
      },
      finish: (finished) => {
        bytes = concatBytes(chunks);
        const problem = problemOf(bytes);
        this.#clock.defer(() => finished(problem));
      },
      install: (installed) => {
        this.#storage.write(bytes, (error) => {
          if (error === null) this.restore(bytes);
          installed(error);
        });
      },
      discard: (discarded) => this.#clock.defer(() => discarded(null)),
    };
    this.#clock.defer(() => done(null, writer));
  }

  /** @throws DecodeError */
  restore(bytes: Uint8Array): void {
    const { position, logTimeMs, state } = decodeSaved(bytes);
    this.#machine.restore(state);
    this.#position = position;
    this.#durable = position;
    this.#saved = bytes;
    this.#logTimeMs = logTimeMs;
    this.#unflushedBytes = 0;
  }
}

interface Saved {
  readonly position: StatePosition;
  readonly logTimeMs: number;
  readonly state: Uint8Array;
}

function encodeSaved({ position, logTimeMs, state }: Saved): Uint8Array {
  const writer = new ByteWriter(state.length + 256);
  writer.u8(VERSION);
  writer.varint(position.index);
  writer.varint(position.term);
  writer.varint(logTimeMs);
  writer.bool(position.confState !== null);
  if (position.confState !== null) encodeConfState(writer, position.confState);
  writer.bytes(state);
  writer.u32(crc32(writer.view()));
  return writer.view();
}

function decodeSaved(bytes: Uint8Array): Saved {
  const covered = bytes.subarray(0, Math.max(0, bytes.length - CRC_BYTES));
  const crc = new ByteReader(bytes.subarray(covered.length)).u32();
  if (crc !== crc32(covered)) throw new DecodeError('the saved state is damaged', covered.length);
  const reader = new ByteReader(covered);
  const version = reader.u8();
  if (version !== VERSION) throw new DecodeError(`saved state of version ${version}`, 0);
  const index = reader.varint();
  const term = reader.varint();
  const logTimeMs = reader.varint();
  const confState = reader.bool() ? decodeConfState(reader) : null;
  const state = reader.bytes();
  reader.end();
  return { position: { index, term, confState }, logTimeMs, state };
}

function problemOf(bytes: Uint8Array): Error | null {
  try {
    decodeSaved(bytes);
    return null;
  } catch (cause) {
    return cause instanceof Error ? cause : new Error(String(cause));
  }
}
