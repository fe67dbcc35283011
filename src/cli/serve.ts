import { Command, Option } from 'commander';
import type { Server, ServerOptions } from '../server/index.ts';
import { isStatusQuestion, type MemberMessage } from './cluster/control.ts';
import { parseDurationMs } from './duration.ts';
import { etcdFlagNames, verdictOnEtcdFlag } from './etcd-flags.ts';
import { EXIT, type ExitCode, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import {
  aliasOf,
  SERVE_FLAGS,
  type ServeFlag,
  type ServeFlagName,
  type ServeSettings,
} from './serve-flags.ts';
import { refusal, resolveSettings } from './serve-settings.ts';

/** How long the last log lines may take to leave, milliseconds. */
const FLUSH_MS = 1_000;

const STANDARD_ERROR_FD = 2;

const HOUR_MS = 3_600_000;
/** A year. */
const RETENTION_MAX_MS = 366 * 24 * HOUR_MS;

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
  for (const [name, flag] of Object.entries<ServeFlag<unknown>>(SERVE_FLAGS)) {
    command.addOption(optionOf(name, flag));
    const { alias } = flag;
    if (alias !== undefined) command.addOption(optionOf(alias, { ...flag, hidden: true }));
  }
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
  const { letHeapGrow } = await import('./heap-growth.ts');
  const format = settings['log-format'] ?? (process.stderr.isTTY ? 'pretty' : 'json');
  const log = processLog({ fd: STANDARD_ERROR_FD, level: settings['log-level'] ?? 'info', format });
  guardProcess(log);
  letHeapGrow();
  for (const warning of [...ignored, ...resolved.warnings]) log.warn(warning);
  const endOfLife = endOfLifeWarning(process.version, Date.now());
  if (endOfLife !== null) log.warn(endOfLife);

  const { startServer } = await import('../server/index.ts');
  const signal = AbortSignal.any([host.signal, parentGone()]);
  let server: Server;
  try {
    server = await startServer({ ...serverOptions(settings), log, signal });
  } catch (error) {
    if (signal.aborted) log.info(`stopping before it served: ${signal.reason}`);
    await log.flush(FLUSH_MS);
    if (signal.aborted) return EXIT.ok;
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
  reportToParent(server);
  void server.ready.then(() => log.info('ready: a leader is known'));

  const reason = await Promise.race([server.stopped, interruption(signal)]);
  if (typeof reason === 'string') log.info(`stopping: ${reason}`);
  else log.error(`stopped: ${reasonOf(reason)}`, { error: reason });
  const closed = server.close().then(
    () => null,
    (error: Error) => error,
  );
  const failure = (await closed) ?? (await server.stopped);
  if (failure === null) log.info('closed');
  else if (typeof reason === 'string') log.error(`closed badly: ${reasonOf(failure)}`);
  await log.flush(FLUSH_MS);
  return failure === null ? EXIT.ok : EXIT.failed;
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
    snapshotCount: settings['snapshot-count'],
    maxLogBytes: settings['max-log-bytes'],
    quotaBackendBytes: settings['quota-backend-bytes'],
    autoCompactionMode: settings['auto-compaction-mode'],
    autoCompactionRetention: retentionOf(settings),
    corruptCheckTimeMs: settings['corrupt-check-time'],
    truncateDamagedLog: settings['truncate-damaged-log'],
    peerDial: settings['peer-dial'],
    ...tlsOptions(settings),
  };
  return onlyGiven(options) ?? {};
}

