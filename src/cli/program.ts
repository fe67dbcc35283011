import { Command, CommanderError } from 'commander';
import { KvError } from '../api/index.ts';
import { CliError, EXIT, type ExitCode, oneLine, reasonOf } from './exit.ts';
import type { Host } from './host.ts';
import { readVersion } from './version.ts';

/** Makes one subcommand; `finish` takes its exit code. */
type MakeCommand = (host: Host, finish: (code: ExitCode) => void) => Command;

/**
 * Every command, in the order of the help. A new one is one file and one line here. Only the one
 * that is called is loaded: a client command needs no server, and is done before that were there.
 */
const COMMANDS: ReadonlyMap<string, () => Promise<MakeCommand>> = new Map([
  ['serve', async () => (await import('./serve.ts')).serveCommand],
  ['local', async () => (await import('./local.ts')).localCommand],
  ['demo', async () => (await import('./demo/index.ts')).demoCommand],
  ['sim', async () => (await import('./sim.ts')).simCommand],
  ['put', async () => (await import('./put.ts')).putCommand],
  ['get', async () => (await import('./get.ts')).getCommand],
  ['append', async () => (await import('./append.ts')).appendCommand],
  ['del', async () => (await import('./del.ts')).delCommand],
  ['range', async () => (await import('./range.ts')).rangeCommand],
  ['txn', async () => (await import('./txn.ts')).txnCommand],
  ['compact', async () => (await import('./compact.ts')).compactCommand],
  ['watch', async () => (await import('./watch.ts')).watchCommand],
  ['lease', async () => (await import('./lease.ts')).leaseCommand],
  ['lock', async () => (await import('./lock.ts')).lockCommand],
  ['elect', async () => (await import('./elect.ts')).electCommand],
  ['snapshot', async () => (await import('./snapshot.ts')).snapshotCommand],
  ['status', async () => (await import('./status.ts')).statusCommand],
  ['resolve', async () => (await import('./resolve.ts')).resolveCommand],
  ['check', async () => (await import('./check.ts')).checkCommand],
]);

const EXIT_CODES = `
Exit codes:
  0  done
  1  failed and certainly not applied; get: no such key
  2  wrong usage: flag, variable or input; nothing was sent
  3  applied earlier, but the answer is no longer kept
  4  outcome unknown: it may have been applied

Try:  quorate local      a cluster of three members on this machine`;

/** Runs the command line and gives back the exit code; an error has been printed by then. */
export async function run(argv: readonly string[], host: Host): Promise<ExitCode> {
  let code: ExitCode = EXIT.ok;
  const program = new Command('quorate')
    .description('A replicated, linearizable key/value store whose commands run exactly once.')
    .version(readVersion(), '-V, --version', 'print the version')
    .addHelpText('after', EXIT_CODES);
  const called = COMMANDS.get(argv[0] ?? '');
  const loads = called === undefined ? [...COMMANDS.values()] : [called];
  for (const makeCommand of await Promise.all(loads.map((load) => load()))) {
    program.addCommand(
      makeCommand(host, (exitCode) => {
        code = exitCode;
      }),
    );
  }
  for (const command of [program, ...program.commands.flatMap(withSubcommands)]) {
    command.exitOverride().configureOutput({ writeErr: () => {}, outputError: () => {} });
  }
  try {
    await program.parseAsync([...goFlags(argv)], { from: 'user' });
    return code;
  } catch (error) {
    return report(error, program, host);
  }
}

function withSubcommands(command: Command): Command[] {
  return [command, ...command.commands];
}

/** `-listen-peer-urls=…`, as Go's flag package allows it and some unit files for etcd have it. */
function goFlags(argv: readonly string[]): string[] {
  if (argv[0] !== 'serve') return [...argv];
  return argv.map((arg) =>
    /^-[a-z][a-z0-9]*(-[a-z0-9]+)*(=|$)/.test(arg) && arg.length > 2 ? `-${arg}` : arg,
  );
}

function report(error: unknown, program: Command, host: Host): ExitCode {
  if (error instanceof CommanderError) return reportUsage(error, program, host);
  if (error instanceof CliError) {
    host.err(`error: ${error.message}`);
    return error.exitCode;
  }
  if (error instanceof KvError) {
    host.err(`error: ${oneLine(error.message)}`);
    return EXIT.failed;
  }
  host.err(`error: unexpected failure, please report it: ${reasonOf(error)}`);
  if (error instanceof Error && error.stack !== undefined) host.err(error.stack);
  return EXIT.failed;
}

/** Commander's errors in our words, one line; help that was asked for is no error. */
function reportUsage(error: CommanderError, program: Command, host: Host): ExitCode {
  switch (error.code) {
    case 'commander.helpDisplayed':
    case 'commander.version':
      return EXIT.ok;
    case 'commander.help':
      host.err(program.helpInformation());
      return EXIT.usage;
    default: {
      const text = oneLine(error.message)
        .replace(/^error: /, '')
        .replace(/^(unknown )?option /, '$1flag ')
        .replace(/\(Did you mean (.*?)\?\)$/, "(did you mean '$1'?)");
      host.err(`error: ${text}`);
      return EXIT.usage;
    }
  }
}
