import { Command, Option } from 'commander';
import { CliError, EXIT, type ExitCode, oneLine, usageError } from './exit.ts';
import type { Host } from './host.ts';
import type { OutputFormat } from './output.ts';
import { showProgress } from './snapshot-progress.ts';
import { restoreCommand } from './snapshot-restore.ts';
import { saveCommand } from './snapshot-save.ts';
import { databaseText, summaryText } from './snapshot-words.ts';

const EXAMPLES = `
Examples:
  quorate snapshot save backup.snap
  quorate snapshot status backup.snap
  quorate snapshot restore backup.snap --data-dir /var/lib/quorate`;

const STATUS_EXAMPLES = `
Reads the file from end to end: checksums, SHA-256, and that its rows are the state that its head
speaks of. Of a file of etcd's: its SHA-256, if there is one, and that it can be read; what is
printed is what etcdctl snapshot status prints, and more. A damaged file is one line on standard
error and exit code 1.

Example:
  quorate snapshot status backup.snap -w json`;

/** `quorate snapshot save|status|restore`: backups. */
export function snapshotCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return new Command('snapshot')
    .summary('save, verify and restore backups')
    .description('Saves the state of a cluster, verifies what was saved, begins anew from it.')
    .addCommand(saveCommand(host, finish))
    .addCommand(statusCommand(host, finish))
    .addCommand(restoreCommand(host, finish))
    .addHelpText('after', EXAMPLES)
    .allowExcessArguments()
    .action((_flags: unknown, self: Command) => {
      const [given] = self.args;
      const what = given === undefined ? 'needs a command' : `has no command '${oneLine(given)}'`;
      throw usageError(`snapshot ${what}: save, status or restore; see quorate snapshot --help`);
    });
}

interface StatusFlags {
  readonly writeOut: OutputFormat;
}

function statusCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return new Command('status')
    .description('Verifies a snapshot and says what it holds.')
    .argument('<file>', 'the snapshot')
    .addOption(
      new Option('-w, --write-out <FORMAT>', 'simple or json')
        .choices(['simple', 'json'])
        .default('simple'),
    )
    .addHelpText('after', STATUS_EXAMPLES)
    .action(async (file: string, flags: StatusFlags) => finish(await status(file, flags, host)));
}

async function status(file: string, flags: StatusFlags, host: Host): Promise<ExitCode> {
  // Loaded here, so that the other commands start without it.
  const server = await import('../server/index.ts');
  const progress = showProgress('verifying');
  const { signal } = host;
  try {
    const options = { onProgress: progress.update, signal };
    const text = (await server.isDatabaseFile(file))
      ? databaseText(file, await server.checkDatabaseFile(file, options), flags.writeOut)
      : summaryText(file, await server.checkSnapshotFile(file, options), flags.writeOut);
    progress.stop();
    await host.out(text);
    return EXIT.ok;
  } catch (error) {
    if (signal.aborted) return EXIT.interrupted;
    if (!(error instanceof server.SnapshotError)) throw error;
    throw new CliError(EXIT.failed, oneLine(error.message), { cause: error });
  } finally {
    progress.stop();
  }
}
