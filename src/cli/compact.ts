import type { Command } from 'commander';
import { type WriteFlags, write, writeCommand } from './client-command.ts';
import { type ExitCode, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { formatResult } from './output.ts';

const EXAMPLES = `
Keys stay as they are; what they were before that revision can no longer be read.
The space is freed bit by bit afterwards.

Examples:
  quorate compact 12345`;

/** `quorate compact REVISION`. */
export function compactCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return writeCommand('compact', 'Forgets the history before a revision.')
    .alias('compaction')
    .argument('<revision>', 'the oldest revision that stays readable')
    .addHelpText('after', EXAMPLES)
    .action(async (text: string, flags: WriteFlags) => {
      const revision = /^\d{1,15}$/.test(text) ? Number(text) : 0;
      if (revision < 1) throw usageError(`revision: '${text}' is not a whole number from 1`);
      finish(
        await write(flags, host, async (clerk, options) => {
          const outcome = await clerk.compact(revision, options);
          return formatResult({ type: 'compact', ...outcome }, flags.writeOut);
        }),
      );
    });
}
