import { Command, Option } from 'commander';
import type { Restored, RestoredMember } from '../server/index.ts';
import { CliError, EXIT, type ExitCode, oneLine } from './exit.ts';
import type { Host } from './host.ts';
import { id } from './output.ts';
import { SERVE_FLAGS, type ServeFlagName, type ServeSettings } from './serve-flags.ts';
import { resolveSettings } from './serve-settings.ts';
import { showProgress } from './snapshot-progress.ts';
import { startFailure } from './start-failure.ts';

/** The flags of `serve` that say who a member is; its directory is made for that member alone. */
const FLAGS = [
  'name',
  'data-dir',
  'initial-cluster',
  'initial-cluster-token',
  'initial-advertise-peer-urls',
] as const satisfies readonly ServeFlagName[];

const EXAMPLES = `
Makes the data directory of one member of a new cluster that begins with the state in the file.
Run it for every member with the same file, then start each with the same flags. Give the cluster
a token of its own, so that no member of the old one is taken for one of it.

A file of etcd's (etcdctl snapshot save, or a copy of DATA-DIR/member/snap/db with
--skip-hash-check) is taken too: keys, their history and revisions, and leases, which get their
whole time to live.

The directory must be new or empty. The file is verified from end to end before anything is
written, and the directory gets its name when all is on the disk.

Example, on 10.0.0.1:
  quorate snapshot restore backup.snap --name m1 --data-dir /var/lib/quorate \\
    --initial-cluster-token second-life --initial-advertise-peer-urls http://10.0.0.1:2380 \\
    --initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380`;

/** `quorate snapshot restore FILE`. */
export function restoreCommand(host: Host, finish: (code: ExitCode) => void): Command {
  const command = new Command('restore')
    .description("Makes a member's data directory from a snapshot.")
    .argument('<file>', 'the snapshot')
    .option('--skip-hash-check', "take a file of etcd's also without its SHA-256")
    .addHelpText('after', EXAMPLES);
  for (const name of FLAGS) {
    const { argument, help } = SERVE_FLAGS[name];
    command.addOption(new Option(`--${name} <${argument}>`, help));
  }
  return command.action(async (file: string, _options: unknown, self: Command) => {
    finish(await restore(file, self, host));
  });
}

async function restore(file: string, command: Command, host: Host): Promise<ExitCode> {
  const given: Partial<Record<ServeFlagName, string>> = {};
  for (const name of FLAGS) {
    const option = command.options.find((each) => each.name() === name);
    const value: unknown = command.getOptionValue(option?.attributeName() ?? name);
    if (typeof value === 'string') given[name] = value;
  }
  const resolved = resolveSettings(given, host.environment);
  for (const warning of resolved.warnings) host.err(`warning: ${warning}`);
  // Loaded here, so that the other commands start without it.
  const { restoreMember, SnapshotError } = await import('../server/index.ts');
  const progress = showProgress('restoring');
  const { signal } = host;
  let restored: Restored;
  try {
    const onProgress = progress.update;
    restored = await restoreMember({
      file,
      member: memberOf(resolved.settings),
      skipHashCheck: command.getOptionValue('skipHashCheck') === true,
      onProgress,
      signal,
    });
  } catch (error) {
    if (signal.aborted) return EXIT.interrupted;
    if (error instanceof SnapshotError) {
      const said = `${oneLine(error.message)} (nothing was restored)`;
      throw new CliError(EXIT.failed, said, { cause: error });
    }
    throw startFailure(error, resolved);
  } finally {
    progress.stop();
  }
  await host.out(line(restored));
  return EXIT.ok;
}

function memberOf(settings: ServeSettings): RestoredMember {
  const options = {
    name: settings.name,
    dataDir: settings['data-dir'],
    initialCluster: settings['initial-cluster'],
    initialClusterToken: settings['initial-cluster-token'],
    initialAdvertisePeerUrls: settings['initial-advertise-peer-urls'],
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as RestoredMember;
}

function line({ dataDir, clusterId, memberId, position, keys }: Restored): string {
  const { revision, index, term, stateHash } = position;
  const words = [
    oneLine(dataDir),
    `cluster=${id(clusterId)}`,
    `member=${id(memberId)}`,
    `revision=${revision}`,
    `keys=${keys}`,
    `index=${index}`,
    `term=${term}`,
    `hash=${stateHash}`,
  ];
  return `${words.join('  ')}\n`;
}
