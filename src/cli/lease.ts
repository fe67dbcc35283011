import { Command } from 'commander';
import { KvError } from '../api/index.ts';
import type { Clerk } from '../client/index.ts';
import {
  type CallOptions,
  type ClientFlags,
  callOptions,
  clientCommand,
  connect,
  last,
  read,
} from './client-command.ts';
import { parseDurationMs } from './duration.ts';
import { CliError, EXIT, type ExitCode, oneLine, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { id as idText, seconds } from './output.ts';

const EXAMPLES = `
A lease ends when nobody has kept it alive for its time to live, and its keys with it.
Ids are hexadecimal.

Examples:
  quorate lease grant 60
  quorate put lamp on --lease 32695410dcc0ca06
  quorate lease keep-alive 32695410dcc0ca06`;

/** How often a lease is kept alive in its life. */
const KEEP_ALIVES_PER_LIFE = 3;

type Finish = (code: ExitCode) => void;

/** `quorate lease grant|revoke|keep-alive|timetolive|list`. */
export function leaseCommand(host: Host, finish: Finish): Command {
  return new Command('lease')
    .summary('grant, keep alive, revoke and list leases')
    .description('Leases: keys that were put with one end with it.')
    .addCommand(grantCommand(host, finish))
    .addCommand(revokeCommand(host, finish))
    .addCommand(keepAliveCommand(host, finish))
    .addCommand(timeToLiveCommand(host, finish))
    .addCommand(listCommand(host, finish))
    .addHelpText('after', EXAMPLES)
    .allowExcessArguments()
    .action((_flags: unknown, self: Command) => {
      const [given] = self.args;
      const what = given === undefined ? 'needs a command' : `has no command '${oneLine(given)}'`;
      const commands = 'grant, revoke, keep-alive, timetolive or list';
      throw usageError(`lease ${what}: ${commands}; see quorate lease --help`);
    });
}

function grantCommand(host: Host, finish: Finish): Command {
  return clientCommand('grant', 'Makes a lease and prints its id.')
    .argument('<ttl>', 'time to live: seconds, or 1500ms, 10s, 1h; the cluster grants 2s at least')
    .action(async (ttl: string, flags: ClientFlags) => {
      const ttlMs = ttlMsOf('time to live', ttl);
      const doubt = 'a lease that nobody keeps alive ends by itself';
      finish(
        await change(flags, host, doubt, async (clerk, options) => {
          const granted = await clerk.leases.grant({ ...options, ttlMs });
          const ttlSeconds = seconds(granted.ttlMs);
          const header = { revision: granted.revision };
          return flags.writeOut === 'json'
            ? json({ header, id: idText(granted.id), ttl: ttlSeconds })
            : `lease ${idText(granted.id)} granted with TTL(${ttlSeconds}s)\n`;
        }),
      );
    });
}

function revokeCommand(host: Host, finish: Finish): Command {
  return clientCommand('revoke', 'Ends a lease and its keys.')
    .argument('<id>')
    .action(async (text: string, flags: ClientFlags) => {
      const lease = leaseId(text);
      const doubt = 'repeat it: if it happened, there is no such lease';
      finish(
        await change(flags, host, doubt, async (clerk, options) => {
          const { revision, deleted } = await clerk.leases.revoke(lease, options);
          return flags.writeOut === 'json'
            ? json({ header: { revision }, deleted })
            : `lease ${idText(lease)} revoked\n`;
        }),
      );
    });
}

function keepAliveCommand(host: Host, finish: Finish): Command {
  return clientCommand('keep-alive', 'Keeps a lease alive until Ctrl-C, or until it is over.')
    .argument('<id>')
    .option('--once', 'once, and no more')
    .action(async (text: string, flags: ClientFlags & { readonly once?: true }) => {
      const lease = leaseId(text);
      finish(
        await last(flags, host, async (clerk, options) => {
          for (;;) {
            const ttlMs = await keepAliveOf(clerk, lease, options);
            const ttl = seconds(ttlMs);
            const said = `lease ${idText(lease)} keepalived with TTL(${ttl})\n`;
            const line = flags.writeOut === 'json' ? json({ id: idText(lease), ttl }) : said;
            const isRead = await host.out(line);
            if (flags.once === true || !isRead) return EXIT.ok;
            await pause(Math.floor(ttlMs / KEEP_ALIVES_PER_LIFE), host.signal);
            if (host.signal.aborted) return EXIT.interrupted;
          }
        }),
      );
    });
}

function timeToLiveCommand(host: Host, finish: Finish): Command {
  return clientCommand('timetolive', 'Tells how long a lease has to live.')
    .argument('<id>')
    .option('--keys', 'print also the keys that end with it')
    .action(async (text: string, flags: ClientFlags & { readonly keys?: true }) => {
      const lease = leaseId(text);
      const keys = flags.keys === true;
      finish(
        await read(flags, host, async (clerk, options) => {
          const status = await clerk.leases.timeToLive(lease, { ...options, keys, as: 'bytes' });
          if (status === null) throw isOver(lease);
          const remaining = Math.floor(status.remainingMs / 1000);
          const ttl = seconds(status.ttlMs);
          const { revision } = status;
          if (flags.writeOut === 'json') {
            const coded = status.keys.map((key) => Buffer.from(key).toString('base64'));
            const known = { id: idText(lease), ttl: remaining, granted_ttl: ttl };
            await host.out(
              json({ header: { revision }, ...known, ...(keys ? { keys: coded } : {}) }),
            );
          } else {
            const names = status.keys.map((key) => oneLine(Buffer.from(key).toString()));
            const attached = keys ? `, attached keys([${names.join(' ')}])` : '';
            const times = `granted with TTL(${ttl}s), remaining(${remaining}s)`;
            await host.out(`lease ${idText(lease)} ${times}${attached}\n`);
          }
          return EXIT.ok;
        }),
      );
    });
}

function listCommand(host: Host, finish: Finish): Command {
  return clientCommand('list', 'Prints the ids of all leases.').action(
    async (flags: ClientFlags) => {
      finish(
        await read(flags, host, async (clerk, options) => {
          const leases = (await clerk.leases.list(options)).map(idText);
          await host.out(
            flags.writeOut === 'json'
              ? json({ leases: leases.map((id) => ({ id })) })
              : `found ${leases.length} leases\n${leases.map((id) => `${id}\n`).join('')}`,
          );
          return EXIT.ok;
        }),
      );
    },
  );
}

/** A lease's id, hexadecimal. */
export function leaseId(text: string): bigint {
  const id = /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : 0n;
  if (id !== 0n) return id;
  throw usageError(`lease id: '${oneLine(text)}' is not 1 to 16 hexadecimal digits, not all 0`);
}

/** A time to live, milliseconds: seconds as etcdctl has them, or a duration. */
export function ttlMsOf(what: string, text: string): number {
  const isSeconds = /^\d{1,10}$/.test(text);
  const ttlMs = isSeconds ? Number(text) * 1000 : parseDurationMs(text);
  if (ttlMs !== null && ttlMs > 0) return ttlMs;
  throw usageError(`${what}: '${oneLine(text)}' is neither seconds nor a duration such as 1m`);
}

async function keepAliveOf(clerk: Clerk, lease: bigint, options: CallOptions): Promise<number> {
  try {
    return await clerk.leases.keepAlive(lease, options);
  } catch (error) {
    if (error instanceof KvError && error.code === 'LEASE_NOT_FOUND') throw isOver(lease);
    throw error;
  }
}

function isOver(lease: bigint): CliError {
  return new CliError(EXIT.failed, `lease ${idText(lease)} expired, was revoked, or never was`);
}

/** Runs a command about a lease; `doubt` is what to do when its outcome is unknown. */
async function change(
  flags: ClientFlags,
  host: Host,
  doubt: string,
  run: (clerk: Clerk, options: CallOptions) => Promise<string>,
): Promise<ExitCode> {
  const options = callOptions(flags, host);
  const clerk = await connect(flags, host, null);
  try {
    await host.out(await run(clerk, options));
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof KvError)) throw error;
    const isUnknown = error.outcome === 'unknown';
    const end = isUnknown ? `(outcome unknown: ${doubt})` : '(not applied)';
    const code = isUnknown ? EXIT.unknown : EXIT.failed;
    throw new CliError(code, `${oneLine(error.message)} ${end}`, { cause: error });
  } finally {
    await clerk.close();
  }
}

/** Resolves after so long, or when the signal is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener('abort', end);
    if (signal.aborted) end();
  });
}

function json(value: object): string {
  return `${JSON.stringify(value)}\n`;
}
