import type { Command } from 'commander';
import { keyBytes, valueBytes } from './bytes-input.ts';
import { type WriteFlags, write, writeCommand } from './client-command.ts';
import type { ExitCode } from './exit.ts';
import type { Host } from './host.ts';
import { leaseId } from './lease.ts';
import { formatResult } from './output.ts';

const EXAMPLES = `
Examples:
  quorate put greeting hello
  quorate put photo - < photo.jpg
  quorate put greeting hello --session deploy --seq 7     run it again: it happens once
  quorate put -- key -5                                    a value that begins with a dash`;

interface PutFlags extends WriteFlags {
  readonly lease?: string;
}

/** `quorate put KEY VALUE`. */
export function putCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return writeCommand('put', 'Sets a key; the value - reads it from standard input.')
    .argument('<key>')
    .argument('<value>')
    .option('--lease <ID>', 'the lease that the key ends with, hexadecimal')
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, value: string, flags: PutFlags) => {
      const lease = flags.lease === undefined ? {} : { lease: leaseId(flags.lease) };
      const target = keyBytes(key);
      const bytes = await valueBytes(value, host);
      finish(
        await write(flags, host, async (clerk, options) => {
          const outcome = await clerk.put(target, bytes, { ...options, ...lease, as: 'bytes' });
          return formatResult({ type: 'put', ...outcome }, flags.writeOut);
        }),
      );
    });
}
