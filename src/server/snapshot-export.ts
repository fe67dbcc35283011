import type { ClusterMember } from '../api/index.ts';
import { type BoltBucketRows, writeBolt } from '../bbolt/index.ts';
import { type DatabaseFile, type DatabaseRow, databaseBuckets } from '../etcd/index.ts';
import type { Clock, Disk, DiskFile } from '../io/index.ts';
import { positionOf, StateView } from '../kv/index.ts';
import type { EngineView } from '../store/index.ts';

/** What goes into a file for etcd, and where that is made. */
export interface DatabaseParts {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The member's data directory: the file is made in the folder `export` in it. */
  readonly directory: string;
  /** Closed when it has been read. */
  readonly view: EngineView;
  readonly members: readonly ClusterMember[];
  readonly signal: AbortSignal;
  /** The file was made, and is gone. Default: nobody is told. */
  readonly onClosed?: (() => void) | undefined;
}

/**
 * A state as the file of an etcd, made on the disk: its pages are in no order in which a client
 * could be given them while they are made, and a client that reads slowly does not hold back the
 * space of the view. The file has no name: it goes with whoever has it open, also in a crash.
 * @throws StoreError, DiskError (rejects); the signal's reason.
 */
export async function exportDatabase(parts: DatabaseParts): Promise<DatabaseFile> {
  const { view, onClosed } = parts;
  try {
    const file = await openNameless(parts);
    try {
      const { bytes } = await writeBolt(file, bucketsOf(parts));
      return new NamelessFile(file, bytes, onClosed);
    } catch (cause) {
      await file.close();
      throw cause;
    }
  } finally {
    view.close();
  }
}

/** Counts the files of this process, whose names are there for a moment only. */
let files = 0;

async function openNameless({ disk, directory }: DatabaseParts): Promise<DiskFile> {
  const folder = `${directory}/export`;
  await disk.makeDirectory(folder);
  files++;
  const path = `${folder}/${process.pid}-${files}.db`;
  const file = await disk.open(path, { create: true });
  await disk.remove(path);
  return file;
}

function bucketsOf({ view, members, clock, signal }: DatabaseParts): BoltBucketRows[] {
  const buckets = databaseBuckets({
    rows: new StateView(view),
    index: positionOf((table, key) => view.get(table, key)).index,
    members,
  });
  return buckets.map(({ name, batches }) => ({ name, batches: inTurns(batches, clock, signal) }));
}

/** One batch in each turn of the event loop. */
async function* inTurns(
  batches: Iterable<readonly DatabaseRow[]>,
  clock: Clock,
  signal: AbortSignal,
): AsyncGenerator<readonly DatabaseRow[], void, undefined> {
  for (const batch of batches) {
    signal.throwIfAborted();
    yield batch;
    await new Promise<void>((resolve) => clock.defer(resolve));
  }
}

class NamelessFile implements DatabaseFile {
  readonly bytes: number;
  readonly #file: DiskFile;
  readonly #onClosed: (() => void) | undefined;
  #closing: Promise<void> | null = null;

  constructor(file: DiskFile, bytes: number, onClosed: (() => void) | undefined) {
    this.#file = file;
    this.bytes = bytes;
    this.#onClosed = onClosed;
  }

  async read(range: { offset: number; length: number }): Promise<Uint8Array> {
    const bytes = await this.#file.read(range);
    if (bytes.length === range.length) return bytes;
    throw new Error(`the file that was made for etcd ends at byte ${range.offset + bytes.length}`);
  }

  close(): Promise<void> {
    this.#closing ??= this.#file.close().finally(this.#onClosed);
    return this.#closing;
  }
}
