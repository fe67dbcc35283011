import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { Command } from 'commander';
import type { Lock } from '../client/index.ts';
import { argumentBytes } from './bytes-input.ts';
import { type ClientFlags, clientCommand, findCluster, last } from './client-command.ts';
import { CliError, EXIT, type ExitCode, oneLine, reasonOf, usageError } from './exit.ts';
import type { Host } from './host.ts';
import { ttlMsOf } from './lease.ts';
import { id } from './output.ts';

const EXAMPLES = `
Waits for the lock, first come, first served, together with etcdctl lock. Without a command prints
the key that holds it, and holds it until Ctrl-C. With one runs it under the lock and ends with its
exit code; the command finds the key in QUORATE_LOCK_KEY and the fencing token, which rises with
every holder, in QUORATE_LOCK_TOKEN. Give the token to what you protect: a stopped holder may go on
after its lease has ended. When the lock is lost, the command gets SIGTERM, and the exit code is 1.

Examples:
  quorate lock backup
  quorate lock backup --ttl 30 -- rsync -a data/ store:/backup/`;

interface LockFlags extends ClientFlags {
  readonly ttl: string;
}

/** `quorate lock NAME [COMMAND…]`. */
export function lockCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return clientCommand('lock', 'Holds a lock, while a command runs or until Ctrl-C.')
    .argument('<name>')
    .argument('[command...]', 'what to run under the lock, behind --')
    .option('--ttl <TTL>', 'the lock ends so long after its holder: seconds, or 1500ms, 1m', '10')
    .addHelpText('after', EXAMPLES)
    .action(async (name: string, command: string[], flags: LockFlags) => {
      finish(await hold(name, command, flags, host));
    });
}

async function hold(
  name: string,
  command: readonly string[],
  flags: LockFlags,
  host: Host,
): Promise<ExitCode> {
  if (name === '') throw usageError('the name is empty; give it at least one byte');
  argumentBytes('name', name);
  const ttlMs = ttlMsOf('--ttl', flags.ttl);
  const { signal } = host;
  return await last(flags, host, async (clerk, options) => {
    await findCluster(clerk, options);
    const lock = await clerk.lock(name, { ttlMs, signal });
    try {
      if (command.length > 0) return await runUnder(lock, command, host);
      await host.out(`${flags.writeOut === 'json' ? lockJson(lock) : lock.key}\n`);
      await firstOf([lock.signal, signal]);
      if (lock.signal.aborted) throw lossOf(lock);
      return EXIT.interrupted;
    } finally {
      await lock.release();
    }
  });
}

function lockJson(lock: Lock): string {
  const { key, fencingToken, lease } = lock;
  const coded = Buffer.from(key).toString('base64');
  return JSON.stringify({ key: coded, fencing_token: fencingToken, lease: id(lease.id) });
}

/** Runs the command to its end; a stop of ours, or the loss of the lock, is passed on to it. */
async function runUnder(lock: Lock, command: readonly string[], host: Host): Promise<ExitCode> {
  const [program = '', ...args] = command;
  const { key, fencingToken } = lock;
  const token = String(fencingToken);
  const ours = { QUORATE_LOCK_KEY: key, QUORATE_LOCK_TOKEN: token };
  const etcds = { ETCD_LOCK_KEY: key, ETCD_LOCK_REV: token };
  const child = spawn(program, args, {
    stdio: 'inherit',
    env: { ...host.environment, ...ours, ...etcds },
  });
  const stop = (): void => void child.kill('SIGTERM');
  for (const signal of [lock.signal, host.signal]) signal.addEventListener('abort', stop);
  try {
    const code = await new Promise<ExitCode>((resolve, reject) => {
      child.once('error', (cause) => {
        const said = `cannot run '${oneLine(program)}': ${reasonOf(cause)}`;
        reject(new CliError(EXIT.usage, said, { cause }));
      });
      child.once('exit', (exitCode, signal) => resolve(exitCode ?? exitCodeOf(signal)));
    });
    if (lock.signal.aborted) throw lossOf(lock);
    return code;
  } finally {
    for (const signal of [lock.signal, host.signal]) signal.removeEventListener('abort', stop);
  }
}

/** As shells number the end by a signal. */
function exitCodeOf(signal: NodeJS.Signals | null): ExitCode {
  return 128 + (signal === null ? 0 : constants.signals[signal]);
}

function lossOf(lock: Lock): CliError {
  const cause = lock.signal.reason;
  return new CliError(EXIT.failed, `the lock was lost: ${reasonOf(cause)}`, { cause });
}

/** Resolves with the first abort. */
export async function firstOf(signals: readonly AbortSignal[]): Promise<void> {
  await new Promise<void>((resolve) => {
    for (const signal of signals) {
      signal.addEventListener('abort', () => resolve(), { once: true });
      if (signal.aborted) resolve();
    }
  });
}
