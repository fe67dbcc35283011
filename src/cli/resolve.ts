import type { Command } from 'commander';
import { KvError } from '../api/index.ts';
import { callOptions, connect, seqFlag, type WriteFlags, writeCommand } from './client-command.ts';
import { CliError, EXIT, type ExitCode, oneLine, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { formatResolution } from './output.ts';

const EXAMPLES = `
Prints whether the command was executed, and its answer. The session changes hands to this
command: a program that still uses it under the same name is shut out.

Example:
  quorate resolve --session deploy --seq 7`;

/** `quorate resolve --session NAME --seq N`. */
export function resolveCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return writeCommand('resolve', 'Tells what became of a command of a session.')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: WriteFlags) => finish(await resolve(flags, host)));
}

async function resolve(flags: WriteFlags, host: Host): Promise<ExitCode> {
  if (flags.session === undefined) throw usageError('--session: is needed: whose command is it?');
  const seq = seqFlag(flags);
  if (seq === null) throw usageError('--seq: is needed: which command is it?');
  const clerk = await connect(flags, host, flags.session);
  try {
    const resolution = await clerk.resolve(seq, callOptions(flags, host));
    await host.out(formatResolution(resolution, flags.writeOut));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    throw new CliError(EXIT.failed, oneLine(error.message), { cause: error });
  } finally {
    await clerk.close();
  }
}
