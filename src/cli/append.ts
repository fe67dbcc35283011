import type { Command } from 'commander';
import { keyBytes, valueBytes } from './bytes-input.ts';
import { type WriteFlags, write, writeCommand } from './client-command.ts';
import type { ExitCode } from './exit.ts';
import type { Host } from './host.ts';
import { formatResult } from './output.ts';

const EXAMPLES = `
Prints the length of the value afterwards, in bytes.

Examples:
  quorate append log "one more line"
  tail -1 events.txt | quorate append events -`;

/** `quorate append KEY VALUE`. */
export function appendCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return writeCommand(
    'append',
    'Adds to the end of a key; the value - reads it from standard input.',
  )
    .argument('<key>')
    .argument('<value>')
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, value: string, flags: WriteFlags) => {
      const target = keyBytes(key);
      const bytes = await valueBytes(value, host);
      finish(
        await write(flags, host, async (clerk, options) => {
          const outcome = await clerk.append(target, bytes, options);
          return formatResult({ type: 'append', ...outcome }, flags.writeOut);
        }),
      );
    });
}
