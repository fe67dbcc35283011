import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { ProcessCluster } from './cluster/index.ts';
import { CliError, EXIT, type ExitCode, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { LOCAL_MEMBERS_MAX, prepareLocal } from './local-state.ts';
import { Supervisor } from './supervisor.ts';

/** How often the members are asked who leads, milliseconds. */
const POLL_MS = 250;

const EXAMPLES = `
Members m1, m2, ... run as processes of their own. Ports as in etcd's Procfile: clients on 2379,
22379, 32379, members on 2380, 22380, 32380. A member that dies is started again. Ctrl-C stops
all and keeps the data; the same command continues with it.

Examples:
  quorate local
  quorate local --members 5 --base-port 0 --data-dir ./five`;

interface LocalFlags {
  readonly members?: string;
  readonly dataDir: string;
  readonly basePort?: string;
}

/** `quorate local`: a whole cluster on this machine, for trying things out. */
export function localCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return new Command('local')
    .summary('run a cluster of several members on this machine')
    .description('Runs a cluster of several members on this machine, for trying things out.')
    .option('--members <N>', 'number of members, 1 to 9 (default: 3)')
    .option('--data-dir <DIR>', 'where all members keep their data and logs', './quorate-data')
    .option('--base-port <PORT>', 'first of a row of ports; 0 picks free ones')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: LocalFlags) => finish(await local(flags, host)));
}

async function local(flags: LocalFlags, host: Host): Promise<ExitCode> {
  const directory = flags.dataDir;
  const { ports } = await prepareLocal({
    directory,
    members: numberFlag('--members', flags.members, { min: 1, max: LOCAL_MEMBERS_MAX }),
    basePort: numberFlag('--base-port', flags.basePort, { min: 0, max: 65_535 }),
  });
  const say = (line: string): void => void host.out(`${line}\n`);
  const supervisor = new Supervisor((line) => say(`  ${line}`));
  let serving = false;
  const cluster = await ProcessCluster.create({
    command: [process.execPath, fileURLToPath(new URL('./main.js', import.meta.url)), 'serve'],
    directory,
    members: ports.length,
    ports,
    environment: withoutSettings(host.environment),
    onExit: (name, exit) => {
      if (serving) supervisor.exited(cluster.member(name), exit);
    },
  });
  try {
    await Promise.race([cluster.startAll(), aborted(host.signal)]);
    if (!host.signal.aborted) {
      for (const name of cluster.members.keys()) supervisor.started(name);
      serving = true;
      await host.out(welcome(cluster, directory));
      await watch(cluster, { host, say, supervisor });
    }
  } catch (error) {
    throw new CliError(EXIT.failed, reasonOf(error), { cause: error });
  } finally {
    supervisor.stop();
    await cluster.close();
  }
  const abandoned = supervisor.abandoned.size === cluster.members.size;
  await host.out(`\nstopped; the data stays in ${directory}\n`);
  return abandoned ? EXIT.failed : EXIT.ok;
}

/** One line for each change of leader, until the user stops it or no member is left. */
async function watch(
  cluster: ProcessCluster,
  { host, say, supervisor }: { host: Host; say: (line: string) => void; supervisor: Supervisor },
): Promise<void> {
  let leader: string | null | undefined;
  while (!host.signal.aborted && supervisor.abandoned.size < cluster.members.size) {
    const now = await cluster.leader();
    if (now !== leader && (now !== null || leader !== undefined)) {
      say(now === null ? '  no leader' : `  leader is ${now}`);
    }
    leader = now;
    await sleep(POLL_MS, host.signal);
  }
}

function welcome(cluster: ProcessCluster, directory: string): string {
  const members = [...cluster.members.values()];
  const rows = members.map((member) => {
    const { name, logPath } = member.spec;
    const { client = 0, peer = 0 } = cluster.ports.get(name) ?? {};
    return `  ${name}  clients 127.0.0.1:${client}  peers ${peer}  pid ${member.pid}  ${logPath}`;
  });
  const endpoints = cluster.endpoints.map((url) => url.replace('http://', ''));
  const [first = ''] = endpoints;
  const quorate = ownName();
  const at = first === '127.0.0.1:2379' ? '' : ` --endpoints ${first}`;
  const serve = members.length === 1 ? '1 member serves' : `${members.length} members serve`;
  return [
    `${serve}; data and logs are in ${directory}`,
    '',
    ...rows,
    '',
    'Try, in another terminal:',
    `  ${quorate} put greeting hello${at}`,
    `  ${quorate} get greeting${at}`,
    `  ${quorate} status --endpoints ${endpoints.join(',')}`,
    `  kill -9 ${members[0]?.pid}        # a member dies and comes back`,
    '',
    'Ctrl-C stops all members and keeps the data.',
    '',
    '',
  ].join('\n');
}

/** Members take their settings from their flags alone. */
export function withoutSettings(
  environment: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  return Object.fromEntries(
    Object.entries(environment).filter(([name]) => !/^(QUORATE|ETCD)_/.test(name)),
  );
}

export function numberFlag(
  flag: string,
  text: string | undefined,
  range: { min: number; max: number },
): number | null {
  if (text === undefined) return null;
  const value = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= range.min && value <= range.max) return value;
  throw usageError(`${flag}: '${text}' is not a whole number from ${range.min} to ${range.max}`);
}

function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
}

/** Waits `delayMs`, or until the signal. */
function sleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', wake);
      resolve();
    };
    const timer = setTimeout(wake, delayMs);
    signal.addEventListener('abort', wake);
  });
}

/** How this command is called here: by its name where it is installed for all, else through npx. */
function ownName(): string {
  const path = process.argv[1] ?? '';
  return basename(path) === 'quorate' && !path.includes('node_modules') ? 'quorate' : 'npx quorate';
}
