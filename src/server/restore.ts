import { readdir, rename, rm } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { silentLog, systemClock, systemDisk } from '../io/index.ts';
import { configurationRow, type KvPosition, PACKED_TABLES, positionOf } from '../kv/index.ts';
import { ByteWriter } from '../lib/index.ts';
import { encodeConfState } from '../raft/index.ts';
import {
  type Engine,
  lmdbEngines,
  openStateHome,
  restoreSnapshot,
  type SnapshotRestore,
} from '../store/index.ts';
import { openWal } from '../wal/index.ts';
import { resolveConfig, type ServerConfig } from './config.ts';
import { ConfigError, type ServerOptions } from './options.ts';
import { isDatabaseFile } from './snapshot-database.ts';
import {
  checkSnapshotFile,
  inFileError,
  readChunks,
  SnapshotError,
  type SnapshotFileOptions,
  type SnapshotSummary,
} from './snapshot-file.ts';
import { importDatabase, verifyForImport } from './snapshot-import.ts';
import { isStateOf } from './snapshot-meta.ts';

/*
 * A member's data directory from a snapshot: it becomes a member of a new cluster that begins with
 * the snapshot's state, at the snapshot's place in the log.
 *
 *   DIR.part/state   the snapshot's rows, with the new cluster's configuration; of a file of etcd's
 *                    the rows that its history makes
 *   DIR.part/wal     a log without entries that begins behind them
 *   DIR              DIR.part, when both are durable
 *
 * All that decides is in the file and in what all members are told alike, so members that are
 * restored from the same file agree without having talked.
 */

/** What the member shall be; the rest is said when it is started. */
export type RestoredMember = Pick<
  ServerOptions,
  'name' | 'initialCluster' | 'initialClusterToken' | 'initialAdvertisePeerUrls'
> & {
  /** Must not exist, or be empty. Default: `NAME.quorate`. */
  readonly dataDir?: string;
};

export interface RestoreOptions extends SnapshotFileOptions {
  /** The snapshot: one of ours, or one of etcd's. */
  readonly file: string;
  readonly member: RestoredMember;
  /** Take a file of etcd's also without its SHA-256, or with a wrong one. */
  readonly skipHashCheck?: boolean;
}

/** What was made. */
export interface Restored {
  /** Where the new cluster begins. */
  readonly position: KvPosition;
  /** Keys there are; their history is not counted. */
  readonly keys: number;
  readonly dataDir: string;
  readonly clusterId: bigint;
  readonly memberId: bigint;
}

/** Names that a directory of ours can hold; anything else is not ours to remove. */
const OUR_NAMES: readonly string[] = ['LOCK', 'state', 'wal'];

/**
 * Makes the directory, durably and as a whole, or nothing. The file is verified from end to end
 * before anything is written; `onProgress` counts it twice.
 * @throws SnapshotError, ConfigError, StoreError, WalError; the signal's reason.
 */
export async function restoreMember(options: RestoreOptions): Promise<Restored> {
  const { member, onProgress, signal } = options;
  const config = resolveConfig(member);
  const directory = resolve(config.dataDir ?? '');
  const part = `${directory}.part`;
  await refuseToOverwrite(directory);
  await removeLeftover(part);
  const stage = (number: 0 | 1): SnapshotFileOptions => ({
    onProgress: (bytes, total) => onProgress?.(number * total + bytes, 2 * total),
    ...(signal === undefined ? {} : { signal }),
  });
  const fill = await verified(options, stage);
  try {
    const content = await makeState({ config, part }, (engine) => fill(engine, stage(1)));
    await makeLog({ config, part }, content.position);
    await rename(part, directory);
    await systemDisk.syncDirectory(dirname(directory));
    const { clusterId, memberId } = config;
    return { ...content, dataDir: directory, clusterId, memberId };
  } catch (cause) {
    await rm(part, { recursive: true, force: true });
    throw cause;
  }
}

/** What a snapshot was found to hold. */
type Content = Pick<Restored, 'position' | 'keys'>;

/** Puts a snapshot's rows into a new engine. */
type Fill = (engine: Engine, options: SnapshotFileOptions) => Promise<Content>;

