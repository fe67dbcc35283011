import type { Command } from 'commander';
import { argumentBytes, keyBytes } from './bytes-input.ts';
import { type WriteFlags, write, writeCommand } from './client-command.ts';
import { type ExitCode, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { formatResult } from './output.ts';
import { spanOf } from './span.ts';

const EXAMPLES = `
Prints how many keys were deleted.

Examples:
  quorate del greeting
  quorate del a c                 all keys from a on, below c
  quorate del user/ --prefix`;

interface DelFlags extends WriteFlags {
  readonly prefix?: true;
}

/** `quorate del KEY [RANGE_END]`. */
export function delCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return writeCommand('del', 'Deletes a key, a range of keys, or all keys with a prefix.')
    .argument('<key>')
    .argument('[range_end]', 'delete from <key> up to here, this key not included')
    .option('--prefix', 'delete all keys that begin with <key>')
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, rangeEnd: string | undefined, flags: DelFlags) => {
      const prefix = flags.prefix === true;
      if (prefix && rangeEnd !== undefined) throw usageError('--prefix: takes no RANGE_END');
      const span = spanOf({
        key: prefix ? argumentBytes('key', key) : keyBytes(key),
        end: rangeEnd === undefined ? null : argumentBytes('range end', rangeEnd),
        prefix,
        fromKey: false,
      });
      finish(
        await write(flags, host, async (clerk, options) => {
          const outcome = await clerk.delete(span, { ...options, as: 'bytes' });
          return formatResult({ type: 'delete', ...outcome }, flags.writeOut);
        }),
      );
    });
}
