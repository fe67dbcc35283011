import { readFile } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { API_LIMITS, KvError } from '../api/index.ts';
import { Clerk, type ClerkTls } from '../client/index.ts';
import { parseDurationMs } from './duration.ts';
import { CliError, EXIT, type ExitCode, oneLine, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import type { OutputFormat } from './output.ts';

const DEFAULT_ENDPOINT = '127.0.0.1:2379';

/** Flags that every client command has, as commander gives them. */
export interface ClientFlags {
  readonly endpoints?: string;
  readonly cacert?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly insecureSkipTlsVerify?: true;
  readonly timeout: string;
  readonly writeOut: OutputFormat;
}

/** Flags of the commands that write. */
export interface WriteFlags extends ClientFlags {
  readonly session?: string;
  readonly seq?: string;
}

/** How long and how each call of a clerk waits. */
export interface CallOptions {
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/** A subcommand that talks to a cluster. */
export function clientCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option(
      '--endpoints <LIST>',
      `members' client addresses, host:port or URL, comma separated (default: ${DEFAULT_ENDPOINT})`,
    )
    .option('--cacert <FILE>', 'the authority whose certificates are believed; for https endpoints')
    .option('--cert <FILE>', 'the certificate to show')
    .option('--key <FILE>', 'its key')
    .option('--insecure-skip-tls-verify', 'believe anybody: for tests only')
    .option('--timeout <TIME>', 'how long to wait for the answer', '5s')
    .addOption(
      new Option('-w, --write-out <FORMAT>', 'simple, or json with keys and values in base64')
        .choices(['simple', 'json'])
        .default('simple'),
    );
}

/** A subcommand that changes something, exactly once if a session is named. */
export function writeCommand(name: string, description: string): Command {
  return clientCommand(name, description)
    .option('--session <NAME>', 'run as a command of this session: repeating it runs it once')
    .option('--seq <N>', "the command's number in the session, from 1 (default: the next one)");
}

/** Runs a read with a clerk of its own. */
export async function read(
  flags: ClientFlags,
  host: Host,
  run: (clerk: Clerk, options: CallOptions) => Promise<ExitCode>,
): Promise<ExitCode> {
  const options = callOptions(flags, host);
  const clerk = await connect(flags, host, null);
  try {
    return await run(clerk, options);
  } catch (error) {
    throw error instanceof KvError ? readFailure(error) : error;
  } finally {
    await clerk.close();
  }
}

/**
 * Runs what lasts until it is over or the user stops it, with a clerk of its own. Nothing in it is
 * in doubt in a way that matters: what it leaves behind ends with its lease.
 */
export async function last(
  flags: ClientFlags,
  host: Host,
  run: (clerk: Clerk, options: CallOptions) => Promise<ExitCode>,
): Promise<ExitCode> {
  return await read(flags, host, async (clerk, options) => {
    try {
      return await run(clerk, options);
    } catch (error) {
      if (error instanceof KvError && host.signal.aborted) return EXIT.interrupted;
      throw error;
    }
  });
}

/**
 * Finds out within --timeout that there is a cluster, before something is begun that waits for one
 * as long as it takes.
 */
export async function findCluster(clerk: Clerk, options: CallOptions): Promise<void> {
  try {
    await clerk.range({ prefix: '' }, { ...options, limit: 1, keysOnly: true });
  } catch (error) {
    if (!(error instanceof KvError) || options.signal.aborted) throw error;
    const said = `the cluster does not answer: ${oneLine(error.message)}`;
    throw new CliError(EXIT.failed, said, { cause: error });
  }
}

/** Runs a write with a clerk of its own; `seq` is null outside a named session. */
export async function write(
  flags: WriteFlags,
  host: Host,
  run: (clerk: Clerk, options: CallOptions & { readonly seq?: number }) => Promise<Uint8Array>,
): Promise<ExitCode> {
  const options = callOptions(flags, host);
  const given = seqFlag(flags);
  const clerk = await connect(flags, host, flags.session ?? null);
  const { session } = clerk;
  const seq = flags.session === undefined ? null : (given ?? (session?.lastSeq ?? 0) + 1);
  try {
    await host.out(await run(clerk, seq === null ? options : { ...options, seq }));
    return EXIT.ok;
  } catch (error) {
    throw error instanceof KvError ? writeFailure(error, flags.session ?? null, seq) : error;
  } finally {
    await clerk.close();
  }
}

/** The endpoints meant by flag or variable, in order. */
export function endpointsOf(flags: ClientFlags, host: Host): string[] {
  const { text, source } = settingOf(flags.endpoints, 'endpoints', host);
  const endpoints = (text ?? DEFAULT_ENDPOINT).split(',').map((each) => each.trim());
  if (endpoints.some((each) => each === '')) {
    throw usageError(
      `${source}: '${oneLine(text ?? '')}' has an empty item; write host:port,host:port`,
    );
  }
  return endpoints;
}

/** What https endpoints need, by flag or variable; undefined when nothing was said. */
export async function tlsOf(flags: ClientFlags, host: Host): Promise<ClerkTls | undefined> {
  const file = async (flag: 'cacert' | 'cert' | 'key'): Promise<Uint8Array | null> => {
    const { text, source } = settingOf(flags[flag], flag, host);
    if (text === null) return null;
    try {
      return await readFile(text);
    } catch (cause) {
      throw new CliError(EXIT.usage, `${source}: ${oneLine(reasonOf(cause))}`, { cause });
    }
  };
  const [ca, cert, key] = [await file('cacert'), await file('cert'), await file('key')];
  const believe = settingOf(undefined, 'insecure-skip-tls-verify', host).text;
  const insecureSkipVerify = flags.insecureSkipTlsVerify ?? (believe !== null && isTrue(believe));
  if (ca === null && cert === null && key === null && !insecureSkipVerify) return undefined;
  return {
    ...(ca === null ? {} : { ca }),
    ...(cert === null ? {} : { cert }),
    ...(key === null ? {} : { key }),
    insecureSkipVerify,
  };
}

/** A flag wins over QUORATE_…, that over ETCDCTL_…; an empty variable counts as not set. */
function settingOf(
  given: string | undefined,
  flag: string,
  host: Host,
): { readonly text: string | null; readonly source: string } {
  if (given !== undefined) return { text: given, source: `--${flag}` };
  const end = flag.replaceAll('-', '_').toUpperCase();
  for (const source of [`QUORATE_${end}`, `ETCDCTL_${end}`]) {
    const text = host.environment[source] ?? '';
    if (text !== '') return { text, source };
  }
  return { text: null, source: '' };
}

function isTrue(text: string): boolean {
  return /^(1|t|true)$/i.test(text);
}

export function callOptions(flags: ClientFlags, host: Host): CallOptions {
  const timeoutMs = parseDurationMs(flags.timeout);
  if (timeoutMs === null) {
    throw usageError(
      `--timeout: '${oneLine(flags.timeout)}' is not a duration such as 500ms, 5s or 1m`,
    );
  }
  return { timeoutMs, signal: host.signal };
}

/** The number given with --seq; null for none. */
export function seqFlag(flags: WriteFlags): number | null {
  if (flags.seq === undefined) return null;
  if (flags.session === undefined)
    throw usageError('--seq: needs --session NAME, whose command it numbers');
  return positiveFlag('--seq', flags.seq);
}

/** Opens the clerk. A failure here is certain: the command itself was not sent. */
export async function connect(
  flags: ClientFlags,
  host: Host,
  session: string | null,
): Promise<Clerk> {
  const { timeoutMs, signal } = callOptions(flags, host);
  const tls = await tlsOf(flags, host);
  const options = {
    endpoints: endpointsOf(flags, host),
    requestTimeoutMs: timeoutMs,
    signal,
    ...(tls === undefined ? {} : { tls }),
  };
  try {
    return await Clerk.connect(session === null ? options : { ...options, session });
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    const code = error.code === 'INVALID_ARGUMENT' ? EXIT.usage : EXIT.failed;
    throw new CliError(code, `${oneLine(error.message)} (the command was not sent)`, {
      cause: error,
    });
  }
}

function readFailure(error: KvError): CliError {
  const code = error.code === 'INVALID_ARGUMENT' ? EXIT.usage : EXIT.failed;
  return new CliError(code, oneLine(error.message), { cause: error });
}

function writeFailure(error: KvError, session: string | null, seq: number | null): CliError {
  const message = oneLine(error.message);
  switch (error.outcome) {
    case 'notApplied': {
      const code = error.code === 'INVALID_ARGUMENT' ? EXIT.usage : EXIT.failed;
      return new CliError(code, `${message}${limitOf(error)} (not applied)`, { cause: error });
    }
    case 'applied':
      return new CliError(EXIT.applied, `${message} (applied earlier)`, { cause: error });
    case 'unknown': {
      const advice =
        session === null
          ? 'read before you repeat it; with --session NAME a repetition runs it at most once'
          : `repeat it with --session ${quoted(session)} --seq ${seq}: it runs at most once`;
      return new CliError(EXIT.unknown, `${message} (outcome unknown: ${advice})`, {
        cause: error,
      });
    }
    default:
      return error.outcome satisfies never;
  }
}

/** A whole number from 1 on, given with a flag; null for none. */
export function positiveFlag(flag: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= 1) return value;
  throw usageError(`${flag}: '${oneLine(text)}' is not a whole number from 1 on`);
}

/** A word as a shell reads it back. */
function quoted(word: string): string {
  return /^[\w./:@-]+$/.test(word) ? word : `'${oneLine(word).replaceAll("'", "'\\''")}'`;
}

function limitOf({ code }: KvError): string {
  if (code !== 'TOO_LARGE') return '';
  const bytes = API_LIMITS.requestBytesMax;
  return `: key and value may have ${bytes} bytes (${bytes / 1024 / 1024} MiB) together; split it`;
}