/** Reads the file from end to end, and returns how it is taken over. */
async function verified(
  { file, skipHashCheck = false }: RestoreOptions,
  stage: (number: 0) => SnapshotFileOptions,
): Promise<Fill> {
  if (await isDatabaseFile(file)) {
    await verifyForImport(file, { ...stage(0), skipHashCheck });
    return (engine, options) => importDatabase(file, engine, options);
  }
  const summary = await checkSnapshotFile(file, stage(0));
  if (summary.position.index === 0) throw inFileError(file, 'the state is empty: nothing to do');
  return (engine, options) => takeRows({ file, summary }, engine, options);
}

interface Making {
  readonly config: ServerConfig;
  readonly part: string;
}

async function makeState(
  { config, part }: Making,
  fill: (engine: Engine) => Promise<Content>,
): Promise<Content> {
  const home = await openStateHome({
    disk: systemDisk,
    engines: lmdbEngines(),
    log: silentLog,
    directory: `${part}/state`,
    packed: PACKED_TABLES,
  });
  try {
    const fresh = await home.create();
    const content = await fill(fresh.engine);
    await configured(fresh.engine, config);
    await fresh.adopt();
    return content;
  } finally {
    await home.close();
  }
}

async function takeRows(
  { file, summary }: { readonly file: string; readonly summary: SnapshotSummary },
  engine: Engine,
  options: SnapshotFileOptions,
): Promise<Content> {
  const restore = restoreSnapshot(engine);
  for await (const chunk of readChunks(file, options)) await written(restore, chunk);
  await finished(restore);
  const found = positionOf((table, key) => engine.get(table, key));
  if (!isStateOf(summary, found)) {
    throw new SnapshotError(`${file}: was changed while it was read`);
  }
  return { position: summary.position, keys: summary.keys };
}

function written(restore: SnapshotRestore, chunk: Uint8Array): Promise<void> {
  return settled((done) => restore.write(chunk, done));
}

function finished(restore: SnapshotRestore): Promise<void> {
  return settled((done) => restore.finish(done));
}

/** The members of the new cluster instead of those that the state knew. */
function configured(engine: Engine, { confState }: ServerConfig): Promise<void> {
  const writer = new ByteWriter();
  encodeConfState(writer, confState);
  return settled((done) => engine.commit([configurationRow(writer.finish())], done));
}

function settled(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolvePromise, reject) => {
    start((error) => (error === null ? resolvePromise() : reject(error)));
  });
}

/** A log that begins behind the state, as if it had just been installed. */
async function makeLog({ config, part }: Making, { index, term }: KvPosition): Promise<void> {
  const { clusterId, memberId, confState } = config;
  let onFailure = (_error: Error): void => {};
  const wal = await openWal({
    disk: systemDisk,
    clock: systemClock,
    log: silentLog,
    directory: part,
    identity: { clusterId, memberId },
    confState,
    onFailure: (error) => onFailure(error),
  });
  try {
    await new Promise<void>((resolvePromise, reject) => {
      onFailure = reject;
      const hardState = { term, vote: null, commitIndex: index };
      wal.append({ hardState, entries: [], base: { index, term } }, resolvePromise);
    });
  } finally {
    await wal.close();
  }
}

async function refuseToOverwrite(directory: string): Promise<void> {
  const names = await namesIn(directory);
  if (names === null || names.length === 0) return;
  throw new ConfigError(
    `--data-dir: '${directory}' is not empty: name a new directory, or move that one away`,
  );
}

/** What an interrupted attempt left, unless it holds something that is not ours. */
async function removeLeftover(part: string): Promise<void> {
  const names = await namesIn(part);
  if (names === null) return;
  const foreign = names.find((name) => !OUR_NAMES.includes(name));
  if (foreign !== undefined) {
    throw new ConfigError(
      `--data-dir: '${part}' is needed and holds '${foreign}': move that away, or name another ` +
        'directory',
    );
  }
  await rm(part, { recursive: true });
}

/** Null when there is no such directory. @throws ConfigError when it is something else. */
async function namesIn(directory: string): Promise<string[] | null> {
  try {
    return await readdir(directory);
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null;
    if (code === 'ENOENT') return null;
    const said = cause instanceof Error ? cause.message : String(cause);
    throw new ConfigError(`--data-dir: '${directory}' can't be used: ${said}`, { cause });
  }
}
