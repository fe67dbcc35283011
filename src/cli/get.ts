import type { Command } from 'commander';
import { KvError } from '../api/index.ts';
import { keyBytes } from './bytes-input.ts';
import { type ClientFlags, clientCommand, read } from './client-command.ts';
import { CliError, EXIT, type ExitCode, oneLine } from './exit.ts';
import type { Host } from './host.ts';
import { formatResult, lines } from './output.ts';

const EXAMPLES = `
Prints the value and a line feed. A missing key ends with exit code 1. For several keys: range.

Examples:
  quorate get greeting
  quorate get greeting -w json`;

/** What is asked is a range of one key, because its answer tells the revision, too. */
function failAsGet(error: unknown): never {
  if (!(error instanceof KvError)) throw error;
  throw new KvError(error.code, error.message.replace(/^range: /, 'get: '), { cause: error });
}

/** `quorate get KEY`. */
export function getCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('get', 'Prints the value of a key.')
    .argument('<key>')
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, flags: ClientFlags) => {
      const span = keyBytes(key);
      finish(
        await read(flags, host, async (clerk, options) => {
          const found = await clerk.range(span, { ...options, as: 'bytes' }).catch(failAsGet);
          const [entry] = found.entries;
          if (flags.writeOut === 'json') {
            await host.out(formatResult({ type: 'range', ...found }, 'json'));
          } else if (entry !== undefined) {
            await host.out(lines([entry.value]));
          }
          if (entry === undefined)
            throw new CliError(EXIT.failed, `there is no key '${oneLine(key)}'`);
          return EXIT.ok;
        }),
      );
    });
}