function tlsOptions(settings: ServeSettings): Record<string, object | undefined> {
  const years = settings['self-signed-cert-validity'];
  const client = {
    certFile: settings['cert-file'],
    keyFile: settings['key-file'],
    auto: settings['auto-tls'],
    autoValidityDays: years === undefined ? undefined : 365 * years,
    clientCertAuth: settings['client-cert-auth'],
    trustedCaFile: settings['trusted-ca-file'],
    crlFile: settings['client-crl-file'],
    allowedHostnames: settings['client-cert-allowed-hostname'],
  };
  const peer = {
    certFile: settings['peer-cert-file'],
    keyFile: settings['peer-key-file'],
    clientCertFile: settings['peer-client-cert-file'],
    clientKeyFile: settings['peer-client-key-file'],
    trustedCaFile: settings['peer-trusted-ca-file'],
    crlFile: settings['peer-crl-file'],
    allowedCommonNames: settings['peer-cert-allowed-cn'],
    allowedHostnames: settings['peer-cert-allowed-hostname'],
    skipHostProof: settings['peer-skip-client-san-verification'],
  };
  const protocol = {
    cipherSuites: settings['cipher-suites'],
    minVersion: settings['tls-min-version'],
    maxVersion: settings['tls-max-version'],
  };
  return {
    clientTls: onlyGiven(client),
    peerTls: onlyGiven(peer),
    tlsProtocol: onlyGiven(protocol),
  };
}

/** Without the undefined ones; undefined when nothing is left. */
function onlyGiven(values: Readonly<Record<string, unknown>>): object | undefined {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

/** As etcd reads it: a bare number means hours in mode `periodic`, revisions in mode `revision`. */
function retentionOf(settings: ServeSettings): number | undefined {
  const text = settings['auto-compaction-retention'];
  if (text === undefined) return undefined;
  const periodic = settings['auto-compaction-mode'] !== 'revision';
  if (/^\d{1,15}$/.test(text)) return Number(text) * (periodic ? HOUR_MS : 1);
  const durationMs = periodic ? parseDurationMs(text, RETENTION_MAX_MS) : null;
  if (durationMs !== null) return durationMs;
  const right = periodic ? 'a number of hours or a duration such as 30m' : 'a number of revisions';
  throw usageError(`--auto-compaction-retention: '${text}' is not ${right}`);
}

function optionOf(name: string, flag: ServeFlag<unknown>): Option {
  const words = flag.boolean === true ? `[${flag.argument}]` : `<${flag.argument}>`;
  const option = new Option(`--${name} ${words}`, flag.help);
  if (flag.boolean === true) option.preset('true');
  if (flag.hidden === true) option.hideHelp();
  if (flag.repeatable === true) {
    option.argParser((text: string, before: string | undefined) =>
      before === undefined ? text : `${before},${text}`,
    );
  }
  return option;
}

function givenFlags(command: Command): Partial<Record<ServeFlagName, string>> {
  const given = new Map<string, unknown>();
  for (const option of command.options) {
    given.set(option.name(), command.getOptionValue(option.attributeName()));
  }
  const flags: Partial<Record<ServeFlagName, string>> = {};
  for (const name of Object.keys(SERVE_FLAGS) as ServeFlagName[]) {
    const value = given.get(name) ?? given.get(aliasOf(name) ?? '');
    if (typeof value === 'string') flags[name] = value;
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
 * Aborts when the process of ours that started this one is gone, also after a SIGKILL: members must
 * not outlive it.
 */
function parentGone(): AbortSignal {
  const gone = new AbortController();
  if (process.send !== undefined) {
    process.on('disconnect', () => gone.abort('the process that started this one is gone'));
  }
  return gone.signal;
}

/** When another process of ours started this one: tells it when we serve, answers its questions. */
function reportToParent(server: Server): void {
  if (process.send === undefined) return;
  const tell = (message: MemberMessage): void => {
    // A failure needs no look: 'disconnect' follows.
    if (process.connected) process.send?.(message, undefined, undefined, () => {});
  };
  process.on('message', (message) => {
    if (!isStatusQuestion(message)) return;
    tell({ type: 'status', requestId: message.requestId, status: server.status() });
  });
  const { memberId, clientUrls, peerUrls } = server;
  tell({ type: 'listening', memberId, clientUrls, peerUrls });
  void server.ready.then(() => tell({ type: 'ready' }));
}

function interruption(signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const said = (): void => resolve(String(signal.reason));
    if (signal.aborted) said();
    else signal.addEventListener('abort', said);
  });
}
