import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { fetchSnapshot, KvError } from '../client/index.ts';
import { systemDisk } from '../io/index.ts';
import type { SnapshotSummary } from '../server/index.ts';
import {
  type ClientFlags,
  callOptions,
  clientCommand,
  endpointsOf,
  tlsOf,
} from './client-command.ts';
import { CliError, EXIT, type ExitCode, oneLine, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { showProgress } from './snapshot-progress.ts';
import { summaryText } from './snapshot-words.ts';

/** The state is everything that its clients ever wrote: for its owner alone. */
const FILE_MODE = 0o600;

const EXAMPLES = `
The file holds all that was acknowledged before the command began: keys with their history,
sessions, leases. It is written as FILE.part, verified while it is written, and gets its name when
it is on the disk. Any member can give it, and goes on serving.

Without a majority of the members there is nobody to confirm what was acknowledged: --local takes
what the member has.

Examples:
  quorate snapshot save backup.snap
  quorate snapshot save backup.snap --endpoints 10.0.0.2:2379`;

interface SaveFlags extends ClientFlags {
  readonly force?: true;
  readonly local?: true;
}

/** `quorate snapshot save FILE`. */
export function saveCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('save', 'Writes the state of a running cluster into a file.')
    .argument('<file>', 'where to; must not exist')
    .option('--local', 'what the asked member has, also when no leader answers')
    .option('--force', 'replace FILE, and FILE.part that an interrupted command left')
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, flags: SaveFlags) => finish(await save(file, flags, host)));
}

async function save(file: string, flags: SaveFlags, host: Host): Promise<ExitCode> {
  const { timeoutMs, signal } = callOptions(flags, host);
  const endpoints = endpointsOf(flags, host);
  const tls = await tlsOf(flags, host);
  const part = `${file}.part`;
  const force = flags.force === true;
  await refuseToOverwrite(file, force);
  const handle = await create(part, force);
  let summary: SnapshotSummary;
  try {
    const local = flags.local === true;
    const how = { endpoints, local, timeoutMs, signal, ...(tls === undefined ? {} : { tls }) };
    summary = await receive(handle, part, how);
    await refuseToOverwrite(file, force);
    await onDisk(file, () => rename(part, file));
  } catch (error) {
    await rm(part, { force: true });
    if (signal.aborted) return EXIT.interrupted;
    throw asFailure(error);
  }
  await onDisk(file, () => systemDisk.syncDirectory(dirname(file)));
  await host.out(summaryText(file, summary, flags.writeOut));
  return EXIT.ok;
}

/** Writes what comes, and verifies it; closes the file, whose bytes are then on the disk. */
async function receive(
  handle: FileHandle,
  part: string,
  options: Parameters<typeof fetchSnapshot>[0],
): Promise<SnapshotSummary> {
  const progress = showProgress('saving');
  try {
    // Loaded here, so that the other commands start without it.
    const { SnapshotCheck } = await import('../server/index.ts');
    const check = new SnapshotCheck();
    let bytes = 0;
    for await (const { data, estimatedBytes } of fetchSnapshot(options)) {
      check.push(data);
      await onDisk(part, () => handle.writeFile(data));
      bytes += data.length;
      progress.update(bytes, estimatedBytes);
    }
    const summary = check.finish();
    await onDisk(part, () => handle.sync());
    return summary;
  } finally {
    progress.stop();
    await handle.close();
  }
}

async function refuseToOverwrite(file: string, force: boolean): Promise<void> {
  if (force) return;
  const exists = await stat(file).then(
    () => true,
    () => false,
  );
  if (exists) throw usageError(`${oneLine(file)} exists: name another file, or add --force`);
}

async function create(part: string, force: boolean): Promise<FileHandle> {
  if (force) await onDisk(part, () => rm(part, { force: true }));
  try {
    return await open(part, 'wx', FILE_MODE);
  } catch (cause) {
    const exists = cause instanceof Error && 'code' in cause && cause.code === 'EEXIST';
    const said = exists
      ? 'exists: another save is running, or was interrupted; remove it, or add --force'
      : reasonOf(cause);
    throw new CliError(EXIT.usage, `${oneLine(part)}: ${said}`, { cause });
  }
}

async function onDisk<T>(path: string, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (cause) {
    throw new CliError(EXIT.failed, `${oneLine(path)}: ${reasonOf(cause)}`, { cause });
  }
}

function asFailure(error: unknown): unknown {
  if (error instanceof CliError || !(error instanceof Error)) return error;
  const isUsage = error instanceof KvError && error.code === 'INVALID_ARGUMENT';
  if (!(error instanceof KvError) && error.name !== 'SnapshotError') return error;
  const said = `${oneLine(error.message)} (no file was written)`;
  return new CliError(isUsage ? EXIT.usage : EXIT.failed, said, { cause: error });
}
