import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { ProcessCluster } from '../cluster/index.ts';
import { CliError, EXIT, type ExitCode, reasonOf, usageError } from '../exit.ts';
import type { Host } from '../host.ts';
import { numberFlag, withoutSettings } from '../local.ts';
import { liveDisplay, plainDisplay } from './display.ts';
import { verdictLines } from './report.ts';
import { type Outcome, show, untilAborted } from './show.ts';

const SEED_MAX = 999_999;

const EXAMPLES = `
Starts members as processes of their own, has clerks append and put, and meanwhile kills five
leaders, freezes one, drops replies, and replaces a clerk in the middle of its commands. Then
checks that every acknowledged command is there, exactly once, in each clerk's order, and that all
members hold the same state. Exit code 0 only if all of that holds.

Examples:
  quorate demo
  quorate demo --seed 7 --seconds 60 --members 5`;

interface DemoFlags {
  readonly seconds?: string;
  readonly members?: string;
  readonly seed?: string;
  readonly dataDir?: string;
}

/** `quorate demo`: faults on a real cluster for half a minute, then a verdict. */
export function demoCommand(host: Host, finish: (code: ExitCode) => void): Command {
  return new Command('demo')
    .summary('torment a cluster on this machine, then prove that nothing was lost')
    .description('Torments a cluster on this machine, then proves that nothing was lost.')
    .option('--seconds <N>', 'how long clerks load the cluster, 5 to 3600 (default: 25)')
    .option('--members <N>', 'number of members, 3 to 9 (default: 3)')
    .option('--seed <N>', 'choose the same faults and commands as an earlier run')
    .option('--data-dir <DIR>', 'new directory that is kept (default: a temporary one)')
    .addHelpText('after', EXAMPLES)
    .action(async (flags: DemoFlags) => finish(await demo(flags, host)));
}

async function demo(flags: DemoFlags, host: Host): Promise<ExitCode> {
  const seconds = numberFlag('--seconds', flags.seconds, { min: 5, max: 3_600 }) ?? 25;
  const members = numberFlag('--members', flags.members, { min: 3, max: 9 }) ?? 3;
  const seed = numberFlag('--seed', flags.seed, { min: 0, max: SEED_MAX }) ?? randomInt(SEED_MAX);
  const directory = prepareDirectory(flags.dataDir ?? null);
  let keep = flags.dataDir !== undefined;
  try {
    const outcome = await perform(host, { seconds, members, seed, directory });
    const { judgement, evidence, pausesMs } = outcome;
    const passed = judgement.failures.length === 0;
    if (!passed) keep = true;
    const lines = verdictLines(evidence, judgement, pausesMs);
    if (keep) lines.push(`data and logs stay in ${directory}`);
    if (!passed)
      lines.push(`again: quorate demo --seed ${seed} --seconds ${seconds} --members ${members}`);
    await host.out(`${lines.join('\n')}\n`);
    return passed ? EXIT.ok : EXIT.failed;
  } catch (error) {
    if (host.signal.aborted) {
      host.err('interrupted: no verdict');
      return EXIT.interrupted;
    }
    keep = true;
    const message = `the demo could not go on; data and logs stay in ${directory}`;
    throw new CliError(EXIT.failed, `${reasonOf(error)} (${message})`, { cause: error });
  } finally {
    if (!keep) rmSync(directory, { recursive: true, force: true });
  }
}

/** One run on a cluster of its own, which is gone afterwards. */
async function perform(
  host: Host,
  run: { seconds: number; members: number; seed: number; directory: string },
): Promise<Outcome> {
  const { signal } = host;
  const display = process.stdout.isTTY
    ? liveDisplay(process.stdout)
    : plainDisplay((text) => void host.out(text));
  const cluster = await ProcessCluster.create({
    command: [process.execPath, fileURLToPath(new URL('../main.js', import.meta.url)), 'serve'],
    directory: run.directory,
    members: run.members,
    proxied: true,
    environment: withoutSettings(host.environment),
  });
  try {
    display.event(`starting ${run.members} members in ${run.directory}; seed ${run.seed}`);
    await untilAborted(cluster.startAll(), signal);
    const pids = [...cluster.members].map(([name, { pid }]) => `${name} is pid ${pid}`);
    display.event(`they serve: ${pids.join(', ')}`);
    const loadMs = run.seconds * 1_000;
    return await show(cluster, { seed: run.seed, loadMs, display, signal });
  } finally {
    display.close();
    await cluster.close();
  }
}

/** A new directory; the user's own choice may exist, but must be empty. */
function prepareDirectory(chosen: string | null): string {
  try {
    if (chosen === null) return mkdtempSync(join(tmpdir(), 'quorate-demo-'));
    if (existsSync(chosen) && readdirSync(chosen).length > 0) {
      throw usageError(`--data-dir: ${chosen} is not empty: name a new directory`);
    }
    mkdirSync(chosen, { recursive: true, mode: 0o700 });
    return chosen;
  } catch (error) {
    if (error instanceof CliError) throw error;
    const said = `--data-dir: ${reasonOf(error)}: name a directory that can be written`;
    throw new CliError(EXIT.failed, said, { cause: error });
  }
}
