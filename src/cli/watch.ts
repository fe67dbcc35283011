import type { Command } from 'commander';
import { KvError } from '../api/index.ts';
import type { Span } from '../client/index.ts';
import { argumentBytes, keyBytes } from './bytes-input.ts';
import {
  type ClientFlags,
  clientCommand,
  findCluster,
  last,
  positiveFlag,
} from './client-command.ts';
import { CliError, EXIT, type ExitCode, oneLine, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { formatBatch } from './output.ts';
import { spanOf } from './span.ts';

const EXAMPLES = `
For each change PUT or DELETE, the key, and its value, each on a line of its own. Goes on over
reconnects and changes of the leader, without gap or repetition, until Ctrl-C. With -w json one
line for each batch of whole revisions. --timeout is how long the cluster may take to answer first.

Examples:
  quorate watch greeting
  quorate watch user/ --prefix --prev-kv
  quorate watch "" --prefix --rev 1 -w json     everything that is not compacted`;

interface WatchFlags extends ClientFlags {
  readonly prefix?: true;
  readonly fromKey?: true;
  readonly rev?: string;
  readonly prevKv?: true;
  readonly progressNotify?: true;
}

/** `quorate watch KEY [RANGE_END]`. */
export function watchCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('watch', 'Prints changes as they happen, from now on or from a revision.')
    .argument('<key>')
    .argument('[range_end]', 'watch from <key> up to here, this key not included')
    .option('--prefix', 'all keys that begin with <key>')
    .option('--from-key', '<key> and all keys behind it')
    .option('--rev <N>', 'begin with this revision (default: from now on)')
    .option('--prev-kv', 'print also what each key was before')
    .option('--progress-notify', 'say how far the watch is while nothing happens')
    .addHelpText('after', EXAMPLES)
    .action(async (key: string, rangeEnd: string | undefined, flags: WatchFlags) => {
      finish(await watch(spanFrom(key, rangeEnd ?? null, flags), flags, host));
    });
}

/** The keys that are meant; as for `range`. */
function spanFrom(key: string, rangeEnd: string | null, flags: WatchFlags): Span {
  const [prefix, fromKey] = [flags.prefix === true, flags.fromKey === true];
  if ([prefix, fromKey, rangeEnd !== null].filter(Boolean).length > 1) {
    throw usageError('RANGE_END, --prefix and --from-key exclude each other');
  }
  return spanOf({
    key: prefix || fromKey ? argumentBytes('key', key) : keyBytes(key),
    end: rangeEnd === null ? null : argumentBytes('range end', rangeEnd),
    prefix,
    fromKey,
  });
}

async function watch(span: Span, flags: WatchFlags, host: Host): Promise<ExitCode> {
  const fromRevision = positiveFlag('--rev', flags.rev);
  const progress = flags.progressNotify === true;
  return await last(flags, host, async (clerk, options) => {
    await findCluster(clerk, options);
    const batches = await clerk.watch(span, {
      ...options,
      ...(fromRevision === null ? {} : { fromRevision }),
      prevKv: flags.prevKv === true,
      progress,
      as: 'bytes',
    });
    try {
      for await (const batch of batches) {
        const isProgress = batch.events.length === 0 && flags.writeOut === 'simple';
        const text = isProgress
          ? `progress notify: ${batch.revision}\n`
          : formatBatch(batch, flags.writeOut);
        if (!(await host.out(text))) return EXIT.ok;
      }
      return EXIT.ok;
    } catch (error) {
      if (!(error instanceof KvError && error.code === 'COMPACTED')) throw error;
      const said = `${oneLine(error.message)}: go on with --rev ${error.compactRevision}`;
      throw new CliError(EXIT.failed, said, { cause: error });
    }
  });
}
