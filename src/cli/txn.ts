import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { readAll } from './bytes-input.ts';
import { type WriteFlags, write, writeCommand } from './client-command.ts';
import { type ExitCode, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { formatResult } from './output.ts';
import { parseTxnScript } from './txn-script.ts';

const EXAMPLES = `
The script has three paragraphs with an empty line between them: compares, what to do if all of
them hold, what to do otherwise. It is etcdctl's form; # begins a comment.

  value("greeting") = "hello"
  version("counter") > "3"

  put greeting "good\\nbye"
  append log "changed "
  get counter

  del greeting

Compares: value, version, create, mod with =, !=, <, >. Requests: put, append, get, del (KEY,
KEY END or KEY --prefix). In double quotes \\n \\r \\t \\\\ \\" and \\xNN are understood.
Prints SUCCESS or FAILURE (which paragraph ran) and the answers.

Example:
  printf 'version("lock") = "0"\\n\\nput lock me\\n\\nget lock\\n' | quorate txn`;

interface TxnFlags extends WriteFlags {
  readonly file?: string;
}

/** `quorate txn`. */
export function txnCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return writeCommand('txn', 'Runs a transaction from a script on standard input.')
    .option('--file <PATH>', 'read the script from this file instead')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: TxnFlags) => {
      const request = parseTxnScript(await script(flags.file, host));
      finish(
        await write(flags, host, async (clerk, options) => {
          const outcome = await clerk.txn(request, { ...options, as: 'bytes' });
          return formatResult({ type: 'txn', ...outcome }, flags.writeOut);
        }),
      );
    });
}

async function script(path: string | undefined, host: Host): Promise<string> {
  if (path === undefined) return Buffer.from(await readAll(host, 'script')).toString();
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw usageError(`--file: ${reasonOf(error)}`);
  }
}
