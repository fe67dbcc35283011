import type { Command } from 'commander';
import type { Clerk } from '../client/index.ts';
import { argumentBytes, valueBytes } from './bytes-input.ts';
import {
  type CallOptions,
  type ClientFlags,
  clientCommand,
  findCluster,
  last,
} from './client-command.ts';
import { CliError, EXIT, type ExitCode, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { ttlMsOf } from './lease.ts';
import { firstOf } from './lock.ts';
import { id, lines, type OutputFormat } from './output.ts';

const EXAMPLES = `
Campaigns, together with etcdctl elect, until it leads; then prints its key and what it proclaims,
each on a line of its own, and leads until Ctrl-C. With --listen prints who leads, now and whenever
that or what is proclaimed changes, and does not take part.

Examples:
  quorate elect scheduler host-7
  quorate elect scheduler --listen`;

interface ElectFlags extends ClientFlags {
  readonly listen?: true;
  readonly ttl: string;
}

/** `quorate elect NAME [VALUE]`. */
export function electCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('elect', 'Takes part in an election, or observes it.')
    .argument('<name>')
    .argument('[value]', 'what to proclaim; - reads it from standard input')
    .option('-l, --listen', 'observe who leads')
    .option('--ttl <TTL>', 'leadership ends so long after its holder: seconds, or 1m', '60')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, value: string | undefined, flags: ElectFlags) => {
      if (name === '') throw usageError('the name is empty; give it at least one byte');
      argumentBytes('name', name);
      const listens = flags.listen === true;
      if (listens === (value !== undefined)) {
        throw usageError(listens ? '--listen: takes no VALUE' : 'give a VALUE, or --listen');
      }
      const proposal = value === undefined ? null : await valueBytes(value, host);
      finish(await elect(name, proposal, flags, host));
    });
}

async function elect(
  name: string,
  proposal: Uint8Array | null,
  flags: ElectFlags,
  host: Host,
): Promise<ExitCode> {
  const ttlMs = ttlMsOf('--ttl', flags.ttl);
  return await last(flags, host, async (clerk, options) => {
    await findCluster(clerk, options);
    if (proposal === null) return await listen(clerk, name, { ...options, flags, host });
    const leadership = await clerk.elect(name, proposal, { ttlMs, signal: host.signal });
    try {
      const { key, fencingToken, lease } = leadership;
      const leader = { key: Buffer.from(key), value: proposal, fencingToken, lease: lease.id };
      await host.out(leaderText(leader, flags.writeOut));
      await firstOf([leadership.signal, host.signal]);
      if (!leadership.signal.aborted) return EXIT.interrupted;
      const cause = leadership.signal.reason;
      throw new CliError(EXIT.failed, `leadership was lost: ${reasonOf(cause)}`, { cause });
    } finally {
      await leadership.resign();
    }
  });
}

async function listen(
  clerk: Clerk,
  name: string,
  { signal, flags, host }: CallOptions & { readonly flags: ElectFlags; readonly host: Host },
): Promise<ExitCode> {
  for await (const leader of clerk.observe(name, { signal, as: 'bytes' })) {
    const { key, value, createRevision: fencingToken, lease = 0n } = leader;
    const text = leaderText({ key, value, fencingToken, lease }, flags.writeOut);
    if (!(await host.out(text))) return EXIT.ok;
  }
  return EXIT.ok;
}

function leaderText(
  leader: {
    readonly key: Uint8Array;
    readonly value: Uint8Array;
    readonly fencingToken: number;
    readonly lease: bigint;
  },
  format: OutputFormat,
): Uint8Array | string {
  const { key, value, fencingToken, lease } = leader;
  if (format === 'simple') return lines([key, value]);
  const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
  const coded = { key: base64(key), value: base64(value) };
  return `${JSON.stringify({ ...coded, fencing_token: fencingToken, lease: id(lease) })}\n`;
}
