import { type Command, Option } from 'commander';
import type { RangeOptions } from '../client/index.ts';
import { argumentBytes, keyBytes } from './bytes-input.ts';
import { type ClientFlags, clientCommand, positiveFlag, read } from './client-command.ts';
import { EXIT, type ExitCode, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { formatKeys, formatResult, lines, type RangeResult } from './output.ts';
import { spanOf } from './span.ts';

const EXAMPLES = `
Prints each key and its value on a line of its own, as they are. For keys or values with line
feeds use -w json.

Examples:
  quorate range user/ --prefix
  quorate range a c --limit 10
  quorate range "" --prefix --sort-by MODIFY --order DESCEND --limit 1     the newest
  quorate range "" --prefix --count-only     how many keys there are`;

interface RangeFlags extends ClientFlags {
  readonly prefix?: true;
  readonly fromKey?: true;
  readonly limit?: string;
  readonly rev?: string;
  readonly sortBy?: keyof typeof SORT_TARGETS;
  readonly order?: 'ASCEND' | 'DESCEND';
  readonly minModRev?: string;
  readonly maxModRev?: string;
  readonly minCreateRev?: string;
  readonly maxCreateRev?: string;
  readonly consistency: 'l' | 's';
  readonly printValueOnly?: true;
  readonly keysOnly?: true;
  readonly countOnly?: true;
}

/** etcdctl's names of what to sort by. */
const SORT_TARGETS = {
  CREATE: 'createRevision',
  KEY: 'key',
  MODIFY: 'modRevision',
  VALUE: 'value',
  VERSION: 'version',
} as const satisfies Record<string, RangeOptions['sortBy']>;

/** `quorate range KEY [RANGE_END]`. */
export function rangeCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('range', 'Prints keys and values in the order of the keys.')
    .argument('<key>')
    .argument('[range_end]', 'print from <key> up to here, this key not included')
    .option('--prefix', 'all keys that begin with <key>')
    .option('--from-key', '<key> and all keys behind it')
    .option('--limit <N>', 'at most so many keys')
    .option('--rev <N>', 'the state as of this revision')
    .addOption(
      new Option('--sort-by <TARGET>', 'what to sort by (default: KEY)').choices(
        Object.keys(SORT_TARGETS),
      ),
    )
    .addOption(
      new Option('--order <ORDER>', 'how to sort (default: ASCEND)').choices(['ASCEND', 'DESCEND']),
    )
    .option('--min-mod-rev <N>', 'only keys last changed in this revision or later')
    .option('--max-mod-rev <N>', 'only keys last changed in this revision or earlier')
    .option('--min-create-rev <N>', 'only keys created in this revision or later')
    .option('--max-create-rev <N>', 'only keys created in this revision or earlier')
    .addOption(
      new Option('--consistency <LEVEL>', 'l: linearizable; s: what one member has, perhaps stale')
        .choices(['l', 's'])
        .default('l'),
    )
    .option('--print-value-only', 'values without keys')
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
  if (flags.keysOnly === true && flags.printValueOnly === true) {
    throw usageError('--keys-only and --print-value-only exclude each other');
  }
  const wanted = wantedOf(flags);
  return read(flags, host, async (clerk, options) => {
    const found = await clerk.range(span, {
      ...options,
      as: 'bytes',
      ...wanted,
      serializable: flags.consistency === 's',
    });
    await host.out(format({ type: 'range', ...found }, flags));
    return EXIT.ok;
  });
}

/** What the flags ask for. */
function wantedOf(flags: RangeFlags): RangeOptions {
  const numbers = {
    limit: positiveFlag('--limit', flags.limit),
    revision: positiveFlag('--rev', flags.rev),
    minModRevision: positiveFlag('--min-mod-rev', flags.minModRev),
    maxModRevision: positiveFlag('--max-mod-rev', flags.maxModRev),
    minCreateRevision: positiveFlag('--min-create-rev', flags.minCreateRev),
    maxCreateRevision: positiveFlag('--max-create-rev', flags.maxCreateRev),
  };
  return {
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== null)),
    ...(flags.sortBy === undefined ? {} : { sortBy: SORT_TARGETS[flags.sortBy] }),
    descending: flags.order === 'DESCEND',
    keysOnly: flags.keysOnly === true,
    countOnly: flags.countOnly === true,
  };
}

function format(result: RangeResult, flags: RangeFlags): Uint8Array {
  if (flags.writeOut === 'json') return formatResult(result, 'json');
  if (flags.countOnly === true) return Buffer.from(`${result.count}\n`);
  if (flags.printValueOnly === true) return lines(result.entries.map(({ value }) => value));
  return flags.keysOnly === true ? formatKeys(result) : formatResult(result, 'simple');
}
