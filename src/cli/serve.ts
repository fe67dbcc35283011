import { Command, Option } from 'commander';
import type { Server, ServerOptions } from '../server/index.ts';
import { isStatusQuestion, type MemberMessage } from './cluster/control.ts';
import { etcdFlagNames, verdictOnEtcdFlag } from './etcd-flags.ts';
import { EXIT, type ExitCode, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import {
  SERVE_FLAGS,
  type ServeFlag,
  type ServeFlagName,
  type ServeSettings,
} from './serve-flags.ts';
import { refusal, resolveSettings } from './serve-settings.ts';

/** How long the last log lines may take to leave, milliseconds. */
const FLUSH_MS = 1_000;

const STANDARD_ERROR_FD = 2;

const EXAMPLES = `
Without flags: a single member on ports 2379 (clients) and 2380 (members).

Examples:
  quorate serve --data-dir /var/lib/quorate
  quorate serve --name m1 --data-dir /var/lib/quorate \\
    --listen-client-urls http://10.0.0.1:2379 --listen-peer-urls http://10.0.0.1:2380 \\
    --initial-cluster m1=http://10.0.0.1:2380,m2=http://10.0.0.2:2380,m3=http://10.0.0.3:2380

Every flag is also a variable: --data-dir is QUORATE_DATA_DIR, or ETCD_DATA_DIR as for etcd.
A flag wins over QUORATE_..., and that over ETCD_....`;

/** `quorate serve`: one member of a cluster, in the foreground. */
export function serveCommand(host: Host, finish: (code: ExitCode) => void): Command {
  const command = new Command('serve')
    .summary('run one member of a cluster')
    .description('Runs one member of a cluster until it is told to stop (Ctrl-C or SIGTERM).')
    .addHelpText('after', EXAMPLES);
  for (const [name, flag] of Object.entries(SERVE_FLAGS)) command.addOption(optionOf(name, flag));
  for (const name of etcdFlagNames()) command.addOption(new Option(`--${name} [value]`).hideHelp());
  return command.action(async (_options: unknown, self: Command) => {
    finish(await serve(self, host));
  });
}

async function serve(command: Command, host: Host): Promise<ExitCode> {
  const ignored = checkEtcdFlags(command);
  const resolved = resolveSettings(givenFlags(command), host.environment);
  const { settings } = resolved;
  // Loaded here, so that the other commands start without it.
  const { processLog } = await import('./log.ts');
  const { endOfLifeWarning, guardProcess } = await import('./runtime.ts');
  const format = settings['log-format'] ?? (process.stderr.isTTY ? 'pretty' : 'json');
  const log = processLog({ fd: STANDARD_ERROR_FD, level: settings['log-level'] ?? 'info', format });
  guardProcess(log);
  for (const warning of [...ignored, ...resolved.warnings]) log.warn(warning);
  const endOfLife = endOfLifeWarning(process.version, Date.now());
  if (endOfLife !== null) log.warn(endOfLife);

  const { startServer } = await import('../server/index.ts');
  let server: Server;
  try {
    server = await startServer({ ...serverOptions(settings), log });
  } catch (error) {
    await log.flush(FLUSH_MS);
    const { startFailure } = await import('./start-failure.ts');
    throw startFailure(error, resolved);
  }
  log.info('serving', {
    member: settings.name ?? 'default',
    memberId: server.memberId,
    clusterId: server.clusterId,
    clientUrls: server.clientUrls,
    peerUrls: server.peerUrls,
    processId: process.pid,
  });
  const parentGone = reportToParent(server);
  void server.ready.then(() => log.info('ready: a leader is known'));

  const reason = await Promise.race([server.stopped, parentGone, interruption(host.signal)]);
  if (typeof reason === 'string') log.info(`stopping: ${reason}`);
  else log.error(`stopped: ${reasonOf(reason)}`, { error: reason });
  await server.close();
  log.info('closed');
  await log.flush(FLUSH_MS);
  return typeof reason === 'string' ? EXIT.ok : EXIT.failed;
}

/** The flags as `startServer` takes them; what was not set keeps the server's default. */
export function serverOptions(settings: ServeSettings): ServerOptions {
  const options = {
    name: settings.name,
    dataDir: settings['data-dir'],
    listenClientUrls: settings['listen-client-urls'],
    advertiseClientUrls: settings['advertise-client-urls'],
    listenPeerUrls: settings['listen-peer-urls'],
    initialAdvertisePeerUrls: settings['initial-advertise-peer-urls'],
    initialCluster: settings['initial-cluster'],
    initialClusterState: settings['initial-cluster-state'],
    initialClusterToken: settings['initial-cluster-token'],
    heartbeatIntervalMs: settings['heartbeat-interval'],
    electionTimeoutMs: settings['election-timeout'],
    requestTimeoutMs: settings['request-timeout'],
    peerDial: settings['peer-dial'],
  };
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return Object.fromEntries(given) as ServerOptions;
}

function optionOf(name: string, flag: ServeFlag<unknown>): Option {
  const option = new Option(`--${name} <${flag.argument}>`, flag.help);
  if (flag.hidden === true) option.hideHelp();
  if (flag.repeatable === true) {
    option.argParser((text: string, before: string | undefined) =>
      before === undefined ? text : `${before},${text}`,
    );
  }
  return option;
}

function givenFlags(command: Command): Partial<Record<ServeFlagName, string>> {
  const flags: Partial<Record<ServeFlagName, string>> = {};
  for (const option of command.options) {
    const name = option.name();
    const value: unknown = command.getOptionValue(option.attributeName());
    if (name in SERVE_FLAGS && typeof value === 'string') flags[name as ServeFlagName] = value;
  }
  return flags;
}

/**
 * Warnings for flags of etcd without a meaning here.
 * @throws CliError for those that cannot be left out.
 */
function checkEtcdFlags(command: Command): string[] {
  const warnings: string[] = [];
  for (const option of command.options) {
    const verdict = verdictOnEtcdFlag(option.name());
    if (verdict === null || command.getOptionValue(option.attributeName()) === undefined) continue;
    if (verdict === 'refused') throw usageError(refusal(`--${option.name()}`));
    warnings.push(`--${option.name()} has no meaning here and is ignored; remove it`);
  }
  return warnings;
}

/**
 * When another process of ours started this one: tells it when we serve, answers its questions.
 * Resolves when that process is gone, also after a SIGKILL: members must not outlive it.
 */
function reportToParent(server: Server): Promise<string> {
  return new Promise((resolve) => {
    if (process.send === undefined) return;
    const tell = (message: MemberMessage): void => {
      // A failure needs no look: 'disconnect' follows.
      if (process.connected) process.send?.(message, undefined, undefined, () => {});
    };
    process.on('disconnect', () => resolve('the process that started this one is gone'));
    process.on('message', (message) => {
      if (!isStatusQuestion(message)) return;
      tell({ type: 'status', requestId: message.requestId, status: server.status() });
    });
    const { memberId, clientUrls, peerUrls } = server;
    tell({ type: 'listening', memberId, clientUrls, peerUrls });
    void server.ready.then(() => tell({ type: 'ready' }));
  });
}

function interruption(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const said = (): void => resolve(String(signal.reason));
    if (signal.aborted) said();
    else signal.addEventListener('abort', said);
  });
}
