/**
 * Ordered bytes: the interface that the state machine keeps its tables in, where they are kept, and
 * how they travel.
 *
 * A member's state is a `StateHome`: one generation of rows is in force, and a snapshot is restored
 * into the next one beside it. A generation is an `Engine` (atomic, durable commits) with a
 * `DurableStore` in front of it, which holds the changes of the last moments in memory until a
 * flush commits them together. docs/STORAGE.md has the files, docs/SNAPSHOT.md the stream.
 *
 *   state-home.ts      generations; the switch from one to the next (current-file.ts); damage that
 *                      was met is noted for the next start (damage-file.ts)
 *   durable-store.ts   changes in memory (layer.ts) over an engine
 *   engine.ts          tables, checksums (row.ts), small rows in blocks (packing.ts), the life of a
 *                      commit; on a raw store:
 *     lmdb-engine.ts     LMDB (lmdb-files.ts, lmdb-image.ts)
 *     memory-engine.ts   memory, for the simulator and tests
 *   snapshot-*.ts      a view as a stream of rows, and back
 *   image-*.ts         a view as a stream of the file's own pages, and back
 *   memory-store.ts    a store without an engine: a B+tree of packed pages (tree.ts, page.ts)
 *
 * `testing/` holds the conformance suites of stores and engines.
 */
export { durableStore } from './durable-store.ts';
export { StoreError, type StoreErrorCode } from './error.ts';
export { isImage } from './image-format.ts';
export { restoreImage } from './image-restore.ts';
export { type ImageStream, writeImage } from './image-writer.ts';
export { KEY_BYTES_MAX } from './limits.ts';
export { lmdbEngines } from './lmdb-engine.ts';
export {
  type MemoryCommit,
  type MemoryEngines,
  type MemoryEnginesOptions,
  memoryEngines,
} from './memory-engine.ts';
export { memoryStore } from './memory-store.ts';
export type { Packing } from './packing.ts';
export type { SnapshotTotals } from './snapshot-format.ts';
export { SnapshotParser } from './snapshot-parser.ts';
export { restoreSnapshot, type SnapshotRestore } from './snapshot-restore.ts';
export { type SnapshotOptions, type SnapshotStream, writeSnapshot } from './snapshot-writer.ts';
export {
  type FreshState,
  openStateHome,
  resetState,
  type StateHome,
  type StateHomeOptions,
} from './state-home.ts';
export type {
  Change,
  Done,
  DurableStore,
  Engine,
  EngineImage,
  EngineOptions,
  Engines,
  EngineUsage,
  EngineView,
  KeySpan,
  OrderedStore,
  RangeSpan,
  Row,
  StoreEntry,
} from './types.ts';
