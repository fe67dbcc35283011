import type { Command } from 'commander';
import { argumentBytes, keyBytes } from './bytes-input.ts';
import { type ClientFlags, clientCommand, read } from './client-command.ts';
import { EXIT, type ExitCode, oneLine, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { formatKeys, formatResult, type RangeResult } from './output.ts';
import { spanOf } from './span.ts';

const EXAMPLES = `
Prints each key and its value on a line of its own, as they are. For keys or values with line
feeds use -w json.

Examples:
  quorate range user/ --prefix
  quorate range a c --limit 10
  quorate range "" --prefix --count-only     how many keys there are`;

interface RangeFlags extends ClientFlags {
  readonly prefix?: true;
  readonly fromKey?: true;
  readonly limit?: string;
  readonly rev?: string;
  readonly keysOnly?: true;
  readonly countOnly?: true;
}

/** `quorate range KEY [RANGE_END]`. */
export function rangeCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('range', 'Prints keys and values in the order of the keys.')
    .argument('<key>')
    .argument('[range_end]', 'print from <key> up to here, this key not included')
    .option('--prefix', 'all keys that begin with <key>')
    .option('--from-key', '<key> and all keys behind it')
    .option('--limit <N>', 'at most so many keys')
    .option('--rev <N>', 'the state as of this revision')
    .option('--keys-only', 'keys without values')
    .option('--count-only', 'only the number of keys')
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, rangeEnd: string | undefined, flags: RangeFlags) => {
      finish(await range(key, rangeEnd ?? null, flags, host));
    });
}

async function range(
  key: string,
  rangeEnd: string | null,
  flags: RangeFlags,
  host: Host,
): Promise<ExitCode> {
  const [prefix, fromKey] = [flags.prefix === true, flags.fromKey === true];
  const ways = [prefix, fromKey, rangeEnd !== null].filter(Boolean).length;
  if (ways > 1) throw usageError('RANGE_END, --prefix and --from-key exclude each other');
  const span = spanOf({
    key: prefix || fromKey ? argumentBytes('key', key) : keyBytes(key),
    end: rangeEnd === null ? null : argumentBytes('range end', rangeEnd),
    prefix,
    fromKey,
  });
  const limit = positive('--limit', flags.limit);
  const revision = positive('--rev', flags.rev);
  return read(flags, host, async (clerk, options) => {
    const found = await clerk.range(span, {
      ...options,
      as: 'bytes',
      ...(limit === null ? {} : { limit }),
      ...(revision === null ? {} : { revision }),
      keysOnly: flags.keysOnly === true,
      countOnly: flags.countOnly === true,
    });
    await host.out(format({ type: 'range', ...found }, flags));
    return EXIT.ok;
  });
}

function format(result: RangeResult, flags: RangeFlags): Uint8Array {
  if (flags.writeOut === 'json') return formatResult(result, 'json');
  if (flags.countOnly === true) return Buffer.from(`${result.count}\n`);
  return flags.keysOnly === true ? formatKeys(result) : formatResult(result, 'simple');
}

function positive(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw usageError(`${flag}: '${oneLine(text)}' is not a whole number from 1 on`);
}
